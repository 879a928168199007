//! A database server that fails while readers come: none of them waits, and every hit is counted
//! once afterwards. These bring servers of their own, and need none that is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::cluster::Cluster;
use crate::harness::{Server, client, cupel_on_file, eventually, postgres};
use crate::postgres::{CUT, SLOW, THROUGH, Way};

/// A server whose way to the database leads over `way`.
fn serve(way: &Way) -> (tempfile::TempDir, Server) {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let mut command = cupel_on_file();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .args(["--set", "settle.window_seconds=1"])
        .arg("--data")
        .arg(&data)
        .env("CUPEL_STORE", format!("postgres://app@{}/app", way.place));
    let server = Server::spawn(command, &data, client());
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    (own, server)
}

/// A server with a database of its own for one that is not its master.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    cluster.sql("postgres", "CREATE ROLE app LOGIN");
    cluster.sql("postgres", "CREATE DATABASE app OWNER app");
    cluster
}

/// Readers who come one after the other until they are told to stop.
struct Readers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Readers {
    fn of(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, url) = (Arc::clone(&stop), server.url("/go"));
        let thread = std::thread::spawn(move || {
            let client = client();
            let mut answered = 0;
            while !asked.load(Ordering::Relaxed) {
                let answer = client.get(&url).send().unwrap();
                assert_eq!(answer.status(), 302);
                answered += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            answered
        });
        Self { stop, thread }
    }

    /// How many were answered.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn clicks(server: &Server) -> Option<u64> {
    let (_, stats) = server.api(Method::GET, "/short-links/go/stats", None);
    stats["raw"]["clicks"]["total"].as_u64()
}

/// Rows, and the sum of the sums over all time, are as many as were answered.
fn each_once(cluster: &Cluster, server: &Server, answered: u64) {
    let counted = |clicks: &Option<u64>| *clicks == Some(answered);
    eventually("counted", || clicks(server), counted);
    let rows = cluster.sql(
        "app",
        "SELECT count(*), count(DISTINCT (edge, sequence)) FROM hits",
    );
    assert_eq!(rows, format!("{answered}|{answered}"));
    let sums = cluster.sql("app", "SELECT sum(hits) FROM sums WHERE cell = 0");
    assert_eq!(sums, answered.to_string());
}

fn control_answers(server: &Server, wanted: u16) {
    let ask = || server.api(Method::GET, "/campaigns", None).0;
    eventually("control", ask, |status| *status == wanted);
}

#[test]
fn a_standby_that_lacks_the_last_commits_is_caught_up_from_the_journal() {
    if postgres().is_none() {
        return;
    }
    let primary = cluster();
    let follows = Way::to(&primary.url("app"));
    let standby = Cluster::standby_of(follows.port());
    let way = Way::to(&primary.url("app"));
    let (_own, server) = serve(&way);
    let readers = Readers::of(&server);
    eventually("first", || clicks(&server), |clicks| *clicks > Some(50));
    let rows = |cluster: &Cluster| -> u64 {
        let rows = cluster.sql("app", "SELECT count(*) FROM hits");
        rows.parse().unwrap()
    };
    eventually("followed", || rows(&standby), |rows| *rows > 50);
    // From here on it lags.
    follows.set(CUT);
    let lost = rows(&primary);
    eventually("more", || rows(&primary), |rows| *rows > lost + 200);
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://b.example/"}));
    let (had, has) = (rows(&primary), rows(&standby));
    assert!(has < had, "{has} of {had}: it did not lag");
    primary.stop();
    standby.promote();
    way.lead(&standby.url("app"));
    control_answers(&server, 200);
    eventually("again", || clicks(&server), |clicks| *clicks > Some(had));
    let answered = readers.end();
    each_once(&standby, &server, answered);
    let links = server.read(&format!("/campaigns/{campaign}/links"));
    assert_eq!(
        links["links"][0]["url"], "https://b.example/",
        "given back from the catalogue"
    );
}

#[test]
fn a_server_that_is_slow_full_or_restarted_again_and_again_loses_no_hit() {
    if postgres().is_none() {
        return;
    }
    let cluster = cluster();
    let way = Way::to(&cluster.url("app"));
    let (_own, server) = serve(&way);
    let readers = Readers::of(&server);
    let moved = |before: Option<u64>| {
        eventually("counted", || clicks(&server), |clicks| *clicks > before);
    };
    moved(Some(50));

    way.set(SLOW);
    let before = clicks(&server);
    moved(before);
    way.set(THROUGH);

    // No connection is left for it.
    cluster.sql("postgres", "ALTER ROLE app CONNECTION LIMIT 0");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    cluster.sql("postgres", end);
    control_answers(&server, 503);
    let (_, said) = server.api(Method::GET, "/campaigns", None);
    assert_eq!(said["status"], 503, "{said}");
    cluster.sql("postgres", "ALTER ROLE app CONNECTION LIMIT -1");
    control_answers(&server, 200);

    for _ in 0..3 {
        cluster.stop();
        std::thread::sleep(Duration::from_secs(1));
        cluster.start();
        std::thread::sleep(Duration::from_secs(4));
    }
    let answered = readers.end();
    each_once(&cluster, &server, answered);
    assert!(answered > 1_000, "only {answered} came");
}
