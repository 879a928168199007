//! The way into the log for what must survive a power cut before it is answered: acts, their
//! hits, acceptances.
//!
//! A worker that waited for the disk would make readers wait, so records are handed to the
//! drainer here and their handlers wait for the news. Nothing here is answered before it is
//! synced; so it may lie in plain memory, and is thrown away where the disk refuses it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait at most; whoever comes later is told to try again.
const BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
struct Waiting {
    /// Records one behind the other, open.
    records: Vec<u8>,
    /// Tickets given out so far.
    tickets: u64,
    /// Somebody waits: the tick is too long.
    hurry: bool,
}

/// Records on their way to the drainer.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands records over; the ticket by which their fate is known. `None` if too many wait.
    pub(super) fn submit(&self, records: &[u8]) -> Option<u64> {
        let mut waiting = self.lock();
        if waiting.records.len() + records.len() > BYTES_MAX {
            return None;
        }
        waiting.records.extend_from_slice(records);
        waiting.tickets += 1;
        waiting.hurry = true;
        self.wake.notify_one();
        Some(waiting.tickets)
    }

    /// Takes everything that waits; the last ticket among it.
    pub(super) fn take(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.lock();
        (std::mem::take(&mut waiting.records), waiting.tickets)
    }

    /// Asks the drainer not to wait for its tick.
    pub(super) fn hurry(&self) {
        self.lock().hurry = true;
        self.wake.notify_one();
    }

    /// Waits for the tick, or until somebody is in a hurry.
    pub(super) fn wait(&self, tick: Duration) {
        let waiting = self.lock();
        let waited = self
            .wake
            .wait_timeout_while(waiting, tick, |waiting| !waiting.hurry);
        waited.unwrap_or_else(PoisonError::into_inner).0.hurry = false;
    }
}
