//! A disk that is full, or answers with errors: readers are redirected all the same, acts are
//! refused, what is not kept is counted, and it all ends by itself when the disk is well again.

use std::path::Path;
use std::time::{Duration, Instant};

use cupel_bench::{Arrivals, Outcome, Plan, Running};

use crate::harness::{Server, eventually};
use crate::load::{Acts, Hits, alone, closed, next_id, readiness};
use crate::mounted::{Cutter, Tmpfs, Volume, free_bytes, may_mount};
use crate::watch::{Watch, within};

/// Hits a second.
const RATE: f64 = if cfg!(debug_assertions) {
    2_000.0
} else {
    8_000.0
};
const IDS: u64 = 200_000;
/// What the disk has left when the load begins.
const ROOM_BYTES: u64 = 3 << 20;
/// Until a state of the disk is known and said, and until it is over.
const NOTICED: Duration = Duration::from_secs(5);
/// Until an act is refused by a disk that says no, rather than nothing.
const REFUSED: Duration = Duration::from_secs(2);
const MEMORY_MIB_MAX: f64 = 100.0;

fn configure(at: &Path, paused: bool) {
    // Rings that are full soon; and nobody settles at first, so that the journal alone fills it.
    let text = format!(
        "workers = 2\n[settle]\nwindow_seconds = 1\npaused = {paused}\n\
         [journal]\nring_slots = 1024\nsegment_bytes_max = 1048576\n"
    );
    std::fs::write(at.join("cupel.toml"), text).unwrap();
}

fn start_load(server: &Server, hits: &Hits) -> Running {
    let plan = Plan {
        arrivals: Arrivals::Poisson(RATE),
        drain: Duration::from_secs(10),
        times: true,
        ..closed(server, 32, 0)
    };
    Running::start(plan, hits.requests()).unwrap()
}

fn dropped(server: &Server, reason: &str) -> f64 {
    server.metric(&format!("cupel_dropped_total{{reason=\"{reason}\"}}"))
}

fn state(server: &Server) -> (u16, String) {
    let (status, said) = readiness(server);
    let state = said["journal"]["state"].as_str().unwrap().to_owned();
    (status, state)
}

/// Every request was answered, by its redirect.
fn assert_redirected(outcome: &Outcome) {
    assert!(outcome.by_status.keys().eq([&302]), "{outcome}");
    assert_eq!(outcome.answered, outcome.sent, "{outcome}");
}

/// Acts are refused, and at once.
fn assert_refused(server: &Server, acts: &Acts, ids: std::ops::Range<usize>) {
    for id in ids {
        let (status, took) = acts.press(server, id);
        assert_eq!(status, 503, "an act that nobody can keep");
        assert!(took <= REFUSED, "refusing an act took {took:.1?}");
    }
}

/// Waits until ever more hits are dropped for this reason.
fn more_are_dropped(server: &Server, reason: &str) {
    let first = eventually("drops", || dropped(server, reason), |count| *count > 0.0);
    let more = |count: &f64| *count > first + 2.0 * RATE;
    eventually("more drops", || dropped(server, reason), more);
}

/// Starts on a disk that takes nothing: everybody is redirected, nothing is kept, and all of it
/// is counted.
fn start_on_broken(server: &mut Server, state: &str, hits: &Hits, before: &Outcome) {
    server.revive();
    let first_id = next_id(before.oracle.as_ref().unwrap());
    let plan = Plan {
        arrivals: Arrivals::Poisson(RATE),
        drain: Duration::from_secs(10),
        ..closed(server, 32, first_id)
    };
    let load = Running::start(plan, hits.requests()).unwrap();
    more_are_dropped(server, state);
    load.stop();
    let outcome = load.join().unwrap();
    assert_redirected(&outcome);
    assert_eq!(dropped(server, state), outcome.answered as f64, "{outcome}");
    assert_eq!(server.metric("cupel_hits_total"), 0.0);
    server.kill9();
}

