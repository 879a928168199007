//! The walk over everything: what validates, what does not, and what is missing.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::domain::time::Micros;
use crate::journal::disk::Disk;
use crate::journal::frame::{self, Frame, Origin, RECORD_BYTES_MAX};
use crate::journal::reader::Damage;
use crate::journal::ring::SLOT_BYTES;
use crate::journal::rings::{self, Left};
use crate::journal::segment::{self, HEADER_BYTES, Listed};
use crate::journal::{Entry, JournalError, quarantine, recovery};

use super::bodies::Check;
use super::{Gap, Kinds, Other, Report, RingsReport, SegmentReport, Span, Survey, if_there};

/// Between two looks at what somebody may be writing.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const CHUNK: usize = 1 << 20;
/// Slots of the longest record.
const RECORD_SLOTS_MAX: u64 = (RECORD_BYTES_MAX / SLOT_BYTES + 1) as u64;

impl Survey {
    /// Walks everything; `now` says what cannot have expired. `see` is told of each segment as
    /// soon as its walk is over.
    ///
    /// # Errors
    /// A file cannot be read. Damage is no error.
    pub fn check(
        &self,
        now: Micros,
        see: &mut dyn FnMut(&SegmentReport),
    ) -> Result<Report, JournalError> {
        let mut report = Report {
            directory: self.directory.clone(),
            edge: self.edge.map(|edge| edge.to_string()),
            // Before the segments: what is drained meanwhile is found in the log.
            rings: self.rings()?,
            spool: self.spool()?,
            ..Report::default()
        };
        let segments = self.segments()?;
        let mut before: Option<(u64, bool)> = None;
        for (index, (listed, end)) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map(|(next, _)| next);
            let Some(mut segment) = self.look(listed, *end, next.is_none(), now)? else {
                continue;
            };
            if let Some(torn) = segment.torn_end {
                let recovered = match next {
                    Some(next) => self.recovers(next, listed)?,
                    None => report.rings.as_ref().is_some_and(|rings| {
                        rings.life == segment.life && rings.unlogged.total() > 0
                    }),
                };
                segment.end_recovered = recovered && self.is_cut(listed, torn)?;
            }
            see(&segment);
            if segment.other_edge.is_none() {
                let gap = before.filter(|(last, explained)| !explained && last + 1 < segment.first);
                report.gaps.extend(gap.map(|(last, _)| Gap {
                    from: last + 1,
                    to: segment.first - 1,
                }));
                before = Some((segment.last, segment.end_recovered));
            }
            report.segments.push(segment);
        }
        self.list_others(&mut report)?;
        Ok(report)
    }

    /// Records that are in the rings and not in the log.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn unlogged(&self) -> Result<Kinds, JournalError> {
        let there = if_there(self.length(rings::NAME))?;
        let walked = there.map(|_| self.walk_rings()).transpose()?;
        Ok(walked.map_or_else(Kinds::default, |rings| rings.unlogged))
    }

    /// Walks a segment, the one that somebody may be writing twice if need be: bytes that are
    /// only half there now are whole then. `None` if it has gone.
    fn look(
        &self,
        listed: &Listed,
        end: u64,
        newest: bool,
        now: Micros,
    ) -> Result<Option<SegmentReport>, JournalError> {
        let Some(first) = if_there(self.walk(listed, end, now))? else {
            return Ok(None);
        };
        if !newest || first.unsound().next().is_none() {
            return Ok(Some(first));
        }
        std::thread::sleep(LOOK_AGAIN);
        let mut second = self.walk(listed, end, now)?;
        let was = |span: &Span| first.unsound().any(|one| one.offset == span.offset);
        second.damaged.retain(was);
        second.torn_end = second.torn_end.filter(was);
        Ok(Some(second))
    }

    fn walk(&self, listed: &Listed, end: u64, now: Micros) -> Result<SegmentReport, JournalError> {
        let about = segment::about(&self.disk, listed)?;
        let mut report = SegmentReport {
            file: listed.name.clone(),
            bytes: self.length(&listed.name)?,
            life: about.map(|about| hexadecimal(about.life)),
            first: listed.first,
            last: listed.first.saturating_sub(1),
            ..SegmentReport::default()
        };
        let Some(mut cursor) = self.cursor(listed)? else {
            report.other_edge = about.map(|about| about.edge.to_string());
            return Ok(report);
        };
        if about.is_none() {
            let bytes = report.bytes.min(HEADER_BYTES as u64);
            report.damaged.push(span(0, bytes));
        }
        let mut bodies = Check::new(self, now);
        loop {
            let mut damaged = Vec::new();
            let mut see = |_: &Path, damage: Damage| damaged.push(span(damage.at, damage.bytes));
            let frame = cursor.next(end, Some(&mut see))?;
            if let Some(frame) = &frame
                && take(&mut report, frame, &mut damaged)
            {
                bodies.see(frame)?;
            }
            report.damaged.extend(damaged);
            if frame.is_none() {
                break;
            }
        }
        report.bodies = bodies.finish();
        if report.last < end {
            report.torn_end = self.torn_end(listed, cursor.offset())?;
        }
        Ok(report)
    }

    /// What stands behind a segment's last record, if it is neither a record nor zero.
    fn torn_end(&self, listed: &Listed, from: u64) -> Result<Option<Span>, JournalError> {
        if frame::check(listed.epoch, &self.bytes(&listed.name, from)?).is_some() {
            return Ok(None);
        }
        let path = self.path(&listed.name);
        let file = self.disk.open(&listed.name);
        let file = file.map_err(JournalError::io(&path))?;
        let mut chunk = vec![0; CHUNK];
        let (mut at, mut written_to) = (from, None);
        // What cannot be read ends it: it is no record either.
        while let Ok(read @ 1..) = file.read_at(&mut chunk, at) {
            let bytes = chunk.get(..read).unwrap_or_default();
            let last = bytes.iter().rposition(|byte| *byte != 0);
            written_to = last.map(|last| at + last as u64 + 1).or(written_to);
            at += read as u64;
        }
        Ok(written_to.map(|to| Span {
            records: None,
            ..span(from, to - from)
        }))
    }

    /// Whether the record that a torn end begins with claims more bytes than its file has.
    fn is_cut(&self, listed: &Listed, torn: Span) -> Result<bool, JournalError> {
        let claimed = frame::length(&self.bytes(&listed.name, torn.offset)?);
        let length = self.length(&listed.name)?;
        Ok(claimed.is_some_and(|claimed| torn.offset + claimed as u64 > length))
    }

    /// Whether `next` was written by the recovery of a crash in `last`: of the same life, and of
    /// nothing that was drained since.
    fn recovers(&self, next: &Listed, last: &Listed) -> Result<bool, JournalError> {
        let said = |listed: &Listed| -> Result<_, JournalError> {
            let life = segment::about(&self.disk, listed)?.map(|about| about.life);
            let first = self.bytes(&listed.name, HEADER_BYTES as u64)?;
            Ok(life.zip(frame::read_drained(listed.epoch, &first)))
        };
        let last = said(last)?;
        Ok(last.is_some() && said(next)? == last)
    }

    /// As many bytes of a file as the longest record has.
    fn bytes(&self, name: &str, from: u64) -> Result<Vec<u8>, JournalError> {
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        let file = self.disk.open(name);
        let file = file.map_err(JournalError::io(&self.path(name)))?;
        let read = file.read_at(&mut bytes, from).unwrap_or(0);
        bytes.truncate(read);
        Ok(bytes)
    }

    fn length(&self, name: &str) -> Result<u64, JournalError> {
        let length = self.disk.open(name).and_then(|file| file.length());
        length.map_err(JournalError::io(&self.path(name)))
    }

    /// The rings, looked at twice where a worker may be writing.
    fn rings(&self) -> Result<Option<RingsReport>, JournalError> {
        if if_there(self.length(rings::NAME))?.is_none() {
            return Ok(None);
        }
        let first = self.walk_rings()?;
        if first.damaged.is_empty() && first.unfinished.is_empty() {
            return Ok(Some(first));
        }
        std::thread::sleep(LOOK_AGAIN);
        let mut second = self.walk_rings()?;
        second.damaged.retain(|span| first.damaged.contains(span));
        second
            .unfinished
            .retain(|span| first.unfinished.contains(span));
        Ok(Some(second))
    }

    fn walk_rings(&self) -> Result<RingsReport, JournalError> {
        let Some(left) = Left::read(&self.disk)? else {
            let header = span(0, rings::HEADER_BYTES as u64);
            return Ok(RingsReport {
                damaged: vec![header],
                ..RingsReport::default()
            });
        };
        let segments = segment::list(&self.disk)?;
        let (drained, logged) = recovery::logged(&self.disk, &segments, left.life)?;
        let found = left.walk(&drained, &logged);
        let mut unlogged = Kinds::default();
        let mut newest: HashMap<u8, u64> = (0..=u8::MAX).zip(drained).collect();
        let mut see = |origin: Origin| {
            let slot = newest.entry(origin.worker).or_default();
            *slot = origin.slot.max(*slot);
        };
        logged.into_iter().for_each(&mut see);
        let mut records = found.records.as_slice();
        while let Some(frame) = frame::read(left.life, records) {
            unlogged.add(frame.entry.as_ref());
            see(frame.head.origin);
            records = records.get(frame.head.length..).unwrap_or_default();
        }
        let mut report = RingsReport {
            life: Some(hexadecimal(left.life)),
            workers: left.rings,
            slots: left.slots,
            unlogged,
            ..RingsReport::default()
        };
        for (offset, slot) in found.torn {
            let spans = if is_unfinished(&slot, &newest) {
                &mut report.unfinished
            } else {
                &mut report.damaged
            };
            spans.push(Span {
                records: None,
                ..span(offset, slot.len() as u64)
            });
        }
        Ok(report)
    }

    /// What is there besides.
    fn list_others(&self, report: &mut Report) -> Result<(), JournalError> {
        let counting = segment::list(&self.disk)?;
        let all = segment::list_all(&self.disk)?;
        let names = self.disk.names();
        let mut names = names.map_err(JournalError::io(&self.directory))?;
        names.sort_unstable();
        let listed = |name: &str| all.iter().any(|one| one.name == name);
        let misnamed = |name: &&String| name.ends_with(segment::EXTENSION) && !listed(name);
        let older = all.iter().filter(|one| !counting.contains(one));
        let older = older.map(|one| one.name.clone()).collect();
        let mut aside = quarantine::names(&self.disk);
        aside.sort_unstable();
        report.misnamed = self.others(names.iter().filter(misnamed).cloned().collect())?;
        report.superseded = self.others(older)?;
        report.set_aside = self.others(aside)?;
        Ok(())
    }

    fn others(&self, names: Vec<String>) -> Result<Vec<Other>, JournalError> {
        let mut others = Vec::with_capacity(names.len());
        for file in names {
            let length = if_there(self.length(&file))?;
            others.extend(length.map(|bytes| Other { file, bytes }));
        }
        Ok(others)
    }
}

