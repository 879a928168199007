//! Starts the real binary on a directory of its own, and talks to it as users do.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test target uses its part"
)]

mod minted;
mod process;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

pub use minted::{Minted, damaged};
pub use process::{answer_once, cupel, cupel_on_file, for_anybody, ports, postgres, run};
use process::{free_ports, log, log_file};

/// Longest wait for something that takes a second.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The shared test material beside the project.
pub fn corpora(path: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    assert!(
        all.is_dir(),
        "{} is missing: the corpora lie beside the project",
        all.display()
    );
    all.join(path)
}

/// Asks again until it is so, or fails with what was last seen.
pub fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> T,
    so: impl Fn(&T) -> bool,
) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        let seen = ask();
        if so(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "{what}: still {seen:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// A client that follows no redirect and keeps no cookie.
pub fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap()
}

/// A running server.
pub struct Server {
    child: Option<Child>,
    pub data: PathBuf,
    pub public: String,
    /// Where else readers are listened to.
    pub others: Vec<String>,
    pub control: String,
    pub key: String,
    pub client: Client,
    /// What it was started by.
    binary: fn() -> Command,
    _own: Option<tempfile::TempDir>,
}

impl Server {
    /// On a new directory, with windows of one second.
    pub fn new() -> Self {
        Self::with("[settle]\nwindow_seconds = 1\n", &[])
    }

