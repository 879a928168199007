//! What a power cut takes: nothing that was promised to survive it.
//!
//! The cut is ext4's shutdown, without its log being flushed: what was not synced is not there
//! after the next mount. Hits, acts and delivery events come all the while; each cut is at a random
//! moment.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use cupel_bench::{Arrivals, Oracle, Outcome, Plan, Random, Running, Seed};

use crate::deliveries::Deliveries;
use crate::harness::{Server, eventually};
use crate::load::{Acts, Hits, alone, asked, closed, next_id, readiness, seeded};
use crate::mounted::{Cutter, Volume, may_mount};
use crate::watch::{Greatest, Watch};

/// Cuts in each mode, unless the environment asks for more.
const CUTS: u64 = 8;
/// Hits a second.
const RATE: f64 = if cfg!(debug_assertions) {
    1_000.0
} else {
    4_000.0
};
/// Ids that one cut may use up.
const IDS: u64 = 6_000;
/// The default of `sync_ms_max`.
const TICK: Duration = Duration::from_millis(10);

/// One life, and how it ended.
struct Life {
    hits: Outcome,
    acts: Outcome,
    deliveries: Outcome,
    /// Just before the cut, and just after.
    cut: (Instant, Instant),
    /// Hits answered before they were synced, as the server counts them.
    unsynced: f64,
    /// How old what was not yet synced may have been, as the server said.
    syncing: Duration,
    seen: Greatest,
}

impl Life {
    /// How long before the cut a hit under `group` may have been answered and be lost: the
    /// longest sync, finished or not, a tick, and what this machine adds to both: threads wake
    /// late, ours that looks and the server's that drains, and its work takes time.
    fn span_max(&self) -> Duration {
        let window = Duration::from_secs_f64(self.seen.value);
        window.max(self.syncing) + TICK + 2 * self.seen.late + self.seen.look
    }

    /// Ids that were answered well before the cut, and how long before it was over.
    fn answered(&self, what: &Outcome) -> Vec<(u64, Duration)> {
        let oracle = what.oracle.as_ref().unwrap();
        let (before, after) = self.cut;
        let promised = what.times.iter().filter(|(id, at)| {
            let status = oracle.status(*id);
            *at < before && status.is_some_and(|status| status < 400)
        });
        promised.map(|(id, at)| (*id, after - *at)).collect()
    }
}

struct Rig {
    server: Server,
    hits: Hits,
    acts: Acts,
    deliveries: Deliveries,
    sent: [Oracle; 3],
    random: Random,
    /// Last, so that nothing uses it any more when it goes.
    disk: Volume,
}

impl Rig {
    fn new(seed: Seed, durability: &str, cuts: u64) -> Self {
        let disk = Volume::ext4(512);
        // Small segments, so that some cuts meet the change from one to the next.
        let text = format!(
            "workers = 2\n[settle]\nwindow_seconds = 1\n\
             [journal]\ndurability = \"{durability}\"\nsegment_bytes_max = 65536\n"
        );
        std::fs::write(disk.at.join("cupel.toml"), text).unwrap();
        // A configuration that the first cut took would be another test's.
        disk.write_back();
        let server = Server::start(&disk.at, &[]);
        Self {
            hits: Hits::new(&server, cuts * IDS),
            acts: Acts::new(&server, (cuts * 250).max(2_000)),
            deliveries: Deliveries::new(&server),
            server,
            sent: std::array::from_fn(|_| Oracle::default()),
            random: Random::new(seed),
            disk,
        }
    }

    fn live(&mut self) -> Life {
        let hits = Plan {
            arrivals: Arrivals::Poisson(RATE),
            times: true,
            drain: Duration::ZERO,
            ..closed(&self.server, 64, next_id(&self.sent[0]))
        };
        let acts = Plan {
            arrivals: Arrivals::Poisson(100.0),
            times: true,
            drain: Duration::ZERO,
            ..closed(&self.server, 4, next_id(&self.sent[1]))
        };
        let deliveries = Plan {
            arrivals: Arrivals::Poisson(100.0),
            times: true,
            drain: Duration::ZERO,
            connections: 4,
            first_id: next_id(&self.sent[2]),
            ..Plan::new(Deliveries::address(&self.server))
        };
        let cutter = Cutter::of(&self.disk);
        let (watch, synced_at) = Watch::syncs(&self.server);
        let hits = Running::start(hits, self.hits.requests()).unwrap();
        let acts = Running::start(acts, self.acts.requests()).unwrap();
        let deliveries = Running::start(deliveries, self.deliveries.requests()).unwrap();
        // Not a hope: the moment is what is drawn.
        let moment = Duration::from_millis(100 + self.random.below(400));
        std::thread::sleep(moment);
        let synced_at = *synced_at.lock().unwrap();
        let cut = cutter.cut();
        let unsynced = self.server.metric("cupel_acked_unsynced_total");
        let seen = watch.end();
        hits.stop();
        acts.stop();
        deliveries.stop();
        self.server.kill9();
        let life = Life {
            hits: hits.join().unwrap(),
            acts: acts.join().unwrap(),
            deliveries: deliveries.join().unwrap(),
            cut,
            unsynced,
            syncing: cut.1 - synced_at,
            seen,
        };
        let outcomes = [&life.hits, &life.acts, &life.deliveries];
        for (sent, one) in self.sent.iter_mut().zip(outcomes) {
            sent.add(one.oracle.as_ref().unwrap());
        }
        self.disk.unmount();
        self.disk.mount();
        self.server.revive();
        eventually(
            "readiness",
            || readiness(&self.server),
            |(status, _)| *status == 200,
        );
        life
    }
}

