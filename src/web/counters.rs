//! What happened on the public listener, in atomics that cost a hit next to nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::domain::time::Micros;
use crate::journal::Reason;

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is not one at all.
    Malformed,
    /// It may be one; its campaign is not known.
    UnknownCampaign,
    /// Its MAC is wrong.
    Damaged,
    /// Its key is revoked.
    Revoked,
}

impl TokenFault {
    /// All of them, with their names in metrics, in the order of their counts.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Malformed, "malformed"),
        (Self::UnknownCampaign, "unknown_campaign"),
        (Self::Damaged, "damaged"),
        (Self::Revoked, "revoked"),
    ];
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    unknown: AtomicU64,
    unrecorded: AtomicU64,
    acts_failed: AtomicU64,
    tokens_invalid: [AtomicU64; TokenFault::ALL.len()],
    said_dropped_at: AtomicI64,
}

impl Counters {
    /// A request on nothing known: no hit.
    pub fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that the privacy level keeps out of the record.
    pub fn unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    /// An act that could not be kept and was answered 503.
    pub fn act_failed(&self) {
        self.acts_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// A token that is not good.
    pub fn token_invalid(&self, fault: TokenFault) {
        if let Some(count) = self.tokens_invalid.get(fault as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Logs that hits cannot be kept, once a second at most; the journal counts each.
    pub fn say_dropped(&self, at: Micros, reason: Reason) {
        let last = self.said_dropped_at.load(Ordering::Relaxed);
        if at.get().saturating_sub(last) >= 1_000_000 {
            self.said_dropped_at.store(at.get(), Ordering::Relaxed);
            let reason = reason.name();
            tracing::error!(reason, "web: hits are answered but cannot be kept");
        }
    }

    /// Requests on nothing known, hits not recorded, acts that failed.
    #[must_use]
    pub fn read(&self) -> [u64; 3] {
        [&self.unknown, &self.unrecorded, &self.acts_failed]
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Tokens that were not good, by name of what was wrong.
    pub fn tokens_invalid(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.tokens_invalid.iter();
        let names = TokenFault::ALL.iter().map(|(_, name)| *name);
        names.zip(counts.map(|count| count.load(Ordering::Relaxed)))
    }
}