    /// On a new directory with this configuration and these flags.
    pub fn with(configuration: &str, flags: &[&str]) -> Self {
        let own = tempfile::tempdir().unwrap();
        let data = own.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("cupel.toml"), configuration).unwrap();
        let mut server = Self::start(&data, flags);
        server._own = Some(own);
        server
    }

    /// On a new directory, with its store in a file of that.
    pub fn on_file() -> Self {
        let own = tempfile::tempdir().unwrap();
        let data = own.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("cupel.toml"), "[settle]\nwindow_seconds = 1\n").unwrap();
        let mut server = Self::start_by(cupel_on_file, &data, &[]);
        server._own = Some(own);
        server
    }

    /// On a directory that may have been used before.
    pub fn start(data: &Path, flags: &[&str]) -> Self {
        Self::start_by(cupel, data, flags)
    }

    fn start_by(binary: fn() -> Command, data: &Path, flags: &[&str]) -> Self {
        let mut command = binary();
        command
            .arg("serve")
            .args(["--data", data.to_str().unwrap()])
            .args(free_ports(flags))
            .args(flags);
        let mut server = Self::spawn(command, data, client());
        server.binary = binary;
        server
    }

    /// By a command that serves this directory, and asked by this client.
    pub fn spawn(mut command: Command, data: &Path, client: Client) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log_file(data))
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut public, mut control, mut others) = (String::new(), String::new(), Vec::new());
        let mut lines = lines.map_while(Result::ok);
        for line in lines.by_ref() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                // Links begin with the first.
                (Some("public"), Some(url)) if public.is_empty() => public = url.to_owned(),
                (Some("public"), Some(url)) => others.push(url.to_owned()),
                (Some("control"), Some(url)) if control.is_empty() => {
                    control = url.trim_end_matches("/api/v1").to_owned();
                    if control.starts_with("unix:") {
                        // The client knows the way.
                        control = "http://localhost".to_owned();
                    }
                }
                (Some("ready"), _) => break,
                _ => {}
            }
        }
        // Whatever is said later must find a reader.
        std::thread::spawn(move || lines.count());
        assert!(
            !control.is_empty(),
            "the server did not start: {}",
            log(data)
        );
        let mut server = Self {
            child: Some(child),
            data: data.to_owned(),
            public,
            others,
            control,
            key: String::new(),
            client,
            binary: cupel,
            _own: None,
        };
        eventually(
            "listening",
            || server.client.get(server.control("/livez")).send().is_ok(),
            |up| *up,
        );
        let key_file = data.join("admin.key");
        if let Ok(key) = std::fs::read_to_string(&key_file) {
            server.key = key.trim().to_owned();
        }
        server
    }

    /// Starts again on the same directory after the process has gone.
    pub fn revive(&mut self) {
        let own = self._own.take();
        let data = self.data.clone();
        let key = std::mem::take(&mut self.key);
        *self = Self::start_by(self.binary, &data, &[]);
        self._own = own;
        self.key = key;
    }

    pub fn log(&self) -> String {
        log(&self.data)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn kill9(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal, such as HUP.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("the server runs");
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let asked = Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(asked.success(), "the server had died: {}", self.log());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(
                    status.success(),
                    "stopping ended with {status}: {}",
                    self.log()
                );
                return;
            }
            if Instant::now() > until {
                child.kill().unwrap();
                panic!("the server did not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn control(&self, path: &str) -> String {
        format!("{}{path}", self.control)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// A GET on the public listener.
    pub fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().unwrap()
    }

    pub fn public(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A control request; status and JSON.
    pub fn api(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.api_as(&self.key, method, path, body)
    }

    pub fn api_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = self.control(&format!("/api/v1{path}"));
        let mut request = self.client.request(method, url).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
        (status, json)
    }

    pub fn post(&self, path: &str, body: Value) -> Value {
        let (status, json) = self.api(Method::POST, path, Some(body));
        assert!((200..300).contains(&status), "POST {path}: {status} {json}");
        json
    }

    pub fn read(&self, path: &str) -> Value {
        let (status, json) = self.api(Method::GET, path, None);
        assert_eq!(status, 200, "GET {path}: {json}");
        json
    }

    /// A campaign; its id.
    pub fn campaign(&self) -> u64 {
        let made = self.post(
            "/campaigns",
            json!({"name": "Test", "home_url": "https://home.example/"}),
        );
        made["id"].as_u64().unwrap()
    }

    /// A link; its number.
    pub fn link(&self, campaign: u64, link: Value) -> u64 {
        let made = self.post(&format!("/campaigns/{campaign}/links"), link);
        made["number"].as_u64().unwrap()
    }

    pub fn mint(&self, campaign: u64, recipients: &[&str]) -> Vec<Minted> {
        let path = format!("/campaigns/{campaign}/mint");
        let all = self.post(&path, json!({"recipients": recipients}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        all["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| Minted {
                recipient: text(&one["recipient"]),
                message: text(&one["message"]),
                token: text(&one["token"]),
                acts: one["acts"].clone(),
                json: one.clone(),
            })
            .collect()
    }

    pub fn stats(&self, campaign: u64) -> Value {
        self.read(&format!("/campaigns/{campaign}/stats"))
    }

    /// Waits until so many events are recorded, and returns all of them.
    pub fn events(&self, filter: &str, count: usize) -> Vec<Value> {
        let all = || self.all_events(filter);
        eventually("events", all, |events| events.len() >= count)
    }

    /// Every event that is recorded.
    pub fn all_events(&self, filter: &str) -> Vec<Value> {
        let mut events = Vec::new();
        self.each_event(filter, |event| events.push(event.clone()));
        events
    }

    /// Every event that is recorded, page by page.
    pub fn each_event(&self, filter: &str, mut see: impl FnMut(&Value)) {
        let mut after = String::new();
        loop {
            let page = self.read(&format!("/events?limit=1000{after}{filter}"));
            page["events"].as_array().unwrap().iter().for_each(&mut see);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return,
            }
        }
    }

    /// Waits until every event so far is settled.
    pub fn settled(&self, filter: &str, count: usize) -> Vec<Value> {
        let settled = |events: &Vec<Value>| {
            events.len() >= count
                && events.iter().all(|event| {
                    event["judgement"]["stage"] == "settled" || event["privacy"] != "individual"
                })
        };
        eventually("settled events", || self.all_events(filter), settled)
    }

    /// A metric, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let url = self.control("/metrics");
        let text = self.client.get(url).send().unwrap().text().unwrap();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{'])
                .then(|| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        });
        let values: Vec<_> = values.collect();
        assert!(!values.is_empty(), "no metric {name} in\n{text}");
        values.iter().sum()
    }
}

impl Drop for Server {
    /// Every test is an accounting test: nothing was dropped, and the server stops in order.
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(mut child) = self.child.take() {
                eprintln!("the server's log:\n{}", self.log());
                let _killed = child.kill().and_then(|()| child.wait());
            }
            return;
        }
        if self.child.is_some() {
            assert_eq!(self.metric("cupel_dropped_total"), 0.0);
            self.stop();
        }
    }
}
