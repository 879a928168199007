//! The log's open segment: sequences, and what of it is not yet on the disk.
//!
//! The drainer writes, the syncer syncs and goes on to the next segment. No request comes here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::disk::DiskFile;
use super::frame::{self, Origin};
use super::segment::Segment;
use super::{JournalError, JournalOptions};

/// Bytes kept in memory to be written again should their fsync fail. A disk that is this far
/// behind takes nothing more: rings fill up, hits are then dropped and counted, acts answered 503.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;
/// What a probe writes behind the last record, to be written over: more than the file system
/// may have at hand without asking the disk for room.
const PROBE_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Open {
    segment: Segment,
    since: Instant,
    offset: u64,
    next: u64,
    /// Last slot of each ring that is in the log.
    drained: Vec<u64>,
    /// Last ticket of the lane that is in the log.
    ticket: u64,
    /// Records of this segment since its last sync.
    unsynced: Vec<u8>,
    /// Bytes of this segment's records that are synced.
    synced_bytes: u64,
    /// No record that is not synced is older.
    oldest: Option<Instant>,
}

/// What a sync has to make durable.
pub(super) struct Pending {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) oldest: Instant,
    pub(super) reached: Reached,
}

/// How far the log goes.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    /// Last sequence.
    pub(super) sequence: u64,
    /// Last slot of each ring.
    pub(super) drained: Vec<u64>,
    /// Last ticket of the lane.
    pub(super) ticket: u64,
}

/// A segment that is no longer written, and its records that are not yet synced.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) segment: Segment,
    pub(super) tail: Vec<u8>,
    pub(super) reached: Reached,
    /// Its fsync failed: only the tail, written again, counts.
    pub(super) poisoned: bool,
}

#[derive(Debug)]
pub(super) struct Writer {
    segment_bytes_max: u64,
    segment_age_max: Duration,
    /// `None` until the log is begun.
    open: Mutex<Option<Open>>,
    wake: Condvar,
    /// Last sequence given out: to be read while the disk holds up whoever has the lock.
    last: AtomicU64,
}

impl Open {
    fn new(segment: Segment, next: u64, drained: Vec<u64>, ticket: u64) -> Self {
        Self {
            since: Instant::now(),
            offset: segment.begins_at,
            segment,
            next,
            drained,
            ticket,
            unsynced: Vec::new(),
            synced_bytes: 0,
            oldest: None,
        }
    }

    fn reached(&self) -> Reached {
        Reached {
            sequence: self.next - 1,
            drained: self.drained.clone(),
            ticket: self.ticket,
        }
    }
}

impl Writer {
    /// One whose log is not begun yet.
    pub(super) fn new(options: &JournalOptions) -> Self {
        Self {
            segment_bytes_max: options.segment_bytes_max,
            segment_age_max: options.segment_age_max(),
            open: Mutex::default(),
            wake: Condvar::new(),
            last: AtomicU64::new(0),
        }
    }

