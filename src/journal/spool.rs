//! The spool: bodies of delivery events as they came, beside the log that names them.
//!
//! Its files (`spool_file.rs`) hold nothing but bodies. What tells where one begins and ends, and
//! what it was, is its record in the log (type 6): file, offset, length, SHA-256. Bytes that no
//! record names belong to a request that was refused, or whose process died before it was answered.
//!
//! **Order.** A body is synced before its record is handed over, and the directory before the first
//! body of a file: whatever record is found, its body is there. A damaged header costs no body.
//!
//! **One fsync for many.** Bodies are written one at a time and synced one at a time, each under a
//! lock of its own; whoever syncs does it for all that was written until then. No thread is needed.
//!
//! **A new file** begins at the first body after each start, before a body that would make the old
//! one larger than 64 MiB, when the old one is older than a 24th of `spool_keep`, and after a write
//! or an fsync that failed. An fsync error is final for its file: whoever was not synced before is
//! refused, however many they are.
//!
//! **Refuses** more than 16 MiB that wait, and everybody once a body has waited for a second: a
//! disk that hangs costs bounded memory and few threads.
//!
//! **Deleted**, oldest first, is a file whose newest body is old enough, or while the spool is
//! larger than `spool_bytes_max`, once everything that may name it is settled; never the one that
//! is being written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::domain::time::Micros;

use super::disk::{Disk, DiskFile};
use super::segment::micros;
use super::spool_file::{HEADER_BYTES, header, name, numbers};
use super::stall::{HUNG, Stall};
use super::{JournalCounts, JournalError, JournalOptions, Received, Source};

/// A file of this size is closed and a new one begun.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bodies that wait for the disk, together; whoever comes later is told to try again.
pub(super) const WAITING_BYTES_MAX: usize = 16 << 20;
/// What a body counts at least there: each holds up a thread as well.
pub(super) const WAITING_BYTES_EACH_MIN: usize = 16 << 10;

/// A file that bodies are written to.
#[derive(Debug)]
struct Spooled {
    number: u64,
    file: Arc<dyn DiskFile>,
    /// End of what is written.
    written: AtomicU64,
    /// End of what is synced. Moves under the lock of syncing alone, as does the next.
    synced: AtomicU64,
    /// Its fsync failed: nothing more of it will count.
    failed: AtomicBool,
}

/// The file whose turn it is.
#[derive(Debug)]
struct Open {
    spooled: Arc<Spooled>,
    /// When it was begun, by the clock: its number may be later than that.
    since: Micros,
}

/// Files of bodies in one directory.
#[derive(Debug)]
pub(super) struct Spool {
    disk: Arc<dyn Disk>,
    keep: Duration,
    bytes_max: u64,
    age_max: Duration,
    pub(super) file_bytes_max: u64,
    open: Mutex<Option<Open>>,
    syncing: Mutex<()>,
    waiting: AtomicUsize,
    /// A write or a sync failed since somebody last asked.
    doubted: AtomicBool,
    /// Of all files when old ones were last deleted, and what was written since.
    bytes: AtomicU64,
    writes: Stall,
    syncs: Stall,
    /// Files seen old enough, and the last sequence that may name them, once it is known.
    expiring: Mutex<BTreeMap<u64, Option<u64>>>,
}

impl Open {
    fn takes(&self, bytes: u64, at: Micros, bytes_max: u64, age_max: Duration) -> bool {
        let written = self.spooled.written.load(Ordering::Relaxed);
        let room = written + bytes <= bytes_max || written == HEADER_BYTES as u64;
        // A clock that was set back ends a file as well: its age is not known any more.
        let young = at.get().abs_diff(self.since.get()) < micros(age_max).unsigned_abs();
        room && young && !self.spooled.failed.load(Ordering::Relaxed)
    }
}

