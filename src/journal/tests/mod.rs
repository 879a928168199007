//! Promises of the journal: what was kept is read back, once, in order, past damage, rolls and
//! restarts.

mod damage;
mod elsewhere;
mod faults;
mod model;
mod spool;
mod survey;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::disk::Directory;
use super::*;
use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use crate::domain::network::NetworkFacts;
use crate::domain::record::Target;
use std::path::PathBuf;

/// The click of a person on link `n`, of no message.
pub(crate) fn hit(n: u32) -> Hit {
    Hit {
        at: Micros::new(1_800_000_000_000_000 + i64::from(n)),
        target: Target::Campaign(CampaignId::new(1).unwrap(), n),
        message: None,
        address: Some("192.0.2.1".parse().unwrap()),
        agent: 0,
        headers: 0,
        facts: Facts::NONE,
        network: NetworkFacts::default(),
        kind: HitKind::Click,
        method: Method::Get,
        http: HttpVersion::Http11,
        scheme: Scheme::Https,
        answer: Answer::Redirected,
        level: PrivacyLevel::Individual,
        token: TokenState::Valid,
        verdict: Verdict {
            score: Score::from_tenths(1),
            class: Class::Human,
        },
        ruleset: RuleSetId(1),
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    }
}

/// A journal with its threads running; stopped when dropped.
struct Running {
    journal: Arc<Journal>,
    keeper: Keeper,
    stops: [Arc<AtomicBool>; 2],
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    fn open(directory: &Path, options: JournalOptions) -> Self {
        let journal = Journal::open(directory, options).unwrap();
        let stops: [Arc<AtomicBool>; 2] = Default::default();
        let [drain_until, sync_until] = stops.clone();
        let (drainer, syncer) = (journal.drainer(), journal.syncer());
        #[expect(clippy::disallowed_methods, reason = "a test is its own owner")]
        let threads = vec![
            std::thread::spawn(move || drainer.run(&|| drain_until.load(Ordering::Relaxed))),
            std::thread::spawn(move || syncer.run(&|| sync_until.load(Ordering::Relaxed))),
        ];
        Self {
            keeper: journal.keeper().unwrap(),
            journal,
            stops,
            threads,
        }
    }

    fn append(&mut self, numbers: std::ops::Range<u32>) {
        for n in numbers {
            self.keeper.keep(&hit(n), &|_| Vec::new()).unwrap();
        }
    }

    fn synced(&self) {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while !self.journal.is_synced() {
            assert!(std::time::Instant::now() < until, "not synced");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (stop, thread) in self.stops.iter().zip(self.threads.drain(..)) {
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }
}

/// Numbers of all hits after `position`, with their sequences.
fn read(journal: &Arc<Journal>, position: u64) -> Vec<(u64, u32)> {
    let mut reader = journal.reader(position);
    let mut numbers = Vec::new();
    loop {
        let entries = reader.read(7).unwrap();
        if entries.is_empty() {
            return numbers;
        }
        for (sequence, entry) in entries {
            if let Entry::Hit(Hit {
                target: Target::Campaign(_, n),
                ..
            }) = entry
            {
                numbers.push((sequence, n));
            }
        }
    }
}

fn numbers(journal: &Arc<Journal>) -> Vec<u32> {
    read(journal, 0).into_iter().map(|(_, n)| n).collect()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let listed = segment::list(&Directory::open(directory).unwrap()).unwrap();
    listed.iter().map(|one| directory.join(&one.name)).collect()
}

/// Where the records of a segment begin.
fn begins_at(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    64 + frame::length(&bytes[64..]).unwrap()
}

#[test]
fn what_was_appended_is_read_in_order_across_rolls_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let small = JournalOptions {
        segment_bytes_max: 1_024,
        ..JournalOptions::default()
    };
    let mut next = 1;
    for life in 0..3 {
        let mut running = Running::open(directory.path(), small.clone());
        for _ in 0..5 {
            running.append(next..next + 20);
            next += 20;
            running.synced();
        }
        assert_eq!(
            numbers(&running.journal),
            (1..next).collect::<Vec<_>>(),
            "life {life}"
        );
    }
    assert!(segments(directory.path()).len() > 5, "rolled");
    let running = Running::open(directory.path(), small);
    let all = read(&running.journal, 0);
    assert!(
        all.is_sorted_by(|(one, _), (two, _)| one < two),
        "sequences rise"
    );
    let (sequence, _) = all[100];
    assert_eq!(
        read(&running.journal, sequence),
        all[101..].to_vec(),
        "after any position"
    );
}

#[test]
fn texts_come_before_the_first_record_of_each_life_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut running = Running::open(directory.path(), JournalOptions::default());
        for _ in 0..2 {
            let named = Hit {
                agent: 7,
                headers: 8,
                ..hit(1)
            };
            let text = |kind| format!("{kind:?}").into_bytes();
            running.keeper.keep(&named, &text).unwrap();
        }
        running.synced();
    }
    let running = Running::open(directory.path(), JournalOptions::default());
    let entries = running.journal.reader(0).read(100).unwrap();
    let kinds: Vec<_> = entries
        .iter()
        .map(|(_, entry)| match entry {
            Entry::Side(side) => String::from_utf8(side.text.clone()).unwrap(),
            _ => "hit".to_owned(),
        })
        .collect();
    let life = ["Agent", "Headers", "hit", "hit"];
    assert_eq!(kinds, [life, life].concat());
}

