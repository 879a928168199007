//! The one writer: sequences, the open segment, and what of it is not yet on the disk.
//!
//! Requests only append. Everything that waits for the disk (syncing, beginning the next segment,
//! writing an unsynced tail again) is done by the syncer, outside the lock where it can be.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::act::Act;
use crate::domain::record::Hit;

use super::frame::{self, Place, Side, SideKind};
use super::segment::{self, Segment};
use super::{Accepted, JournalCounts, JournalError, JournalOptions};

/// Bytes kept in memory to be written again should their fsync fail. A disk that is this far
/// behind takes nothing more: hits are then dropped and counted, acts answered 503.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
struct Open {
    segment: Segment,
    since: Instant,
    offset: u64,
    next: u64,
    /// Ids whose text stands in this segment.
    known: HashSet<u64>,
    /// Records of this segment since its last sync.
    unsynced: Vec<u8>,
    /// Bytes of this segment that are synced.
    synced_bytes: u64,
    oldest: Option<Instant>,
    hurry: bool,
    side_hour: i64,
    side_count: u32,
}

/// What a sync has to make durable.
pub(super) struct Pending {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) oldest: Instant,
}

/// A segment that is no longer written, and its records that are not yet synced.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) segment: Segment,
    pub(super) tail: Vec<u8>,
    pub(super) last: u64,
    /// Its fsync failed: only the tail, written again, counts.
    pub(super) poisoned: bool,
}

#[derive(Debug)]
pub(super) struct Writer {
    segment_bytes_max: u64,
    segment_age_max: Duration,
    side_texts_per_hour_max: u32,
    open: Mutex<Open>,
    wake: Condvar,
    last: AtomicU64,
}

impl Open {
    fn new(segment: Segment, next: u64) -> Self {
        Self {
            segment,
            since: Instant::now(),
            offset: segment::HEADER_BYTES,
            next,
            known: HashSet::new(),
            unsynced: Vec::new(),
            synced_bytes: 0,
            oldest: None,
            hurry: false,
            side_hour: 0,
            side_count: 0,
        }
    }
}

