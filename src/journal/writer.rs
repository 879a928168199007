//! The one writer: sequences, the open segment, and what of it is not yet on the disk.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::record::{Act, Hit};

use super::frame::{self, Place, Side, SideKind};
use super::{Accepted, EdgeId, JournalCounts, JournalError, JournalOptions, segment};

/// Bytes kept in memory to be written again should their fsync fail; a writer that is this far
/// ahead of the disk keeps only the newest.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    path: PathBuf,
    epoch: u32,
    offset: u64,
    next: u64,
    /// Ids whose text stands in this segment.
    known: HashSet<u64>,
    /// Records since the last sync, all of this segment.
    unsynced: Vec<u8>,
    /// Bytes ever written before those: what is synced is told by this count.
    synced_bytes: u64,
    oldest: Option<Instant>,
    hurry: bool,
    side_hour: i64,
    side_count: u32,
}

impl Open {
    fn forget_unsynced(&mut self) {
        self.synced_bytes += self.unsynced.len() as u64;
        self.unsynced.clear();
    }
}

/// What a sync has to make durable.
pub(super) struct Pending {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) oldest: Instant,
}

#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    edge: EdgeId,
    segment_bytes_max: u64,
    side_texts_per_hour_max: u32,
    open: Mutex<Open>,
    wake: Condvar,
    last: AtomicU64,
}

impl Writer {
    pub(super) fn open(
        directory: &Path,
        edge: EdgeId,
        next: u64,
        options: &JournalOptions,
    ) -> Result<Self, JournalError> {
        let (file, path, epoch) = segment::create(directory, edge, next)?;
        Ok(Self {
            directory: directory.to_owned(),
            edge,
            segment_bytes_max: options.segment_bytes_max,
            side_texts_per_hour_max: options.side_texts_per_hour_max,
            open: Mutex::new(Open {
                file: Arc::new(file),
                path,
                epoch,
                offset: segment::HEADER_BYTES,
                next,
                known: HashSet::new(),
                unsynced: Vec::new(),
                synced_bytes: 0,
                oldest: None,
                hurry: false,
                side_hour: 0,
                side_count: 0,
            }),
            wake: Condvar::new(),
            last: AtomicU64::new(next - 1),
        })
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
        self.roll_if_full(&mut open)?;
        let mut bytes = Vec::with_capacity(128);
        let mut sequence = open.next;
        let mut noted = [0; 2];
        let ids = [
            (SideKind::Agent, hit.agent),
            (SideKind::Headers, hit.headers),
        ];
        for ((kind, id), noted) in ids.into_iter().zip(&mut noted) {
            if id == 0 || open.known.contains(&id) || !self.may_note(&mut open, hit, counts) {
                continue;
            }
            let place = Place {
                epoch: open.epoch,
                sequence,
            };
            frame::write_side(
                &mut bytes,
                place,
                hit.at,
                &Side {
                    kind,
                    id,
                    text: text(kind),
                },
            );
            *noted = id;
            sequence += 1;
        }
        frame::write_hit(
            &mut bytes,
            Place {
                epoch: open.epoch,
                sequence,
            },
            hit,
        );
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
        self.roll_if_full(&mut open)?;
        let mut bytes = Vec::with_capacity(64);
        let sequence = open.next;
        frame(
            &mut bytes,
            Place {
                epoch: open.epoch,
                sequence,
            },
        );
        self.write(&mut open, &bytes, sequence)?;
        Ok(sequence)
    }

    /// Writes whole frames at the end of the segment. After an error nothing has moved: the next
    /// write goes over whatever part of this one reached the file.
    fn write(&self, open: &mut Open, bytes: &[u8], last: u64) -> Result<(), JournalError> {
        open.file
            .write_all_at(bytes, open.offset)
            .map_err(JournalError::io(&open.path))?;
        open.offset += bytes.len() as u64;
        open.next = last + 1;
        if open.unsynced.len() + bytes.len() > UNSYNCED_BYTES_MAX {
            open.forget_unsynced();
        }
        open.unsynced.extend_from_slice(bytes);
        if open.oldest.is_none() {
            open.oldest = Some(Instant::now());
            self.wake.notify_one();
        }
        self.last.store(last, Ordering::Release);
        Ok(())
    }

    fn roll_if_full(&self, open: &mut Open) -> Result<(), JournalError> {
        if open.offset < self.segment_bytes_max {
            return Ok(());
        }
        // The old file's tail must be durable before its successor is all that a sync looks at.
        open.file
            .sync_data()
            .map_err(JournalError::io(&open.path))?;
        open.forget_unsynced();
        self.replace(open)
    }

    fn replace(&self, open: &mut Open) -> Result<(), JournalError> {
        let (file, path, epoch) = segment::create(&self.directory, self.edge, open.next)?;
        open.file = Arc::new(file);
        open.path = path;
        open.epoch = epoch;
        open.offset = segment::HEADER_BYTES;
        open.known.clear();
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
                    file: Arc::clone(&open.file),
                    path: open.path.clone(),
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

    /// The first `bytes` ever written are durable.
    pub(super) fn synced(&self, bytes: u64) {
        let mut open = self.lock();
        let newly = bytes.saturating_sub(open.synced_bytes);
        let newly = usize::try_from(newly)
            .unwrap_or(usize::MAX)
            .min(open.unsynced.len());
        open.unsynced.drain(..newly);
        open.synced_bytes += newly as u64;
    }

    /// After an fsync error: everything not synced is written again, into a new segment, under
    /// the same sequences.
    pub(super) fn rewrite(&self) -> Result<(), JournalError> {
        let mut open = self.lock();
        let old_epoch = open.epoch;
        let tail = open.unsynced.clone();
        let first = frame::read(old_epoch, &tail).map_or(open.next, |frame| frame.sequence);
        let next = open.next;
        open.next = first;
        let replaced = self.replace(&mut open);
        open.next = next;
        replaced?;
        let again = frame::reseal(&tail, old_epoch, open.epoch);
        open.unsynced.clone_from(&again);
        let offset = open.offset;
        open.file
            .write_all_at(&again, offset)
            .map_err(JournalError::io(&open.path))?;
        open.offset += again.len() as u64;
        open.oldest = Some(Instant::now());
        Ok(())
    }
}
