//! Links answer while the database is locked, moved away or corrupt; the hits are all there
//! afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Minted, Server, eventually};

struct Life {
    server: Server,
    campaign: u64,
    one: Minted,
    hits: u64,
}

impl Life {
    fn new() -> Self {
        let server = Server::new();
        let campaign = server.campaign();
        server.link(campaign, json!({"url": "https://shop.example/"}));
        let one = server.mint(campaign, &["r"])[0].clone();
        let mut life = Self {
            server,
            campaign,
            one,
            hits: 0,
        };
        life.click(5);
        life.all_there();
        life
    }

    fn database(&self) -> PathBuf {
        self.server.data.join("cupel.sqlite")
    }

    fn remove_logs(&self) {
        for extension in ["sqlite-wal", "sqlite-shm"] {
            let beside = self.database().with_extension(extension);
            if beside.exists() {
                fs::remove_file(&beside).unwrap();
            }
        }
    }

    fn click(&mut self, times: u64) {
        for _ in 0..times {
            let answer = self.server.get(&format!("/c/{}/1", self.one.token));
            assert_eq!(answer.status(), 302);
            assert_eq!(answer.headers()["location"], "https://shop.example/");
            self.hits += 1;
        }
    }

    fn one_click(&self) {
        let path = format!("/u/{}/{}/0", self.one.token, self.one.act(0));
        let request = self
            .server
            .public(Method::POST, &path)
            .body("List-Unsubscribe=One-Click");
        assert_eq!(
            request.send().unwrap().status(),
            200,
            "acts need the journal alone"
        );
    }

    /// Waits until every hit so far is counted, and counts exactly once.
    fn all_there(&self) {
        let path = format!("/campaigns/{}/stats", self.campaign);
        let total = || {
            let (status, stats) = self.server.api(Method::GET, &path, None);
            (status == 200).then(|| stats["raw"]["clicks"]["total"].as_u64().unwrap())
        };
        eventually("all hits", total, |total| *total == Some(self.hits));
    }

    fn store_is(&self, up: f64) {
        eventually(
            "store_up",
            || self.server.metric("cupel_store_up"),
            |seen| *seen == up,
        );
    }
}

/// Holds an exclusive lock on the database, as a backup tool might.
fn hold_lock(database: &str) -> Child {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        db.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()";
    let mut child = Command::new("python3")
        .args(["-c", script, database])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    assert_eq!(line.trim(), "locked");
    child
}

#[test]
fn locked() {
    let mut life = Life::new();
    let mut lock = hold_lock(life.database().to_str().unwrap());
    life.click(50);
    life.one_click();
    let body = json!({"name": "n", "home_url": "https://a.example/"});
    let (status, problem) = life.server.api(Method::POST, "/campaigns", Some(body));
    assert_eq!(status, 503, "{problem}");
    life.click(50);
    drop(lock.stdin.take());
    lock.wait().unwrap();
    life.all_there();
}

#[test]
fn moved_away_and_back() {
    let mut life = Life::new();
    let (here, away) = (life.database(), life.server.data.join("elsewhere.sqlite"));
    fs::rename(&here, &away).unwrap();
    life.click(50);
    life.one_click();
    life.store_is(0.0);
    life.click(50);
    let (status, _) = life.server.api(Method::GET, "/campaigns", None);
    assert_eq!(status, 503);
    assert!(!here.exists(), "no empty database takes its place");
    fs::rename(&away, &here).unwrap();
    life.store_is(1.0);
    life.all_there();
    assert_eq!(life.server.all_events("&kind=unsubscribe").len(), 1);
}

#[test]
fn corrupt_then_restored_from_a_backup() {
    let mut life = Life::new();
    let backup = life.server.data.join("backup.sqlite");
    let made = Command::new("python3")
        .args([
            "-c",
            "import sqlite3, sys\n\
            sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))",
        ])
        .args([&life.database(), &backup])
        .status()
        .unwrap();
    assert!(made.success());
    life.click(20);
    life.all_there();
    let late = life
        .server
        .link(life.campaign, json!({"url": "https://late.example/"}));

    let mut bytes = fs::read(life.database()).unwrap();
    bytes.fill(0x55);
    fs::write(life.database(), &bytes).unwrap();
    life.click(50);
    life.one_click();
    life.server.kill9();
    // The log beside it could still mend everything: take that too.
    fs::write(life.database(), &bytes).unwrap();
    life.remove_logs();
    life.server.revive();
    life.store_is(0.0);
    life.click(50);
    let late_path = format!("/c/{}/{late}", life.one.token);
    assert_eq!(
        life.server.get(&late_path).headers()["location"],
        "https://late.example/"
    );

    life.remove_logs();
    fs::rename(&backup, life.database()).unwrap();
    life.store_is(1.0);
    life.hits += 1;
    life.all_there();
    let links = life
        .server
        .read(&format!("/campaigns/{}/links", life.campaign));
    assert_eq!(
        links["links"].as_array().unwrap().len(),
        2,
        "the late link is given back"
    );
    let next = life
        .server
        .link(life.campaign, json!({"url": "https://next.example/"}));
    assert_eq!(
        next,
        late + 1,
        "a number that was mailed is never given to another"
    );
}

#[test]
fn a_directory_without_its_keys_is_refused() {
    let mut server = Server::new();
    server.stop();
    fs::rename(server.data.join("keys"), server.data.join("keys.lost")).unwrap();
    let (code, out, err) = crate::harness::run(
        crate::harness::cupel()
            .args(["serve", "--data", server.data.to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]),
    );
    assert_eq!((code, out.as_str()), (78, ""), "{err}");
    assert!(
        err.contains("restore it from your backup") && err.lines().count() == 1,
        "{err}"
    );
}
