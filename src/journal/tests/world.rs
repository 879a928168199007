//! One process after another on a file system that forgets, and what was answered meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::hit;
use super::model::Model;
use super::spool::keep_body;
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::drain::Drainer;
use crate::journal::ring::SLOT_WORDS;
use crate::journal::{Entry, Journal, JournalOptions, Keeper, SideKind, Syncer, frame, rings};

pub(super) const RINGS: u8 = 2;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A worker keeps so many hits.
    Keep(u8, u8),
    /// A handler hands over an act and waits.
    Act,
    Drain,
    Sync,
    /// Settling reads, and the store takes it.
    Settle,
    /// Settled segments go.
    Expire,
    /// The kernel writes something back.
    WriteBack(u64),
    FailSync,
    Full(bool),
    Kill,
    /// The same while the drainer wipes slots that are in the log: some are not wiped yet.
    KillAtWipe(u64),
    Cut(u64),
    /// The next start finds the disk full after so many changes of it, three times, and goes on
    /// when there is room.
    HardStart(u8),
    /// A handler spools the body of a delivery event, hands over its record and waits.
    Deliver,
}

/// Mistakes outside the journal's own code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mistake {
    #[default]
    None,
    SkipSync,
    SkipDirectorySync,
    AnswerBeforeKeeping,
    PositionApart,
    ExpireUnsettled,
}

/// One life of the process.
struct Life {
    journal: Arc<Journal>,
    keepers: Vec<Keeper>,
    drainer: Drainer,
    syncer: Syncer,
}

/// What is stored: rows and position move together.
#[derive(Clone, Debug, Default)]
struct Stored {
    rows: Vec<u32>,
    position: u64,
}

struct World {
    disk: Model,
    life: Option<Life>,
    stored: Stored,
    /// Answered, and lost at most by a power cut.
    kept: BTreeMap<u32, (usize, u64)>,
    /// Answered, and lost by nothing.
    safe: BTreeSet<u32>,
    /// Handed over and not answered yet, by ticket.
    acts: BTreeMap<u64, u32>,
    /// Sent, answered or not.
    sent: u32,
    /// Answered, but not kept yet.
    early: Vec<(usize, u32)>,
    /// A sync may have failed in this life.
    doubtful: bool,
    hard_start: Option<u8>,
    mistake: Mistake,
}

fn options() -> JournalOptions {
    JournalOptions {
        rings: RINGS,
        ring_slots: 16,
        segment_bytes_max: 3_000,
        ..JournalOptions::default()
    }
}

