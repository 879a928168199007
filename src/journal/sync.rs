//! Makes what was written survive a power cut: one fsync per tick, for everybody at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::writer::Closing;
use super::{Journal, JournalError, frame, segment};

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
}

impl Syncer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            poisoned: false,
        }
    }

    /// Syncs until `stopped` says so, then once more.
    pub fn run(mut self, stopped: &dyn Fn() -> bool) {
        loop {
            let last_round = stopped();
            let tick = if last_round {
                Duration::ZERO
            } else {
                self.journal.options.sync_every
            };
            let idle = if last_round { Duration::ZERO } else { IDLE };
            self.round(tick, idle);
            if last_round {
                return;
            }
        }
    }

    fn round(&mut self, tick: Duration, idle: Duration) {
        if let Some(pending) = self.journal.writer.wait(tick, idle) {
            let synced = if self.poisoned {
                self.rewrite()
            } else {
                let synced = pending.file.sync_data();
                synced
                    .map_err(JournalError::io(&pending.path))
                    .or_else(|error| {
                        // After a failed fsync the kernel may call lost pages clean, and says so
                        // only once: that file is over.
                        self.say_failed(&error);
                        self.poisoned = true;
                        self.rewrite()
                    })
            };
            match synced {
                Ok(()) => {
                    self.journal.writer.synced(pending.bytes);
                    self.advance(pending.last);
                    let window = u64::try_from(pending.oldest.elapsed().as_micros());
                    let window = window.unwrap_or(u64::MAX);
                    self.journal
                        .counts
                        .window_micros
                        .store(window, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::error!(%error, "journal: no other segment yet; hits are at risk");
                    self.journal.writer.retry();
                    std::thread::sleep(RETRY);
                }
            }
        }
        if !self.poisoned && self.journal.writer.is_full() {
            self.next_segment();
        }
    }

    fn advance(&self, last: u64) {
        self.journal.synced.send_replace(last);
    }

    fn say_failed(&self, error: &JournalError) {
        self.journal
            .counts
            .sync_errors
            .fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "journal: fsync failed; writing on in another segment");
    }

    /// Writes what is not synced again, into another segment.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        let Journal {
            directory,
            edge,
            writer,
            ..
        } = &*self.journal;
        writer.rewrite(|epoch, tail| {
            let Some(first) = frame::read(epoch, tail).map(|frame| frame.sequence) else {
                return Ok(None);
            };
            let segment =
                segment::create(directory, *edge, first, |to| frame::reseal(tail, epoch, to))?;
            segment::sync_directory(directory)?;
            Ok(Some(segment))
        })?;
        self.poisoned = false;
        Ok(())
    }

    /// Begins the next segment while requests go on.
    fn next_segment(&mut self) {
        let Journal {
            directory,
            edge,
            writer,
            ..
        } = &*self.journal;
        let made = segment::prepare(directory)
            .and_then(|prepared| writer.switch(|first| prepared.begin(directory, *edge, first)));
        let mut closing = match made {
            Ok(closing) => closing,
            Err(error) => {
                // The old one goes on beyond its size.
                tracing::error!(%error, "journal: no next segment yet");
                std::thread::sleep(RETRY);
                return;
            }
        };
        while let Err(error) = self.close(&mut closing) {
            tracing::error!(%error, "journal: a full segment cannot be synced yet");
            std::thread::sleep(RETRY);
        }
        self.advance(closing.last);
    }

    /// Makes a segment that is no longer written durable, and its successor's name.
    fn close(&self, closing: &mut Closing) -> Result<(), JournalError> {
        let Journal {
            directory, edge, ..
        } = &*self.journal;
        let old = &closing.segment;
        if !closing.poisoned {
            let synced = old.file.sync_data().map_err(JournalError::io(&old.path));
            if let Err(error) = synced {
                self.say_failed(&error);
                closing.poisoned = true;
            }
        }
        let first = frame::read(old.epoch, &closing.tail).map(|one| one.sequence);
        if let Some(first) = first.filter(|_| closing.poisoned) {
            segment::create(directory, *edge, first, |to| {
                frame::reseal(&closing.tail, old.epoch, to)
            })?;
        }
        segment::sync_directory(directory)
    }
}
