//! A journal seen from outside: read, and nothing else, also beside the process that writes it.
//!
//! Everything here takes a directory as it finds it: nothing is made, mended, set aside or
//! deleted, and no lock is taken. What the writer does meanwhile is borne: a segment that expires
//! is passed over, and what looks damaged where it writes is looked at twice.
//!
//! Only the log has sequences. Records that are still in the rings are counted
//! ([`Report::rings`]), and get theirs from the next start.

mod bodies;
mod check;
mod report;

use std::path::{Path, PathBuf};

use crate::domain::time::Micros;

use super::disk::{Directory, Disk};
use super::reader::{Cursor, Damage};
use super::rings::Left;
use super::segment::{self, Listed};
use super::{EdgeId, Entry, JournalCounts, JournalError};

pub use bodies::{Bodies, Body, LostFile, SpoolReport};
pub use report::{Gap, Kinds, Other, Report, RingsReport, SegmentReport, Span};

/// One directory of segments.
#[derive(Debug)]
pub struct Survey {
    disk: Directory,
    directory: PathBuf,
    edge: Option<EdgeId>,
    counts: JournalCounts,
}

/// A segment, and the last sequence that counts in it: after that its successor begins.
type Bounded = (Listed, u64);

impl Survey {
    /// The journal in `directory`; `None` where none was ever begun.
    ///
    /// # Errors
    /// The directory cannot be read, or holds something newer.
    pub fn open(directory: &Path) -> Result<Option<Self>, JournalError> {
        let disk = Directory::existing(directory);
        let Some(segments) = if_there(segment::list(&disk))? else {
            return Ok(None);
        };
        let edge = segment::known_edge(&disk)?;
        if segments.is_empty() && edge.is_none() {
            return Ok(None);
        }
        // Said before anything is read: a newer version may mean something else by any byte.
        for listed in &segments {
            if_there(segment::about(&disk, listed))?;
        }
        Left::read(&disk)?;
        Ok(Some(Self {
            disk,
            directory: directory.to_owned(),
            edge,
            counts: JournalCounts::default(),
        }))
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The edge whose hits these are; `None` if neither file nor segment says so.
    #[must_use]
    pub fn edge(&self) -> Option<EdgeId> {
        self.edge
    }

    /// First sequence that is still kept.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn first(&self) -> Result<Option<u64>, JournalError> {
        let oldest = segment::list(&self.disk)?.into_iter().next();
        Ok(oldest.map(|oldest| oldest.first))
    }

    /// The log's records with sequences `from` to `to`, in order, in constant memory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn records(&self, from: u64, to: u64) -> Result<Records<'_>, JournalError> {
        let mut segments = self.segments()?;
        segments.retain(|(listed, end)| *end >= from && listed.first <= to);
        Ok(Records {
            survey: self,
            segments: segments.into_iter(),
            cursor: None,
            position: from.saturating_sub(1),
            to,
        })
    }

    /// The segments that count, oldest first.
    fn segments(&self) -> Result<Vec<Bounded>, JournalError> {
        let listed = segment::list(&self.disk)?;
        let next = listed
            .iter()
            .skip(1)
            .map(|next| next.first.saturating_sub(1));
        let ends: Vec<_> = next.chain([u64::MAX]).collect();
        Ok(listed.into_iter().zip(ends).collect())
    }

    /// Begins to read a segment; `None` if it has gone, or is another edge's.
    fn cursor(&self, listed: &Listed) -> Result<Option<Cursor>, JournalError> {
        // Without any readable header there is no other edge to tell it from.
        let edge = self.edge.unwrap_or(EdgeId(0));
        let opened = Cursor::open(&self.disk, listed, edge, &self.counts);
        Ok(if_there(opened)?.flatten())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its sequence.
    pub sequence: u64,
    /// Its time: of the request; of an acceptance, when the recipient's system accepted.
    pub at: Micros,
    /// What it says; `None` for one of a newer kind.
    pub entry: Option<Entry>,
}

/// Yields records of the log, past damage.
#[derive(Debug)]
pub struct Records<'a> {
    survey: &'a Survey,
    segments: std::vec::IntoIter<Bounded>,
    cursor: Option<(Cursor, u64)>,
    position: u64,
    to: u64,
}

impl Records<'_> {
    /// The next record. `damaged` is told of bytes on the way that do not validate: file, offset,
    /// how many.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn read(
        &mut self,
        damaged: &mut dyn FnMut(&Path, u64, u64),
    ) -> Result<Option<Record>, JournalError> {
        loop {
            let Some((cursor, end)) = &mut self.cursor else {
                let Some((listed, end)) = self.segments.next() else {
                    return Ok(None);
                };
                let cursor = self.survey.cursor(&listed)?;
                self.cursor = cursor.map(|cursor| (cursor, end.min(self.to)));
                continue;
            };
            let mut see = |path: &Path, damage: Damage| damaged(path, damage.at, damage.bytes);
            match cursor.next(*end, Some(&mut see))? {
                Some(frame) if frame.head.sequence > self.position => {
                    self.position = frame.head.sequence;
                    return Ok(Some(Record {
                        sequence: frame.head.sequence,
                        at: frame.at,
                        entry: frame.entry,
                    }));
                }
                Some(_) => {}
                None => self.cursor = None,
            }
        }
    }
}

/// What was read of a file, or `None` if it has gone.
fn if_there<T>(read: Result<T, JournalError>) -> Result<Option<T>, JournalError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
