//! Processor time of this process and of a PostgreSQL server on this machine.

use std::fs;

/// Seconds of processor time, user and system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) own: f64,
    pub(crate) server: f64,
}

impl Cost {
    /// Up to now; with that of a server, if there is one in play.
    pub(crate) fn now(server: bool) -> Self {
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let all = server.then(|| fs::read_dir("/proc"));
        let all = all.into_iter().flatten().flatten().flatten();
        let stats = all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let server = stats.filter(|stat| stat.contains("(postgres)"));
        Self {
            own: times(&own, 0),
            server: server.map(|stat| times(&stat, postmaster(&stat))).sum(),
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            own: self.own - before.own,
            server: self.server - before.server,
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.own += more.own;
        self.server += more.server;
    }

    pub(crate) fn all(self) -> f64 {
        self.own + self.server
    }
}

/// Those who ended are in the account of the one who began them: the server's first process, whose
/// parent is no server.
fn postmaster(stat: &str) -> usize {
    let parent = fields(stat).get(1).copied().unwrap_or(0);
    let parent = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    if parent.contains("(postgres)") { 0 } else { 2 }
}

/// `utime`, `stime`, and as many behind them as said: those of children.
fn times(stat: &str, more: usize) -> f64 {
    let ticks: u64 = fields(stat).iter().skip(11).take(2 + more).sum();
    ticks as f64 / 100.0
}

/// What stands behind the name, as numbers; the state is 0.
fn fields(stat: &str) -> Vec<u64> {
    let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
    behind
        .split(' ')
        .map(|field| field.trim().parse().unwrap_or(0))
        .collect()
}
