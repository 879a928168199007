//! A hit as the other hits of its message see it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::hit::HitKind;
use super::judgement::Facts;
use super::time::Micros;

/// What is compared between the hits of one message. Two that agree in `network` and `agent` have
/// one source: the same client, as far as anybody can say who keeps no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// When it came.
    pub at: Micros,
    /// What was asked for.
    pub kind: HitKind,
    /// The link; 0 for opens.
    pub link: u32,
    /// Which /24 or /48 it came from; 0 if that is not known, which equals no other.
    pub network: u32,
    /// Which agent it named.
    pub agent: u32,
    /// Autonomous system number, 0 where no table knows the address.
    pub asn: u32,
    /// What was observed in the request.
    pub facts: Facts,
}

impl Neighbour {
    /// What stands for a prefix here.
    #[must_use]
    pub fn network(prefix: Option<IpNet>) -> u32 {
        let hash = |bytes: &[u8]| crc32c::crc32c(bytes).max(1);
        match prefix.map(|prefix| prefix.network()) {
            Some(IpAddr::V4(v4)) => hash(&v4.octets()),
            Some(IpAddr::V6(v6)) => hash(&v6.octets()),
            None => 0,
        }
    }

    /// What stands for the id of an agent string here.
    #[must_use]
    pub const fn agent(id: u64) -> u32 {
        // It is a hash: any part of it will do.
        let [a, b, c, d, ..] = id.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}
