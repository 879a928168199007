//! Nodes that are killed, and nodes that hang.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::blocking::RequestBuilder;
use serde_json::json;

use super::{Nodes, mailing, sums_are_rows};
use crate::events::{CHROME, NAVIGATION};
use crate::harness::{Minted, Server, client, eventually, postgres};
use crate::postgres::{HANG, THROUGH, Way};

/// Longer than a lease.
const HANGS: Duration = Duration::from_secs(8);
/// Longest that others may take to go on with what one has left.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

/// Readers of one edge, who come one after the other, also while it is gone.
struct Readers {
    /// Where the edge is now.
    place: Arc<Mutex<String>>,
    answered: Arc<AtomicU64>,
    /// Asked, and never answered: the edge may have kept the hit all the same.
    in_doubt: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Readers {
    fn of(server: &Server, paths: Vec<String>) -> Self {
        let place = Arc::new(Mutex::new(server.public.clone()));
        let [answered, in_doubt] = [0, 0].map(|none| Arc::new(AtomicU64::new(none)));
        let stop = Arc::new(AtomicBool::new(false));
        let (at, stopped) = (Arc::clone(&place), Arc::clone(&stop));
        let (ok, lost) = (Arc::clone(&answered), Arc::clone(&in_doubt));
        let thread = std::thread::spawn(move || {
            let client = client();
            let mut dice = Dice(7);
            for path in paths.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let url = format!("{}{path}", at.lock().unwrap());
                let mut request = client.get(url);
                if dice.roll(3) > 0 {
                    request = from_a_browser(request);
                }
                match request.send() {
                    Ok(answer) => {
                        let status = answer.status().as_u16();
                        assert!(status == 302 || status == 200, "{path}: {status}");
                        ok.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            place,
            answered,
            in_doubt,
            stop,
            thread,
        }
    }

    /// Answered, and in doubt.
    fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let number = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (number(&self.answered), number(&self.in_doubt))
    }
}

fn from_a_browser(request: RequestBuilder) -> RequestBuilder {
    let request = request.header("user-agent", CHROME);
    let request = request.header("x-forwarded-for", "84.160.1.1");
    let with =
        |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
    NAVIGATION.iter().fold(request, with)
}

/// What the readers of a mailing ask for: clicks on two links, and opens, in an order of their own.
fn paths(minted: &[Minted], seed: u64) -> Vec<String> {
    let path = |message: &Minted, n: u64| match n {
        0 => format!("/o/{}.gif", message.token),
        n => format!("/c/{}/{n}", message.token),
    };
    let mut all: Vec<_> = minted
        .iter()
        .flat_map(|message| (0..3).map(move |n| path(message, n)))
        .collect();
    shuffle(&mut all, seed);
    all
}

/// Tells an edge that some messages were accepted so many seconds from now.
fn accepted(server: &Server, messages: &[Minted], seconds: i64) {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let event =
        |one: &Minted| json!({"message": one.message, "event": "delivered", "at": at.to_string()});
    let events: Vec<_> = messages.iter().map(event).collect();
    let request = server.client.post(server.control("/api/v1/deliveries"));
    let request = request
        .bearer_auth(&server.key)
        .json(&json!({ "events": events }));
    assert_eq!(request.send().unwrap().status(), 202);
}

/// Pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn shuffle(all: &mut [String], seed: u64) {
    let mut dice = Dice(seed);
    for n in (1..all.len()).rev() {
        all.swap(n, dice.roll(n + 1));
    }
}

const EVERY_HIT_IS_SETTLED: &str = "SELECT count(*) FROM hits h JOIN positions p USING (edge)
    WHERE h.sequence > p.settled_sequence";

/// Hits that came before their message was accepted, as another edge was told in good time: those
/// that do not rest on it, and those that do (facts 48 and 49).
const BEFORE_ACCEPTANCE: &str = "SELECT count(*)
    FROM hits h JOIN messages m USING (campaign, minted_at, number)
    WHERE h.at < m.accepted_at AND h.facts & (3::bigint << 48)";

fn seconds(of_ci: u64) -> Duration {
    let asked = std::env::var("CUPEL_FAULT_SECONDS").ok();
    let asked = asked.filter(|text| !text.is_empty());
    Duration::from_secs(asked.map_or(of_ci, |text| text.parse().unwrap()))
}

#[test]
fn edges_and_settlers_that_are_killed_again_and_again_lose_and_double_nothing() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let roles = [
        ("a", "edge"),
        ("b", "edge"),
        ("s", "settle"),
        ("t", "settle"),
    ];
    let first = nodes.start("a", "edge");
    let campaign = first.campaign();
    for url in ["https://one.example/", "https://two.example/"] {
        first.link(campaign, json!({ "url": url }));
    }
    let minted = mailing(&first, campaign, 300);
    let paths = paths(&minted, 7);
    let mut servers = vec![first];
    for (name, role) in &roles[1..] {
        servers.push(nodes.start(name, role));
    }
    let readers = [0, 1].map(|edge| {
        let mut paths = paths.clone();
        shuffle(&mut paths, edge as u64);
        Readers::of(&servers[edge], paths)
    });
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let until = Instant::now() + seconds(45);
    let (mut kills, mut hangs) = (0, 0);
    accepted(&servers[0], &minted[..150], 20);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(500 + dice.roll(2_500) as u64));
        let which = dice.roll(servers.len());
        // One that hangs finds in the end that others have taken over.
        if dice.roll(4) == 0 {
            servers[which].signal("STOP");
            std::thread::sleep(HANGS);
            servers[which].signal("CONT");
            hangs += 1;
            continue;
        }
        servers[which].kill9();
        kills += 1;
        std::thread::sleep(Duration::from_millis(dice.roll(2_000) as u64));
        let (name, role) = roles[which];
        servers[which] = nodes.start(name, role);
        if let Some(readers) = readers.get(which) {
            readers
                .place
                .lock()
                .unwrap()
                .clone_from(&servers[which].public);
        }
    }
    let (mut answered, mut in_doubt) = (0, 0);
    for readers in readers {
        let (ok, lost) = readers.end();
        answered += ok;
        in_doubt += lost;
    }
    let counted = || {
        (
            nodes.number("SELECT count(*) FROM hits"),
            nodes.number("SELECT count(*) FROM inbox"),
        )
    };
    eventually("counted", counted, |(rows, waiting)| {
        *rows >= answered && *waiting == 0
    });
    eventually(
        "settled",
        || nodes.number(EVERY_HIT_IS_SETTLED),
        |open| *open == 0,
    );
    let (rows, _) = counted();
    println!("{kills} kills, {hangs} hangs, {answered} answered, {in_doubt} in doubt, {rows} rows");
    assert!(
        rows <= answered + in_doubt,
        "{rows} of {answered} + {in_doubt}"
    );
    let distinct = nodes.number("SELECT count(DISTINCT (edge, sequence)) FROM hits");
    assert_eq!(rows, distinct);
    sums_are_rows(&nodes);
    assert_eq!(nodes.number(&format!("{BEFORE_ACCEPTANCE} = 0")), 0);
    let judged = nodes.number(&format!("{BEFORE_ACCEPTANCE} <> 0"));
    let people = nodes.number("SELECT count(*) FROM hits WHERE class = 1");
    assert!(
        judged > 0 && people > 0,
        "{judged} judged by acceptance, {people} people"
    );
}

