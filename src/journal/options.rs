//! Limits of the journal, and why it may refuse.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::counts::Reason;

/// When a hit may be answered. Acts always wait for their sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it survives the process; it survives a power cut a tick and a sync later.
    #[default]
    Group,
    /// When it survives a power cut, or after `sync_wait` all the same, counted.
    Sync,
}

/// Limits of the journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// When a hit may be answered.
    pub durability: Durability,
    /// Under [`Durability::Sync`], longest that an answer waits.
    pub sync_wait: Duration,
    /// Longest time between a hit and the start of its fsync.
    pub sync_every: Duration,
    /// Rings: as many as there are workers that keep hits.
    pub rings: u8,
    /// Where the rings lie; in the journal's directory if `None`.
    pub ring_directory: Option<PathBuf>,
    /// Slots of 128 bytes of each ring, a power of two: what a stalled disk may hold up.
    pub ring_slots: u32,
    /// A segment of this size is closed and a new one begun.
    pub segment_bytes_max: u64,
    /// Settled records are kept this long for replay, and no longer: addresses are in them.
    pub keep: Duration,
    /// Bodies of delivery events are kept this long, and no longer.
    pub spool_keep: Duration,
    /// Files of the spool are deleted earlier, oldest first, while it is larger than this.
    pub spool_bytes_max: u64,
    /// Settled segments are deleted, oldest first, while the journal is larger than this.
    pub bytes_max: u64,
    /// New side texts an hour; more are counted and left out.
    pub side_texts_per_hour_max: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Group,
            sync_wait: Duration::from_millis(50),
            sync_every: Duration::from_millis(10),
            rings: 1,
            ring_directory: None,
            ring_slots: 8_192,
            segment_bytes_max: 64 << 20,
            keep: Duration::from_hours(24),
            spool_keep: Duration::from_hours(7 * 24),
            spool_bytes_max: 8 << 30,
            bytes_max: 8 << 30,
            side_texts_per_hour_max: 100_000,
        }
    }
}

impl JournalOptions {
    /// A segment is closed when it is this old, so that what lies in it can be deleted in time.
    pub(super) fn segment_age_max(&self) -> Duration {
        self.keep / 24
    }

    /// And a file of the spool when it is this old.
    pub(super) fn spool_age_max(&self) -> Duration {
        self.spool_keep / 24
    }
}

/// Why a record could not be kept, or the journal not be used.
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
    /// A file of a newer version of Cupel.
    #[error("journal {path} was written by a newer version; start that one")]
    Newer {
        /// The file.
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
    /// Rings that another process is using.
    #[error(
        "journal: another cupel uses the rings in {path}; this directory is a copy of its \
         directory: delete the link `rings` in the copy"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The bytes in the spool are not those that came.
    #[error("journal {path}: the body at offset {offset} is not what was received")]
    Body {
        /// The file.
        path: PathBuf,
        /// Where the body begins.
        offset: u64,
    },
    /// The record could not be made to survive a power cut.
    #[error("the record could not be synced to the disk")]
    NotSynced,
}

impl JournalError {
    /// Why, if the disk is the reason and may yet change its mind; a path that is wrong does not.
    pub(super) fn of_disk(&self) -> Option<Reason> {
        let Self::Io { source, .. } = self else {
            return None;
        };
        let reason = Reason::of(source);
        // EIO has no kind of its own.
        let says_so = reason != Reason::DiskError || source.raw_os_error() == Some(libc::EIO);
        says_so.then_some(reason)
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// What it comes down to for hits that wait for the disk.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Io { source, .. } => Reason::of(source),
            _ => Reason::DiskError,
        }
    }
}
