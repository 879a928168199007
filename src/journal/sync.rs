//! Makes what was written survive a power cut: one fsync per tick, for everybody at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Journal;

/// How long the syncer sleeps when nothing is written, before it looks at the stop signal.
const IDLE: Duration = Duration::from_millis(100);

/// Runs on a thread of its own until told to stop.
#[derive(Debug)]
pub struct Syncer {
    journal: Arc<Journal>,
}

impl Syncer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self { journal }
    }

    /// Syncs until `stopped` says so, then once more.
    pub fn run(&self, stopped: &dyn Fn() -> bool) {
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

    fn round(&self, tick: Duration, idle: Duration) {
        let Some(pending) = self.journal.writer.wait(tick, idle) else {
            return;
        };
        match pending.file.sync_data() {
            Ok(()) => {
                self.journal.writer.synced(pending.bytes);
                self.journal.synced.send_replace(pending.last);
                let window = u64::try_from(pending.oldest.elapsed().as_micros());
                let window = window.unwrap_or(u64::MAX);
                self.journal
                    .counts
                    .window_micros
                    .store(window, Ordering::Relaxed);
            }
            Err(error) => {
                // After a failed fsync the kernel may call lost pages clean: that file is over.
                self.journal
                    .counts
                    .sync_errors
                    .fetch_add(1, Ordering::Relaxed);
                let path = pending.path.display();
                tracing::error!(%path, %error, "journal: fsync failed, writing on in a new segment");
                if let Err(error) = self.journal.writer.rewrite() {
                    tracing::error!(%error, "journal: no new segment either; hits are at risk");
                }
            }
        }
    }
}
