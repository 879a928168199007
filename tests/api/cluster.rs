//! PostgreSQL servers of a test's own, to be broken, restarted and promoted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{eventually, ports};

/// Has a lock until it is dropped.
pub(crate) struct Holder {
    url: String,
    child: Child,
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its server would go on without it.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        let ended = Command::new("psql")
            .args(["-qX", &self.url, "-c", end])
            .output();
        drop(ended.and_then(|_| self.child.wait()));
    }
}

/// A server on a free port of loopback, and all that it has.
pub(crate) struct Cluster {
    own: TempDir,
    port: u16,
}

impl Cluster {
    /// An empty one, started. Commits do not wait for its disk.
    pub(crate) fn new() -> Self {
        let cluster = Self::in_place();
        cluster.run(
            "initdb",
            &["-A", "trust", "-U", "cupel", "-D", &cluster.data()],
        );
        cluster.start();
        cluster
    }

    /// A standby of the server on this port, started: it has what that has, and follows it.
    pub(crate) fn standby_of(port: u16) -> Self {
        let cluster = Self::in_place();
        let port = port.to_string();
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "cupel"];
        let data = cluster.data();
        cluster.run(
            "pg_basebackup",
            &[
                &from[..],
                &["-D", &data, "-R", "-X", "stream", "-c", "fast"],
            ]
            .concat(),
        );
        cluster.start();
        cluster
    }

    fn in_place() -> Self {
        let own = tempfile::tempdir().unwrap();
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(own.path())
                .status();
            assert!(owned.unwrap().success());
        }
        let [port] = ports();
        Self { own, port }
    }

    fn data(&self) -> String {
        self.own.path().join("data").display().to_string()
    }

    pub(crate) fn start(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off",
            self.port,
            self.own.path().display()
        );
        let log = self.own.path().join("log").display().to_string();
        self.run(
            "pg_ctl",
            &[
                "-D",
                &self.data(),
                "-l",
                &log,
                "-w",
                "start",
                "-o",
                &options,
            ],
        );
    }

    /// Ends it as a crash does.
    pub(crate) fn stop(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }

    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://cupel@127.0.0.1:{}/{database}", self.port)
    }

    /// What a statement returns, as text.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let done = Command::new("psql")
            .args([
                "-qXAt",
                "-v",
                "ON_ERROR_STOP=1",
                &self.url(database),
                "-c",
                text,
            ])
            .output()
            .unwrap();
        assert!(done.status.success(), "{text}: {done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Somebody has a lock on a table, until what this returns is dropped.
    pub(crate) fn hold(&self, database: &str, table: &str, mode: &str) -> Holder {
        let lock = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT pg_sleep(600)");
        let child = Command::new("psql")
            .args(["-qX", &self.url(database), "-c", &lock])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let holder = Holder {
            url: self.url(database),
            child: child.unwrap(),
        };
        let held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'
            AND wait_event = 'PgSleep'";
        eventually("held", || self.sql(database, held), |held| held == "1");
        holder
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = as_postgres(&programs().join(program));
        let done = command
            .args(arguments)
            .current_dir(self.own.path())
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{program}: {done:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_postgres(&programs().join("pg_ctl"));
        stop.args(["-D", &self.data(), "-m", "immediate", "stop"]);
        drop(stop.output());
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// PostgreSQL refuses to be run by root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

/// The newest that is installed.
fn programs() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").expect("apt install postgresql");
    let newest = all.map(|entry| entry.unwrap().path()).max_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.parse::<u32>().unwrap_or(0)
    });
    newest.expect("apt install postgresql").join("bin")
}