#[test]
fn what_a_dead_settler_had_is_taken_over_within_ten_seconds() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let edge = nodes.start("a", "edge");
    let mut servers = [nodes.start("s", "settle"), nodes.start("t", "settle")];
    let campaign = edge.campaign();
    edge.link(campaign, json!({"url": "https://one.example/"}));
    let minted = mailing(&edge, campaign, 200);
    let held = "SELECT count(DISTINCT holder) FROM shards WHERE holder IS NOT NULL";
    eventually("shared", || nodes.number(held), |holders| *holders == 2);
    let rows = "SELECT (SELECT count(*) FROM hits) + (SELECT count(*) FROM inbox)";
    for (server, all) in servers.iter_mut().zip([200, 400]) {
        server.kill9();
        let began = Instant::now();
        for message in &minted {
            assert_eq!(edge.get(&format!("/c/{}/1", message.token)).status(), 302);
        }
        eventually("shipped", || nodes.number(rows), |rows| *rows == all);
        let waits = || nodes.number("SELECT count(*) FROM inbox");
        assert!(waits() > 0, "nothing was left to be taken over");
        eventually("taken over", waits, |waits| *waits == 0);
        let took = began.elapsed();
        println!("taken over after {took:?}");
        assert!(took < TAKEOVER_MAX, "{took:?}");
        let name = server
            .data
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        *server = nodes.start(&name, "settle");
        eventually("shared", || nodes.number(held), |holders| *holders == 2);
    }
    let total = || edge.stats(campaign)["raw"]["clicks"]["total"].clone();
    eventually("counted", total, |total| *total == 400);
    sums_are_rows(&nodes);
}

#[test]
fn a_settler_whose_network_is_gone_in_the_middle_keeps_nobody_from_its_work() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let edge = nodes.start("a", "edge");
    let way = Way::to(&nodes.cluster.url("app"));
    let over_way = format!("postgres://cupel@{}/app", way.place);
    let lost = nodes.start_on("s", "settle", &over_way);
    let other = nodes.start("t", "settle");
    let campaign = edge.campaign();
    edge.link(campaign, json!({"url": "https://one.example/"}));
    let minted = mailing(&edge, campaign, 200);
    let held = "SELECT count(DISTINCT holder) FROM shards WHERE holder IS NOT NULL";
    eventually("shared", || nodes.number(held), |holders| *holders == 2);
    // Both are stopped in the middle of a transaction, before they move sums.
    let holder = nodes.cluster.hold("app", "sums", "EXCLUSIVE");
    for message in &minted {
        assert_eq!(edge.get(&format!("/c/{}/1", message.token)).status(), 302);
    }
    let middle = "SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE 'INSERT INTO sums%' AND wait_event_type = 'Lock'";
    eventually(
        "in the middle",
        || nodes.number(middle),
        |waiting| *waiting == 2,
    );
    way.set(HANG);
    drop(holder);
    let began = Instant::now();
    let counted = || nodes.number("SELECT sum(hits) FROM sums WHERE cell = 0");
    eventually("counted", counted, |counted| *counted == 200);
    println!("counted after {:?}", began.elapsed());
    sums_are_rows(&nodes);
    way.set(THROUGH);
    drop((lost, other));
}
