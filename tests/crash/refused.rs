//! A disk that is full when the server starts, and one that takes not even a page of the rings
//! back: readers are redirected, what is not kept is counted, and it ends by itself.

use std::time::Duration;

use cupel_bench::{Arrivals, Plan, Running, Verdict};

use crate::harness::{Server, eventually};
use crate::load::{Acts, Hits, alone, closed, readiness};
use crate::mounted::{Tmpfs, Volume, fill, may_mount};
use crate::watch::within;

/// Hits a second.
const RATE: f64 = if cfg!(debug_assertions) {
    1_000.0
} else {
    4_000.0
};
const IDS: u64 = 100_000;
/// Until it is over.
const RECOVERED: Duration = Duration::from_secs(5);
const CONFIGURATION: &str =
    "workers = 2\n[settle]\nwindow_seconds = 1\n[journal]\nring_slots = 1024\n";

fn load(server: &Server, hits: &Hits) -> Running {
    let plan = Plan {
        arrivals: Arrivals::Poisson(RATE),
        drain: Duration::from_secs(10),
        ..closed(server, 32, 0)
    };
    Running::start(plan, hits.requests()).unwrap()
}

/// Ends the load: everybody was redirected, what is missing is what was counted as dropped, and
/// nothing is stored twice. How many those were.
fn account(server: &Server, hits: &Hits, load: Running) -> (Verdict, f64) {
    load.stop();
    let outcome = load.join().unwrap();
    assert!(outcome.by_status.keys().eq([&302]), "{outcome}");
    assert_eq!(outcome.answered, outcome.sent, "{outcome}");
    let verdict = hits.verdict(server, &outcome.oracle.unwrap());
    let lost = server.metric("cupel_dropped_total");
    assert_eq!(verdict.missing.count as f64, lost, "counted as dropped");
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    (verdict, lost)
}

fn state(server: &Server) -> (u16, String) {
    let (status, said) = readiness(server);
    (
        status,
        said["journal"]["state"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_disk_that_is_full_at_the_start_stops_no_redirect_and_costs_what_is_counted() {
    let _alone = alone();
    if !may_mount("full-at-the-start") {
        return;
    }
    let disk = Tmpfs::new(160);
    std::fs::write(disk.at.join("cupel.toml"), CONFIGURATION).unwrap();
    let mut server = Server::start(&disk.at, &[]);
    let (hits, acts) = (Hits::new(&server, IDS), Acts::new(&server, 50));
    assert_eq!(acts.press(&server, 0).0, 200);
    server.kill9();
    let ballast = fill(&disk.at);

    server.revive();
    let full = (503, "disk_full".to_owned());
    assert_eq!(state(&server), full);
    let load = load(&server, &hits);
    let (status, took) = acts.press(&server, 1);
    assert_eq!(status, 503, "an act that nobody can keep");
    assert!(took < Duration::from_secs(1), "refusing took {took:.1?}");
    let dropped = || server.metric("cupel_dropped_total{reason=\"disk_full\"}");
    eventually("drops", dropped, |count| *count > 3.0 * RATE);
    assert_eq!(server.metric("cupel_hits_total"), 0.0);

    std::fs::remove_file(&ballast).unwrap();
    let well = (200, "ok".to_owned());
    let recovered = within(RECOVERED, "recovering", || state(&server) == well);
    let keeping = within(RECOVERED, "keeping", || {
        server.metric("cupel_hits_total") > RATE
    });
    assert_eq!(acts.press(&server, 2).0, 200);
    let (verdict, lost) = account(&server, &hits, load);
    println!(
        "full-at-the-start: well {recovered:.1?} after there was room, keeping hits after \
         {keeping:.1?}; {lost} dropped; {verdict}"
    );
    let mut pressed = acts.stored(&server);
    pressed.sort_unstable();
    assert_eq!(pressed, [0, 2], "acts that were answered 200");
    server.stop();
}

/// btrfs writes a page to a new place each time, and a full one has none: it answers a store into
/// a page that was written back with SIGBUS.
#[test]
fn a_file_system_that_refuses_a_page_of_the_rings_stops_no_redirect() {
    let _alone = alone();
    if !may_mount("refused-pages") {
        return;
    }
    let Some(disk) = Volume::btrfs("refused-pages", 512) else {
        return;
    };
    std::fs::write(disk.at.join("cupel.toml"), CONFIGURATION).unwrap();
    let mut server = Server::start(&disk.at, &[]);
    let hits = Hits::new(&server, IDS);
    let load = load(&server, &hits);
    let kept = || server.metric("cupel_hits_total");
    eventually("hits", kept, |hits| *hits > 2.0 * RATE);
    let ballast = fill(&disk.at);
    // As the kernel does every half minute.
    disk.write_back();
    let lost_pages = || server.metric("cupel_journal_lost_pages_total");
    eventually("refused pages", lost_pages, |pages| *pages > 0.0);
    let before = kept();
    std::thread::sleep(Duration::from_secs(1));

    std::fs::remove_file(&ballast).unwrap();
    disk.write_back();
    let well = (200, "ok".to_owned());
    let recovered = within(RECOVERED, "recovering", || state(&server) == well);
    // Its shared memory may have been such a page.
    let reopened = |log: &String| log.contains("the store is back");
    eventually("a store opened anew", || server.log(), reopened);
    let (verdict, lost) = account(&server, &hits, load);
    let pages = lost_pages();
    println!(
        "refused-pages: {pages} pages, {before} hits kept before, well {recovered:.1?} after \
         there was room; {lost} dropped; {verdict}"
    );
    server.stop();
}

/// The store and the journal lie on one disk, as they do by default.
#[test]
fn a_disk_that_fills_up_while_hits_are_settled_costs_what_is_counted() {
    let _alone = alone();
    if !may_mount("full-while-settling") {
        return;
    }
    let disk = Tmpfs::new(160);
    std::fs::write(disk.at.join("cupel.toml"), CONFIGURATION).unwrap();
    let mut server = Server::start(&disk.at, &[]);
    let hits = Hits::new(&server, IDS);
    let load = load(&server, &hits);
    let kept = || server.metric("cupel_hits_total");
    eventually("hits", kept, |hits| *hits > 2.0 * RATE);
    let ballast = fill(&disk.at);
    let dropped = || server.metric("cupel_dropped_total{reason=\"disk_full\"}");
    eventually("drops", dropped, |count| *count > 2.0 * RATE);
    std::fs::remove_file(&ballast).unwrap();
    let well = (200, "ok".to_owned());
    let recovered = within(RECOVERED, "recovering", || state(&server) == well);
    let (verdict, lost) = account(&server, &hits, load);
    println!("full-while-settling: well after {recovered:.1?}; {lost} dropped; {verdict}");
    server.stop();
}
