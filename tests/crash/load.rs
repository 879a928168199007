//! What the fault tests send, how they find it again in the store, and their seeds.
//!
//! Hit number `id` is a click on one link of one message, and no other hit is. That takes one
//! slot of a ring, as most hits of real life do, and is told by the hit itself, not by a text
//! that may be left out when a ring is full.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cupel_bench::{KeptSeed, Oracle, Plan, Requests, Seed, Verdict, keep_seed, seeds_kept};
use serde_json::{Value, json};

use crate::harness::{Minted, Server, eventually};

/// Messages of a campaign; beyond, the next link begins.
const MESSAGES_MAX: u64 = 16_384;

/// These tests take the whole machine, and the figures they print are of that one test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that the environment may raise.
pub(crate) fn asked(variable: &str, least: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    let asked = asked.and_then(|number| number.parse().ok());
    asked.unwrap_or(least).max(least)
}

/// Runs a random test: with the seeds that once failed, then with a new one or `FAULT_SEED`. A
/// seed that fails is kept.
pub(crate) fn seeded(test: &str, run: impl Fn(Seed)) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failing-seeds.txt");
    let mut seeds = seeds_kept(&file, test).unwrap();
    seeds.push(Seed::from_env_or_random("FAULT_SEED").unwrap());
    for seed in seeds {
        println!("{test}: FAULT_SEED={seed}");
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) else {
            continue;
        };
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let mut note = said
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or("")
            .to_owned();
        note.retain(|character| character != '#');
        keep_seed(
            &file,
            &KeptSeed {
                test: test.to_owned(),
                seed,
                note,
            },
        )
        .unwrap();
        resume_unwind(panic);
    }
}

/// A campaign whose clicks have ids, and another whose clicks mark that all before are settled.
pub(crate) struct Hits {
    pub(crate) campaign: u64,
    tokens: Arc<[String]>,
    links: u64,
    /// The place of each message by its number.
    places: HashMap<u64, u64>,
    marker: u64,
    marker_path: String,
}

impl Hits {
    /// With at least `count` ids.
    pub(crate) fn new(server: &Server, count: u64) -> Self {
        let campaign = server.campaign();
        let links = count.div_ceil(MESSAGES_MAX);
        for number in 1..=links {
            let url = format!("https://shop.example/{number}");
            let made = server.link(campaign, json!({"url": url}));
            assert_eq!(made, number);
        }
        let messages = mint(server, campaign, count.min(MESSAGES_MAX));
        let marker = server.campaign();
        server.link(marker, json!({"url": "https://marker.example/"}));
        let marker_path = format!("/c/{}/1", server.mint(marker, &["r"])[0].token);
        Self {
            campaign,
            places: places(&messages),
            tokens: messages.into_iter().map(|one| one.token).collect(),
            links,
            marker,
            marker_path,
        }
    }

    /// Its requests.
    pub(crate) fn requests(&self) -> impl Requests + use<> {
        let (tokens, links) = (Arc::clone(&self.tokens), self.links);
        move |id: u64, into: &mut Vec<u8>| {
            let (link, message) = (id / tokens.len() as u64 + 1, id % tokens.len() as u64);
            assert!(link <= links, "no ids are left at {id}");
            let token = &tokens[usize::try_from(message).unwrap()];
            let text = format!(
                "GET /c/{token}/{link} HTTP/1.1\r\nHost: t\r\nUser-Agent: Mozilla/5.0 (load)\r\n\
                 Accept: */*\r\n\r\n"
            );
            into.extend_from_slice(text.as_bytes());
        }
    }

    fn total(server: &Server, campaign: u64) -> u64 {
        let stats = server.stats(campaign);
        stats["raw"]["clicks"]["total"].as_u64().unwrap()
    }

    /// Waits until everything that was kept before is settled: clicks once more, elsewhere, and
    /// waits for that one. Twice, for within one tick the first may overtake others.
    pub(crate) fn drain(&self, server: &Server) {
        for _ in 0..2 {
            let marked = Self::total(server, self.marker);
            assert_eq!(server.get(&self.marker_path).status(), 302);
            let mut before = Self::total(server, self.campaign);
            let seen = || {
                let settled = Self::total(server, self.campaign);
                (settled, Self::total(server, self.marker))
            };
            // However large the backlog: it has to go on shrinking.
            loop {
                let more = |(settled, marks): &(u64, u64)| *marks > marked || *settled > before;
                let (settled, marks) = eventually("settling", seen, more);
                if marks > marked {
                    break;
                }
                before = settled;
            }
        }
    }

