//! What a walk over a journal found. The shapes are those of `cupel journal verify --json`.

use std::path::PathBuf;

use serde::Serialize;

use crate::domain::time::Micros;
use crate::journal::Entry;

use super::{Bodies, SpoolReport};

/// Records by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kinds {
    /// Hits.
    pub hits: u64,
    /// Agent strings and header sets.
    pub texts: u64,
    /// Presses and unsubscribes.
    pub acts: u64,
    /// Acceptances.
    pub acceptances: u64,
    /// Delivery events, whose bodies lie in the spool.
    pub received: u64,
    /// Records of a newer version, which this one passes over.
    pub newer: u64,
}

impl Kinds {
    /// Counts one in; `None` is a record of a newer version.
    pub fn add(&mut self, entry: Option<&Entry>) {
        *match entry {
            Some(Entry::Hit(_)) => &mut self.hits,
            Some(Entry::Side(_)) => &mut self.texts,
            Some(Entry::Act(_)) => &mut self.acts,
            Some(Entry::Accepted(_)) => &mut self.acceptances,
            Some(Entry::Received(_)) => &mut self.received,
            None => &mut self.newer,
        } += 1;
    }

    /// These and those.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            hits: self.hits + more.hits,
            texts: self.texts + more.texts,
            acts: self.acts + more.acts,
            acceptances: self.acceptances + more.acceptances,
            received: self.received + more.received,
            newer: self.newer + more.newer,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let mailed = self.acceptances + self.received;
        self.hits + self.texts + self.acts + mailed + self.newer
    }
}

/// Bytes of a file that do not validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// Records that are missing there; `None` where nothing behind tells.
    pub records: Option<u64>,
}

/// Sequences that no record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// One segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its file.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Another edge wrote it: it is left alone, and nothing below is known.
    pub other_edge: Option<String>,
    /// The life of the rings that were drained into it, if its header can be read.
    pub life: Option<String>,
    /// Sequence that it begins with, by its name.
    pub first: u64,
    /// Sequence of its last record; the one before `first` if it has none.
    pub last: u64,
    /// Its records.
    pub records: Kinds,
    /// Time of its oldest hit or act.
    pub oldest: Option<Micros>,
    /// And of its newest.
    pub newest: Option<Micros>,
    /// Damage with something valid behind it, the header's included.
    pub damaged: Vec<Span>,
    /// What stands behind its last record and is none, if it is not zero.
    pub torn_end: Option<Span>,
    /// That end was cut off by a crash, and what was being written there was in the rings.
    pub end_recovered: bool,
    /// Sequences that were left out on purpose: the store knew them already.
    pub skipped: Vec<Gap>,
    /// Bodies of delivery events that its records name.
    pub bodies: Bodies,
}

impl SegmentReport {
    /// Damage and, unless a crash explains it, the torn end.
    pub fn unsound(&self) -> impl Iterator<Item = &Span> {
        let end = self.torn_end.iter().filter(|_| !self.end_recovered);
        self.damaged.iter().chain(end)
    }
}

/// The file of the rings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingsReport {
    /// Its life, if the header can be read.
    pub life: Option<String>,
    /// Rings: one of each worker.
    pub workers: u8,
    /// Slots of each.
    pub slots: u64,
    /// Records that the log does not have: a running server drains them within milliseconds, a
    /// start after a crash puts them into the log.
    pub unlogged: Kinds,
    /// The header, or slots that hold something that does not validate.
    pub damaged: Vec<Span>,
    /// Slots that a killed worker had only begun to write: those hits were not answered.
    pub unfinished: Vec<Span>,
}

/// A file that is listed and not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
}

/// Everything in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The directory.
    pub directory: PathBuf,
    /// The edge, if anything says which.
    pub edge: Option<String>,
    /// Segments that count, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Sequences between segments that no record has.
    pub gaps: Vec<Gap>,
    /// The rings, if there are any.
    pub rings: Option<RingsReport>,
    /// Files that bodies of delivery events lie in.
    pub spool: SpoolReport,
    /// Segments whose records were written again into another one.
    pub superseded: Vec<Other>,
    /// Files that are called segments and not named like one.
    pub misnamed: Vec<Other>,
    /// Copies of damaged bytes that a reader set aside.
    pub set_aside: Vec<Other>,
}

impl Report {
    /// Records of all segments.
    #[must_use]
    pub fn records(&self) -> Kinds {
        let records = self.segments.iter().map(|segment| segment.records);
        records.fold(Kinds::default(), Kinds::and)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// What does not validate, each with its file.
    pub fn unsound(&self) -> impl Iterator<Item = (&str, &Span)> {
        let segments = self.segments.iter().flat_map(|segment| {
            let spans = segment.unsound();
            spans.map(|span| (segment.file.as_str(), span))
        });
        let rings = self.rings.iter().flat_map(|rings| &rings.damaged);
        segments.chain(rings.map(|span| (crate::journal::rings::NAME, span)))
    }

    /// Whether nothing is damaged and nothing is missing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut bodies = self.segments.iter().map(|segment| &segment.bodies);
        let whole = self.unsound().next().is_none() && self.gaps.is_empty();
        whole && bodies.all(Bodies::is_sound)
    }
}
