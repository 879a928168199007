//! Segments: their names, their header, the edge file, and when they may go.
//!
//! A segment is named `{first sequence, 20 digits}-{turn, 4 digits}-{epoch, 8 hexadecimal
//! digits}.journal`. Of those that begin with the same sequence the highest turn counts alone: the
//! others are empty, or were written again after an fsync error. The epoch seeds the sum of every
//! record; it stands in the name too, so that a damaged header costs no record.
//!
//! | at | bytes | segment header |
//! |---|---|---|
//! | 0 | 8 | `CUPELJNL` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | epoch: random |
//! | 16 | 4 | edge |
//! | 20 | 4 | life: random number of the rings that were drained into it |
//! | 24 | 8 | first sequence |
//! | 32 | 4 | CRC32C of the bytes before |
//! | 36 | 28 | zero |
//!
//! The first record (type 5, sequence 0) says up to which slot each worker's ring had been
//! drained before: recovery need look no further back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::domain::record::take;
use crate::domain::time::Micros;

use super::disk::{Disk, DiskFile, read_all};
use super::frame::{self, RECORD_BYTES_MAX};
use super::{EdgeId, JournalError, JournalOptions};

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"CUPELJNL";
const VERSION: u32 = 1;
pub(super) const EXTENSION: &str = ".journal";
/// The file whose turn is next.
const PREPARED: &str = "next.segment";

/// A segment as the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) first: u64,
    turn: u16,
    pub(super) epoch: u32,
}

impl Listed {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(EXTENSION)?.split('-');
        let mut part = |digits| parts.next().filter(|part| part.len() == digits);
        let listed = Self {
            name: name.to_owned(),
            first: part(20)?.parse().ok()?,
            turn: part(4)?.parse().ok()?,
            epoch: u32::from_str_radix(part(8)?, 16).ok()?,
        };
        parts.next().is_none().then_some(listed)
    }
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) edge: EdgeId,
    pub(super) life: u32,
}

/// A segment that is being written.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) name: String,
    pub(super) epoch: u32,
    /// Bytes before its first record that holds anything.
    pub(super) begins_at: u64,
}

/// The segments of one edge in one directory.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) edge: EdgeId,
    /// Of the rings that are drained into it; known once they are made.
    pub(super) life: OnceLock<u32>,
}

impl Segments {
    /// The same, drained out of the rings of `life`.
    pub(super) fn of_life(&self, life: u32) -> Self {
        Self {
            life: OnceLock::from(life),
            ..self.clone()
        }
    }

    /// Those that count, oldest first.
    pub(super) fn list(&self) -> Result<Vec<Listed>, JournalError> {
        list(&*self.disk)
    }

    fn io(&self, name: &str) -> impl FnOnce(std::io::Error) -> JournalError + use<> {
        JournalError::io(&self.disk.path(name))
    }

    /// A new segment that begins with `first` and holds `records`, sealed by `seal` for its
    /// epoch. It is written under another name, synced, and then takes its own.
    pub(super) fn create(
        &self,
        first: u64,
        drained: &[u64],
        seal: impl FnOnce(u32) -> Vec<u8>,
    ) -> Result<Segment, JournalError> {
        let mut segment = self.prepare()?;
        let mut bytes = self.beginning(segment.epoch, first, drained);
        segment.begins_at = bytes.len() as u64;
        bytes.extend(seal(segment.epoch));
        let written = segment.file.write_at(&bytes, 0);
        let synced = written.and_then(|()| segment.file.sync());
        synced.map_err(self.io(&segment.name))?;
        let segment = self.named(segment, first)?;
        self.sync_directory()?;
        Ok(segment)
    }

    /// A segment without a name or a first record, made ahead of need.
    pub(super) fn prepare(&self) -> Result<Segment, JournalError> {
        let epoch = random().map_err(self.io(PREPARED))?;
        let file = self.disk.create(PREPARED).map_err(self.io(PREPARED))?;
        let written = file.write_at(&[0; HEADER_BYTES], 0);
        let synced = written.and_then(|()| file.sync());
        synced.map_err(self.io(PREPARED))?;
        Ok(Segment {
            file,
            name: PREPARED.to_owned(),
            epoch,
            begins_at: 0,
        })
    }

    /// Begins a prepared segment: its beginning, synced, then its name. The segment before may be
    /// deleted later, and what this one says of the rings must not be lost with it.
    pub(super) fn begin(
        &self,
        mut prepared: Segment,
        first: u64,
        drained: &[u64],
    ) -> Result<Segment, JournalError> {
        let bytes = self.beginning(prepared.epoch, first, drained);
        prepared.begins_at = bytes.len() as u64;
        let written = prepared.file.write_at(&bytes, 0);
        let synced = written.and_then(|()| prepared.file.sync());
        synced.map_err(self.io(&prepared.name))?;
        self.named(prepared, first)
    }