#[test]
fn a_full_disk_stops_no_redirect_and_every_hit_it_costs_is_counted() {
    let _alone = alone();
    if !may_mount("full") {
        return;
    }
    let disk = Tmpfs::new(160);
    configure(&disk.at, true);
    let mut server = Server::start(&disk.at, &[]);
    let (hits, acts) = (Hits::new(&server, IDS), Acts::new(&server, 50));
    // Minting so many at once took memory that is not the load's.
    server.stop();
    server.revive();
    let ballast = disk.at.join("ballast");
    let size = usize::try_from(free_bytes(&disk.at) - ROOM_BYTES).unwrap();
    std::fs::write(&ballast, vec![0; size]).unwrap();

    let memory = Watch::memory(&server);
    let load = start_load(&server, &hits);
    assert_eq!(acts.press(&server, 0).0, 200);
    eventually("free bytes", || free_bytes(&disk.at), |free| *free == 0);
    let full = (503, "disk_full".to_owned());
    let noticed = within(NOTICED, "noticing", || state(&server) == full);
    more_are_dropped(&server, "disk_full");
    assert_refused(&server, &acts, 1..4);
    assert_eq!(state(&server), full);

    std::fs::remove_file(&ballast).unwrap();
    let well = (200, "ok".to_owned());
    let recovered = within(NOTICED, "recovering", || state(&server) == well);
    let acting = within(NOTICED, "acts", || acts.press(&server, 4).0 == 200);
    let kept = server.metric("cupel_hits_total");
    let keeping = within(NOTICED, "keeping", || {
        server.metric("cupel_hits_total") > kept + RATE
    });
    load.stop();
    let outcome = load.join().unwrap();
    let memory = memory.end();
    assert_redirected(&outcome);
    let lost = server.metric("cupel_dropped_total");
    let reasons = ["ring_full", "disk_full", "disk_read_only", "disk_error"];
    let reasons = reasons.map(|reason| format!("{reason} {}", dropped(&server, reason)));

    server.stop();
    configure(&disk.at, false);
    server.revive();
    let verdict = hits.verdict(&server, &outcome.oracle.unwrap());
    println!(
        "full: noticed after {noticed:.1?}, {reasons:?} dropped; well after {recovered:.1?}, acts \
         after {acting:.1?}, hits after {keeping:.1?}; at most {:.0} MiB; of {} answered {} are \
         stored, {} not",
        memory.value, verdict.answered, verdict.stored, verdict.missing.count
    );
    assert_eq!(
        verdict.missing.count as f64, lost,
        "counted as dropped: {verdict}"
    );
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    let mut pressed = acts.stored(&server);
    pressed.sort_unstable();
    assert_eq!(pressed, [0, 4], "acts that were answered 200");
    assert!(memory.value <= MEMORY_MIB_MAX, "{:.0} MiB", memory.value);
}

/// How a disk breaks, for good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Every write is answered with EIO.
    Errors,
    /// It can only be read.
    ReadOnly,
}

impl Broken {
    fn state(self) -> &'static str {
        match self {
            Self::Errors => "disk_error",
            Self::ReadOnly => "disk_read_only",
        }
    }
}

fn break_disk(test: &str, how: Broken, write_back: bool) {
    let _alone = alone();
    if !may_mount(test) {
        return;
    }
    let mut disk = Volume::ext4(256);
    configure(&disk.at, true);
    let mut server = Server::start(&disk.at, &[]);
    let (hits, acts) = (Hits::new(&server, IDS), Acts::new(&server, 50));
    // Minting so many at once took memory that is not the load's.
    server.stop();
    server.revive();
    let memory = Watch::memory(&server);
    let cutter = Cutter::of(&disk);
    let load = start_load(&server, &hits);
    assert_eq!(acts.press(&server, 0).0, 200);
    eventually(
        "hits",
        || server.metric("cupel_hits_total"),
        |hits| *hits > RATE,
    );
    if write_back {
        disk.write_back();
    }
    let before = Instant::now();
    match how {
        Broken::Errors => drop(cutter.cut()),
        Broken::ReadOnly => {
            disk.abort();
            drop(cutter);
        }
    }
    let broken = (503, how.state().to_owned());
    let noticed = within(NOTICED, "noticing", || state(&server) == broken);
    more_are_dropped(&server, how.state());
    assert_refused(&server, &acts, 1..4);
    assert_eq!(state(&server), broken);
    load.stop();
    let outcome = load.join().unwrap();
    let memory = memory.end();
    assert_redirected(&outcome);
    let lost = server.metric("cupel_dropped_total");
    server.kill9();
    if how == Broken::ReadOnly {
        start_on_broken(&mut server, how.state(), &hits, &outcome);
    }

    disk.unmount();
    disk.mount();
    configure(&disk.at, false);
    server.revive();
    let verdict = hits.verdict(&server, outcome.oracle.as_ref().unwrap());
    println!(
        "{test}: noticed after {noticed:.1?}, {lost} dropped; at most {:.0} MiB; of {} answered, \
         most of them on a broken disk, {} are stored",
        memory.value, verdict.answered, verdict.stored
    );
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    let long_before = before.checked_sub(Duration::from_secs(1)).unwrap();
    let early = outcome.times.iter().filter(|(_, at)| *at < long_before);
    let early: Vec<_> = early.map(|(id, _)| *id).collect();
    let stored: std::collections::HashSet<_> = hits.stored(&server).into_iter().collect();
    assert!(
        early.iter().all(|id| stored.contains(id)),
        "answered a second before, and lost"
    );
    assert_eq!(acts.stored(&server), [0], "acts that were answered 200");
    assert!(memory.value <= MEMORY_MIB_MAX, "{:.0} MiB", memory.value);
}

#[test]
fn a_disk_that_answers_with_errors_stops_no_redirect() {
    break_disk("errors", Broken::Errors, false);
}

/// The kernel writes back what is in the rings every half minute, and takes note of the next
/// store into each of their pages by asking the file system.
#[test]
fn a_disk_that_answers_with_errors_stops_no_redirect_after_the_rings_were_written_back() {
    break_disk("errors-written-back", Broken::Errors, true);
}

#[test]
fn a_disk_that_can_only_be_read_stops_no_redirect() {
    break_disk("read-only", Broken::ReadOnly, true);
}
