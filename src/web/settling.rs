//! How far settling is, for metrics and health: told by whoever settles, asked at any time, also
//! while a round hangs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::time::Micros;

/// How far settling is.
#[derive(Debug, Default)]
pub struct Settling {
    /// One more than the last sequence that the store has; 0 while that is not known.
    next: AtomicU64,
    settled_to: AtomicI64,
    /// Nothing that came before is waiting.
    current_at: AtomicI64,
    store_bytes: AtomicU64,
}

impl Settling {
    /// Nothing that came before `now` is waiting, as far as is known.
    pub fn current(&self, now: Micros) {
        self.current_at.store(now.get(), Ordering::Relaxed);
    }

    /// The store has everything up to `position`; the last hit that was just read for it, if any,
    /// is from `last_hit`.
    pub fn reached(&self, position: u64, settled_to: Micros, last_hit: Option<Micros>) {
        self.next
            .store(position.saturating_add(1), Ordering::Relaxed);
        self.settled_to.store(settled_to.get(), Ordering::Relaxed);
        if let Some(at) = last_hit {
            self.current_at.store(at.get(), Ordering::Relaxed);
        }
    }

    /// Bytes of the database, as just looked at.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.store_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the database when last looked at.
    #[must_use]
    pub fn store_bytes(&self) -> u64 {
        self.store_bytes.load(Ordering::Relaxed)
    }

    /// Time up to which judgements are final.
    #[must_use]
    pub fn settled_to(&self) -> Micros {
        Micros::new(self.settled_to.load(Ordering::Relaxed))
    }

    /// Records up to `last` that are not in the store, and about how old the oldest of them is;
    /// `None` while the store has never been open.
    #[must_use]
    pub fn waiting(&self, last: u64, now: Micros) -> Option<(u64, Duration)> {
        let position = self.next.load(Ordering::Relaxed).checked_sub(1)?;
        let records = last.saturating_sub(position);
        let since = now.get() - self.current_at.load(Ordering::Relaxed);
        let age = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        Some((records, if records == 0 { Duration::ZERO } else { age }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_what_waits() {
        let second = |n: i64| Micros::new(n * 1_000_000);
        let settling = Settling::default();
        settling.current(second(100));
        assert_eq!(settling.waiting(5, second(103)), None, "no store yet");
        settling.reached(0, second(0), None);
        assert_eq!(
            settling.waiting(5, second(103)),
            Some((5, Duration::from_secs(3)))
        );
        settling.reached(2, second(0), Some(second(40)));
        assert_eq!(
            settling.waiting(5, second(103)),
            Some((3, Duration::from_secs(63)))
        );
        settling.reached(5, second(0), Some(second(104)));
        assert_eq!(
            settling.waiting(5, second(9_000)),
            Some((0, Duration::ZERO))
        );
        // An idle hour is no lag of the hit that ends it.
        settling.current(second(9_000));
        assert_eq!(
            settling.waiting(6, second(9_001)),
            Some((1, Duration::from_secs(1)))
        );
        assert_eq!(
            settling.waiting(6, second(1)),
            Some((1, Duration::ZERO)),
            "a clock set back"
        );
    }
}