    fn beginning(&self, epoch: u32, first: u64, drained: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + RECORD_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&epoch.to_le_bytes());
        bytes.extend_from_slice(&self.edge.0.to_le_bytes());
        let life = self.life.get().copied().unwrap_or_default();
        bytes.extend_from_slice(&life.to_le_bytes());
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        frame::write_drained(&mut bytes, drained);
        if let Some(record) = bytes.get_mut(HEADER_BYTES..) {
            frame::seal(record, epoch, 0);
        }
        bytes
    }

    fn named(&self, segment: Segment, first: u64) -> Result<Segment, JournalError> {
        let earlier = list_all(&*self.disk)?;
        let turns = earlier.iter().filter(|one| one.first == first);
        let turn = turns.map(|one| one.turn + 1).max().unwrap_or(0);
        let name = format!("{first:020}-{turn:04}-{:08x}{EXTENSION}", segment.epoch);
        let renamed = self.disk.rename(&segment.name, &name);
        renamed.map_err(self.io(&name))?;
        Ok(Segment { name, ..segment })
    }

    pub(super) fn sync_directory(&self) -> Result<(), JournalError> {
        self.disk.sync_directory().map_err(self.io(""))
    }

    /// Deletes settled segments that are old enough or one too many; never the newest, never one
    /// with a record after `settled_to`. Returns the bytes that remain.
    pub(super) fn expire(
        &self,
        options: &JournalOptions,
        settled_to: u64,
        now: Micros,
    ) -> Result<u64, JournalError> {
        let segments = list_all(&*self.disk)?;
        let mut sizes = Vec::with_capacity(segments.len());
        for segment in &segments {
            let about = self.disk.open(&segment.name).and_then(|file| {
                let modified = file.modified()?;
                Ok((file.length()?, modified))
            });
            sizes.push(about.map_err(self.io(&segment.name))?);
        }
        let keep = micros(options.keep);
        let keep_records = keep.saturating_sub(micros(options.segment_age_max()));
        let mut total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
        let mut deleted = false;
        for (pair, (bytes, changed)) in segments.windows(2).zip(&sizes) {
            let [segment, next] = pair else { break };
            let settled = next.first <= settled_to.saturating_add(1);
            let old = now.get().saturating_sub(changed.get()) > keep_records;
            if !settled || !(old || total > options.bytes_max) {
                break;
            }
            let removed = self.disk.remove(&segment.name);
            removed.map_err(self.io(&segment.name))?;
            total -= bytes;
            deleted = true;
        }
        if deleted {
            self.sync_directory()?;
        }
        Ok(total)
    }
}

/// The segments of a directory that count, oldest first.
pub(super) fn list(disk: &dyn Disk) -> Result<Vec<Listed>, JournalError> {
    let mut all = list_all(disk)?;
    all.reverse();
    all.dedup_by_key(|one| one.first);
    all.reverse();
    Ok(all)
}

/// All segments of a directory, oldest first.
pub(super) fn list_all(disk: &dyn Disk) -> Result<Vec<Listed>, JournalError> {
    let names = disk.names().map_err(JournalError::io(&disk.path("")))?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(EXTENSION)) {
        match Listed::parse(name) {
            Some(listed) => found.push(listed),
            None => tracing::error!(name, "journal: no segment is named like this; left alone"),
        }
    }
    found.sort_by_key(|segment| (segment.first, segment.turn));
    Ok(found)
}

/// Reads a segment's header; `None` if it is damaged.
pub(super) fn about(disk: &dyn Disk, listed: &Listed) -> Result<Option<About>, JournalError> {
    let path = disk.path(&listed.name);
    let file = disk.open(&listed.name).map_err(JournalError::io(&path))?;
    let mut header = [0; HEADER_BYTES];
    match file.read_at(&mut header, 0) {
        Ok(HEADER_BYTES) => {}
        // Too short, or a sector that cannot be read: damage costs what it touches.
        Ok(_) | Err(_) => return Ok(None),
    }
    let (front, mut crc) = header.split_at(32);
    let mut from = front;
    let magic = take::<8>(&mut from);
    let number = |from: &mut &[u8]| take::<4>(from).map(u32::from_le_bytes);
    let sum = number(&mut crc);
    if magic.as_ref() != Some(MAGIC) || sum != Some(crc32c::crc32c(front)) {
        return Ok(None);
    }
    let (version, _epoch) = (number(&mut from), number(&mut from));
    if version.is_none_or(|version| version > VERSION) {
        return Err(JournalError::Newer { path });
    }
    let (edge, life) = (number(&mut from), number(&mut from));
    Ok(edge.zip(life).map(|(edge, life)| About {
        edge: EdgeId(edge),
        life,
    }))
}

/// The edge's id, made on first use.
pub(super) fn edge(disk: &dyn Disk) -> Result<EdgeId, JournalError> {
    if let Some(edge) = known_edge(disk)? {
        return Ok(edge);
    }
    let write = || {
        let edge = EdgeId(random()?);
        let file = disk.create("edge.new")?;
        file.write_at(format!("{edge}\n").as_bytes(), 0)?;
        file.sync()?;
        disk.rename("edge.new", "edge")?;
        disk.sync_directory()?;
        Ok(edge)
    };
    write().map_err(JournalError::io(&disk.path("edge")))
}

/// The edge's id, as its file says, or else the segments; `None` before first use.
pub(super) fn known_edge(disk: &dyn Disk) -> Result<Option<EdgeId>, JournalError> {
    let path = disk.path("edge");
    match disk.open("edge").and_then(|file| read_all(&*file)) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let found = text.trim();
            let edge = EdgeId::parse(found).ok_or_else(|| JournalError::Edge {
                path,
                found: found.to_owned(),
            });
            edge.map(Some)
        }
        Err(error) => {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let edge = edge_of_segments(disk)?;
            if let Some(edge) = edge {
                // A new one would count again what these segments hold.
                tracing::error!(%error, %edge, "journal: no edge file; the segments name it");
            }
            if edge.is_none() && !missing {
                return Err(JournalError::io(&path)(error));
            }
            Ok(edge)
        }
    }
}

/// The edge that the newest readable segment was written by.
fn edge_of_segments(disk: &dyn Disk) -> Result<Option<EdgeId>, JournalError> {
    for listed in list(disk)?.iter().rev() {
        if let Some(about) = about(disk, listed)? {
            return Ok(Some(about.edge));
        }
    }
    Ok(None)
}

/// A random number for an epoch, a life or an edge; never 0.
pub(super) fn random() -> std::io::Result<u32> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(u32::from_le_bytes(random).max(1))
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
