//! What settling adds to the facts of a hit: when it came, against the acceptance of its mail.
//!
//! Owns: the settled facts. Refuses: guesses. Without a delivery event there is no anchor:
//! `minted_at` is only a lower bound of the send time and is never used as one.

use super::signals::{
    NET_CERTAIN, NET_EMAIL_SECURITY, NET_HOSTING, NET_MAIL_PROVIDER, TIME_AT_ACCEPT,
    TIME_BEFORE_ACCEPT, TIME_CLOUD_WINDOW, TIME_WINDOW,
};
use crate::domain::judgement::Facts;

/// What came around a hit. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// When the hit came.
    pub at_micros: i64,
    /// When the recipient's server accepted the mail, if a delivery event said so.
    pub accepted_at: Option<i64>,
}

/// Clocks of mail servers and edges differ, and logs have whole seconds: a hit so little before
/// the acceptance counts as at it.
const CLOCK_SKEW_MICROS: i64 = 1_000_000;
/// So soon after the acceptance hardly a person has clicked.
const AT_ACCEPT_MICROS: i64 = 2_000_000;
/// How long a network where machines are common makes the time itself suspicious.
const WINDOW_MICROS: i64 = 60_000_000;

/// Bits 48 to 63: what a new settling decides afresh.
const SETTLED_BITS: u64 = !0 << 48;

/// The facts of a hit with what came around it. Settling again, with a better anchor, replaces
/// what an earlier settling had added.
#[must_use]
pub fn settle(facts: Facts, around: &Around) -> Facts {
    let facts = Facts::from_bits(facts.bits() & !SETTLED_BITS);
    let Some(accepted_at) = around.accepted_at else {
        return facts;
    };
    let since = around.at_micros.saturating_sub(accepted_at);
    if since < -CLOCK_SKEW_MICROS {
        return facts.with(TIME_BEFORE_ACCEPT);
    }
    let mut settled = facts;
    if since <= AT_ACCEPT_MICROS {
        settled = settled.with(TIME_AT_ACCEPT);
    }
    if since <= WINDOW_MICROS {
        let from = |bits: [u8; 2]| bits.into_iter().any(|bit| facts.has(bit));
        // Apart, because people read login codes at once, on cloud desktops and VPNs too.
        if from([NET_CERTAIN, NET_EMAIL_SECURITY]) {
            settled = settled.with(TIME_WINDOW);
        } else if from([NET_HOSTING, NET_MAIL_PROVIDER]) {
            settled = settled.with(TIME_CLOUD_WINDOW);
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_the_acceptance() {
        const SECOND: i64 = 1_000_000;
        let cloud = Facts::NONE.with(NET_HOSTING);
        let vendor = Facts::NONE.with(NET_EMAIL_SECURITY);
        for (facts, since, bits) in [
            (Facts::NONE, -2 * SECOND, vec![TIME_BEFORE_ACCEPT]),
            (cloud, -2 * SECOND, vec![TIME_BEFORE_ACCEPT]),
            (Facts::NONE, -SECOND, vec![TIME_AT_ACCEPT]),
            (Facts::NONE, 2 * SECOND, vec![TIME_AT_ACCEPT]),
            (Facts::NONE, 3 * SECOND, vec![]),
            (cloud, 2 * SECOND, vec![TIME_AT_ACCEPT, TIME_CLOUD_WINDOW]),
            (cloud, 60 * SECOND, vec![TIME_CLOUD_WINDOW]),
            (cloud, 61 * SECOND, vec![]),
            (vendor, 60 * SECOND, vec![TIME_WINDOW]),
            (vendor, 61 * SECOND, vec![]),
        ] {
            let around = Around {
                at_micros: 1_800_000_000 * SECOND + since,
                accepted_at: Some(1_800_000_000 * SECOND),
            };
            let expected = bits.into_iter().fold(facts, Facts::with);
            let settled = settle(facts, &around);
            assert_eq!(settled, expected, "{since}");
            assert_eq!(settle(settled, &around), expected, "again");
        }
    }

    #[test]
    fn without_an_acceptance_there_is_no_time() {
        let around = Around {
            at_micros: i64::MAX,
            accepted_at: None,
        };
        let facts = Facts::NONE.with(NET_HOSTING);
        assert_eq!(settle(facts.with(TIME_WINDOW), &around), facts);
    }
}
