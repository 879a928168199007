//! What edges ship to whoever settles it: hits without their addresses, and acceptances.

use ipnet::IpNet;

use crate::domain::message::MessageId;
use crate::domain::network;
use crate::domain::record::{BODY_BYTES, Hit, take};
use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::journal::Accepted;

use super::events::StoredHit;

/// Kinds of records, as rows name them; for ever.
pub(super) const HIT: i16 = 1;
pub(super) const ACCEPTED: i16 = 2;

/// A record of a journal on its way to be settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Row of the edge that it came in at.
    pub edge: i64,
    /// Its sequence there.
    pub sequence: u64,
    /// What came.
    pub what: Arrived,
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived {
    /// A hit, with what is kept of its address.
    Hit(Box<StoredHit>),
    /// An acceptance.
    Accepted(Accepted),
}

impl Arrival {
    /// The message that it is about.
    #[must_use]
    pub fn message(&self) -> Option<MessageId> {
        match &self.what {
            Arrived::Hit(stored) => stored.hit.message.map(|(id, _)| id),
            Arrived::Accepted(accepted) => Some(accepted.message),
        }
    }

    /// Where it is settled.
    #[must_use]
    pub fn shard(&self) -> Shard {
        Shard::of(self.message(), self.sequence)
    }

    /// The hit that it is.
    #[must_use]
    pub fn hit(&self) -> Option<&Hit> {
        match &self.what {
            Arrived::Hit(stored) => Some(&stored.hit),
            Arrived::Accepted(_) => None,
        }
    }
}

/// What waits for some shards, in the order in which it was shipped.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Numbers of the rows, whether or not they can be read.
    pub rows: Vec<i64>,
    /// Those that can be read.
    pub arrivals: Vec<Arrival>,
    /// Nothing else was waiting.
    pub emptied: bool,
}

/// A hit as a row keeps it: the time, and what the journal has behind its header, with the prefix
/// in the place of the address.
pub(super) fn write_hit(stored: &StoredHit) -> Vec<u8> {
    let hit = Hit {
        address: stored.prefix.map(|prefix| prefix.network()),
        ..stored.hit
    };
    let mut record = hit.at.get().to_le_bytes().to_vec();
    record.extend_from_slice(&hit.body());
    record
}

pub(super) fn write_accepted(accepted: &Accepted) -> Vec<u8> {
    let message = accepted.message;
    let mut record = accepted.at.get().to_le_bytes().to_vec();
    for number in [message.campaign.get(), message.minted_at, message.number] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    record
}

/// Reads what [`write_hit`] wrote.
pub(super) fn read_hit(mut record: &[u8]) -> Option<(Hit, Option<IpNet>)> {
    let at = Micros::new(i64::from_le_bytes(take(&mut record)?));
    let mut hit = Hit::read(at, &take::<BODY_BYTES>(&mut record)?)?;
    let prefix = hit.address.take().map(network::prefix);
    Some((hit, prefix))
}

/// Reads what [`write_accepted`] wrote.
pub(super) fn read_accepted(mut record: &[u8]) -> Option<Accepted> {
    use crate::domain::campaign::CampaignId;
    let at = Micros::new(i64::from_le_bytes(take(&mut record)?));
    let mut number = || take(&mut record).map(u32::from_le_bytes);
    let campaign = CampaignId::new(number()?)?;
    let message = MessageId {
        campaign,
        minted_at: number()?,
        number: number()?,
    };
    Some(Accepted { at, message })
}