/// Counts a record in, and what is missing before it; whether it counts. The first of all, which
/// speaks of the journal itself, has sequence 0.
fn take(report: &mut SegmentReport, frame: &Frame, damaged: &mut [Span]) -> bool {
    let sequence = frame.head.sequence;
    if sequence <= report.last {
        return false;
    }
    let missing = sequence - report.last - 1;
    match damaged.first_mut() {
        Some(span) => span.records = Some(missing),
        None if missing == 0 => {}
        None => report.skipped.push(Gap {
            from: report.last + 1,
            to: sequence - 1,
        }),
    }
    report.last = sequence;
    report.records.add(frame.entry.as_ref());
    let at = match &frame.entry {
        Some(Entry::Hit(hit)) => Some(hit.at),
        Some(Entry::Act(act)) => Some(act.at),
        _ => None,
    };
    if let Some(at) = at {
        let earlier = |known: Micros| known.min(at);
        report.oldest = Some(report.oldest.map_or(at, earlier));
        report.newest = report.newest.max(Some(at));
    }
    true
}

/// Whether a slot that does not validate is one that its worker was about to fill when it was
/// killed: next in turn, and without the last word, which is stored last.
fn is_unfinished(slot: &[u8], newest: &HashMap<u8, u64>) -> bool {
    let origin = slot.get(16..24).and_then(|bytes| bytes.first_chunk());
    let Some(origin) = origin.map(|bytes| Origin::unpack(u64::from_le_bytes(*bytes))) else {
        return false;
    };
    let newest = newest.get(&origin.worker).copied().unwrap_or(0);
    let in_turn = origin.slot > newest && origin.slot <= newest + RECORD_SLOTS_MAX;
    let long = frame::length(slot).is_some_and(|length| length > SLOT_BYTES);
    in_turn && (long || slot.ends_with(&[0; 8]))
}

fn span(offset: u64, bytes: u64) -> Span {
    Span {
        offset,
        bytes,
        records: Some(0),
    }
}

fn hexadecimal(number: u32) -> String {
    format!("{number:08x}")
}
