//! The file of the rings, and what a crash left in it.
//!
//! `rings` is one page of header, then the rings one behind the other. It is made anew at each
//! start, under a new life, once everything in the old one is in the log. It may be a link to a
//! file on another file system (`elsewhere.rs`).
//!
//! | at | bytes | header |
//! |---|---|---|
//! | 0 | 8 | `CUPELRNG` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | life: random, seeds the sum of every record |
//! | 16 | 4 | rings |
//! | 20 | 4 | slots of each |
//! | 24 | 4 | CRC32C of the bytes before |
//! | 28 | 4068 | zero |

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::domain::record::take;

use super::disk::{Disk, Memory, read_all_past_errors};
use super::frame::{self, Origin};
use super::ring::{SLOT_BYTES, Slots, slots_of};
use super::{EdgeId, JournalError, elsewhere, quarantine, segment};

/// The file's name.
pub(super) const NAME: &str = "rings";
/// Bytes of the header: a page, so that slots never share a sector with it.
pub(super) const HEADER_BYTES: usize = 4_096;
const MAGIC: &[u8; 8] = b"CUPELRNG";
const VERSION: u32 = 1;

/// A file of rings that an earlier process left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) life: u32,
    pub(super) rings: u8,
    pub(super) slots: u64,
    bytes: Vec<u8>,
}

/// What a walk over the rings found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Records that are not in the log, in the order of each worker, open.
    pub(super) records: Vec<u8>,
    /// How many.
    pub(super) count: u64,
    /// Slots that hold something that does not validate, by offset in the file.
    pub(super) torn: Vec<(u64, Vec<u8>)>,
}

impl Left {
    /// Reads the file; `None` if there is none, or its header is damaged.
    pub(super) fn read(disk: &dyn Disk) -> Result<Option<Self>, JournalError> {
        let path = disk.path(NAME);
        let bytes = match disk
            .open(NAME)
            .and_then(|file| read_all_past_errors(&*file))
        {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if let Some(to) = elsewhere::target(&path) {
                    let to = to.display();
                    tracing::warn!(%to, "journal: the rings are gone, and what was left in them");
                }
                return Ok(None);
            }
            Err(error) => return Err(JournalError::io(&path)(error)),
        };
        if bytes.iter().take(HEADER_BYTES).all(|byte| *byte == u8::MAX) && !bytes.is_empty() {
            // What stands behind a header that cannot be read must not be thrown away.
            let error = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(JournalError::io(&path)(error));
        }
        let number = |at: usize| {
            let mut from = bytes.get(at..)?;
            take(&mut from).map(u32::from_le_bytes)
        };
        let sum = bytes.get(..24).map(crc32c::crc32c);
        if bytes.get(..8) != Some(MAGIC) || sum != number(24) {
            tracing::error!(path = %path.display(), "journal: the header of the rings is damaged");
            return Ok(None);
        }
        if number(8).is_none_or(|version| version > VERSION) {
            return Err(JournalError::Newer { path });
        }
        let (life, rings, slots) = (number(12), number(16), number(20));
        let (Some(life), Some(rings), Some(slots)) = (life, rings, slots) else {
            return Ok(None);
        };
        Ok(Some(Self {
            life,
            rings: u8::try_from(rings).unwrap_or(u8::MAX),
            slots: u64::from(slots),
            bytes,
        }))
    }

    /// The same, but rings that cannot be read are set aside as they are, for the disk may be read
    /// another time, and here are none.
    pub(super) fn read_or_set_aside(disk: &dyn Disk) -> Result<Option<Self>, JournalError> {
        match Self::read(disk) {
            Err(JournalError::Io { path, source }) if source.raw_os_error() == Some(libc::EIO) => {
                tracing::error!(path = %path.display(), error = %source,
                    "journal: the rings cannot be read; set aside");
                let aside = quarantine::name(NAME, 0);
                disk.rename(NAME, &aside).map_err(JournalError::io(&path))?;
                Ok(None)
            }
            read => read,
        }
    }

    /// Everything in the rings that `logged` does not name and that lies behind `drained`.
    pub(super) fn walk(&self, drained: &[u64], logged: &HashSet<Origin>) -> Found {
        let mut found = Found::default();
        for worker in 0..self.rings {
            let drained = drained.get(usize::from(worker)).copied().unwrap_or(0);
            self.walk_ring(worker, drained, logged, &mut found);
        }
        found
    }

    fn walk_ring(&self, worker: u8, drained: u64, logged: &HashSet<Origin>, found: &mut Found) {
        let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut covered = HashSet::new();
        let mut doubtful = Vec::new();
        for index in 0..self.slots {
            let first = self.slot(worker, index);
            let origin = first.get(16..24).and_then(|bytes| bytes.first_chunk());
            let origin = origin.map_or(0, |bytes| u64::from_le_bytes(*bytes));
            if origin == 0 {
                continue;
            }
            let origin = Origin::unpack(origin);
            let here = origin.worker == worker
                && origin.slot > 0
                && (origin.slot - 1) % self.slots.max(1) == index;
            let slots = frame::length(first).map_or(1, slots_of).min(self.slots);
            let record: Vec<u8> = (0..slots)
                .flat_map(|n| self.slot(worker, (index + n) % self.slots))
                .copied()
                .collect();
            let valid = frame::check(self.life, &record).filter(|_| here);
            let known = here && (origin.slot <= drained || logged.contains(&origin));
            if known || valid.is_some() {
                covered.extend((1..slots).map(|n| (index + n) % self.slots));
            }
            match valid {
                _ if known => {}
                Some(head) => {
                    let record = record.get(..head.length).unwrap_or_default();
                    records.push((origin.slot, record.to_vec()));
                }
                None => doubtful.push(index),
            }
        }
        records.sort_unstable_by_key(|(slot, _)| *slot);
        found.count += records.len() as u64;
        found
            .records
            .extend(records.into_iter().flat_map(|(_, record)| record));
        let torn = doubtful
            .into_iter()
            .filter(|index| !covered.contains(index));
        found.torn.extend(torn.map(|index| {
            let at = self.offset(worker, index) as u64;
            (at, self.slot(worker, index).to_vec())
        }));
    }

    fn offset(&self, worker: u8, index: u64) -> usize {
        let slot = u64::from(worker) * self.slots + index;
        HEADER_BYTES + usize::try_from(slot).unwrap_or(0) * SLOT_BYTES
    }

    fn slot(&self, worker: u8, index: u64) -> &[u8] {
        let at = self.offset(worker, index);
        self.bytes.get(at..at + SLOT_BYTES).unwrap_or_default()
    }
}

