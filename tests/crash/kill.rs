//! An answered hit survives `kill -9`, and is stored once; and a start does not wait for a backlog.

use std::time::{Duration, Instant};

use cupel_bench::{Oracle, Random, Running, Seed};

use crate::harness::Server;
use crate::load::{Hits, alone, asked, closed, next_id, readiness, seeded};

/// Kills of one run, each at a random moment of full load, unless the environment asks for more.
const KILLS: u64 = 50;
/// Records of the backlog, unless the environment asks for more.
const BACKLOG: u64 = if cfg!(debug_assertions) {
    30_000
} else {
    200_000
};
/// From the start of the process until it listens.
const START_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 2 });

fn configure(server: &Server, workers: u64, paused: bool) {
    let text = format!(
        "workers = {workers}\n[settle]\nwindow_seconds = 1\nrecords_max = 10000\n\
         paused = {paused}\n"
    );
    std::fs::write(server.data.join("cupel.toml"), text).unwrap();
}

/// Starts it again; how long it took to listen.
fn revive(server: &mut Server) -> Duration {
    let began = Instant::now();
    server.revive();
    let took = began.elapsed();
    assert!(took <= START_MAX, "starting took {took:?}");
    took
}

#[test]
fn every_answered_hit_of_every_life_is_stored_once() {
    let _alone = alone();
    let kills = asked("CUPEL_FAULT_KILLS", KILLS);
    seeded("kill", |seed| kill_again_and_again(seed, kills));
}

fn kill_again_and_again(seed: Seed, kills: u64) {
    let mut random = Random::new(seed);
    let mut server = Server::new();
    let hits = Hits::new(&server, kills * 20_000);
    let mut oracle = Oracle::default();
    let (mut slowest, mut recovered) = (Duration::ZERO, 0);
    for _ in 0..kills {
        let connections = 6 + usize::try_from(random.below(11)).unwrap();
        let plan = closed(&server, connections, next_id(&oracle));
        let load = Running::start(plan, hits.requests()).unwrap();
        // Not a hope: the moment is what is drawn.
        std::thread::sleep(Duration::from_millis(50 + random.below(350)));
        server.kill9();
        let outcome = load.join().unwrap();
        assert_eq!(outcome.malformed, 0, "{outcome}");
        assert!(outcome.by_status.keys().all(|it| *it == 302), "{outcome}");
        oracle.add(&outcome.oracle.unwrap());
        configure(&server, 1 + random.below(4), false);
        slowest = slowest.max(revive(&mut server));
        recovered += readiness(&server).1["journal"]["recovered"]
            .as_u64()
            .unwrap();
    }
    let began = Instant::now();
    let verdict = hits.verdict(&server, &oracle);
    println!(
        "kill: {kills} kills: {verdict}; {recovered} records came out of the rings, \
         slowest start {slowest:.1?}, settled {:.1?} after the last",
        began.elapsed()
    );
    assert!(verdict.holds(), "{verdict}");
    assert!(verdict.answered > 20 * kills, "hardly any load: {verdict}");
}

#[test]
fn a_start_does_not_wait_for_a_backlog_which_drains_afterwards() {
    let _alone = alone();
    let records = asked("CUPEL_FAULT_BACKLOG", BACKLOG);
    let mut server = Server::new();
    let hits = Hits::new(&server, records);
    server.stop();
    configure(&server, 2, true);
    server.revive();

    let mut plan = closed(&server, 16, 0);
    plan.total = Some(records);
    let began = Instant::now();
    let outcome = Running::start(plan, hits.requests())
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(outcome.answered, records, "{outcome}");
    let made = began.elapsed();
    server.kill9();
    let with_backlog = revive(&mut server);
    server.kill9();
    configure(&server, 2, false);
    let again = revive(&mut server);

    let began = Instant::now();
    let verdict = hits.verdict(&server, &outcome.oracle.unwrap());
    println!(
        "backlog: {records} records made in {made:.1?}; listening again after \
         {with_backlog:.1?} and {again:.1?}; drained in {:.1?}: {verdict}",
        began.elapsed()
    );
    assert!(verdict.holds(), "{verdict}");
}