    /// Ids of the clicks that are stored, once for each row.
    pub(crate) fn stored(&self, server: &Server) -> Vec<u64> {
        let rows = rows(
            server,
            &format!(
                "SELECT link, number FROM hits WHERE kind = 2 AND campaign = {}",
                self.campaign
            ),
        );
        let id = |row: Vec<u64>| (row[0] - 1) * self.tokens.len() as u64 + self.places[&row[1]];
        rows.into_iter().map(id).collect()
    }

    /// Everything settled, and held against what was sent; sums and rows must say the same.
    pub(crate) fn verdict(&self, server: &Server, oracle: &Oracle) -> Verdict {
        self.drain(server);
        let stored = self.stored(server);
        let summed = Self::total(server, self.campaign);
        assert_eq!(summed, stored.len() as u64, "sums and rows");
        oracle.check(stored)
    }
}

/// A campaign whose one-click unsubscribes have ids.
pub(crate) struct Acts {
    campaign: u64,
    paths: Arc<[String]>,
    places: HashMap<u64, u64>,
}

impl Acts {
    /// With so many ids.
    pub(crate) fn new(server: &Server, count: u64) -> Self {
        let campaign = server.campaign();
        let messages = mint(server, campaign, count);
        let path = |one: &Minted| format!("/u/{}/{}/0", one.token, one.act(0));
        Self {
            campaign,
            paths: messages.iter().map(path).collect(),
            places: places(&messages),
        }
    }

    /// Its requests.
    pub(crate) fn requests(&self) -> impl Requests + use<> {
        let paths = Arc::clone(&self.paths);
        move |id: u64, into: &mut Vec<u8>| {
            let path = &paths[usize::try_from(id).unwrap()];
            let body = "List-Unsubscribe=One-Click";
            let text = format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
                body.len()
            );
            into.extend_from_slice(text.as_bytes());
        }
    }

    /// One of them, by itself: status and how long it took.
    pub(crate) fn press(&self, server: &Server, id: usize) -> (u16, Duration) {
        let began = Instant::now();
        let request = server.public(reqwest::Method::POST, &self.paths[id]);
        let answer = request.body("List-Unsubscribe=One-Click").send().unwrap();
        (answer.status().as_u16(), began.elapsed())
    }

    /// Ids of the acts that are stored, once for each row.
    pub(crate) fn stored(&self, server: &Server) -> Vec<u64> {
        let sql = format!("SELECT number FROM acts WHERE campaign = {}", self.campaign);
        let rows = rows(server, &sql);
        rows.into_iter().map(|row| self.places[&row[0]]).collect()
    }
}

fn mint(server: &Server, campaign: u64, count: u64) -> Vec<Minted> {
    let recipients: Vec<_> = (0..count).map(|n| format!("r{n}")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    server.mint(campaign, &recipients)
}

/// Which place each message has; its number ends its id.
fn places(messages: &[Minted]) -> HashMap<u64, u64> {
    let number = |one: &Minted| one.message.rsplit('-').next().unwrap().parse().unwrap();
    (0..)
        .zip(messages)
        .map(|(at, one)| (number(one), at))
        .collect()
}

/// Rows of integers, from the database file itself: the API would take minutes for them.
fn rows(server: &Server, sql: &str) -> Vec<Vec<u64>> {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)\n\
        for row in db.execute(sys.argv[2]): print(*row)";
    let database: PathBuf = server.data.join("cupel.sqlite");
    let mut command = Command::new("python3");
    let (code, out, err) =
        crate::harness::run(command.args(["-c", script, database.to_str().unwrap(), sql]));
    assert_eq!(code, 0, "{sql}: {err}");
    let row = |line: &str| line.split(' ').map(|word| word.parse().unwrap()).collect();
    out.lines().map(row).collect()
}

/// The public listener.
pub(crate) fn address(server: &Server) -> SocketAddr {
    server.public.trim_start_matches("http://").parse().unwrap()
}

/// A closed loop on so many connections.
pub(crate) fn closed(server: &Server, connections: usize, first_id: u64) -> Plan {
    Plan {
        connections,
        first_id,
        ..Plan::new(address(server))
    }
}

/// The first id that was not sent yet.
pub(crate) fn next_id(oracle: &Oracle) -> u64 {
    oracle.ids().last().map_or(0, |(id, _)| id + 1)
}

/// What `/readyz` says: status, and JSON of each part.
pub(crate) fn readiness(server: &Server) -> (u16, Value) {
    let url = server.control("/readyz?verbose");
    let answer = server.client.get(url).send().unwrap();
    let status = answer.status().as_u16();
    let mut said: Value = answer.json().unwrap();
    (status, said["parts"].take())
}
