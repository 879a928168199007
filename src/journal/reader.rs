//! Reads synced records in order of their sequence, past whatever is damaged.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::frame::{self, ALIGN, Frame, RECORD_BYTES_MAX};
use super::{Entry, Journal, JournalCounts, JournalError, segment};

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
    in_damage: bool,
}

impl Cursor {
    fn open(
        listed: &segment::Listed,
        counts: &JournalCounts,
    ) -> Result<Option<Self>, JournalError> {
        let path = &listed.path;
        let mut file = File::open(path).map_err(JournalError::io(path))?;
        let Some(epoch) = segment::epoch(path, &mut file)? else {
            counts.damaged.fetch_add(1, Ordering::Relaxed);
            tracing::error!(path = %path.display(), "journal: the header of a segment is damaged");
            return Ok(None);
        };
        Ok(Some(Self {
            file,
            path: path.clone(),
            epoch,
            offset: segment::HEADER_BYTES,
            buffer: Vec::new(),
            at: 0,
            in_damage: false,
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
                self.at += frame.length;
                self.offset += frame.length as u64;
                self.in_damage = false;
                return Ok(Some(frame));
            }
            // A record may lie across the end of the buffer: read on before calling it damaged.
            if rest.len() < RECORD_BYTES_MAX && self.refill()? {
                continue;
            }
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if !self.valid_after(rest, synced) {
                self.forget();
                return Ok(None);
            }
            if !self.in_damage {
                self.in_damage = true;
                counts.damaged.fetch_add(1, Ordering::Relaxed);
                let path = self.path.display();
                tracing::error!(%path, offset = self.offset, "journal: skipping damaged bytes");
            }
            self.at += ALIGN;
            self.offset += ALIGN as u64;
        }
    }

    /// Whether a valid synced record follows somewhere in `rest`: then what stands at its front
    /// is damage; else it is the end, or a record that is being written. A record that is not
    /// synced proves nothing: one read may see it whole and the one before it half written.
    fn valid_after(&self, rest: &[u8], synced: u64) -> bool {
        (ALIGN..rest.len()).step_by(ALIGN).any(|at| {
            let frame = rest
                .get(at..)
                .and_then(|rest| frame::read(self.epoch, rest));
            frame.is_some_and(|frame| frame.sequence <= synced)
        })
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
}

impl Reader {
    pub(super) fn new(journal: Arc<Journal>, position: u64) -> Self {
        Self {
            journal,
            position,
            cursor: None,
        }
    }

    /// Sequence of the last record yielded.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Up to `records_max` records in order, each with its sequence; empty when everything that
    /// is synced has been read.
    ///
    /// # Errors
    /// A segment cannot be read. The position has not moved past anything unread.
    pub fn read(&mut self, records_max: usize) -> Result<Vec<(u64, Entry)>, JournalError> {
        let synced = self.journal.synced_to();
        let mut entries = Vec::new();
        while entries.len() < records_max && self.position < synced {
            if self.cursor.is_none() && !self.open_segment()? {
                break;
            }
            let Some((_, cursor)) = &mut self.cursor else {
                break;
            };
            match cursor.next(synced, &self.journal.counts)? {
                Some(frame) if frame.sequence > self.position => {
                    self.position = frame.sequence;
                    if let Some(entry) = frame.entry {
                        entries.push((frame.sequence, entry));
                    }
                }
                Some(_) => {}
                None => {
                    if !self.next_segment()? {
                        break;
                    }
                }
            }
        }
        Ok(entries)
    }

    /// Opens the segment that the next record lies in.
    fn open_segment(&mut self) -> Result<bool, JournalError> {
        let segments = segment::list(&self.journal.directory)?;
        let next = self.position + 1;
        let index = segments
            .iter()
            .rposition(|one| one.first <= next)
            .unwrap_or(0);
        self.open_from(segments.get(index..).unwrap_or_default())
    }

    /// Moves to the segment after the current one; whether there is one.
    fn next_segment(&mut self) -> Result<bool, JournalError> {
        let Some((current, _)) = &self.cursor else {
            return Ok(false);
        };
        let segments = segment::list(&self.journal.directory)?;
        let index = segments.partition_point(|one| one.first <= *current);
        self.open_from(segments.get(index..).unwrap_or_default())
    }

    fn open_from(&mut self, segments: &[segment::Listed]) -> Result<bool, JournalError> {
        for listed in segments {
            if let Some(cursor) = Cursor::open(listed, &self.journal.counts)? {
                self.cursor = Some((listed.first, cursor));
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The highest sequence in the journal, 0 if it is empty; everything up to it is synced then.
pub(super) fn last_sequence(directory: &Path, counts: &JournalCounts) -> Result<u64, JournalError> {
    let segments = segment::list(directory)?;
    let mut last = 0;
    for listed in segments.iter().rev() {
        last = last.max(listed.first.saturating_sub(1));
        if let Some(mut cursor) = Cursor::open(listed, counts)? {
            // A process that was killed may have left this to the page cache.
            cursor
                .file
                .sync_all()
                .map_err(JournalError::io(&listed.path))?;
            while let Some(frame) = cursor.next(u64::MAX, counts)? {
                last = last.max(frame.sequence);
            }
            if last >= listed.first {
                break;
            }
        }
    }
    Ok(last)
}
