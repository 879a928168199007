//! A disk that neither works nor fails: readers are redirected meanwhile, and afterwards
//! everything is there but what was counted as dropped.
//!
//! ext4 frozen by `fsfreeze` holds up every writer in the kernel until it is thawed.

use std::time::{Duration, Instant};

use cupel_bench::{Arrivals, Histogram, Plan, Running};

use crate::harness::{Server, eventually};
use crate::load::{Acts, Hits, alone, closed, readiness};
use crate::mounted::{Ext4, may_mount};
use crate::watch::threads;

/// Hits a second.
const RATE: f64 = if cfg!(debug_assertions) {
    1_000.0
} else {
    5_000.0
};
const HUNG: Duration = Duration::from_secs(3);
/// Until an act is given up by a server that hears nothing from its disk, and a second.
const ACT_MAX: Duration = Duration::from_secs(6);

#[test]
fn a_hung_disk_stops_no_redirect_and_loses_only_what_is_counted() {
    let _alone = alone();
    if !may_mount("hung") {
        return;
    }
    let disk = Ext4::new(256);
    let text = "workers = 2\n[settle]\nwindow_seconds = 1\n";
    std::fs::write(disk.at.join("cupel.toml"), text).unwrap();
    let mut server = Server::start(&disk.at, &[]);
    let (hits, acts) = (Hits::new(&server, 100_000), Acts::new(&server, 50));
    let plan = Plan {
        arrivals: Arrivals::Poisson(RATE),
        drain: Duration::from_secs(20),
        times: true,
        ..closed(&server, 64, 0)
    };
    let load = Running::start(plan, hits.requests()).unwrap();
    eventually(
        "hits",
        || server.metric("cupel_hits_total"),
        |hits| *hits > RATE,
    );
    assert_eq!(acts.press(&server, 0).0, 200);

    let frozen = disk.freeze();
    let began = Instant::now();
    let (act, stuck) = std::thread::scope(|scope| {
        let act = scope.spawn(|| acts.press(&server, 1));
        std::thread::sleep(HUNG / 2);
        let stuck = threads(&server);
        std::thread::sleep((HUNG / 2).saturating_sub(began.elapsed() - HUNG / 2));
        drop(frozen);
        (act.join().unwrap(), stuck)
    });
    let ended = began + HUNG;
    eventually(
        "readiness",
        || readiness(&server),
        |(status, _)| *status == 200,
    );
    load.stop();
    let outcome = load.join().unwrap();

    // Those under way when it froze and thawed are left out of what is called meanwhile.
    let edge = Duration::from_millis(100);
    let meanwhile = outcome.times.iter();
    let meanwhile = meanwhile.filter(|(_, at)| *at > began + edge && *at < ended - edge);
    let meanwhile = meanwhile.count();
    let due = RATE * (HUNG - 2 * edge).as_secs_f64();
    let lost = server.metric("cupel_dropped_total");
    println!(
        "hung: {meanwhile} of {due} redirects due while the disk hung; latency p50 {:.1?}, p99 \
         {:.1?}, worst {:.1?}; the act: {act:.1?}; {lost} dropped",
        quantile(&outcome.latency, 0.5),
        quantile(&outcome.latency, 0.99),
        outcome.latency.max()
    );
    let verdict = hits.verdict(&server, outcome.oracle.as_ref().unwrap());
    println!("hung: {verdict}");
    assert!(outcome.by_status.keys().eq([&302]), "{outcome}");
    assert_eq!(outcome.answered, outcome.sent, "{outcome}");
    assert!(act.1 <= ACT_MAX && matches!(act.0, 200 | 503), "{act:?}");
    assert_eq!(
        verdict.missing.count as f64, lost,
        "counted as dropped: {verdict}"
    );
    assert_eq!(verdict.doubled.count + verdict.unsent.count, 0, "{verdict}");
    assert!(
        meanwhile as f64 > due / 2.0,
        "{meanwhile} of {due} redirects while the disk hung; the server's threads then:\n{stuck}"
    );
    server.stop();
}

fn quantile(latency: &Histogram, share: f64) -> Duration {
    latency.quantile(share)
}