impl World {
    fn new(mistake: Mistake) -> Self {
        let disk = Model::default();
        disk.set(|faults| {
            faults.skip_sync = mistake == Mistake::SkipSync;
            faults.skip_directory_sync = mistake == Mistake::SkipDirectorySync;
        });
        let mut world = Self {
            disk,
            life: None,
            stored: Stored::default(),
            kept: BTreeMap::new(),
            safe: BTreeSet::new(),
            acts: BTreeMap::new(),
            sent: 0,
            early: Vec::new(),
            doubtful: false,
            hard_start: None,
            mistake,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let journal = Journal::closed(Arc::new(self.disk.clone()), options()).unwrap();
        if let Some(changes) = self.hard_start.take() {
            journal.skip_to(self.stored.position);
            for _ in 0..3 {
                self.disk.set(|faults| faults.changes_left = Some(changes));
                if journal.begin().is_ok() {
                    break;
                }
            }
            self.disk.set(|faults| faults.changes_left = None);
        }
        if !journal.has_begun() {
            journal.begin().unwrap();
        }
        journal.skip_to(self.stored.position);
        let mut keepers: Vec<_> = (0..RINGS).filter_map(|_| journal.keeper()).collect();
        keepers.reverse();
        self.life = Some(Life {
            keepers,
            drainer: journal.drainer(),
            syncer: journal.syncer(),
            journal,
        });
    }

    fn step(&mut self, step: &Step) {
        let Some(life) = &mut self.life else { return };
        match step {
            Step::Keep(worker, hits) => {
                let worker = usize::from(*worker);
                for _ in 0..*hits {
                    self.sent += 1;
                    if self.mistake == Mistake::AnswerBeforeKeeping {
                        self.kept.insert(self.sent, (worker, u64::MAX));
                        self.early.push((worker, self.sent));
                    } else if let Some(slot) = keep(life, worker, self.sent) {
                        self.kept.insert(self.sent, (worker, slot));
                    }
                }
            }
            Step::Act => {
                self.sent += 1;
                let ticket = life.journal.lane.submit(&frame::hit(&hit(self.sent)));
                self.acts.insert(ticket.unwrap(), self.sent);
            }
            Step::Deliver => self.deliver(),
            Step::Drain => {
                for (worker, n) in self.early.drain(..) {
                    keep(life, worker, n);
                }
                let _full = life.drainer.round();
                self.note();
            }
            Step::Sync => {
                let _failed = life.syncer.round(Duration::ZERO);
                self.note();
            }
            Step::Settle => self.settle(),
            Step::Expire => {
                let settled = match self.mistake {
                    Mistake::ExpireUnsettled => u64::MAX - 1,
                    _ => self.stored.position,
                };
                // Too late for segments, and not for bodies: whatever is settled has its own.
                let late = options().keep + Duration::from_hours(1);
                let late = Micros::new(i64::try_from(late.as_micros()).unwrap());
                life.journal.expire(settled, late).unwrap();
            }
            Step::WriteBack(seed) => self.disk.write_back(coin(*seed)),
            Step::FailSync => {
                self.doubtful = true;
                self.disk.set(|faults| faults.fail_sync = true);
            }
            Step::Full(full) => self.disk.set(|faults| faults.full = *full),
            Step::Kill => {
                self.die();
                self.disk.kill();
                self.start();
                self.outlive();
            }
            Step::KillAtWipe(seed) => self.kill_at_wipe(coin(*seed)),
            Step::HardStart(changes) => self.hard_start = Some(*changes),
            Step::Cut(seed) => {
                self.die();
                self.disk.cut(coin(*seed));
                self.kept.clear();
                self.start();
                self.outlive();
            }
        }
    }

    fn deliver(&mut self) {
        let Some(life) = &self.life else { return };
        self.sent += 1;
        // A disk that refuses the body refuses the event.
        let body = self.sent.to_le_bytes().repeat(300);
        if let Ok((_, record)) = keep_body(&life.journal, Micros::default(), &body) {
            let ticket = life.journal.lane.submit(&record);
            self.acts.insert(ticket.unwrap(), self.sent);
        }
    }

    fn kill_at_wipe(&mut self, mut falls: impl FnMut() -> bool) {
        let Some(life) = &mut self.life else { return };
        let slots = self.disk.stored(rings::NAME);
        let before: Vec<_> = slots.iter().map(|word| word.load(Relaxed)).collect();
        let _full = life.drainer.round();
        for (now, before) in slots.chunks(SLOT_WORDS).zip(before.chunks(SLOT_WORDS)) {
            if falls() {
                now.iter()
                    .zip(before)
                    .for_each(|(now, word)| now.store(*word, Relaxed));
            }
        }
        self.step(&Step::Kill);
    }

    fn die(&mut self) {
        self.note();
        self.life = None;
        self.acts.clear();
        self.early.clear();
        // Somebody makes room before the next start.
        self.disk.set(|faults| faults.full = false);
        self.disk.set(|faults| faults.fail_sync = false);
    }

    /// A start makes everything that it finds survive a power cut. But where a sync had failed and
    /// the process died before it wrote the records again, the kernel calls lost pages clean and
    /// a start cannot know: those hits are lost if the power fails as well, a fault too many.
    fn outlive(&mut self) {
        if std::mem::take(&mut self.doubtful) {
            for (_, slot) in self.kept.values_mut() {
                *slot = u64::MAX;
            }
        }
        let known = self.kept.extract_if(.., |_, (_, slot)| *slot < u64::MAX);
        self.safe.extend(known.map(|(n, _)| n));
    }

    /// Notes what became safe, as whoever waits for it would be told.
    fn note(&mut self) {
        let Some(life) = &self.life else { return };
        let (rings, synced) = (&life.journal.rings, *life.journal.synced.borrow());
        let safe = self
            .kept
            .extract_if(.., |_, (worker, slot)| rings[*worker].synced() >= *slot);
        self.safe.extend(safe.map(|(n, _)| n));
        let over = self.acts.extract_if(.., |ticket, _| {
            synced.ticket >= *ticket || synced.refused >= *ticket
        });
        let over = over.filter(|(ticket, _)| synced.refused < *ticket);
        self.safe.extend(over.map(|(_, n)| n));
    }

    fn settle(&mut self) {
        let Some(life) = &self.life else { return };
        let mut reader = life.journal.reader(self.stored.position);
        for (_, entry) in reader.read(1_000).unwrap() {
            match entry {
                Entry::Hit(Hit {
                    target: Target::Campaign(_, n),
                    ..
                }) => self.stored.rows.push(n),
                Entry::Received(received) => {
                    let body = life.journal.body_of(&received).unwrap().unwrap();
                    let n = body.first_chunk().unwrap();
                    self.stored.rows.push(u32::from_le_bytes(*n));
                }
                _ => {}
            }
        }
        if self.mistake != Mistake::PositionApart || self.sent.is_multiple_of(3) {
            self.stored.position = reader.position();
        }
    }

    /// Everything in order at last; then the accounts must agree.
    fn check(mut self) -> Result<(), String> {
        self.die();
        self.disk.kill();
        self.start();
        for _ in 0..3 {
            self.step(&Step::Drain);
            self.step(&Step::Sync);
        }
        self.settle();
        let mut seen = BTreeSet::new();
        for row in &self.stored.rows {
            if !seen.insert(*row) {
                return Err(format!("{row} is stored twice"));
            }
            if *row == 0 || *row > self.sent {
                return Err(format!("{row} was never sent"));
            }
        }
        let answered = self.safe.iter().chain(self.kept.keys());
        let lost: Vec<_> = answered.filter(|n| !seen.contains(n)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!("answered and lost: {lost:?}"))
    }
}

fn keep(life: &mut Life, worker: usize, n: u32) -> Option<u64> {
    // Some bring a text: records of several slots.
    let agent = if n.is_multiple_of(5) { u64::from(n) } else { 0 };
    let hit = Hit { agent, ..hit(n) };
    let text = |_: SideKind| vec![b'x'; usize::try_from(n % 300).unwrap()];
    let kept = life.keepers[worker].keep(&hit, &text).ok()?;
    assert_eq!(usize::from(kept.ring), worker);
    Some(kept.slot)
}

/// A coin that falls by `seed`.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 64 == 0
    }
}

pub(super) fn run(steps: &[Step], mistake: Mistake) -> Result<(), String> {
    let mut world = World::new(mistake);
    for step in steps {
        world.step(step);
    }
    world.check()
}
