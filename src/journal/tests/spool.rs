//! Bodies of delivery events: what was acknowledged is read back as it came, until it expires.

use std::sync::Arc;
use std::time::Duration;

use super::model::Model;
use super::{Running, hit};
use crate::domain::campaign::CampaignId;
use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::journal::disk::Disk;
use crate::journal::spool::{WAITING_BYTES_EACH_MIN, WAITING_BYTES_MAX};
use crate::journal::{
    Accepted, Entry, Journal, JournalError, JournalOptions, Reason, Received, Source, frame,
    spool_file,
};

const AT: Micros = Micros::new(1_800_000_000_000_000);
const HOUR: i64 = 3_600_000_000;

fn open(disk: &Model) -> Arc<Journal> {
    Journal::open_on(Arc::new(disk.clone()), JournalOptions::default()).unwrap()
}

/// A body over several sectors.
fn body(n: u8) -> Vec<u8> {
    vec![n; 700 + usize::from(n)]
}

/// Keeps a body; where it is, and its record.
pub(super) fn keep_body(
    journal: &Arc<Journal>,
    at: Micros,
    body: &[u8],
) -> Result<(Received, Vec<u8>), JournalError> {
    let room = journal.spool_room(body.len())?;
    let received = room.spool(&Source::API, at, body)?;
    let mut record = Vec::new();
    frame::write_received(&mut record, &received);
    Ok((received, record))
}

fn keep_at(journal: &Arc<Journal>, at: Micros, n: u8) -> Result<Received, JournalError> {
    keep_body(journal, at, &body(n)).map(|(received, _)| received)
}

fn keep(journal: &Arc<Journal>, n: u8) -> Result<Received, JournalError> {
    keep_at(journal, AT, n)
}

fn files(disk: &Model) -> usize {
    spool_file::numbers(disk).unwrap().len()
}