    /// Begins the log with an empty segment that was made for `next`.
    pub(super) fn begin(&self, segment: Segment, next: u64, rings: usize) {
        let mut open = self.lock();
        // What the store knew before counts too.
        let next = next.max(self.last() + 1);
        *open = Some(Open::new(segment, next, vec![0; rings], 0));
        self.last.store(next - 1, Ordering::Release);
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn skip_to(&self, position: u64) {
        let mut open = self.lock();
        if self.last() >= position {
            return;
        }
        self.last.store(position, Ordering::Release);
        if let Some(open) = &mut *open {
            let (from, to) = (open.next, position + 1);
            tracing::error!(
                from,
                to,
                "journal: the store knows later hits; skipping sequences"
            );
            open.next = to;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // Nothing under this lock panics; were it ever to, the state is still consistent, since
        // offset and sequence move only after a whole write.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes open records at the end of the segment, each under the next sequence. After an
    /// error nothing has moved: the next write goes over whatever part of this one reached the
    /// file. No record is older than `oldest`.
    pub(super) fn write(
        &self,
        records: &mut [u8],
        drained: &[u64],
        ticket: u64,
        oldest: Instant,
    ) -> Result<(), JournalError> {
        let mut open = self.lock();
        let open = open.as_mut().ok_or(JournalError::NotSynced)?;
        if open.unsynced.len() + records.len() > UNSYNCED_BYTES_MAX {
            return Err(JournalError::NotSynced);
        }
        let next = frame::seal_all(records, open.segment.epoch, open.next);
        let written = open.segment.file.write_at(records, open.offset);
        written.map_err(JournalError::io(open.segment.name.as_ref()))?;
        open.offset += records.len() as u64;
        open.next = next;
        self.last.store(next - 1, Ordering::Release);
        open.drained.copy_from_slice(drained);
        open.ticket = ticket;
        open.unsynced.extend_from_slice(records);
        if open.oldest.is_none() {
            open.oldest = Some(oldest);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Whether the disk has room again, after it had none.
    pub(super) fn probe(&self) -> Result<(), JournalError> {
        let open = self.lock();
        let open = open.as_ref().ok_or(JournalError::NotSynced)?;
        let probed = open.segment.file.write_at(&[0; PROBE_BYTES], open.offset);
        probed.map_err(JournalError::io(open.segment.name.as_ref()))
    }

    /// What is to be synced, at once, or when there is something; `None` when nothing was
    /// written for `idle`.
    pub(super) fn wait(&self, idle: Duration) -> Option<Pending> {
        let open = self.lock();
        let nothing = |open: &mut Option<Open>| open.as_ref().is_none_or(|it| it.oldest.is_none());
        let waited = self.wake.wait_timeout_while(open, idle, nothing);
        let mut open = waited.unwrap_or_else(PoisonError::into_inner).0;
        let open = open.as_mut()?;
        Some(Pending {
            oldest: open.oldest.take()?,
            file: Arc::clone(&open.segment.file),
            name: open.segment.name.clone(),
            bytes: open.synced_bytes + open.unsynced.len() as u64,
            reached: open.reached(),
        })
    }

    /// What was pending still is.
    pub(super) fn retry(&self) {
        if let Some(open) = &mut *self.lock() {
            open.oldest.get_or_insert_with(Instant::now);
        }
    }

    /// The first `bytes` of this segment's records are durable.
    pub(super) fn synced(&self, bytes: u64) {
        let mut open = self.lock();
        let Some(open) = &mut *open else { return };
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
        let Some(open) = &*open else { return false };
        let old = open.since.elapsed() >= self.segment_age_max;
        let empty = open.offset == open.segment.begins_at;
        !empty && (old || open.offset >= self.segment_bytes_max)
    }

    /// Goes on in another segment, which `make` makes to begin with the next sequence. What it
    /// returns must be synced before anything after it counts as synced.
    pub(super) fn switch(
        &self,
        make: impl FnOnce(u64, &[u64]) -> Result<Segment, JournalError>,
    ) -> Result<Closing, JournalError> {
        let mut open = self.lock();
        let open = open.as_mut().ok_or(JournalError::NotSynced)?;
        let segment = make(open.next, &open.drained)?;
        let fresh = Open::new(segment, open.next, open.drained.clone(), open.ticket);
        let old = std::mem::replace(open, fresh);
        // Somebody may be waiting for what was written to the old one.
        open.oldest = old.oldest;
        Ok(Closing {
            reached: old.reached(),
            segment: old.segment,
            tail: old.unsynced,
            poisoned: false,
        })
    }

    /// After an fsync error: everything of this segment that is not synced is written again, into
    /// another one, under the same sequences. On an error nothing has changed; try again.
    pub(super) fn rewrite(
        &self,
        make: impl FnOnce(&Tail<'_>) -> Result<Segment, JournalError>,
    ) -> Result<(), JournalError> {
        let mut open = self.lock();
        let open = open.as_mut().ok_or(JournalError::NotSynced)?;
        let tail = Tail {
            epoch: open.segment.epoch,
            records: &open.unsynced,
            next: open.next,
            drained: &open.drained,
        };
        open.segment = make(&tail)?;
        open.synced_bytes = open.unsynced.len() as u64;
        open.offset = open.segment.begins_at + open.synced_bytes;
        open.unsynced.clear();
        Ok(())
    }
}

/// Records at the end of a segment that are not synced.
pub(super) struct Tail<'a> {
    pub(super) epoch: u32,
    pub(super) records: &'a [u8],
    /// Sequence after the last of them.
    pub(super) next: u64,
    /// Last slot of each ring, the tail's included.
    pub(super) drained: &'a [u64],
}

impl Tail<'_> {
    /// Sequence of its first record.
    pub(super) fn first(&self) -> u64 {
        let first = frame::check(self.epoch, self.records);
        first.map_or(self.next, |head| head.sequence)
    }

    /// Last slot of each ring before the tail.
    pub(super) fn drained_before(&self) -> Vec<u64> {
        let mut drained = self.drained.to_vec();
        for head in frame::heads(self.epoch, self.records) {
            let Origin { worker, slot } = head.origin;
            if let Some(last) = drained.get_mut(usize::from(worker)) {
                *last = slot.saturating_sub(1).min(*last);
            }
        }
        drained
    }

    /// Its records, sealed for another segment.
    pub(super) fn resealed(&self, epoch: u32) -> Vec<u8> {
        frame::reseal(self.records, self.epoch, epoch)
    }
}
