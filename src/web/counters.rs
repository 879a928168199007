//! What happened on the public listener, in atomics that cost a hit next to nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::domain::time::Micros;
use crate::journal::Reason;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    unknown: AtomicU64,
    unrecorded: AtomicU64,
    acts_failed: AtomicU64,
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
}