impl Spool {
    pub(super) fn new(disk: Arc<dyn Disk>, options: &JournalOptions) -> Self {
        Self {
            disk,
            keep: options.spool_keep,
            bytes_max: options.spool_bytes_max,
            age_max: options.spool_age_max(),
            file_bytes_max: FILE_BYTES_MAX,
            open: Mutex::default(),
            syncing: Mutex::default(),
            waiting: AtomicUsize::new(0),
            doubted: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            writes: Stall::default(),
            syncs: Stall::default(),
            expiring: Mutex::default(),
        }
    }

    /// Bytes of its files, about.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether a body has waited for the disk for too long.
    pub(super) fn hangs(&self) -> bool {
        self.writes.age().max(self.syncs.age()) > HUNG
    }

    /// Whether the disk refused something since the last time this was asked.
    pub(super) fn doubted(&self) -> bool {
        self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Takes room for a body of so many bytes, to be given back by [`Self::give_back`]: how much.
    pub(super) fn reserve(&self, bytes: usize) -> Option<usize> {
        if self.hangs() {
            return None;
        }
        let bytes = bytes.max(WAITING_BYTES_EACH_MIN);
        let room = |waiting: usize| {
            let waiting = waiting.saturating_add(bytes);
            (waiting <= WAITING_BYTES_MAX).then_some(waiting)
        };
        let taken = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        taken.ok().map(|_| bytes)
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Writes a body and syncs it: afterwards it survives a power cut.
    pub(super) fn keep(
        &self,
        source: &Source,
        at: Micros,
        body: &[u8],
        counts: &JournalCounts,
    ) -> Result<Received, JournalError> {
        let length = u32::try_from(body.len()).map_err(|_| JournalError::NotSynced)?;
        let digest = Sha256::digest(body).into();
        let (spooled, offset) = self.append(at, body).inspect_err(|_| self.doubt())?;
        self.sync(&spooled, offset + u64::from(length), counts)?;
        Ok(Received {
            at,
            source: source.clone(),
            spool: spooled.number,
            offset,
            length,
            digest,
        })
    }

    fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Writes a body; its file, and where it begins there.
    fn append(&self, at: Micros, body: &[u8]) -> Result<(Arc<Spooled>, u64), JournalError> {
        let mut turn = lock(&self.open);
        let _writing = self.writes.since(Instant::now());
        let bytes = body.len() as u64;
        let takes = |open: &Open| open.takes(bytes, at, self.file_bytes_max, self.age_max);
        // Taken out: after a write that failed the next body begins another file.
        let open = match turn.take().filter(takes) {
            Some(open) => open,
            None => self.create(at)?,
        };
        let offset = open.spooled.written.load(Ordering::Relaxed);
        let written = open.spooled.file.write_at(body, offset);
        written.map_err(self.io(open.spooled.number))?;
        let end = offset + bytes;
        open.spooled.written.store(end, Ordering::Release);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let spooled = Arc::clone(&open.spooled);
        *turn = Some(open);
        Ok((spooled, offset))
    }

    fn create(&self, at: Micros) -> Result<Open, JournalError> {
        let last = self.numbers()?.pop();
        let wanted = u64::try_from(at.get()).unwrap_or(0);
        let number = last.map_or(wanted, |last| wanted.max(last + 1));
        let name = name(number);
        let begun = self.disk.create(&name).and_then(|file| {
            file.write_at(&header(number), 0)?;
            if !skips_directory_sync() {
                self.disk.sync_directory()?;
            }
            Ok(file)
        });
        if begun.is_err() {
            // An empty file is no harm, but a full disk must not collect one with each attempt.
            let removed = self.disk.remove(&name);
            tracing::debug!(?removed, name, "journal: a file of the spool was not begun");
        }
        let end = HEADER_BYTES as u64;
        let spooled = Spooled {
            number,
            file: begun.map_err(self.io(number))?,
            written: AtomicU64::new(end),
            synced: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        };
        Ok(Open {
            spooled: Arc::new(spooled),
            since: at,
        })
    }

    /// Makes a file survive a power cut up to `end`, unless somebody else just did.
    fn sync(
        &self,
        spooled: &Spooled,
        end: u64,
        counts: &JournalCounts,
    ) -> Result<(), JournalError> {
        let _turn = lock(&self.syncing);
        if spooled.synced.load(Ordering::Relaxed) >= end || skips_sync() {
            return Ok(());
        }
        if spooled.failed.load(Ordering::Relaxed) {
            return Err(JournalError::NotSynced);
        }
        let _syncing = self.syncs.since(Instant::now());
        let written = spooled.written.load(Ordering::Acquire);
        let synced = spooled.file.sync().map_err(self.io(spooled.number));
        match &synced {
            Ok(()) => spooled.synced.store(written, Ordering::Relaxed),
            Err(error) => {
                // The kernel says it once, and may call the lost pages clean.
                spooled.failed.store(true, Ordering::Relaxed);
                self.doubt();
                counts.sync_errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "journal: fsync of the spool failed; in another file now");
            }
        }
        synced
    }

    /// Deletes files whose newest body is older than `keep` less the age of a file, so that none
    /// outlives `keep`, and the oldest while there are more bytes than `bytes_max`; each once
    /// everything up to `last` at that time is settled.
    pub(super) fn expire(
        &self,
        settled_to: u64,
        last: u64,
        now: Micros,
    ) -> Result<(), JournalError> {
        let Some(open) = self.retire(now) else {
            return Ok(());
        };
        let keep = micros(self.keep) - micros(self.age_max);
        let mut expiring = lock(&self.expiring);
        let seen = std::mem::take(&mut *expiring);
        let mut files = Vec::new();
        for number in self.numbers()? {
            let file = self.disk.open(&name(number));
            let about = file.and_then(|file| Ok((file.modified()?, file.length()?)));
            files.push((number, about.map_err(self.io(number))?));
        }
        let mut total: u64 = files.iter().map(|(_, (_, bytes))| bytes).sum();
        self.bytes.store(total, Ordering::Relaxed);
        let mut deleted = false;
        for (number, (modified, bytes)) in files {
            let name = name(number);
            let old = now.get().saturating_sub(modified.get()) > keep;
            if open == Some(number) || !(old || total > self.bytes_max) {
                break;
            }
            // Whether it goes now or at a later call.
            total -= bytes;
            match seen.get(&number).copied() {
                Some(Some(bound)) if settled_to >= bound => {
                    self.disk.remove(&name).map_err(self.io(number))?;
                    self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                    deleted = true;
                }
                Some(Some(bound)) => _ = expiring.insert(number, Some(bound)),
                Some(None) => _ = expiring.insert(number, Some(last)),
                // Where the clock leapt ahead, a record may still be on its way to the log; by the
                // next time it is there, or was refused.
                None => _ = expiring.insert(number, None),
            }
        }
        if deleted {
            let path = self.disk.path("");
            self.disk
                .sync_directory()
                .map_err(JournalError::io(&path))?;
        }
        Ok(())
    }

    /// Closes the open file if its time has come: nobody may come to do it. The number of the one
    /// that is open then; `None` if it is being written just now.
    fn retire(&self, now: Micros) -> Option<Option<u64>> {
        let mut open = match self.open.try_lock() {
            Ok(open) => open,
            Err(std::sync::TryLockError::Poisoned(open)) => open.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        *open = open
            .take()
            .filter(|open| open.takes(0, now, u64::MAX, self.age_max));
        Some(open.as_ref().map(|open| open.spooled.number))
    }

    fn numbers(&self) -> Result<Vec<u64>, JournalError> {
        numbers(&*self.disk)
    }

    fn io(&self, number: u64) -> impl FnOnce(std::io::Error) -> JournalError + use<> {
        JournalError::io(&self.disk.path(&name(number)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a body is said to be synced and is not: never.
#[cfg(not(test))]
const fn skips_sync() -> bool {
    false
}

#[cfg(not(test))]
const fn skips_directory_sync() -> bool {
    false
}

#[cfg(test)]
fn skips_sync() -> bool {
    super::sabotage::is(super::sabotage::Sabotage::NoBodySync)
}

#[cfg(test)]
fn skips_directory_sync() -> bool {
    super::sabotage::is(super::sabotage::Sabotage::NoBodyDirectorySync)
}
