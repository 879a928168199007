//! Reads synced records in order of their sequence, past whatever is damaged.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::frame::{self, ALIGN, Frame, RECORD_BYTES_MAX};
use super::{EdgeId, Entry, Journal, JournalCounts, JournalError, segment};

const CHUNK: usize = 1 << 20;

/// One segment being read from front to back.
#[derive(Debug)]
struct Cursor {
    file: File,
    path: PathBuf,
    epoch: u32,
    /// File offset of `buffer`'s first unread byte.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Cursor {
    fn open(
        listed: &segment::Listed,
        edge: EdgeId,
        counts: &JournalCounts,
    ) -> Result<Option<Self>, JournalError> {
        let path = &listed.path;
        let mut file = File::open(path).map_err(JournalError::io(path))?;
        let Some(epoch) = segment::epoch(path, &mut file, edge)? else {
            counts.damaged.fetch_add(1, Ordering::Relaxed);
            let path = path.display();
            tracing::error!(%path, "journal: a segment is damaged, or another edge's");
            return Ok(None);
        };
        Ok(Some(Self {
            file,
            path: path.clone(),
            epoch,
            offset: segment::HEADER_BYTES,
            buffer: Vec::new(),
            at: 0,
        }))
    }

    /// The next record up to sequence `synced`, or `None` at the end of those.
    fn next(&mut self, synced: u64, counts: &JournalCounts) -> Result<Option<Frame>, JournalError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(frame) = frame::read(self.epoch, rest) {
                if frame.sequence > synced {
                    self.forget();
                    return Ok(None);
                }
                self.skip(frame.length);
                return Ok(Some(frame));
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
            counts.damaged.fetch_add(1, Ordering::Relaxed);
            let (path, bytes) = (self.path.display(), self.offset - from);
            tracing::error!(%path, offset = from, bytes, "journal: skipped damaged bytes");
        }
    }

    /// Moves to the next valid synced record; `false` if there is none, so that what stands here
    /// is the end, or records that are being written. One that is not synced proves nothing: one
    /// read may see it whole and the one before it half written.
    fn find_valid(&mut self, synced: u64) -> Result<bool, JournalError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let found = (ALIGN..rest.len()).step_by(ALIGN).find(|at| {
                let frame = rest
                    .get(*at..)
                    .and_then(|rest| frame::read(self.epoch, rest));
                frame.is_some_and(|frame| frame.sequence <= synced)
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
        let read = self
            .file
            .read_at(room, from)
            .map_err(JournalError::io(&self.path))?;
        self.buffer.truncate(have + read);
        Ok(read > 0)
    }
}

/// Yields synced records after a position.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    position: u64,
    cursor: Option<(u64, Cursor)>,
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
        let segments = segment::list(&self.journal.directory)?;
        while entries.len() < records_max && text_bytes < TEXT_BYTES_MAX && self.position < synced {
            if self.cursor.is_none() && !self.open_segment(&segments)? {
                break;
            }
            let Some((first, cursor)) = &mut self.cursor else {
                break;
            };
            // What stands behind the next segment's first sequence was written again there.
            let after = segments.iter().find(|one| one.first > *first);
            let end = after.map_or(u64::MAX, |after| after.first - 1);
            match cursor.next(synced.min(end), &self.journal.counts)? {
                Some(frame) if frame.sequence > self.position => {
                    self.position = frame.sequence;
                    if let Some(Entry::Side(side)) = &frame.entry {
                        text_bytes += side.text.len();
                    }
                    if let Some(entry) = frame.entry {
                        entries.push((frame.sequence, entry));
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
        let index = segments.partition_point(|one| one.first <= *current);
        self.open_from(segments.get(index..).unwrap_or_default())
    }

    fn open_from(&mut self, segments: &[segment::Listed]) -> Result<bool, JournalError> {
        for listed in segments {
            if let Some(cursor) = Cursor::open(listed, self.journal.edge, &self.journal.counts)? {
                self.cursor = Some((listed.first, cursor));
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The highest sequence in the journal, 0 if it is empty; everything up to it is synced then.
///
/// Where the end of a segment cannot be read, it is the highest that its bytes could have held:
/// no sequence is ever given twice.
pub(super) fn last_sequence(
    directory: &Path,
    edge: EdgeId,
    counts: &JournalCounts,
) -> Result<u64, JournalError> {
    let segments = segment::list(directory)?;
    let Some(newest) = segments.last() else {
        return Ok(0);
    };
    // A process that was killed may have left records to the page cache.
    for listed in &segments {
        let synced = File::open(&listed.path).and_then(|file| file.sync_all());
        synced.map_err(JournalError::io(&listed.path))?;
    }
    let about = std::fs::metadata(&newest.path).map_err(JournalError::io(&newest.path))?;
    let records = |bytes: u64| bytes.div_ceil(ALIGN as u64);
    let before = newest.first.saturating_sub(1);
    let Some(mut cursor) = Cursor::open(newest, edge, counts)? else {
        return Ok(before + records(about.len().saturating_sub(segment::HEADER_BYTES)));
    };
    let mut last = before;
    while let Some(frame) = cursor.next(u64::MAX, counts)? {
        last = last.max(frame.sequence);
    }
    Ok(last + records(about.len().saturating_sub(cursor.offset)))
}
