//! A disk that neither works nor fails: readers are redirected meanwhile, and afterwards
//! everything is there but what was counted as dropped.
//!
//! ext4 frozen by `fsfreeze` holds up every writer in the kernel until it is thawed: that is a
//! file system that hangs. A device hangs when its image lies on one that does.

use std::time::{Duration, Instant};

use cupel_bench::{Arrivals, Plan, Running};

use crate::harness::{Server, eventually};
use crate::load::{Acts, Hits, alone, closed, readiness};
use crate::mounted::{Frozen, Tmpfs, Volume, may_mount};
use crate::watch::threads;

/// Hits a second.
const RATE: f64 = if cfg!(debug_assertions) {
    1_000.0
} else {
    5_000.0
};
/// Shorter and longer than an act waits.
const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(7);
/// How long an act waits for a disk of which nothing is heard, and a second to say so.
const ACT_WAIT: Duration = Duration::from_secs(5);
const ACT_MAX: Duration = Duration::from_secs(6);

fn plan(server: &Server) -> Plan {
    Plan {
        arrivals: Arrivals::Poisson(RATE),
        drain: Duration::from_secs(20),
        times: true,
        ..closed(server, 64, 0)
    }
}

/// What was seen while the disk hung.
struct Meanwhile {
    /// An act's status, and how long it took.
    act: (u16, Duration),
    /// What `/readyz` said when half of the time was over, and how long that took.
    ready: (u16, String, Duration),
    /// What the server's threads were doing then.
    threads: String,
}

fn endure(server: &Server, acts: &Acts, frozen: Frozen<'_>, hung: Duration) -> Meanwhile {
    let thaws = Instant::now() + hung;
    std::thread::scope(|scope| {
        let act = scope.spawn(|| acts.press(server, 1));
        std::thread::sleep(hung / 2);
        let ready = scope.spawn(|| {
            let began = Instant::now();
            let (status, said) = readiness(server);
            (status, said["journal"].to_string(), began.elapsed())
        });
        let threads = threads(server);
        std::thread::sleep(thaws.saturating_duration_since(Instant::now()));
        drop(frozen);
        Meanwhile {
            act: act.join().unwrap(),
            ready: ready.join().unwrap(),
            threads,
        }
    })
}

/// Freezes `beneath`, which is `disk` or what it lies on, while hits and an act come; the share of
/// the hits due meanwhile that were answered meanwhile, and what the threads were doing.
fn hang(test: &str, disk: &Volume, beneath: &Volume, hung: Duration) -> (f64, String) {
    hang_with("", test, disk, beneath, hung)
}

/// The same with more configuration for the journal.
fn hang_with(
    journal: &str,
    test: &str,
    disk: &Volume,
    beneath: &Volume,
    hung: Duration,
) -> (f64, String) {
    let text = format!("workers = 2\n[settle]\nwindow_seconds = 1\n[journal]\n{journal}");
    std::fs::write(disk.at.join("cupel.toml"), text).unwrap();
    let mut server = Server::start(&disk.at, &[]);
    let (hits, acts) = (Hits::new(&server, 100_000), Acts::new(&server, 50));
    let wanted = if hung > ACT_WAIT { 503 } else { 200 };
    let load = Running::start(plan(&server), hits.requests()).unwrap();
    eventually(
        "hits",
        || server.metric("cupel_hits_total"),
        |hits| *hits > RATE,
    );
    assert_eq!(acts.press(&server, 0).0, 200);

    // As the kernel does every half minute; the next store into each page of the rings is then
    // made known to the file system.
    disk.write_back();
    let frozen = beneath.freeze();
    let began = Instant::now();
    let meanwhile = endure(&server, &acts, frozen, hung);
    let ended = began + hung;
    eventually(
        "readiness",
        || readiness(&server),
        |(status, _)| *status == 200,
    );
    load.stop();
    let outcome = load.join().unwrap();

    // Those under way when it froze and thawed are left out of what is called meanwhile.
    let edge = Duration::from_millis(100);
    let times = outcome.times.iter();
    let times = times.filter(|(_, at)| *at > began + edge && *at < ended - edge);
    let answered = times.count();
    let due = RATE * (hung - 2 * edge).as_secs_f64();
    let lost = server.metric("cupel_dropped_total");
    println!(
        "{test}: {answered} of {due} redirects due while the disk hung; latency p50 {:.1?}, p99 \
         {:.1?}, worst {:.1?}; the act: {:.1?}; readiness: {:.1?}; {lost} dropped",
        outcome.latency.quantile(0.5),
        outcome.latency.quantile(0.99),
        outcome.latency.max(),
        meanwhile.act,
        meanwhile.ready
    );
    let verdict = hits.verdict(&server, outcome.oracle.as_ref().unwrap());
    println!("{test}: {verdict}");
    assert!(outcome.by_status.keys().eq([&302]), "{outcome}");
    assert_eq!(outcome.answered, outcome.sent, "{outcome}");
    assert!(
        meanwhile.act.1 <= ACT_MAX && meanwhile.act.0 == wanted,
        "{:?}, {wanted} wanted",
        meanwhile.act
    );
    assert_eq!(
        verdict.missing.count as f64, lost,
        "counted as dropped: {verdict}"
    );
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    server.stop();
    (answered as f64 / due, meanwhile.threads)
}

/// A device that hangs, its file system not being frozen.
fn hang_device(test: &str, hung: Duration) {
    let beneath = Volume::ext4(512);
    let disk = Volume::within(&beneath, 256);
    let (answered, threads) = hang(test, &disk, &beneath, hung);
    assert!(
        answered > 0.5,
        "{answered} of the redirects due; the server's threads then:\n{threads}"
    );
}

#[test]
fn a_hung_device_stops_no_redirect_and_loses_only_what_is_counted() {
    let _alone = alone();
    if may_mount("hung-device") {
        hang_device("hung-device", SHORT);
    }
}

#[test]
fn a_device_that_hangs_for_longer_than_acts_wait_stops_no_redirect() {
    let _alone = alone();
    if may_mount("hung-long") {
        hang_device("hung-long", LONG);
    }
}

#[test]
fn a_frozen_file_system_stops_no_redirect_where_the_rings_lie_on_a_tmpfs() {
    let _alone = alone();
    if may_mount("hung-rings-elsewhere") {
        let (disk, rings) = (Volume::ext4(256), Tmpfs::new(16));
        let elsewhere = format!("ring_directory = {:?}\n", rings.at);
        let test = "hung-rings-elsewhere";
        let (answered, threads) = hang_with(&elsewhere, test, &disk, &disk, SHORT);
        assert!(
            answered > 0.5,
            "{answered} of the redirects due; the server's threads then:\n{threads}"
        );
    }
}

/// Readers wait for the thaw here, since a store into a ring's page may have to ask the file
/// system (docs/promises.md): this holds what is left, that nothing is lost by it.
#[test]
fn a_frozen_file_system_loses_only_what_is_counted() {
    let _alone = alone();
    if may_mount("hung-files") {
        let disk = Volume::ext4(256);
        let (answered, _) = hang("hung-files", &disk, &disk, SHORT);
        println!("hung-files: {answered:.2} of the redirects due were answered meanwhile");
    }
}
