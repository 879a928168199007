//! What a service manager is told, over the socket that it names.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::{PATIENCE, Server, client, cupel, eventually};

/// A server started as systemd would, and what it says.
struct Supervised {
    child: Child,
    public: String,
    said: UnixDatagram,
    own: tempfile::TempDir,
}

impl Supervised {
    fn start(watchdog_ms: u32) -> Self {
        let own = tempfile::tempdir().unwrap();
        let socket = own.path().join("notify");
        let said = UnixDatagram::bind(&socket).unwrap();
        said.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut child = cupel()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--control", "127.0.0.1:0"])
            .args(["--set", "http.drain_seconds=0"])
            .arg("--set")
            .arg(format!(
                "network.table={}",
                own.path().join("table").display()
            ))
            .arg("--data")
            .arg(own.path().join("data"))
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", (watchdog_ms * 1000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let public = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words.first() == Some(&"public")).then(|| words[1].to_owned())
        });
        std::thread::spawn(move || lines.count());
        Self {
            child,
            public: public.unwrap(),
            said,
            own,
        }
    }

    /// The next thing it says that is no sign of life.
    fn said(&self) -> BTreeMap<String, String> {
        loop {
            let said = self.said_next();
            if !said.contains_key("WATCHDOG") {
                return said;
            }
        }
    }

    fn said_next(&self) -> BTreeMap<String, String> {
        let mut bytes = [0; 1024];
        let length = self.said.recv(&mut bytes).expect("it says nothing");
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let pairs = text.lines().map(|line| line.split_once('=').unwrap());
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Leaves out what it has said already.
    fn forget_what_was_said(&self) {
        self.said.set_nonblocking(true).unwrap();
        while self.said.recv(&mut [0; 1024]).is_ok() {}
        self.said.set_nonblocking(false).unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

#[test]
fn a_service_manager_is_told_of_serving_reloading_and_stopping() {
    let mut server = Supervised::start(0);
    assert_eq!(server.said()["READY"], "1");
    let root = client().get(&server.public).send().unwrap();
    assert_eq!(root.status(), 200, "ready means that readers are answered");
    server.signal("-HUP");
    let reloading = server.said();
    assert_eq!(reloading["RELOADING"], "1");
    assert!(reloading["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
    assert_eq!(server.said()["READY"], "1");
    server.signal("-TERM");
    let stopping = server.said();
    assert_eq!(stopping["STOPPING"], "1");
    let longest: u64 = stopping["EXTEND_TIMEOUT_USEC"].parse().unwrap();
    assert!(longest > 5_000_000, "more than http.stop_seconds_max");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_watchdog_hears_that_the_workers_turn() {
    let mut server = Supervised::start(400);
    for _ in 0..4 {
        while !server.said_next().contains_key("WATCHDOG") {}
    }
    server.signal("-TERM");
    assert_eq!(server.said()["STOPPING"], "1");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_disk_that_hangs_is_no_stuck_worker_and_a_stop_is_heard_all_the_same() {
    let mut server = Supervised::start(400);
    assert_eq!(server.said()["READY"], "1");
    // A table that can be opened and never read, as on a disk that hangs.
    let table = server.own.path().join("table");
    assert!(
        Command::new("mkfifo")
            .arg(&table)
            .status()
            .unwrap()
            .success()
    );
    // It opens once the server has, which then waits for what never comes.
    let hangs = std::fs::OpenOptions::new()
        .write(true)
        .open(&table)
        .unwrap();
    server.forget_what_was_said();
    for _ in 0..8 {
        assert!(server.said_next().contains_key("WATCHDOG"));
    }
    let root = client().get(&server.public).send().unwrap();
    assert_eq!(root.status(), 200);
    server.signal("-TERM");
    assert_eq!(server.said()["STOPPING"], "1");
    assert!(server.child.wait().unwrap().success());
    drop(hangs);
}

#[test]
fn a_hangup_while_it_starts_ends_nothing() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let mut child = cupel()
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--data")
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let hang_up = || {
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        sent.unwrap().success()
    };
    let lock = data.join("lock");
    eventually("it begins", || lock.exists(), |there| *there);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = lines.map_while(Result::ok);
        ready
            .send(lines.any(|line| line.trim() == "ready"))
            .unwrap();
        lines.count();
    });
    let serves = loop {
        assert!(hang_up());
        match is_ready.recv_timeout(std::time::Duration::from_millis(3)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            ended => break ended.unwrap(),
        }
    };
    assert!(serves, "{:?}", child.wait());
    Command::new("kill").arg(&pid).status().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn files_that_may_not_grow_cost_no_redirect() {
    let server = Server::on_file();
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    let limited = Command::new("prlimit")
        .args(["--fsize=4096", "--pid", &server.pid().to_string()])
        .status();
    assert!(limited.unwrap().success());
    for _ in 0..300 {
        assert_eq!(server.get("/go").status(), 302);
    }
    let metric = || server.metric("cupel_settle_errors_total");
    eventually("settling fails", metric, |errors| *errors > 0.0);
    assert_eq!(server.get("/go").status(), 302);
}
