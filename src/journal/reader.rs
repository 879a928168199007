//! Reads synced records in order of their sequence, past whatever is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::{Disk, DiskFile, SECTOR};
use super::frame::{self, ALIGN, Frame, Origin, RECORD_BYTES_MAX};
use super::{EdgeId, Entry, Journal, JournalCounts, JournalError, quarantine, segment};

const CHUNK: usize = 1 << 20;

/// One segment being read from front to back.
#[derive(Debug)]
pub(super) struct Cursor {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    epoch: u32,
    /// File offset of `buffer`'s first unread byte.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    /// Last slot seen of each worker.
    slots: Vec<u64>,
}

/// Bytes that did not validate, with valid ones behind them.
pub(super) struct Damage {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Is told of damage in a file.
pub(super) type SeeDamage<'a> = &'a mut dyn FnMut(&Path, Damage);

impl Cursor {
    /// Opens a segment; `None` if it is another edge's.
    pub(super) fn open(
        disk: &dyn Disk,
        listed: &segment::Listed,
        edge: EdgeId,
        counts: &JournalCounts,
    ) -> Result<Option<Self>, JournalError> {
        let path = disk.path(&listed.name);
        match segment::about(disk, listed)? {
            Some(about) if about.edge != edge => {
                tracing::error!(path = %path.display(), edge = %about.edge,
                    "journal: a segment is another edge's; left alone");
                return Ok(None);
            }
            Some(_) => {}
            None => {
                // Its name says what is needed to read it.
                counts.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path = %path.display(), "journal: a segment's header is damaged");
            }
        }
        let file = disk.open(&listed.name).map_err(JournalError::io(&path))?;
        Ok(Some(Self {
            file,
            path,
            epoch: listed.epoch,
            offset: segment::HEADER_BYTES as u64,
            buffer: Vec::new(),
            at: 0,
            slots: vec![0; usize::from(u8::MAX)],
        }))
    }

    /// Where the next record is looked for.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record up to sequence `synced`, or `None` at the end of those. Damage on the way
    /// is told to `see`.
    pub(super) fn next(
        &mut self,
        synced: u64,
        mut see: Option<SeeDamage<'_>>,
    ) -> Result<Option<Frame>, JournalError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(frame) = frame::read(self.epoch, rest) {
                if frame.head.sequence > synced {
                    self.forget();
                    return Ok(None);
                }
                self.skip(frame.head.length);
                if self.rises(frame.head.origin) {
                    return Ok(Some(frame));
                }
                continue;
            }
            // A record may lie across the end of the buffer: read on before calling it damaged.
            if rest.len() < RECORD_BYTES_MAX && self.refill()? {
                continue;
            }
            let from = self.offset;
            if !self.find_valid(synced)? {
                self.offset = from;
                self.forget();
                return Ok(None);
            }
            let bytes = self.offset - from;
            if let Some(see) = &mut see {
                see(&self.path, Damage { at: from, bytes });
            }
        }
    }

    /// Whether a record is none that was seen before. A write that failed half-way and was then
    /// made again may leave valid records behind the new ones.
    fn rises(&mut self, origin: Origin) -> bool {
        let Some(last) = self.slots.get_mut(usize::from(origin.worker)) else {
            return true;
        };
        let rises = origin.slot > *last;
        *last = origin.slot.max(*last);
        rises
    }

    /// Moves to the next valid synced record; `false` if there is none, so that what stands here
    /// is the end, or records that are being written. One that is not synced proves nothing: one
    /// read may see it whole and the one before it half written.
    fn find_valid(&mut self, synced: u64) -> Result<bool, JournalError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let found = (ALIGN..rest.len()).step_by(ALIGN).find(|at| {
                let head = rest
                    .get(*at..)
                    .and_then(|rest| frame::check(self.epoch, rest));
                head.is_some_and(|head| head.sequence <= synced)
            });
            if let Some(at) = found {
                self.skip(at);
                return Ok(true);
            }
            // The last record of the buffer may be cut: look at it again with what follows.
            let looked_at = rest.len().saturating_sub(RECORD_BYTES_MAX) / ALIGN * ALIGN;
            self.skip(looked_at);
            if !self.refill()? {
                return Ok(false);
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Drops what was read of records that were perhaps still being written.
    fn forget(&mut self) {
        self.buffer.clear();
        self.at = 0;
    }

    /// Reads more of the file; whether there was more.
    fn refill(&mut self) -> Result<bool, JournalError> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK, 0);
        let from = self.offset + have as u64;
        let room = self.buffer.get_mut(have..).unwrap_or_default();
        let read = match self.file.read_at(room, from) {
            Ok(read) => read,
            Err(error) => {
                let read = self.read_past(from).map_err(JournalError::io(&self.path))?;
                let path = self.path.display();
                tracing::error!(%path, %error, from, bytes = read, "journal: cannot be read");
                read
            }
        };
        self.buffer.truncate(have + read);
        Ok(read > 0)
    }

    /// After a read that failed: one sector, or zeros in its place, so that what cannot be read
    /// costs the records on it and no others.
    fn read_past(&mut self, from: u64) -> std::io::Result<usize> {
        let end = (from / SECTOR + 1) * SECTOR;
        let end = end.min(self.file.length()?);
        let bytes = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
        let have = self.buffer.len() - CHUNK;
        let room = self.buffer.get_mut(have..have + bytes).unwrap_or_default();
        match self.file.read_at(room, from) {
            Ok(read) => Ok(read),
            Err(_) => {
                room.fill(0);
                Ok(bytes)
            }
        }
    }
}