#[test]
fn damage_costs_the_records_it_touches_and_no_sequence_is_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    {
        let mut running = Running::open(directory.path(), JournalOptions::default());
        running.append(1..101);
        running.synced();
    }
    let path = segments(directory.path()).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let begins_at = begins_at(&path);
    let record = |n: usize| begins_at + (n - 1) * 128;
    for (what, damage, lost) in [
        ("one bit", record(10) + 50..record(10) + 51, vec![10]),
        ("a page", record(20)..record(52), (20..52).collect()),
        ("the first", record(1)..record(2), vec![1]),
        ("the last", record(100) + 8..record(101), vec![100]),
    ] {
        let mut bytes = whole.clone();
        for byte in &mut bytes[damage] {
            *byte ^= 0x10;
        }
        std::fs::write(&path, &bytes).unwrap();
        let mut running = Running::open(directory.path(), JournalOptions::default());
        let left: Vec<_> = (1..=100_u32).filter(|n| !lost.contains(n)).collect();
        assert_eq!(numbers(&running.journal), left, "{what}");
        running.append(500..501);
        running.synced();
        let (sequence, n) = read(&running.journal, 0).pop().unwrap();
        assert!(n == 500 && sequence > 100, "{what}: {sequence}");
        drop(running);
        for later in segments(directory.path())
            .into_iter()
            .filter(|one| *one != path)
        {
            std::fs::remove_file(later).unwrap();
        }
    }
}

#[test]
fn a_segment_cut_anywhere_starts_and_keeps_what_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    {
        let mut running = Running::open(directory.path(), JournalOptions::default());
        running.append(1..9);
        running.synced();
    }
    let path = segments(directory.path()).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let begins_at = begins_at(&path);
    let every_record = (begins_at..=whole.len()).step_by(128);
    for length in (0..whole.len()).step_by(37).chain(every_record) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let journal = Journal::open(directory.path(), JournalOptions::default()).unwrap();
        let left = u32::try_from(length.saturating_sub(begins_at) / 128).unwrap();
        assert_eq!(
            numbers(&journal),
            (1..=left).collect::<Vec<_>>(),
            "cut at {length}"
        );
        for later in segments(directory.path())
            .into_iter()
            .filter(|one| *one != path)
        {
            std::fs::remove_file(later).unwrap();
        }
    }
}

#[test]
fn a_tail_that_was_written_again_is_read_once_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::open(directory.path(), JournalOptions::default());
    running.append(1..11);
    running.synced();
    let (path, journal) = (segments(directory.path()).pop().unwrap(), &running.journal);
    let bytes = std::fs::read(&path).unwrap();
    let epoch = journal.segments.list().unwrap()[0].epoch;
    let begins_at = begins_at(&path);
    // As after a failed fsync: the last three once more, in a segment of their own.
    let tail = &bytes[begins_at + 7 * 128..];
    let reseal = |to| frame::reseal(tail, epoch, to);
    journal.segments.create(8, &[7], reseal).unwrap();
    // And what the old file still holds of them is not to be trusted.
    let mut damaged = bytes.clone();
    damaged[begins_at + 8 * 128..begins_at + 9 * 128].fill(0);
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(numbers(journal), (1..11).collect::<Vec<_>>());
}

#[test]
fn only_settled_segments_that_are_old_or_too_many_go() {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        segment_bytes_max: 1_024,
        ..JournalOptions::default()
    };
    let mut running = Running::open(directory.path(), options);
    for n in 0..6 {
        running.append(n * 10..n * 10 + 10);
        running.synced();
        std::thread::sleep(Duration::from_millis(150));
    }
    let before = segments(directory.path()).len();
    assert!(before > 3, "{before}");
    let far = Micros::new(4_000_000_000_000_000);
    running.journal.expire(0, far).unwrap();
    assert_eq!(
        segments(directory.path()).len(),
        before,
        "nothing is settled"
    );
    let now = Micros::new(0);
    running.journal.expire(running.journal.last(), now).unwrap();
    assert_eq!(segments(directory.path()).len(), before, "nothing is old");
    running.journal.expire(25, far).unwrap();
    let left = numbers(&running.journal);
    assert!(
        left.len() < 60 && left.ends_with(&(24..60).collect::<Vec<_>>()),
        "{left:?}"
    );
}

#[test]
fn a_lost_edge_file_is_read_from_the_segments() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::open(directory.path(), JournalOptions::default());
    let edge = running.journal.edge();
    drop(running);
    std::fs::remove_file(directory.path().join("edge")).unwrap();
    assert_eq!(
        Running::open(directory.path(), JournalOptions::default())
            .journal
            .edge(),
        edge
    );
}

#[test]
fn a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Running::open(directory.path(), JournalOptions::default()));
    let path = segments(directory.path()).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    let sum = crc32c::crc32c(&bytes[..32]).to_le_bytes();
    bytes[32..36].copy_from_slice(&sum);
    std::fs::write(&path, &bytes).unwrap();
    let refused = Journal::open(directory.path(), JournalOptions::default());
    assert!(matches!(refused, Err(JournalError::Newer { .. })));
}