/// Runs so many lives and says what was lost: `may_lose` holds each against its promise.
fn cut_again_and_again(test: &str, seed: Seed, may_lose: impl Fn(&Life, &[Duration])) {
    let cuts = asked("CUPEL_FAULT_CUTS", CUTS);
    let durability = test.trim_start_matches("power-");
    let mut rig = Rig::new(seed, durability, cuts);
    let lives: Vec<_> = (0..cuts).map(|_| rig.live()).collect();
    let verdict = rig.hits.verdict(&rig.server, &rig.sent[0]);
    let stored: HashSet<_> = rig.hits.stored(&rig.server).into_iter().collect();
    let acts = rig.acts.stored(&rig.server);
    let act_verdict = rig.sent[1].check(acts.iter().copied());
    let acts: HashSet<_> = acts.into_iter().collect();
    let (mut answered, mut lost) = (0, 0);
    let (mut acts_answered, mut acts_lost) = (0, Vec::new());
    assert_delivered(test, &rig, &lives);
    for (number, life) in lives.iter().enumerate() {
        let promised = life.answered(&life.hits);
        let gone = promised.iter().filter(|(id, _)| !stored.contains(id));
        let ages: Vec<_> = gone.map(|(_, age)| *age).collect();
        println!(
            "{test}: cut {number}: {} of {} hits lost, within {:.1?}; {:.1?} under `group`: \
             greatest window {:.1} ms, syncing for {:.1?}, threads up to {:.1?} late, a \
             look up to {:.1?}; {} answered unsynced",
            ages.len(),
            promised.len(),
            ages.iter().max().copied().unwrap_or_default(),
            life.span_max(),
            life.seen.value * 1e3,
            life.syncing,
            life.seen.late,
            life.seen.look,
            life.unsynced
        );
        may_lose(life, &ages);
        answered += promised.len();
        lost += ages.len();
        let promised = life.answered(&life.acts);
        acts_answered += promised.len();
        let gone = promised.iter().filter(|(id, _)| !acts.contains(id));
        acts_lost.extend(gone.map(|(id, _)| *id));
    }
    println!(
        "{test}: {cuts} cuts: {lost} of {answered} hits lost that were answered before, {} of \
         {acts_answered} acts; {} hits and {} acts doubled",
        acts_lost.len(),
        verdict.doubled,
        act_verdict.doubled
    );
    assert!(answered > 50 * lives.len(), "hardly any load");
    assert!(acts_answered > 2 * lives.len(), "hardly any acts");
    assert!(acts_lost.is_empty(), "acts lost: {acts_lost:?}");
    for verdict in [&verdict, &act_verdict] {
        assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    }
}

/// What was answered of delivery events is there, body and record, once.
fn assert_delivered(test: &str, rig: &Rig, lives: &[Life]) {
    let stored = Deliveries::stored(&rig.server);
    let verdict = rig.sent[2].check(stored.iter().copied());
    let stored: HashSet<_> = stored.into_iter().collect();
    let promised = lives
        .iter()
        .flat_map(|life| life.answered(&life.deliveries));
    let promised: Vec<_> = promised.map(|(id, _)| id).collect();
    let lost: Vec<_> = promised.iter().filter(|id| !stored.contains(id)).collect();
    println!(
        "{test}: {} of {} delivery events lost that were answered before; {} doubled",
        lost.len(),
        promised.len(),
        verdict.doubled
    );
    assert!(
        promised.len() > 2 * lives.len(),
        "hardly any delivery events"
    );
    assert!(lost.is_empty(), "delivery events lost: {lost:?}");
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
}

#[test]
fn sync_loses_no_hit_but_those_it_counted() {
    let _alone = alone();
    if !may_mount("power-sync") {
        return;
    }
    seeded("power-sync", |seed| {
        cut_again_and_again("power-sync", seed, |life, lost| {
            let counted = life.unsynced;
            assert!(
                lost.len() as f64 <= counted,
                "{} lost, {counted} counted",
                lost.len()
            );
        });
    });
}

#[test]
fn group_loses_only_what_was_answered_a_tick_and_a_sync_before() {
    let _alone = alone();
    if !may_mount("power-group") {
        return;
    }
    seeded("power-group", |seed| {
        cut_again_and_again("power-group", seed, |life, lost| {
            let (span, most) = (lost.iter().max(), life.span_max());
            assert!(
                span.is_none_or(|span| *span <= most),
                "{span:?} lost, {most:?} allowed"
            );
        });
    });
}