/// Bytes of the file, as far as they can be read.
fn bytes_of(disk: &dyn Disk, name: &str, damage: &Damage) -> Vec<u8> {
    let length = usize::try_from(damage.bytes)
        .unwrap_or(usize::MAX)
        .min(CHUNK);
    let mut bytes = vec![0; length];
    let read = disk
        .open(name)
        .and_then(|file| file.read_at(&mut bytes, damage.at));
    bytes.truncate(read.unwrap_or(0));
    bytes
}

/// Yields synced records after a position.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    position: u64,
    cursor: Option<(segment::Listed, Cursor)>,
    limited: bool,
}

/// Bytes of side texts that one read hands out at most.
const TEXT_BYTES_MAX: usize = 8 << 20;

impl Reader {
    pub(super) fn new(journal: Arc<Journal>, position: u64) -> Self {
        Self {
            journal,
            position,
            cursor: None,
            limited: false,
        }
    }

    /// Sequence up to which everything that there is has been yielded.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the last read stopped at a limit, with more to come at once.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.limited
    }

    /// Up to `records_max` records in order, each with its sequence; empty when everything that
    /// is synced has been read.
    ///
    /// # Errors
    /// A segment cannot be read. The position has not moved past anything unread.
    pub fn read(&mut self, records_max: usize) -> Result<Vec<(u64, Entry)>, JournalError> {
        let synced = self.journal.synced_to();
        if let Some((_, cursor)) = &mut self.cursor {
            // What was read beyond the last `synced` may have been written over since.
            cursor.forget();
        }
        let mut text_bytes = 0;
        let mut entries = Vec::new();
        let segments = self.journal.segments.list()?;
        while entries.len() < records_max && text_bytes < TEXT_BYTES_MAX && self.position < synced {
            if self.cursor.is_none() && !self.open_segment(&segments)? {
                break;
            }
            let Some((listed, cursor)) = &mut self.cursor else {
                break;
            };
            // What stands behind the next segment's first sequence was written again there.
            let after = segments.iter().find(|one| one.first > listed.first);
            let end = after.map_or(u64::MAX, |after| after.first - 1);
            let mut set_aside = |path: &Path, damage: Damage| {
                self.journal.counts.damaged.fetch_add(1, Ordering::Relaxed);
                let (path, at, bytes) = (path.display(), damage.at, damage.bytes);
                tracing::error!(%path, offset = at, bytes, "journal: skipped damaged bytes");
                let disk = &*self.journal.segments.disk;
                let copy = bytes_of(disk, &listed.name, &damage);
                quarantine::keep(disk, &listed.name, at, &copy);
            };
            match cursor.next(synced.min(end), Some(&mut set_aside))? {
                Some(frame) if frame.head.sequence > self.position => {
                    self.position = frame.head.sequence;
                    if let Some(Entry::Side(side)) = &frame.entry {
                        text_bytes += side.text.len();
                    }
                    if let Some(entry) = frame.entry {
                        entries.push((frame.head.sequence, entry));
                    }
                }
                Some(_) => {}
                // Not all of this segment is synced yet: what is still to come stands here.
                None if end > synced => break,
                None => {
                    // What is missing up to there does not exist.
                    self.position = self.position.max(end);
                    if self.position < synced && !self.next_segment(&segments)? {
                        break;
                    }
                }
            }
        }
        self.limited = entries.len() >= records_max || text_bytes >= TEXT_BYTES_MAX;
        Ok(entries)
    }

    /// Opens the segment that the next record lies in.
    fn open_segment(&mut self, segments: &[segment::Listed]) -> Result<bool, JournalError> {
        let next = self.position + 1;
        if let Some(oldest) = segments.first().filter(|one| one.first > next) {
            self.journal.counts.damaged.fetch_add(1, Ordering::Relaxed);
            let to = oldest.first - 1;
            tracing::error!(from = next, to, "journal: these records are no longer kept");
        }
        let index = segments
            .iter()
            .rposition(|one| one.first <= next)
            .unwrap_or(0);
        self.open_from(segments.get(index..).unwrap_or_default())
    }

    /// Moves to the segment after the current one; whether there is one.
    fn next_segment(&mut self, segments: &[segment::Listed]) -> Result<bool, JournalError> {
        let Some((current, _)) = &self.cursor else {
            return Ok(false);
        };
        let index = segments.partition_point(|one| one.first <= current.first);
        self.open_from(segments.get(index..).unwrap_or_default())
    }

    fn open_from(&mut self, segments: &[segment::Listed]) -> Result<bool, JournalError> {
        for listed in segments {
            let journal = &*self.journal;
            let disk = &*journal.segments.disk;
            if let Some(cursor) = Cursor::open(disk, listed, journal.edge(), &journal.counts)? {
                self.cursor = Some((listed.clone(), cursor));
                return Ok(true);
            }
        }
        Ok(false)
    }
}
