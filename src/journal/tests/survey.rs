//! A survey tells what a crash cut off from what is damaged, and changes nothing.

use std::path::Path;
use std::time::Duration;

use super::spool::keep_body;
use super::{Running, begins_at, hit, segments};
use crate::domain::time::Micros;
use crate::journal::ring::SLOT_BYTES;
use crate::journal::{Journal, JournalOptions, Report, Survey, frame, rings};

fn check(directory: &Path) -> Report {
    check_at(directory, Micros::default())
}

fn check_at(directory: &Path, now: Micros) -> Report {
    let survey = Survey::open(directory).unwrap().unwrap();
    survey.check(now, &mut |_| ()).unwrap()
}

/// Ten hits of which the drainer wrote `drained`, and then the process died.
fn died(directory: &Path, drained: u32) {
    let journal = Journal::open(directory, JournalOptions::default()).unwrap();
    let mut keeper = journal.keeper().unwrap();
    let (mut drainer, mut syncer) = (journal.drainer(), journal.syncer());
    for n in 1..=10 {
        keeper.keep(&hit(n), &|_| Vec::new()).unwrap();
        if n == drained {
            drainer.round().unwrap();
            syncer.round(Duration::ZERO).unwrap();
        }
    }
}

#[test]
fn a_write_that_a_crash_cut_off_is_explained_by_the_rings() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    died(directory, 0);
    let rings = std::fs::read(directory.join(rings::NAME)).unwrap();
    let full = tempfile::tempdir().unwrap();
    died(full.path(), 10);
    // What the drainer wrote when the process died, under the epoch of this segment.
    let (to, from) = (
        segments(directory).remove(0),
        segments(full.path()).remove(0),
    );
    let written = std::fs::read(&from).unwrap();
    let epoch = |path: &Path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        u32::from_str_radix(name.rsplit('-').next().unwrap(), 16).unwrap()
    };
    let records = frame::reseal(&written[begins_at(&from)..], epoch(&from), epoch(&to));
    let mut bytes = std::fs::read(&to).unwrap();
    bytes.extend_from_slice(&records[..5 * 128 + 40]);
    std::fs::write(&to, &bytes).unwrap();
    assert_eq!(std::fs::read(directory.join(rings::NAME)).unwrap(), rings);

    let report = check(directory);
    let torn = report.segments[0].torn_end.unwrap();
    assert_eq!(torn.offset, bytes.len() as u64 - 40);
    assert!(report.segments[0].end_recovered && report.is_sound());
    assert_eq!(report.records().hits, 5);
    assert_eq!(report.rings.unwrap().unlogged.hits, 5);

    // The next start puts them into a segment of their own; the end stays explained.
    drop(Running::open(directory, JournalOptions::default()));
    let report = check(directory);
    assert!(report.segments[0].end_recovered && report.is_sound());
    assert_eq!((report.records().hits, report.gaps.len()), (10, 0));
    assert_eq!(report.rings.unwrap().unlogged.total(), 0);

    // Without the rings the same end is damage.
    std::fs::remove_file(segments(directory).remove(1)).unwrap();
    let report = check(directory);
    assert!(!report.segments[0].end_recovered && !report.is_sound());
}

#[test]
fn a_slot_that_was_being_written_is_told_from_a_damaged_one() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    died(directory, 4);
    let path = directory.join(rings::NAME);
    let whole = std::fs::read(&path).unwrap();
    let slot = |n: usize| rings::HEADER_BYTES + (n - 1) * SLOT_BYTES;
    let change = |at: std::ops::Range<usize>, to: u8| {
        let mut bytes = whole.clone();
        bytes[at].fill(to);
        std::fs::write(&path, &bytes).unwrap();
        let report = check(directory);
        (report.is_sound(), report.rings.unwrap())
    };
    let (sound, rings) = change(slot(10) + 64..slot(11), 0);
    assert!(sound && rings.damaged.is_empty());
    assert_eq!(rings.unfinished[0].offset, slot(10) as u64);
    assert_eq!(rings.unlogged.hits, 5);
    let (sound, rings) = change(slot(7) + 64..slot(7) + 65, 0xee);
    assert!(!sound && rings.unfinished.is_empty());
    assert_eq!(rings.damaged[0].offset, slot(7) as u64);
    assert_eq!(rings.unlogged.hits, 5);
    let (sound, rings) = change(0..1, 0);
    assert!(!sound && rings.life.is_none());
}

#[test]
fn what_was_written_again_is_counted_once_and_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut running = Running::open(directory, JournalOptions::default());
    running.append(1..11);
    running.synced();
    let path = segments(directory).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let begins_at = begins_at(&path);
    let epoch = running.journal.segments.list().unwrap()[0].epoch;
    let tail = &bytes[begins_at + 7 * 128..];
    let reseal = |to| frame::reseal(tail, epoch, to);
    running.journal.segments.create(8, &[7], reseal).unwrap();
    let mut damaged = bytes.clone();
    damaged[begins_at + 8 * 128..begins_at + 9 * 128].fill(1);
    std::fs::write(&path, &damaged).unwrap();
    let report = check(directory);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.records().hits, 10);
    let survey = Survey::open(directory).unwrap().unwrap();
    let mut records = survey.records(3, 9).unwrap();
    let mut sequences = Vec::new();
    while let Some(record) = records.read(&mut |_, _, _| panic!("damage")).unwrap() {
        sequences.push(record.sequence);
    }
    assert_eq!(sequences, (3..=9).collect::<Vec<_>>());
}

#[test]
fn a_body_that_is_missing_is_lost_unless_it_may_have_expired() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let at = Micros::new(1_800_000_000_000_000);
    let mut files = Vec::new();
    for n in 0..3_i64 {
        let running = Running::open(directory, JournalOptions::default());
        let kept = keep_body(&running.journal, at.plus(n), b"{}");
        let (received, record) = kept.unwrap();
        running.journal.lane.submit(&record).unwrap();
        files.push(directory.join(received.file()));
    }
    let day = 86_400_000_000;
    let found = |now: i64| {
        let report = check_at(directory, at.plus(now));
        let mut sums = [0; 3];
        for one in report.segments.iter().map(|segment| &segment.bodies) {
            let lost: u64 = one.lost.iter().map(|lost| lost.bodies).sum();
            sums = [sums[0] + one.sound, sums[1] + one.expired, sums[2] + lost];
        }
        assert_eq!(report.is_sound(), sums[2] == 0, "{report:?}");
        sums
    };
    assert_eq!(found(day), [3, 0, 0]);
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(found(1), [2, 0, 1], "nothing expires as early as that");
    assert_eq!(found(day), [2, 1, 0]);
    std::fs::remove_file(&files[2]).unwrap();
    assert_eq!(found(day), [1, 1, 1], "an older one is there");
    std::fs::remove_file(&files[1]).unwrap();
    assert_eq!(found(day), [0, 3, 0]);
    assert_eq!(check_at(directory, at).spool.files, 0);
}
