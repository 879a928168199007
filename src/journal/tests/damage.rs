//! Segments cut and flipped anywhere: every start works, loses what was touched, and says so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::hit;
use super::model::Model;
use crate::domain::record::{Hit, Target};
use crate::journal::disk::Disk;
use crate::journal::sabotage::{self, Sabotage};
use crate::journal::{Entry, Journal, JournalOptions, rings, segment};

fn options() -> JournalOptions {
    JournalOptions {
        ring_slots: 128,
        segment_bytes_max: 64 << 10,
        ..JournalOptions::default()
    }
}

/// Two segments of 64 KiB, as a process that was killed leaves them: their names, the disk, and
/// how many hits are in them.
fn two_segments() -> (Model, Vec<segment::Listed>, u32) {
    let disk = Model::default();
    let journal = Journal::open_on(Arc::new(disk.clone()), options()).unwrap();
    let mut keeper = journal.keeper().unwrap();
    let (mut drainer, mut syncer) = (journal.drainer(), journal.syncer());
    let mut sent = 0;
    let full = 2 * (64 << 10) / 128 - 4;
    while sent < full {
        sent += 1;
        keeper.keep(&hit(sent), &|_| Vec::new()).unwrap();
        drainer.round().unwrap();
        syncer.round(Duration::ZERO).unwrap();
    }
    drop(keeper);
    disk.kill();
    let segments = segment::list(&disk).unwrap();
    assert_eq!(segments.len(), 2);
    (disk, segments, sent)
}

fn left(disk: &Model) -> (Vec<u32>, u64) {
    let journal = Journal::open_on(Arc::new(disk.clone()), options()).unwrap();
    let entries = journal.reader(0).read(10_000).unwrap();
    let left = entries.into_iter().filter_map(|(_, entry)| match entry {
        Entry::Hit(Hit {
            target: Target::Campaign(_, n),
            ..
        }) => Some(n),
        _ => None,
    });
    let left = left.collect();
    (left, journal.counts().damaged.load(Ordering::Relaxed))
}

#[test]
fn cut_at_every_byte() {
    let (disk, segments, sent) = two_segments();
    let newest = segments[1].name.clone();
    let mut whole = Vec::new();
    disk.edit(&newest, |bytes| whole.clone_from(bytes));
    let before = u32::try_from(segments[1].first - 1).unwrap();
    let begins_at = 64 + crate::journal::frame::length(&whole[64..]).unwrap();
    for length in 0..whole.len() {
        let disk = disk.copy();
        disk.edit(&newest, |bytes| bytes.truncate(length));
        let (left, _) = left(&disk);
        let whole = u32::try_from(length.saturating_sub(begins_at) / 128).unwrap();
        let expected = (before + whole).min(sent);
        assert!(left.iter().copied().eq(1..=expected), "cut at {length}");
    }
}

/// Flips ten bits, since a start costs more than a flip, and looks at what is left.
fn flip_ten_bits(made: &(Model, Vec<segment::Listed>, u32), round: u64) -> Result<(), String> {
    let (disk, segments, sent) = made;
    let mut state = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let disk = disk.copy();
    let (mut touched, mut flipped) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..10 {
        let one = &segments[random(2)];
        disk.edit(&one.name, |bytes| {
            let begins_at = 64 + 64;
            let (at, bit) = (random(bytes.len()), random(8));
            if !flipped.insert((one.first, at)) {
                return;
            }
            bytes[at] ^= 1 << bit;
            if let Some(behind) = at.checked_sub(begins_at) {
                touched.insert(one.first + behind as u64 / 128);
            }
        });
    }
    let (left, damaged) = left(&disk);
    let expected = (1..=u64::from(*sent)).filter(|n| !touched.contains(n));
    if !left.iter().map(|n| u64::from(*n)).eq(expected) {
        let kept: BTreeSet<_> = left.iter().map(|n| u64::from(*n)).collect();
        let lost: Vec<_> = (1..=u64::from(*sent))
            .filter(|n| !kept.contains(n))
            .collect();
        return Err(format!("{touched:?} were touched, {lost:?} lost"));
    }
    // The last record of all is the end of the log when it is damaged, and no span.
    touched.remove(&u64::from(*sent));
    if damaged == 0 && !touched.is_empty() {
        return Err(format!("{touched:?} were lost without a word"));
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_flipped_bits() {
    let made = two_segments();
    for round in 0..10_000 {
        assert_eq!(flip_ten_bits(&made, round), Ok(()), "round {round}");
    }
}

/// A disk loses 4 KiB at once.
#[test]
fn a_sector_that_cannot_be_read_costs_what_stood_on_it() {
    let (disk, segments, sent) = two_segments();
    let lost_of = |first: u64, at: usize| {
        let (from, to) = (at / 4_096 * 4_096, at / 4_096 * 4_096 + 4_096);
        let record = move |n: u64| 128 + usize::try_from(n - first).unwrap() * 128;
        let touched = move |n: u64| record(n) < to && record(n) + 128 > from;
        move |n: u32| u64::from(n) >= first && touched(u64::from(n))
    };
    for (one, at) in [(0, 0), (0, 20_000), (1, 0), (1, 40_000), (1, 65_000)] {
        let disk = disk.copy();
        let segment = &segments[one];
        disk.spoil(&segment.name, at);
        let end = segments.get(one + 1).map_or(u64::MAX, |next| next.first);
        let lost = lost_of(segment.first, at);
        let lost = |n: u32| u64::from(n) < end && lost(n);
        let expected: Vec<_> = (1..=sent).filter(|n| !lost(*n)).collect();
        assert_eq!(left(&disk).0, expected, "segment {one} at {at}");
        // Nobody is given the sequence of a record that may have stood there.
        let journal = Journal::open_on(Arc::new(disk), options()).unwrap();
        assert!(journal.last() >= u64::from(sent), "segment {one} at {at}");
    }
}

#[test]
fn rings_whose_header_cannot_be_read_are_set_aside_as_they_are() {
    let (disk, _, sent) = two_segments();
    disk.spoil(rings::NAME, 0);
    assert!(left(&disk).0.into_iter().eq(1..=sent));
    let aside: Vec<_> = disk.names().unwrap();
    assert!(aside.contains(&"rings-0.damaged".to_owned()), "{aside:?}");
    assert!(left(&disk).0.into_iter().eq(1..=sent));
}

#[test]
fn records_believed_whatever_their_sum_are_caught() {
    let made = two_segments();
    let flip = |round| sabotage::with(Some(Sabotage::NoSums), || flip_ten_bits(&made, round));
    assert!(
        (0..20).any(|round| flip(round).is_err()),
        "nobody noticed that no sum was looked at"
    );
}
