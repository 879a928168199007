//! Whether the bodies that the log names lie in the spool as they came.

use std::time::Duration;

use serde::Serialize;

use crate::domain::time::Micros;
use crate::journal::disk::Disk;
use crate::journal::frame::Frame;
use crate::journal::segment::micros;
use crate::journal::{Entry, JournalError, Received, spool_file};

use super::Survey;

/// No configuration lets a body expire before it is this old: `spool_days` is 1 at least, and a
/// file goes at most a 24th of that before.
const AGE_MIN: Duration = Duration::from_hours(23);

/// A body that is not what came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Body {
    /// Sequence of the record that names it.
    pub sequence: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes, as the record says.
    pub bytes: u32,
    /// The file.
    pub file: String,
}

/// A file that has gone before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostFile {
    /// The file.
    pub file: String,
    /// Bodies that were in it.
    pub bodies: u64,
}

/// Bodies that the records of a segment name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bodies {
    /// Those that are there as they came.
    pub sound: u64,
    /// Those whose file is not there any more, and may have expired.
    pub expired: u64,
    /// Files that cannot have expired and are not there.
    pub lost: Vec<LostFile>,
    /// Those that are not what came, or cannot be read.
    pub damaged: Vec<Body>,
}

impl Bodies {
    /// Whether nothing is damaged and nothing lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && self.damaged.is_empty()
    }
}

/// The spool's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpoolReport {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Looks at the bodies of one segment.
pub(super) struct Check<'a> {
    survey: &'a Survey,
    now: Micros,
    bodies: Bodies,
    /// The last file that was missing, and whether it is lost.
    missing: Option<(u64, bool)>,
}

impl<'a> Check<'a> {
    pub(super) fn new(survey: &'a Survey, now: Micros) -> Self {
        Self {
            survey,
            now,
            bodies: Bodies::default(),
            missing: None,
        }
    }

    /// Looks at the body that a record names, if it names one.
    pub(super) fn see(&mut self, frame: &Frame) -> Result<(), JournalError> {
        let Some(Entry::Received(received)) = &frame.entry else {
            return Ok(());
        };
        match spool_file::body(&self.survey.disk, received) {
            Ok(Some(_)) => self.bodies.sound += 1,
            Ok(None) if self.is_lost(received)? => self.lose(received),
            Ok(None) => self.bodies.expired += 1,
            // Whoever may not read it knows nothing of it; what the disk cannot read is damaged.
            Err(JournalError::Io { source, path })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                return Err(JournalError::Io { path, source });
            }
            Err(JournalError::Body { .. } | JournalError::Io { .. }) => {
                self.bodies.damaged.push(Body {
                    sequence: frame.head.sequence,
                    offset: received.offset,
                    bytes: received.length,
                    file: received.file(),
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Bodies {
        self.bodies
    }

    /// Whether a file that is not there cannot have expired: it is too young, or an older one is
    /// there, and the oldest goes first.
    fn is_lost(&mut self, received: &Received) -> Result<bool, JournalError> {
        if let Some((number, lost)) = self.missing
            && number == received.spool
        {
            return Ok(lost);
        }
        let oldest = spool_file::numbers(&self.survey.disk)?.into_iter().next();
        let age = self.now.get().saturating_sub(received.at.get());
        let lost = age < micros(AGE_MIN) || oldest.is_some_and(|oldest| oldest < received.spool);
        self.missing = Some((received.spool, lost));
        Ok(lost)
    }

    fn lose(&mut self, received: &Received) {
        let file = received.file();
        match self.bodies.lost.last_mut() {
            Some(lost) if lost.file == file => lost.bodies += 1,
            _ => self.bodies.lost.push(LostFile { file, bodies: 1 }),
        }
    }
}

impl Survey {
    pub(super) fn spool(&self) -> Result<SpoolReport, JournalError> {
        let mut report = SpoolReport::default();
        for number in spool_file::numbers(&self.disk)? {
            let length = self.disk.open(&spool_file::name(number));
            // One that expires meanwhile is not there any more.
            if let Ok(length) = length.and_then(|file| file.length()) {
                report.files += 1;
                report.bytes += length;
            }
        }
        Ok(report)
    }
}
