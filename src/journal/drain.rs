//! Takes records out of the rings and the lane and writes them to the log, in one write a tick.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Journal, JournalError};

/// Bytes written at once, about.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long to wait before the disk is asked again after it refused.
const RETRY: Duration = Duration::from_millis(200);
/// The same where it has to recover first: that reads what the last process left.
const RETRY_BEGIN: Duration = Duration::from_secs(3);

/// Runs on a thread of its own until told to stop.
#[derive(Debug)]
pub struct Drainer {
    journal: Arc<Journal>,
    /// Last slot of each ring that is in the log.
    drained: Vec<u64>,
    batch: Vec<u8>,
    /// Since when what is in the rings may have been there.
    looked_at: Instant,
    refused: bool,
    said_lost: bool,
}

impl Drainer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            drained: vec![0; journal.rings.len()],
            batch: Vec::new(),
            looked_at: Instant::now(),
            // Then it has been said.
            refused: !journal.has_begun(),
            said_lost: false,
            journal,
        }
    }

    /// Drains until `stopped` says so, then once more.
    pub fn run(mut self, stopped: &dyn Fn() -> bool) {
        loop {
            let last_round = stopped();
            let tick = match (last_round, self.refused) {
                (true, _) => Duration::ZERO,
                (false, true) if !self.journal.has_begun() => RETRY_BEGIN,
                (false, true) => RETRY,
                (false, false) => self.journal.options.sync_every,
            };
            self.journal.lane.wait(tick);
            match self.round() {
                Ok(()) => {}
                Err(error) if !self.refused => {
                    tracing::error!(%error, "journal: the disk takes nothing; hits are at risk");
                    self.refused = true;
                }
                Err(error) => tracing::debug!(%error, "journal: the disk still takes nothing"),
            }
            self.say_lost();
            if last_round {
                return;
            }
        }
    }

    /// Says, once, what the handler of a signal could only count.
    fn say_lost(&mut self) {
        let pages = self.journal.pages_lost();
        if pages > 0 && !self.said_lost {
            tracing::error!(
                pages,
                "journal: the file system refuses pages of the rings; hits kept there outlive \
                 the process only once they are logged: restart when the disk is well"
            );
            self.said_lost = true;
        }
    }

    /// Writes everything that is there.
    pub(super) fn round(&mut self) -> Result<(), JournalError> {
        let drained = self.drain();
        let failing = drained.as_ref().err().map(JournalError::reason);
        if failing.is_none() && self.refused {
            tracing::info!("journal: the disk takes records again");
            self.refused = false;
        }
        self.journal.drain_state.set(failing);
        drained
    }

    fn drain(&mut self) -> Result<(), JournalError> {
        if !self.journal.has_begun() {
            self.journal.begin()?;
            // Nothing is older.
            self.looked_at = Instant::now();
        }
        let journal = &*self.journal;
        let oldest = std::mem::replace(&mut self.looked_at, Instant::now());
        let _draining = journal.draining.since(oldest);
        let mut wrote = false;
        loop {
            // Taken first and written last: behind whatever was kept before it was handed over.
            let (lane, ticket) = journal.lane.take();
            self.batch.clear();
            let mut to = self.drained.clone();
            for (ring, to) in journal.rings.iter().zip(&mut to) {
                let (taken, torn) = ring.copy(*to, &mut self.batch, BATCH_BYTES_MAX);
                *to = taken;
                journal.counts.torn.fetch_add(torn, Ordering::Relaxed);
            }
            self.batch.extend_from_slice(&lane);
            if self.batch.is_empty() {
                break;
            }
            let written = journal.writer.write(&mut self.batch, &to, ticket, oldest);
            if written.is_err() && !lane.is_empty() {
                journal.refuse(ticket);
            }
            written?;
            wrote = true;
            let bytes = self.batch.len() as u64;
            journal.counts.log_bytes.fetch_add(bytes, Ordering::Relaxed);
            for ((ring, from), to) in journal.rings.iter().zip(&self.drained).zip(&to) {
                ring.free(*from, *to);
            }
            let more = self.batch.len() >= BATCH_BYTES_MAX;
            self.drained = to;
            if !more {
                break;
            }
        }
        // A write of records that worked has asked already.
        let doubted = journal.spool.doubted();
        if (self.refused || doubted) && !wrote {
            journal.writer.probe()?;
        }
        Ok(())
    }
}
