//! Several processes on one store: edges that ship, settlers that settle what all of them shipped.
//! These bring a database server of their own.

mod changes;
mod killed;
mod rejudged;
mod roles;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use cupel::domain::hit::Answer;

use crate::cluster::Cluster;
use crate::harness::{Minted, Server, client, cupel_on_file};

const WINDOW: &str = "settle.window_seconds=2";

/// Nodes of one installation.
struct Nodes {
    own: TempDir,
    cluster: Cluster,
    key: String,
}

impl Nodes {
    /// Nobody is there yet.
    fn none() -> Self {
        let cluster = Cluster::new();
        cluster.sql("postgres", "CREATE DATABASE app");
        Self {
            own: tempfile::tempdir().unwrap(),
            cluster,
            key: String::new(),
        }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }

    /// Starts a node, for the first time with the keys of the first.
    fn start(&mut self, name: &str, role: &str) -> Server {
        let store = self.cluster.url("app");
        self.start_on(name, role, &store)
    }

    /// The same, with its own way to the database.
    fn start_on(&mut self, name: &str, role: &str, store: &str) -> Server {
        let data = self.data(name);
        let first = self.data("a").join("keys/ring.toml");
        let keys = data.join("keys");
        if first.exists() && !keys.exists() {
            std::fs::create_dir_all(&keys).unwrap();
            std::fs::copy(first, keys.join("ring.toml")).unwrap();
        }
        let mut server = serve(&data, role, store);
        if self.key.is_empty() {
            self.key.clone_from(&server.key);
        }
        server.key.clone_from(&self.key);
        server
    }

    fn sql(&self, text: &str) -> String {
        self.cluster.sql("app", text)
    }

    fn number(&self, text: &str) -> u64 {
        self.sql(text).parse().unwrap()
    }
}

fn serve(data: &Path, role: &str, store: &str) -> Server {
    let mut command = cupel_on_file();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .args([
            "--set",
            "trusted_proxies=127.0.0.0/8",
            "--base-url=https://t.example",
        ])
        .args(["--role", role, "--set", WINDOW, "--data"])
        .arg(data)
        .env("CUPEL_STORE", store);
    Server::spawn(command, data, client())
}

/// A mailing of so many messages.
fn mailing(server: &Server, campaign: u64, messages: usize) -> Vec<Minted> {
    let recipients: Vec<_> = (0..messages).map(|n| format!("r{n}")).collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    server.mint(campaign, &recipients)
}

/// Sums and unique counts as the rows say that they must be. A link that an edge did not know yet
/// is in the rows and counts for nobody.
fn sums_are_rows(nodes: &Nodes) {
    let differ = |of: &str, sums: &str, rows: &str| {
        let sql = format!(
            "SELECT count(*) FROM ({sums}) s
             FULL JOIN ({rows}) r USING (campaign, kind, link, class)
             WHERE s.n IS DISTINCT FROM r.n"
        );
        assert_eq!(nodes.sql(&sql), "0", "{of}");
    };
    differ(
        "sums",
        "SELECT campaign, kind, link, class, sum(hits) AS n FROM sums WHERE cell = 0
            GROUP BY 1, 2, 3, 4 HAVING sum(hits) > 0",
        "SELECT campaign, kind, link, class, count(*) AS n FROM hits GROUP BY 1, 2, 3, 4",
    );
    differ(
        "sums of quarters",
        "SELECT campaign, kind, link, class, sum(hits) AS n FROM sums WHERE cell > 0
            GROUP BY 1, 2, 3, 4 HAVING sum(hits) > 0",
        "SELECT campaign, kind, link, class, count(*) AS n FROM hits GROUP BY 1, 2, 3, 4",
    );
    let human = "class IN (1, 2)";
    for (of, column, which) in [("raw", "raw", "true"), ("human", "human", human)] {
        let which = format!("{which} AND answer <> {}", Answer::NotFound.code());
        differ(
            of,
            &format!(
                "SELECT campaign, kind, link, 0 AS class, {column} AS n FROM uniques
                 WHERE link >= 0 AND {column} > 0"
            ),
            &format!(
                "SELECT campaign, kind, link, 0 AS class, count(DISTINCT (minted_at, number)) AS n
                 FROM hits WHERE number IS NOT NULL AND {which} GROUP BY 1, 2, 3"
            ),
        );
        differ(
            of,
            &format!(
                "SELECT campaign, kind, 0 AS link, 0 AS class, {column} AS n FROM uniques
                 WHERE link < 0 AND {column} > 0"
            ),
            &format!(
                "SELECT campaign, kind, 0 AS link, 0 AS class,
                    count(DISTINCT (minted_at, number)) AS n
                 FROM hits WHERE number IS NOT NULL AND {which} GROUP BY 1, 2"
            ),
        );
    }
}
