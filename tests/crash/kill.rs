//! An answered hit survives `kill -9`, and is stored once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Server, eventually};

/// Kills of one run, each at a random moment of full load, unless the environment asks for more.
const KILLS: usize = 20;
const CONNECTIONS: usize = 6;

/// A small generator whose seed is printed, so that a failing run can be looked at.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn kills() -> usize {
    let asked = std::env::var("CUPEL_FAULT_KILLS").ok();
    asked
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(KILLS)
        .max(KILLS)
}

fn seed() -> u64 {
    let given = std::env::var("FAULT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap() | 1
    })
}

/// One keep-alive connection; every request has an agent string of its own, by which the hit is
/// found again.
fn load(
    address: &str,
    path: &str,
    stop: &AtomicBool,
    next: &AtomicU64,
    answered: &Mutex<Vec<u64>>,
) {
    let Ok(stream) = TcpStream::connect(address) else {
        return;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nUser-Agent: load/{id}\r\n\r\n");
        if writer.write_all(request.as_bytes()).is_err() || !read_answer(&mut reader) {
            return;
        }
        answered.lock().unwrap().push(id);
    }
}

/// Reads one whole answer; `false` if the server has gone.
fn read_answer(reader: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    let mut length = 0;
    let mut first = true;
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return false,
        }
        if first {
            assert!(line.starts_with("HTTP/1.1 302"), "{line}");
            first = false;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).is_ok()
}

#[test]
fn every_answered_hit_of_every_life_is_stored_once() {
    let seed = seed();
    println!("FAULT_SEED={seed}");
    let mut random = Random(seed);
    let mut server = Server::with("[settle]\nwindow_seconds = 1\n", &[]);
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let path = format!("/c/{}/1", server.mint(campaign, &["r"])[0].token);
    let next = Arc::new(AtomicU64::new(1));
    let answered = Arc::new(Mutex::new(Vec::new()));
    let kills = kills();
    for _ in 0..kills {
        let stop = Arc::new(AtomicBool::new(false));
        let address = server.public.trim_start_matches("http://").to_owned();
        let loaders: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (address, path) = (address.clone(), path.clone());
                let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
                let answered = Arc::clone(&answered);
                std::thread::spawn(move || load(&address, &path, &stop, &next, &answered))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50 + random.next() % 350));
        server.kill9();
        stop.store(true, Ordering::Relaxed);
        for loader in loaders {
            loader.join().unwrap();
        }
        let began = Instant::now();
        server.revive();
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "starting took {:?}",
            began.elapsed()
        );
    }
    let answered = answered.lock().unwrap().clone();
    assert!(
        answered.len() > 20 * kills,
        "hardly any load: {}",
        answered.len()
    );
    let sent = next.load(Ordering::Relaxed) - 1;
    println!(
        "{} answered of {sent} sent over {kills} kills",
        answered.len()
    );
    check(&server, campaign, &answered, sent);
}

/// Answered hits are stored, stored ones were sent, each once; and the sums say the same.
fn check(server: &Server, campaign: u64, answered: &[u64], sent: u64) {
    let total = || {
        server.stats(campaign)["raw"]["clicks"]["total"]
            .as_u64()
            .unwrap()
    };
    // However large the backlog: it has to go on shrinking.
    let mut before = total();
    while before < answered.len() as u64 {
        before = eventually("sums", total, |now| *now > before);
    }
    let mut stored: BTreeMap<u64, u32> = BTreeMap::new();
    server.each_event("", |event| {
        let agent = event["agent"]
            .as_str()
            .unwrap_or_else(|| panic!("no agent: {event}"));
        let id = agent.strip_prefix("load/").unwrap().parse().unwrap();
        *stored.entry(id).or_default() += 1;
    });
    let missing: Vec<_> = answered
        .iter()
        .filter(|id| !stored.contains_key(id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} answered hits are lost: {missing:?}",
        missing.len()
    );
    let doubled: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "stored twice: {doubled:?}");
    assert!(stored.keys().all(|id| *id <= sent));
    assert_eq!(total(), stored.len() as u64, "sums and rows");
    assert_eq!(server.stats(campaign)["raw"]["clicks"]["unique"], 1);
}
