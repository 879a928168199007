//! The journal: the local append-only record of hits, kept before the answer.
//!
//! **Format.** A directory of segments, `{first sequence, 20 digits}.journal`, and `edge`, the
//! edge's id. A segment is a 64-byte header (`segment.rs`) and then records, each starting on a
//! 64-byte boundary, in the form of [`crate::domain::record`]. A record's CRC32C is seeded with
//! the epoch of its segment, so bytes of an earlier life never validate. Side texts (agent
//! strings, header sets) precede, within the segment, the first record that names their id.
//!
//! **What is kept when.** [`Journal::append`] returns after write(2): the record survives the
//! process. The syncer makes it survive the machine at most `sync_every` later plus the flush in
//! progress. [`Journal::append_act`] returns after that flush: acts use it, and answer 503 if
//! it fails.
//!
//! **Order.** Each record gets the edge's next sequence, never reused. A new segment begins at
//! each start, each `segment_bytes_max`, each 24th of `keep`, and after an fsync error: that error
//! is final for its file, and what was not yet synced is written again, under the same sequences,
//! into another one. A segment therefore ends where the next one's first sequence begins, whatever
//! stands behind that in its file.
//!
//! **Reading.** [`Reader`] yields synced records after a position, each sequence once, skips and
//! counts what does not validate, and never stops at it.
//!
//! **Refuses.** Two processes on one directory; a segment of a newer version; deleting anything
//! that is not settled.

mod frame;
mod reader;
mod segment;
mod sync;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::act::Act;
use crate::domain::message::MessageId;
use crate::domain::record::Hit;
use crate::domain::time::Micros;

pub use frame::{Side, SideKind};
pub use reader::Reader;
pub use sync::Syncer;

/// Random number of an edge's life: part of every event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeId(pub u32);

impl EdgeId {
    /// Parses the eight hexadecimal digits of its display.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if plain {
            u32::from_str_radix(text, 16).ok().map(Self)
        } else {
            None
        }
    }
}

impl std::fmt::Display for EdgeId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// What a mail system reported of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When the recipient's system accepted it.
    pub at: Micros,
    /// The message.
    pub message: MessageId,
}

/// A record as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A hit.
    Hit(Hit),
    /// The text behind an id.
    Side(Side),
    /// Acceptance by the recipient's system, from a delivery event.
    Accepted(Accepted),
    /// A press or unsubscribe.
    Act(Act),
}

/// Limits of the journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Longest time between a write and the start of its fsync.
    pub sync_every: Duration,
    /// A segment of this size is closed and a new one begun.
    pub segment_bytes_max: u64,
    /// Settled records are kept this long for replay, and no longer: addresses are in them.
    pub keep: Duration,
    /// Settled segments are deleted, oldest first, while the journal is larger than this.
    pub bytes_max: u64,
    /// New side texts an hour; more are counted and left out.
    pub side_texts_per_hour_max: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            sync_every: Duration::from_millis(10),
            segment_bytes_max: 64 << 20,
            keep: Duration::from_hours(24),
            bytes_max: 8 << 30,
            side_texts_per_hour_max: 100_000,
        }
    }
}

/// Why a record could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory or a file in it cannot be used.
    #[error("journal {path}: {source}")]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A segment of a newer version of Cupel.
    #[error("journal {path} was written by a newer version; start that one")]
    Newer {
        /// The segment.
        path: PathBuf,
    },
    /// The edge file is not what this program writes.
    #[error("journal {path} holds {found:?} where eight hexadecimal digits belong")]
    Edge {
        /// The file.
        path: PathBuf,
        /// What stands in it.
        found: String,
    },
    /// The record could not be made to survive a power cut.
    #[error("the record could not be synced to the disk")]
    NotSynced,
}

impl JournalOptions {
    /// A segment is closed when it is this old, so that what lies in it can be deleted in time.
    fn segment_age_max(&self) -> Duration {
        self.keep / 24
    }
}

impl JournalError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Counters of what the journal did; all since the start.
#[derive(Debug, Default)]
pub struct JournalCounts {
    /// Hits appended.
    pub hits: AtomicU64,
    /// Hits that could not be written.
    pub dropped: AtomicU64,
    /// Side texts left out over the hourly limit.
    pub side_texts_dropped: AtomicU64,
    /// fsync errors.
    pub sync_errors: AtomicU64,
    /// Spans of bytes that did not validate when read.
    pub damaged: AtomicU64,
    /// Time from the oldest unsynced write to the end of its sync, in µs, of the last sync.
    pub window_micros: AtomicU64,
}

/// The journal of one data directory. Cheap to share; appends from any thread.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    edge: EdgeId,
    options: JournalOptions,
    writer: writer::Writer,
    synced: watch::Sender<u64>,
    counts: JournalCounts,
}

