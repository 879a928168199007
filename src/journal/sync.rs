//! Makes what was written survive a power cut: one fsync for everybody at once, and the next as
//! soon as there is something new.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::writer::{Closing, Pending, Reached, Tail};
use super::{Journal, JournalError, WINDOW_ALARM};

/// How long the syncer sleeps when nothing is written, before it looks at the stop signal.
const IDLE: Duration = Duration::from_millis(100);
/// How long it waits before it tries again what the disk refused.
const RETRY: Duration = Duration::from_millis(200);

/// Runs on a thread of its own until told to stop.
#[derive(Debug)]
pub struct Syncer {
    journal: Arc<Journal>,
    /// The open segment's fsync failed: its file is never synced again, only replaced.
    poisoned: bool,
    /// A full segment that is not durable yet. Until it is, nothing after it counts as synced.
    closing: Option<Closing>,
    fsync_seconds: metrics::Histogram,
}

impl Syncer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            poisoned: false,
            closing: None,
            fsync_seconds: metrics::histogram!("cupel_journal_fsync_duration_seconds"),
        }
    }

    /// Syncs until `stopped` says so, then once more.
    pub fn run(mut self, stopped: &dyn Fn() -> bool) {
        loop {
            let last_round = stopped();
            let idle = if last_round { Duration::ZERO } else { IDLE };
            let failed_before = self.journal.sync_state.get().is_some();
            match self.round(idle) {
                Ok(()) if failed_before => tracing::info!("journal: the disk keeps records again"),
                Ok(()) => {}
                Err(error) => {
                    if failed_before {
                        tracing::debug!(%error, "journal: the disk still does not keep it");
                    } else {
                        tracing::error!(%error, "journal: the disk does not keep it");
                    }
                    std::thread::sleep(RETRY);
                }
            }
            if last_round {
                return;
            }
        }
    }

    pub(super) fn round(&mut self, idle: Duration) -> Result<(), JournalError> {
        let done = self.try_round(idle);
        let failing = done.as_ref().err().map(JournalError::reason);
        self.journal.sync_state.set(failing);
        done
    }

    fn try_round(&mut self, idle: Duration) -> Result<(), JournalError> {
        self.close()?;
        if let Some(pending) = self.journal.writer.wait(idle) {
            let journal = Arc::clone(&self.journal);
            let _syncing = journal.syncing.since(pending.oldest);
            let synced = self.sync(&pending);
            if synced.is_err() {
                self.journal.writer.retry();
            }
            synced?;
            self.advance(&pending.reached);
            self.note_window(pending.oldest.elapsed());
        }
        if self.journal.writer.is_full() {
            self.next_segment()?;
        }
        Ok(())
    }

    fn note_window(&self, window: Duration) {
        let counts = &self.journal.counts;
        let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        counts.window_micros.store(micros, Ordering::Relaxed);
        if window > WINDOW_ALARM {
            counts.windows_late.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(window_micros = micros, "journal: a sync took long");
        }
    }

    /// Makes what is pending durable, where it stands or in another segment.
    fn sync(&mut self, pending: &Pending) -> Result<(), JournalError> {
        if !self.poisoned {
            let began = Instant::now();
            let synced = pending.file.sync();
            self.fsync_seconds.record(began.elapsed());
            match synced {
                Ok(()) => {
                    self.journal.writer.synced(pending.bytes);
                    return Ok(());
                }
                Err(error) => {
                    // After a failed fsync the kernel may call lost pages clean, and says so only
                    // once: that file is over.
                    self.say_failed(&JournalError::io(pending.name.as_ref())(error));
                    self.poisoned = !syncs_again();
                }
            }
        }
        if self.poisoned {
            self.rewrite()
        } else {
            Err(JournalError::NotSynced)
        }
    }

    fn advance(&self, reached: &Reached) {
        for (ring, slot) in self.journal.rings.iter().zip(&reached.drained) {
            ring.set_synced(*slot);
        }
        self.journal.synced.send_modify(|synced| {
            synced.sequence = reached.sequence;
            synced.ticket = reached.ticket;
        });
    }

    fn say_failed(&self, error: &JournalError) {
        let errors = &self.journal.counts.sync_errors;
        errors.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "journal: fsync failed; writing on in another segment");
    }

    /// Writes what is not synced again, into another segment.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        let segments = &self.journal.segments;
        self.journal.writer.rewrite(|tail| {
            segments.create(tail.first(), &tail.drained_before(), |epoch| {
                tail.resealed(epoch)
            })
        })?;
        self.poisoned = false;
        Ok(())
    }

    /// Begins the next segment while records are written; without one the old goes on beyond its
    /// size.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        let Journal {
            segments, writer, ..
        } = &*self.journal;
        let prepared = segments.prepare()?;
        let closing = writer.switch(|first, drained| segments.begin(prepared, first, drained))?;
        self.closing = Some(closing);
        self.close()
    }

    /// Makes a segment that is no longer written durable, and its successor's name.
    fn close(&mut self) -> Result<(), JournalError> {
        let Some(mut closing) = self.closing.take() else {
            return Ok(());
        };
        let closed = self.try_close(&mut closing);
        match closed {
            Ok(()) => self.advance(&closing.reached),
            Err(_) => self.closing = Some(closing),
        }
        closed
    }

    fn try_close(&self, closing: &mut Closing) -> Result<(), JournalError> {
        let segments = &self.journal.segments;
        let _syncing = self.journal.syncing.since(Instant::now());
        let old = &closing.segment;
        if !closing.poisoned {
            let synced = old.file.sync().map_err(JournalError::io(old.name.as_ref()));
            if let Err(error) = synced {
                self.say_failed(&error);
                closing.poisoned = !syncs_again();
                if !closing.poisoned {
                    return Err(error);
                }
            }
        }
        let tail = Tail {
            epoch: old.epoch,
            records: &closing.tail,
            next: closing.reached.sequence + 1,
            drained: &closing.reached.drained,
        };
        if closing.poisoned && !tail.records.is_empty() {
            let seal = |epoch| tail.resealed(epoch);
            segments.create(tail.first(), &tail.drained_before(), seal)?;
        }
        segments.sync_directory()
    }
}

/// Whether a file whose fsync failed is synced again, as if nothing had happened: never.
#[cfg(not(test))]
const fn syncs_again() -> bool {
    false
}

#[cfg(test)]
fn syncs_again() -> bool {
    super::sabotage::is(super::sabotage::Sabotage::SyncAgain)
}
