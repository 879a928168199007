//! A message whose links were all gone through by one source.

use super::message::MessageId;
use super::neighbour::Neighbour;
use super::time::Micros;

/// Which client, as far as anybody can say who keeps no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// See [`Neighbour::network`].
    pub network: u32,
    /// See [`Neighbour::agent`].
    pub agent: u32,
}

impl Source {
    /// Whose hit this is, if its network is known.
    #[must_use]
    pub const fn of(hit: &Neighbour) -> Option<Self> {
        match hit.network {
            0 => None,
            network => Some(Self {
                network,
                agent: hit.agent,
            }),
        }
    }
}

/// A sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sweep {
    /// When it was complete.
    pub at: Micros,
    /// Who made it.
    pub source: Source,
    /// Stands for the message, which it does not name.
    pub message: u32,
}

impl Sweep {
    /// What stands for a message here.
    #[must_use]
    pub fn message(id: MessageId) -> u32 {
        let campaign = crc32c::crc32c(&id.campaign.get().to_le_bytes());
        let minted = crc32c::crc32c_append(campaign, &id.minted_at.to_le_bytes());
        crc32c::crc32c_append(minted, &id.number.to_le_bytes())
    }
}