impl Journal {
    /// Opens or creates the journal in `directory`, which must be locked by the caller.
    ///
    /// # Errors
    /// The directory cannot be used, or holds something newer.
    pub fn open(directory: &Path, options: JournalOptions) -> Result<Arc<Self>, JournalError> {
        std::fs::create_dir_all(directory).map_err(JournalError::io(directory))?;
        let edge = segment::edge(directory)?;
        let counts = JournalCounts::default();
        let last = reader::last_sequence(directory, edge, &counts)?;
        let first = segment::create(directory, edge, last + 1, |_| Vec::new())?;
        segment::sync_directory(directory)?;
        let writer = writer::Writer::new(first, last + 1, &options);
        let (synced, _) = watch::channel(last);
        Ok(Arc::new(Self {
            directory: directory.to_owned(),
            edge,
            options,
            writer,
            synced,
            counts,
        }))
    }

    /// The edge whose hits these are.
    #[must_use]
    pub fn edge(&self) -> EdgeId {
        self.edge
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> &JournalCounts {
        &self.counts
    }

    /// Highest sequence that survives a power cut.
    #[must_use]
    pub fn synced_to(&self) -> u64 {
        *self.synced.borrow()
    }

    /// Highest sequence given out.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.writer.last()
    }

    /// Makes sure that no sequence up to `position` is given out: a store that knows it has
    /// counted it.
    pub fn skip_to(&self, position: u64) {
        self.writer.skip_to(position);
    }

    /// Keeps a hit; afterwards it survives the process. `text` is asked for the text behind an
    /// id the first time that a segment names it.
    ///
    /// # Errors
    /// The hit was not kept; it is counted as dropped.
    pub fn append(
        &self,
        hit: &Hit,
        text: &dyn Fn(SideKind) -> Vec<u8>,
    ) -> Result<(), JournalError> {
        self.append_hit(hit, text).map(|_| ())
    }

    fn append_hit(
        &self,
        hit: &Hit,
        text: &dyn Fn(SideKind) -> Vec<u8>,
    ) -> Result<u64, JournalError> {
        let kept = self.writer.append_hit(hit, text, &self.counts);
        let counter = if kept.is_ok() {
            &self.counts.hits
        } else {
            &self.counts.dropped
        };
        counter.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Keeps an act, and its hit where one may be recorded; afterwards both survive a power cut.
    ///
    /// # Errors
    /// It may not have been kept: answer 503, and let the reader try again.
    pub async fn append_act(
        &self,
        act: &Act,
        hit: Option<&Hit>,
        text: &dyn Fn(SideKind) -> Vec<u8>,
    ) -> Result<(), JournalError> {
        let mut sequence = self.writer.append_act(act)?;
        if let Some(hit) = hit {
            sequence = self.append_hit(hit, text)?;
        }
        self.until_synced(sequence).await
    }

    /// Keeps the acceptance of a message; afterwards it survives a power cut.
    ///
    /// # Errors
    /// It may not have been kept: answer 503, and let the sender try again.
    pub async fn append_accepted(&self, all: &[Accepted]) -> Result<(), JournalError> {
        let mut sequence = 0;
        for one in all {
            sequence = self.writer.append_accepted(one)?;
        }
        self.until_synced(sequence).await
    }

    async fn until_synced(&self, sequence: u64) -> Result<(), JournalError> {
        let mut synced = self.synced.subscribe();
        let failed_before = self.counts.sync_errors.load(Ordering::Relaxed);
        self.writer.hurry();
        let limit = Duration::from_secs(5);
        let reached = tokio::time::timeout(limit, synced.wait_for(|to| *to >= sequence)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let failed = self.counts.sync_errors.load(Ordering::Relaxed) - failed_before;
                tracing::error!(
                    sequence,
                    failed,
                    "journal: an act could not be synced in 5 s"
                );
                Err(JournalError::NotSynced)
            }
        }
    }

    /// A reader of everything synced after `position`.
    #[must_use]
    pub fn reader(self: &Arc<Self>, position: u64) -> Reader {
        Reader::new(Arc::clone(self), position)
    }

    /// The part that makes records survive a power cut; run it on a thread of its own.
    #[must_use]
    pub fn syncer(self: &Arc<Self>) -> Syncer {
        Syncer::new(Arc::clone(self))
    }

    /// Deletes what is settled and old enough, oldest first. Returns the bytes that remain.
    ///
    /// # Errors
    /// The directory cannot be read, or a segment not deleted.
    pub fn expire(&self, settled_to: u64, now: Micros) -> Result<u64, JournalError> {
        segment::expire(&self.directory, &self.options, settled_to, now)
    }
}

#[cfg(test)]
mod tests;
