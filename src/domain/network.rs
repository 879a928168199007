//! Network facts of a hit: derived at the edge from tables in memory, stored with the hit, so
//! that it can be judged again when the address is long gone.

use std::net::IpAddr;

use ipnet::IpNet;

/// Lists that a network or address can be on, one bit each, as journal and store keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lists(u16);

impl Lists {
    /// On no list.
    pub const NONE: Self = Self(0);
    /// ASN of a mail-security vendor: probable machine, strong inside a time window.
    pub const EMAIL_SECURITY: Self = Self(1);
    /// Address range from which only machines come (EOP, detonation, Barracuda's gateways).
    pub const CERTAIN_SCANNER: Self = Self(1 << 1);
    /// ASN of a hosting company: weight, never a verdict.
    pub const HOSTING: Self = Self(1 << 2);
    /// ASN of a mailbox provider, where people and machines both come from.
    pub const MAIL_PROVIDER: Self = Self(1 << 3);
    /// ASN that runs a mailbox provider's image proxy.
    pub const IMAGE_PROXY: Self = Self(1 << 4);
    /// Egress of a privacy relay: people on clicks.
    pub const PRIVACY_RELAY: Self = Self(1 << 5);
    /// Content delivery network.
    pub const CDN: Self = Self(1 << 6);
    /// Secure web gateways and corporate egress: people.
    pub const HUMAN_EGRESS: Self = Self(1 << 7);

    /// A rule set's own list says so, in the place of what the shipped ones say.
    pub const OWN: Self = Self(1 << 8);

    /// Those that a network can be put on, by name.
    const NAMED: [(Self, &str); 8] = [
        (Self::EMAIL_SECURITY, "email_security"),
        (Self::CERTAIN_SCANNER, "certain_scanner"),
        (Self::HOSTING, "hosting"),
        (Self::MAIL_PROVIDER, "mail_provider"),
        (Self::IMAGE_PROXY, "image_proxy"),
        (Self::PRIVACY_RELAY, "privacy_relay"),
        (Self::CDN, "cdn"),
        (Self::HUMAN_EGRESS, "human_egress"),
    ];

    /// The list of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::NAMED.iter().find(|(_, known)| *known == name);
        found.map(|(list, _)| *list)
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        Self::NAMED.map(|(_, name)| name).join(", ")
    }

    /// Lists from their stored bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits to store.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// On any of these lists.
    #[must_use]
    pub const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// On the lists of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the tables say of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkFacts {
    /// Autonomous system number, 0 where no table knows the address.
    pub asn: u32,
    /// Lists that the address or its network is on.
    pub lists: Lists,
    /// Version of the network lists that said so.
    pub lists_version: u16,
}

/// The part of an address that the store keeps: /24 of IPv4, /48 of IPv6.
#[must_use]
pub fn prefix(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new_assert(address, length).trunc()
}
