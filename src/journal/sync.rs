//! Makes what was written survive a power cut: one fsync per tick, for everybody at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::writer::{Closing, Pending};
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
    /// A full segment that is not durable yet. Until it is, nothing after it counts as synced.
    closing: Option<Closing>,
}

impl Syncer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            poisoned: false,
            closing: None,
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
            if let Err(error) = self.round(tick, idle) {
                tracing::error!(%error, "journal: the disk does not take it; hits are at risk");
                std::thread::sleep(RETRY);
            }
            if last_round {
                return;
            }
        }
    }

    fn round(&mut self, tick: Duration, idle: Duration) -> Result<(), JournalError> {
        self.close()?;
        if let Some(pending) = self.journal.writer.wait(tick, idle) {
            let synced = self.sync(&pending);
            if synced.is_err() {
                self.journal.writer.retry();
            }
            synced?;
            self.advance(pending.last);
            let window = u64::try_from(pending.oldest.elapsed().as_micros());
            let window = window.unwrap_or(u64::MAX);
            self.journal
                .counts
                .window_micros
                .store(window, Ordering::Relaxed);
        }
        if self.journal.writer.is_full() {
            self.next_segment()?;
        }
        Ok(())
    }

    /// Makes what is pending durable, where it stands or in another segment.
    fn sync(&mut self, pending: &Pending) -> Result<(), JournalError> {
        if !self.poisoned {
            match pending.file.sync_data() {
                Ok(()) => {
                    self.journal.writer.synced(pending.bytes);
                    return Ok(());
                }
                Err(error) => {
                    // After a failed fsync the kernel may call lost pages clean, and says so only
                    // once: that file is over.
                    self.say_failed(&JournalError::io(&pending.path)(error));
                    self.poisoned = true;
                }
            }
        }
        self.rewrite()
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
        writer.rewrite(|epoch, next, tail| {
            let first = frame::read(epoch, tail).map_or(next, |frame| frame.sequence);
            let seal = |to| frame::reseal(tail, epoch, to);
            let segment = segment::create(directory, *edge, first, seal)?;
            segment::sync_directory(directory)?;
            Ok(segment)
        })?;
        self.poisoned = false;
        Ok(())
    }

    /// Begins the next segment while requests go on; without one the old goes on beyond its size.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        let Journal {
            directory,
            edge,
            writer,
            ..
        } = &*self.journal;
        let prepared = segment::prepare(directory)?;
        let closing = writer.switch(|first| prepared.begin(directory, *edge, first))?;
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
            Ok(()) => self.advance(closing.last),
            Err(_) => self.closing = Some(closing),
        }
        closed
    }

    fn try_close(&self, closing: &mut Closing) -> Result<(), JournalError> {
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
            let seal = |to| frame::reseal(&closing.tail, old.epoch, to);
            segment::create(directory, *edge, first, seal)?;
        }
        segment::sync_directory(directory)
    }
}