impl Writer {
    pub(super) fn new(segment: Segment, next: u64, options: &JournalOptions) -> Self {
        Self {
            segment_bytes_max: options.segment_bytes_max,
            segment_age_max: options.segment_age_max(),
            side_texts_per_hour_max: options.side_texts_per_hour_max,
            open: Mutex::new(Open::new(segment, next)),
            wake: Condvar::new(),
            last: AtomicU64::new(next - 1),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn skip_to(&self, position: u64) {
        let mut open = self.lock();
        if open.next <= position {
            let (from, to) = (open.next, position + 1);
            tracing::error!(
                from,
                to,
                "journal: the store knows later hits; skipping sequences"
            );
            open.next = to;
            self.last.store(position, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing under this lock panics; were it ever to, the state is still consistent, since
        // offset and sequence move only after a whole write.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append_hit(
        &self,
        hit: &Hit,
        text: &dyn Fn(SideKind) -> Vec<u8>,
        counts: &JournalCounts,
    ) -> Result<u64, JournalError> {
        let mut open = self.lock();
        let mut bytes = Vec::with_capacity(128);
        let mut sequence = open.next;
        let epoch = open.segment.epoch;
        let mut noted = [0; 2];
        let ids = [
            (SideKind::Agent, hit.agent),
            (SideKind::Headers, hit.headers),
        ];
        for ((kind, id), noted) in ids.into_iter().zip(&mut noted) {
            if id == 0 || open.known.contains(&id) || !self.may_note(&mut open, hit, counts) {
                continue;
            }
            let side = Side {
                kind,
                id,
                text: text(kind),
            };
            frame::write_side(&mut bytes, Place { epoch, sequence }, hit.at, &side);
            *noted = id;
            sequence += 1;
        }
        frame::write_hit(&mut bytes, Place { epoch, sequence }, hit);
        self.write(&mut open, &bytes, sequence)?;
        open.known.extend(noted.iter().filter(|id| **id != 0));
        Ok(sequence)
    }

    fn may_note(&self, open: &mut Open, hit: &Hit, counts: &JournalCounts) -> bool {
        let hour = hit.at.get() / 3_600_000_000;
        if open.side_hour != hour {
            (open.side_hour, open.side_count) = (hour, 0);
        }
        if open.side_count >= self.side_texts_per_hour_max {
            counts.side_texts_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        open.side_count += 1;
        true
    }

    pub(super) fn append_accepted(&self, one: &Accepted) -> Result<u64, JournalError> {
        self.append_one(|bytes, place| frame::write_accepted(bytes, place, one))
    }

    pub(super) fn append_act(&self, act: &Act) -> Result<u64, JournalError> {
        self.append_one(|bytes, place| frame::write_act(bytes, place, act))
    }

    fn append_one(&self, frame: impl FnOnce(&mut Vec<u8>, Place)) -> Result<u64, JournalError> {
        let mut open = self.lock();
        let mut bytes = Vec::with_capacity(64);
        let sequence = open.next;
        frame(
            &mut bytes,
            Place {
                epoch: open.segment.epoch,
                sequence,
            },
        );
        self.write(&mut open, &bytes, sequence)?;
        Ok(sequence)
    }

    /// Writes whole records at the end of the segment. After an error nothing has moved: the next
    /// write goes over whatever part of this one reached the file.
    fn write(&self, open: &mut Open, bytes: &[u8], last: u64) -> Result<(), JournalError> {
        if open.unsynced.len() + bytes.len() > UNSYNCED_BYTES_MAX {
            return Err(JournalError::NotSynced);
        }
        let written = open.segment.file.write_all_at(bytes, open.offset);
        written.map_err(JournalError::io(&open.segment.path))?;
        open.offset += bytes.len() as u64;
        open.next = last + 1;
        open.unsynced.extend_from_slice(bytes);
        if open.oldest.is_none() {
            open.oldest = Some(Instant::now());
            self.wake.notify_one();
        }
        self.last.store(last, Ordering::Release);
        Ok(())
    }

    /// Asks the syncer not to wait for its tick: somebody waits for the answer.
    pub(super) fn hurry(&self) {
        self.lock().hurry = true;
        self.wake.notify_one();
    }

    /// Waits until something is to be synced and the tick (or somebody's hurry) has come; `None`
    /// when nothing was written for `idle`.
    pub(super) fn wait(&self, tick: Duration, idle: Duration) -> Option<Pending> {
        let mut open = self.lock();
        if open.oldest.is_none() {
            open = self
                .wake
                .wait_timeout(open, idle)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        loop {
            let oldest = open.oldest?;
            let rest = tick.saturating_sub(oldest.elapsed());
            if rest.is_zero() || open.hurry {
                open.hurry = false;
                open.oldest = None;
                return Some(Pending {
                    file: Arc::clone(&open.segment.file),
                    path: open.segment.path.clone(),
                    last: open.next - 1,
                    bytes: open.synced_bytes + open.unsynced.len() as u64,
                    oldest,
                });
            }
            open = self
                .wake
                .wait_timeout(open, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// What was pending still is.
    pub(super) fn retry(&self) {
        self.lock().oldest.get_or_insert_with(Instant::now);
    }

    /// The first `bytes` of this segment's records are durable.
    pub(super) fn synced(&self, bytes: u64) {
        let mut open = self.lock();
        let newly = bytes.saturating_sub(open.synced_bytes);
        let newly = usize::try_from(newly)
            .unwrap_or(usize::MAX)
            .min(open.unsynced.len());
        open.unsynced.drain(..newly);
        open.synced_bytes += newly as u64;
    }

    /// Whether the open segment is large or old enough to be closed. An empty one never is.
    pub(super) fn is_full(&self) -> bool {
        let open = self.lock();
        let old = open.since.elapsed() >= self.segment_age_max;
        open.offset > segment::HEADER_BYTES && (old || open.offset >= self.segment_bytes_max)
    }

    /// Goes on in another segment, which `make` makes to begin with the next sequence. Quick:
    /// it only renames. What it returns must be synced before anything after it counts as synced.
    pub(super) fn switch(
        &self,
        make: impl FnOnce(u64) -> Result<Segment, JournalError>,
    ) -> Result<Closing, JournalError> {
        let mut open = self.lock();
        let segment = make(open.next)?;
        let mut fresh = Open::new(segment, open.next);
        (fresh.side_hour, fresh.side_count) = (open.side_hour, open.side_count);
        let old = std::mem::replace(&mut *open, fresh);
        // Somebody may be waiting for what was written to the old one.
        open.oldest = old.oldest;
        open.hurry = old.hurry;
        let last = old.next - 1;
        Ok(Closing {
            segment: old.segment,
            tail: old.unsynced,
            last,
            poisoned: false,
        })
    }

    /// After an fsync error: everything of this segment that is not synced is written again, into
    /// another one, under the same sequences. On an error nothing has changed; try again.
    pub(super) fn rewrite(
        &self,
        make: impl FnOnce(u32, u64, &[u8]) -> Result<Segment, JournalError>,
    ) -> Result<(), JournalError> {
        let mut open = self.lock();
        open.segment = make(open.segment.epoch, open.next, &open.unsynced)?;
        open.offset = segment::HEADER_BYTES + open.unsynced.len() as u64;
        open.unsynced.clear();
        open.synced_bytes = open.offset - segment::HEADER_BYTES;
        open.known.clear();
        Ok(())
    }
}
