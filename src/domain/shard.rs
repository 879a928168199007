//! Shards of settling: what is said of one message is settled in one place, whichever edges it
//! came in at (DESIGN 5.6).

use super::message::MessageId;

/// One of [`Shard::COUNT`] parts of all messages. Which one a message is in never changes: rows
/// wait for it in databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// How many there are, and how many processes can settle at once.
    pub const COUNT: u8 = 16;

    /// The shard of this number.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Every shard.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The shard of a record: that of its message, or any where it has none.
    #[must_use]
    pub fn of(message: Option<MessageId>, sequence: u64) -> Self {
        let mixed = match message {
            Some(id) => {
                let campaign = u64::from(id.campaign.get()).rotate_left(32);
                let minted_at = u64::from(id.minted_at).rotate_left(17);
                mix(campaign ^ minted_at ^ u64::from(id.number))
            }
            None => sequence,
        };
        let count = u64::from(Self::COUNT);
        Self(u8::try_from(mixed % count).unwrap_or_default())
    }
}

/// The finalizer of SplitMix64: each bit of what goes in turns half of what comes out.
const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::CampaignId;

    fn message(campaign: u32, minted_at: u32, number: u32) -> MessageId {
        MessageId {
            campaign: CampaignId::new(campaign).unwrap(),
            minted_at,
            number,
        }
    }

    #[test]
    fn a_message_stays_in_its_shard_for_ever() {
        let shard = |id| Shard::of(Some(id), 1).get();
        // Rows that wait in a database were put there by these.
        assert_eq!(shard(message(1, 1_800_000_000, 1)), 3);
        assert_eq!(
            Shard::of(Some(message(7, 1_700_000_000, 3)), 1),
            Shard::of(Some(message(7, 1_700_000_000, 3)), 99)
        );
        assert_eq!(Shard::of(None, 35).get(), 3);
    }

    #[test]
    fn messages_spread_evenly() {
        let mut counts = [0_u32; Shard::COUNT as usize];
        for number in 0..16_000 {
            let id = message(3, 1_800_000_000 + number / 500, number);
            counts[usize::from(Shard::of(Some(id), 0).get())] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)));
    }
}
