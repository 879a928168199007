//! What the journal did since the start, counted where it costs a hit next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::hit::HitKind;
use crate::domain::judgement::Class;
use crate::domain::record::Hit;

/// Why an answered hit was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Hits came faster than the disk took them, until the worker's ring was full.
    RingFull,
    /// The ring was full, and the disk too.
    DiskFull,
    /// The ring was full, and the disk can only be read.
    DiskReadOnly,
    /// The ring was full, and the disk answers with errors.
    DiskError,
    /// The ring was full, and the disk did not answer for a second.
    DiskHung,
}

impl Reason {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 5] = [
        Self::RingFull,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::DiskError,
        Self::DiskHung,
    ];

    /// Its name in metrics and health.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::DiskFull => "disk_full",
            Self::DiskReadOnly => "disk_read_only",
            Self::DiskError => "disk_error",
            Self::DiskHung => "disk_hung",
        }
    }

    /// What an error of the disk comes down to.
    pub(super) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::DiskReadOnly,
            _ => Self::DiskError,
        }
    }

    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

/// Hits by kind and by class of their provisional judgement.
#[derive(Debug)]
pub(super) struct HitCounts([AtomicU64; HitKind::ALL.len() * Class::ALL.len()]);

impl Default for HitCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl HitCounts {
    /// The count that a hit belongs to. Codes begin with 1.
    pub(super) fn of(&self, hit: &Hit) -> Option<&AtomicU64> {
        self.get(hit.kind, hit.verdict.class)
    }

    fn get(&self, kind: HitKind, class: Class) -> Option<&AtomicU64> {
        let row = usize::from(kind.code() - 1);
        self.0
            .get(row * Class::ALL.len() + usize::from(class.code() - 1))
    }

    pub(super) fn read(&self, kind: HitKind, class: Class) -> u64 {
        self.get(kind, class)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// Counts of one ring, each written by its worker alone.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct RingCounts {
    /// Hits kept.
    pub(super) hits: HitCounts,
    /// Hits not kept, by reason.
    pub(super) dropped: [AtomicU64; Reason::ALL.len()],
}

/// Adds one to a count that nobody else writes: no locked instruction.
pub(super) fn add_one(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Counts of the journal, but those of its rings; all since the start.
#[derive(Debug, Default)]
pub struct JournalCounts {
    /// Hits of acts, kept with them.
    pub(super) act_hits: HitCounts,
    /// Bytes of the segments, as of the last time that old ones were deleted, and what was written
    /// since.
    pub log_bytes: AtomicU64,
    /// Side texts left out over the hourly limit, or because their ring was full.
    pub side_texts_dropped: AtomicU64,
    /// fsync errors.
    pub sync_errors: AtomicU64,
    /// Spans of bytes that did not validate when read.
    pub damaged: AtomicU64,
    /// Records that a crash left in a ring, put into the log at this start.
    pub recovered: AtomicU64,
    /// Records that a crash left half in a ring.
    pub torn: AtomicU64,
    /// Hits answered under `durability = "sync"` before their sync, which took too long.
    pub acked_unsynced: AtomicU64,
    /// Longest time from a hit to the end of its sync, in µs, of the last sync.
    pub window_micros: AtomicU64,
    /// Syncs whose window was longer than [`super::WINDOW_ALARM`].
    pub windows_late: AtomicU64,
}

impl JournalCounts {
    /// Adds what a recovery found damaged.
    pub(super) fn add_damage(&self, found: &Self) {
        for (to, from) in [(&self.damaged, &found.damaged), (&self.torn, &found.torn)] {
            to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