/// Makes a new file of empty rings in place of the old one, and maps it; in `directory` if one is
/// given.
pub(super) fn create(
    disk: &dyn Disk,
    directory: Option<&Path>,
    edge: EdgeId,
    (rings, slots): (u8, u32),
) -> Result<(u32, Vec<Slots>), JournalError> {
    let path = disk.path(NAME);
    let life = segment::random().map_err(JournalError::io(&path))?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    for number in [VERSION, life, u32::from(rings), slots] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let ring_bytes = usize::try_from(slots).unwrap_or(usize::MAX) * SLOT_BYTES;
    let length = HEADER_BYTES + usize::from(rings) * ring_bytes;
    // Written out, not left as a hole: a full disk must show itself now, not when a hit is kept.
    bytes.resize(length, 0);
    let old = elsewhere::target(&path);
    let memory = match directory {
        None => write(disk, &bytes).map_err(JournalError::io(&path))?,
        Some(directory) => {
            let prefix = format!("cupel-{edge}-");
            let name = format!("{prefix}{life:08x}.rings");
            let made = elsewhere::make(directory, &name, &bytes);
            let (to, memory) = made.map_err(JournalError::io(directory))?;
            if let Err(error) = elsewhere::point(&path, &to) {
                elsewhere::remove(&to);
                return Err(JournalError::io(&path)(error));
            }
            disk.sync_directory().map_err(JournalError::io(&path))?;
            elsewhere::sweep(directory, &prefix, &to);
            memory
        }
    };
    if let Some(old) = old {
        elsewhere::remove(&old);
    }
    let memory = Arc::new(memory);
    let made = (0..rings).map(|worker| Slots {
        memory: Arc::clone(&memory),
        begins_at: (HEADER_BYTES + usize::from(worker) * ring_bytes) / size_of::<u64>(),
        count: u64::from(slots),
        life,
    });
    Ok((life, made.collect()))
}

fn write(disk: &dyn Disk, bytes: &[u8]) -> std::io::Result<Memory> {
    const BESIDE: &str = "rings.new";
    let file = disk.create(BESIDE)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(BESIDE, NAME)?;
    disk.sync_directory()?;
    disk.map(NAME, bytes.len())
}