fn is_there(journal: &Arc<Journal>, received: &Received, n: u8) -> bool {
    journal.body_of(received).unwrap() == Some(body(n))
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_no_file_is_written_again() {
    let disk = Model::default();
    let mut kept = Vec::new();
    for n in 0..6 {
        let journal = open(&disk);
        kept.push((keep(&journal, n).unwrap(), n));
        kept.push((keep(&journal, n + 100).unwrap(), n + 100));
        drop(journal);
        // Nothing that was not synced survives.
        disk.cut(|| false);
    }
    assert_eq!(files(&disk), 6, "one of each life");
    let journal = open(&disk);
    for (received, n) in &kept {
        assert!(is_there(&journal, received, *n), "{received:?}");
    }
}

#[test]
fn a_failed_fsync_refuses_and_is_final_for_its_file() {
    let disk = Model::default();
    let journal = open(&disk);
    let first = keep(&journal, 1).unwrap();
    disk.set(|faults| faults.fail_sync = true);
    assert!(matches!(keep(&journal, 2), Err(JournalError::Io { .. })));
    let third = keep(&journal, 3).unwrap();
    assert_ne!(third.spool, first.spool);
    disk.cut(|| false);
    let journal = open(&disk);
    assert!(is_there(&journal, &first, 1) && is_there(&journal, &third, 3));
}

#[test]
fn whoever_shares_a_failed_fsync_is_refused_with_the_others() {
    for round in 0..40_u64 {
        let disk = Model::default();
        let journal = open(&disk);
        let kept: Vec<_> = std::thread::scope(|scope| {
            let keeping = |n| {
                let (disk, journal) = (&disk, &journal);
                scope.spawn(move || {
                    if n % 3 == 0 {
                        std::thread::sleep(Duration::from_micros(round * u64::from(n)));
                        disk.set(|faults| faults.fail_sync = true);
                    }
                    let kept = keep(journal, n);
                    kept.ok().map(|received| (received, n))
                })
            };
            let threads: Vec<_> = (1..9).map(keeping).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.flatten().collect()
        });
        disk.set(|faults| faults.fail_sync = false);
        disk.cut(|| false);
        let journal = open(&disk);
        for (received, n) in &kept {
            assert!(is_there(&journal, received, *n), "{round}: {received:?}");
        }
    }
}

#[test]
fn a_full_disk_is_said_until_it_takes_records_again() {
    let disk = Model::default();
    let journal = open(&disk);
    let mut drainer = journal.drainer();
    let first = keep(&journal, 1).unwrap();
    disk.set(|faults| faults.full = true);
    assert!(keep(&journal, 2).is_err(), "half written");
    assert!(keep(&journal, 3).is_err(), "no other file");
    assert!(drainer.round().is_err());
    assert_eq!(journal.refusing(), Some(Reason::DiskFull));
    disk.set(|faults| faults.full = false);
    drainer.round().unwrap();
    assert_eq!(journal.refusing(), None);
    let fourth = keep(&journal, 4).unwrap();
    assert_ne!(fourth.spool, first.spool);
    assert!(is_there(&journal, &first, 1) && is_there(&journal, &fourth, 4));
    assert_eq!(files(&disk), 2, "failed attempts leave nothing");
}

#[test]
fn a_file_ends_when_it_is_large_or_old_or_the_clock_was_set_back() {
    let disk = Model::default();
    let mut journal = open(&disk);
    Arc::get_mut(&mut journal).unwrap().spool.file_bytes_max = 2_000;
    let mut kept = Vec::new();
    for (n, later, file) in [
        (1, 0, 0),
        (2, 1, 0),
        (3, 2, 1),
        (4, 2 + 6 * HOUR, 1),
        (5, 2 + 7 * HOUR, 2),
        (6, 2 + 6 * HOUR, 2),
        (7, 2 - HOUR, 3),
        (8, 2 - 9 * HOUR, 4),
    ] {
        let received = keep_at(&journal, AT.plus(later), n).unwrap();
        let numbers = spool_file::numbers(&disk).unwrap();
        let place = numbers.iter().position(|number| *number == received.spool);
        assert_eq!(place, Some(file), "{n}");
        kept.push((received, n));
    }
    for (received, n) in &kept {
        assert!(is_there(&journal, received, *n), "{received:?}");
    }
}

#[test]
fn no_more_than_the_limit_waits() {
    let journal = open(&Model::default());
    let mut rooms: Vec<_> = (0..3)
        .map(|_| journal.spool_room(WAITING_BYTES_MAX / 4).unwrap())
        .collect();
    while let Ok(room) = journal.spool_room(1) {
        rooms.push(room);
    }
    assert_eq!(
        rooms.len() - 3,
        WAITING_BYTES_MAX / 4 / WAITING_BYTES_EACH_MIN
    );
    rooms.clear();
    assert!(journal.spool_room(WAITING_BYTES_MAX + 1).is_err());
    assert!(journal.spool_room(WAITING_BYTES_MAX).is_ok());
}

#[test]
fn a_disk_that_hangs_refuses_whoever_comes_after_a_second() {
    let disk = Model::default();
    let journal = open(&disk);
    keep(&journal, 1).unwrap();
    disk.set(|faults| faults.hang_sync = true);
    let received = std::thread::scope(|scope| {
        let waits = scope.spawn(|| keep(&journal, 2));
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while journal.spool_room(1).is_ok() {
            assert!(std::time::Instant::now() < until, "still taken");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(journal.refusing(), Some(Reason::DiskHung));
        // Nor is the deletion of the old held up.
        journal.expire(0, Micros::default()).unwrap();
        disk.set(|faults| faults.hang_sync = false);
        waits.join().unwrap().unwrap()
    });
    assert_eq!(journal.refusing(), None);
    assert!(journal.spool_room(1).is_ok());
    assert!(is_there(&journal, &received, 2));
}

#[test]
fn another_body_than_what_came_is_not_given_out() {
    let disk = Model::default();
    let journal = open(&disk);
    let received = keep(&journal, 1).unwrap();
    let last = usize::try_from(received.offset).unwrap() + body(1).len() - 1;
    disk.edit(&received.file(), |bytes| bytes[last] ^= 1);
    let damaged = |found| matches!(found, Err(JournalError::Body { .. }));
    assert!(damaged(journal.body_of(&received)));
    disk.edit(&received.file(), |bytes| bytes.truncate(last));
    assert!(damaged(journal.body_of(&received)), "cut");
    let far = Received {
        offset: u64::MAX,
        length: u32::MAX,
        ..received.clone()
    };
    assert!(damaged(journal.body_of(&far)));
    disk.remove(&received.file()).unwrap();
    assert_eq!(journal.body_of(&received).unwrap(), None);
}

#[test]
fn a_newer_file_is_refused() {
    let disk = Model::default();
    let journal = open(&disk);
    let received = keep(&journal, 1).unwrap();
    disk.edit(&received.file(), |bytes| {
        bytes[8] = 2;
        let sum = crc32c::crc32c(&bytes[..24]).to_le_bytes();
        bytes[24..28].copy_from_slice(&sum);
    });
    let newer = journal.body_of(&received);
    assert!(matches!(newer, Err(JournalError::Newer { .. })));
}

#[test]
fn only_what_is_settled_and_old_expires() {
    let disk = Model::default();
    let journal = open(&disk);
    let (mut drainer, mut syncer) = (journal.drainer(), journal.syncer());
    let (received, record) = keep_body(&journal, AT, &body(1)).unwrap();
    journal.lane.submit(&record).unwrap();
    // The model's files are as old as time.
    let young = Micros::new((7 * 24 - 7) * HOUR);
    let old = Micros::new((7 * 24 - 7) * HOUR + 1);
    for _ in 0..4 {
        journal.expire(u64::MAX - 1, young).unwrap();
    }
    assert!(is_there(&journal, &received, 1), "not old enough");
    // Seen old while its record is still on the way, as after a leap of the clock.
    journal.expire(journal.last(), old).unwrap();
    drainer.round().unwrap();
    syncer.round(Duration::ZERO).unwrap();
    let last = journal.last();
    for settled_to in [last - 1, last - 1, last - 1] {
        journal.expire(settled_to, old).unwrap();
        assert!(is_there(&journal, &received, 1), "not settled");
    }
    journal.expire(last, old).unwrap();
    assert_eq!(journal.body_of(&received).unwrap(), None);
    assert_eq!(files(&disk), 0, "also the one that was open");
    let next = keep(&journal, 2).unwrap();
    assert!(is_there(&journal, &next, 2));
}

#[test]
fn bytes_that_were_set_aside_go_with_the_records() {
    let disk = Model::default();
    let journal = open(&disk);
    disk.create("x-64.damaged").unwrap();
    let there = || {
        disk.names()
            .unwrap()
            .iter()
            .any(|name| name == "x-64.damaged")
    };
    journal.expire(0, Micros::new(24 * HOUR)).unwrap();
    assert!(there());
    journal.expire(0, Micros::new(24 * HOUR + 1)).unwrap();
    assert!(!there());
}

#[test]
fn a_delivery_is_read_with_its_acceptances_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::open(directory.path(), JournalOptions::default());
    running.append(1..3);
    let journal = &running.journal;
    let source = Source::parse(&"s".repeat(Source::BYTES_MAX)).unwrap();
    let room = journal.spool_room(3).unwrap();
    let received = room.spool(&source, hit(7).at, b"{ }").unwrap();
    let accepted = |number| Accepted {
        at: AT,
        message: MessageId {
            campaign: CampaignId::new(1).unwrap(),
            minted_at: 1,
            number,
        },
    };
    let all = [accepted(1), accepted(2)];
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    runtime
        .block_on(journal.append_delivery(&received, &all))
        .unwrap();
    let entries = journal.reader(0).read(10).unwrap();
    let entries: Vec<_> = entries.into_iter().map(|(_, entry)| entry).collect();
    let [one, two] = all.map(Entry::Accepted);
    assert_eq!(entries[2..], [Entry::Received(received.clone()), one, two]);
    assert_eq!(journal.body_of(&received).unwrap().unwrap(), b"{ }");
    for wrong in ["", "a b", "ä", &"s".repeat(Source::BYTES_MAX + 1)] {
        assert_eq!(Source::parse(wrong), None);
    }
}

#[test]
fn a_spool_that_is_too_large_gives_up_its_oldest_settled_file() {
    let disk = Model::default();
    let options = JournalOptions {
        spool_bytes_max: 1_000,
        ..JournalOptions::default()
    };
    let mut kept = Vec::new();
    // Each start begins a file.
    for n in 1..=3 {
        let journal = Journal::open_on(Arc::new(disk.clone()), options.clone()).unwrap();
        kept.push(keep(&journal, n).unwrap());
    }
    let journal = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    for _ in 0..3 {
        journal.expire(u64::MAX - 1, Micros::default()).unwrap();
    }
    let there: Vec<_> = kept
        .iter()
        .map(|one| journal.body_of(one).unwrap().is_some())
        .collect();
    assert_eq!(there, [false, false, true]);
}

#[test]
fn a_journal_that_waits_for_its_disk_takes_no_body_and_deletes_none() {
    let disk = Model::default();
    let received = keep(&open(&disk), 1).unwrap();
    let options = JournalOptions::default();
    let journal = Journal::closed(Arc::new(disk.clone()), options).unwrap();
    assert!(matches!(keep(&journal, 2), Err(JournalError::NotSynced)));
    let late = Micros::new(30 * 24 * HOUR);
    for _ in 0..4 {
        journal.expire(u64::MAX - 1, late).unwrap();
    }
    assert!(is_there(&journal, &received, 1));
    journal.begin().unwrap();
    assert!(keep(&journal, 2).is_ok());
}
