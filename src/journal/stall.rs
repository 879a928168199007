//! Work that waits for the disk, seen from outside: a thread that hangs in the kernel cannot say so
//! itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a disk may take before it is said to hang.
pub(super) const HUNG: Duration = Duration::from_secs(1);

/// Whether a thread waits for the disk, and since when.
#[derive(Debug)]
pub(super) struct Stall {
    epoch: Instant,
    /// Microseconds from `epoch` to the oldest record that it waits for; 0 if for none.
    since: AtomicU64,
}

/// Ends the wait when it is dropped.
pub(super) struct Waiting<'a>(&'a Stall);

impl Default for Stall {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
        }
    }
}

impl Stall {
    /// Notes that work begins whose oldest record is that old.
    pub(super) fn since(&self, oldest: Instant) -> Waiting<'_> {
        let since = oldest.saturating_duration_since(self.epoch).as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        self.since.store(since, Ordering::Relaxed);
        Waiting(self)
    }

    /// Age of the oldest record that is waited for.
    pub(super) fn age(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self
                .epoch
                .elapsed()
                .saturating_sub(Duration::from_micros(since)),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}
