//! What is looked at again and again while a test runs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Server, client};

const EVERY: Duration = Duration::from_millis(20);

/// The greatest that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Greatest {
    pub(crate) value: f64,
    /// How much later than asked for this thread woke: so late anybody's thread may be here.
    pub(crate) late: Duration,
    /// How long a look took: so long the server takes for something small.
    pub(crate) look: Duration,
}

impl Greatest {
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            value: self.value.max(other.value),
            late: self.late.max(other.late),
            look: self.look.max(other.look),
        }
    }
}

/// A thread that looks.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Greatest>,
}

impl Watch {
    fn start(mut look: impl FnMut() -> Option<f64> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut greatest = Greatest::default();
            while !asked.load(Ordering::Relaxed) {
                let began = Instant::now();
                let value = look().unwrap_or(0.0);
                let look = began.elapsed();
                std::thread::sleep(EVERY);
                let late = (began.elapsed() - look).saturating_sub(EVERY);
                greatest = greatest.or(Greatest { value, late, look });
            }
            greatest
        });
        Self { stop, thread }
    }

    /// Resident memory, MiB.
    pub(crate) fn memory(server: &Server) -> Self {
        let file = format!("/proc/{}/status", server.pid());
        Self::start(move || {
            let text = std::fs::read_to_string(&file).ok()?;
            let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
            let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kib / 1024.0)
        })
    }

    /// From a hit to the end of its sync, seconds. And the latest moment of which the server has
    /// said since that all it had written by then is synced.
    pub(crate) fn syncs(server: &Server) -> (Self, Arc<Mutex<Instant>>) {
        let (client, metrics, ready) = (
            client(),
            server.control("/metrics"),
            server.control("/readyz?verbose"),
        );
        let known = Arc::new(Mutex::new(Instant::now()));
        let synced_at = Arc::clone(&known);
        let mut written = VecDeque::new();
        let look = move || {
            let asked_at = Instant::now();
            let said: Value = client.get(&ready).send().ok()?.json().ok()?;
            let number = |name: &str| said["parts"]["journal"][name].as_u64();
            let (last, synced_to) = (number("last")?, number("synced_to")?);
            written.push_back((last, asked_at));
            while let Some((_, at)) = written.pop_front_if(|(last, _)| *last <= synced_to) {
                *known.lock().unwrap() = at;
            }
            let text = client.get(&metrics).send().ok()?.text().ok()?;
            let name = "cupel_journal_sync_window_seconds ";
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.parse().ok()
        };
        (Self::start(look), synced_at)
    }

    pub(crate) fn end(self) -> Greatest {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Asks again until it is so; fails when that takes longer than promised. How long it took.
pub(crate) fn within(most: Duration, what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let asked_at = began.elapsed();
        if so() {
            return began.elapsed();
        }
        assert!(asked_at <= most, "{what}: not so after {asked_at:.1?}");
        std::thread::sleep(EVERY);
    }
}

/// What each thread of the server is doing, in the kernel too.
pub(crate) fn threads(server: &Server) -> String {
    let mut text = String::new();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    for task in tasks {
        let path = task.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let stack: Vec<_> = read("stack").lines().map(str::to_owned).collect();
        let line = format!(
            "{} waits in {}: {}\n",
            read("comm").trim(),
            read("wchan"),
            stack.join(" < ")
        );
        text.push_str(&line);
    }
    text
}
