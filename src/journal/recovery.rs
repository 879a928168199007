//! What a start finds: the last sequence of the log, and records that a crash left in the rings.
//!
//! Everything is keyed by (life, worker, slot): a crash in the middle of a recovery repeats it.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::disk::{Disk, read_all_past_errors};
use super::frame::{self, ALIGN, Origin};
use super::reader::Cursor;
use super::rings::{Found, Left};
use super::segment::{self, HEADER_BYTES, Listed, Segments};
use super::{EdgeId, JournalCounts, JournalError, quarantine};

/// Puts what the rings of an earlier life hold into the log, behind `known` too, which the store
/// has counted; says the log's last sequence. Everything up to it is synced then.
pub(super) fn recover(
    segments: &Segments,
    left: Option<&Left>,
    known: u64,
    counts: &JournalCounts,
) -> Result<u64, JournalError> {
    let disk = &*segments.disk;
    let listed = segments.list()?;
    // A process that was killed may have left records to the page cache.
    for one in &listed {
        let synced = disk.open(&one.name).and_then(|file| file.sync());
        synced.map_err(JournalError::io(&disk.path(&one.name)))?;
    }
    let last = last_sequence(disk, &listed, segments.edge, counts)?.max(known);
    let Some(left) = left else {
        return Ok(last);
    };
    let (drained, logged) = logged(disk, &listed, left.life)?;
    let Found {
        mut records,
        count,
        torn,
    } = left.walk(&drained, &logged);
    for (at, bytes) in &torn {
        quarantine::keep(disk, super::rings::NAME, *at, bytes);
    }
    let torn = torn.len() as u64;
    counts.torn.fetch_add(torn, Ordering::Relaxed);
    if torn > 0 {
        tracing::error!(
            slots = torn,
            "journal: the rings hold damaged records; set aside"
        );
    }
    if records.is_empty() {
        return Ok(last);
    }
    segments
        .of_life(left.life)
        .create(last + 1, &drained, |epoch| {
            frame::seal_all(&mut records, epoch, last + 1);
            records
        })?;
    counts.recovered.fetch_add(count, Ordering::Relaxed);
    tracing::info!(
        records = count,
        "journal: recovered what the last process left in its rings"
    );
    Ok(last + count)
}

/// The highest sequence in the log, 0 if it is empty.
///
/// Where the end of a segment cannot be read, it is the highest that its bytes could have held:
/// no sequence is ever given twice.
fn last_sequence(
    disk: &dyn Disk,
    listed: &[Listed],
    edge: EdgeId,
    counts: &JournalCounts,
) -> Result<u64, JournalError> {
    let Some(newest) = listed.last() else {
        return Ok(0);
    };
    let mut last = newest.first.saturating_sub(1);
    let Some(mut cursor) = Cursor::open(disk, newest, edge, counts)? else {
        return Ok(last);
    };
    while let Some(frame) = cursor.next(u64::MAX, None)? {
        last = last.max(frame.head.sequence);
    }
    // What stands behind the last valid record may have been records.
    let bytes = bytes_of(disk, newest)?;
    let behind = bytes.get(usize::try_from(cursor.offset()).unwrap_or(0)..);
    let behind = behind.unwrap_or_default();
    let written = behind.iter().rposition(|byte| *byte != 0);
    let lost = written.map_or(0, |at| at / ALIGN + 1);
    Ok(last + lost as u64)
}

/// What the log says of the rings of `life`: up to where they were drained before its newest
/// segments, and what stands in those.
///
/// A segment that a recovery made says the same as the one before it, whose records it does not
/// hold; so all that say the same are looked at.
pub(super) fn logged(
    disk: &dyn Disk,
    listed: &[Listed],
    life: u32,
) -> Result<(Vec<u64>, HashSet<Origin>), JournalError> {
    let mut origins = HashSet::new();
    let mut newest: Option<Vec<u64>> = None;
    for one in listed.iter().rev() {
        let about = segment::about(disk, one)?;
        if about.is_some_and(|about| about.life != life) {
            continue;
        }
        let bytes = bytes_of(disk, one)?;
        let records = bytes.get(HEADER_BYTES..).unwrap_or_default();
        // Where this record is damaged, the segment before says it too, of an earlier time.
        let drained = frame::read_drained(one.epoch, records);
        if drained.is_some() && newest.is_some() && drained != newest {
            break;
        }
        newest = newest.or(drained);
        let mut at = 0;
        while let Some(rest) = records.get(at..).filter(|rest| !rest.is_empty()) {
            match frame::check(one.epoch, rest) {
                Some(head) => {
                    origins.insert(head.origin);
                    at += head.length;
                }
                None => at += ALIGN,
            }
        }
    }
    Ok((newest.unwrap_or_default(), origins))
}

fn bytes_of(disk: &dyn Disk, listed: &Listed) -> Result<Vec<u8>, JournalError> {
    let file = disk.open(&listed.name);
    let bytes = file.and_then(|file| read_all_past_errors(&*file));
    bytes.map_err(JournalError::io(&disk.path(&listed.name)))
}
