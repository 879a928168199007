//! What one node changes, and who may be a node at all.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Nodes, serve};
use crate::harness::{Server, client, cupel_on_file, eventually, postgres, run};

/// Serves a directory, on a file unless a database is named.
fn serving(data: &Path) -> Command {
    let mut command = cupel_on_file();
    let ports = ["--listen=127.0.0.1:0", "--control=127.0.0.1:0"];
    command.arg("serve").args(ports).arg("--data").arg(data);
    command
}

/// The shipped rule set, to be given another name.
const STERN: &str = include_str!("../../../src/judge/rulesets/default.toml");

/// Longest that a change takes to reach every edge.
const REACHES_MAX: Duration = Duration::from_secs(1);

/// How long it took until it was so.
fn reached(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(
            began.elapsed() < REACHES_MAX,
            "{what} after {REACHES_MAX:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{what}: {:?}", began.elapsed());
}

#[test]
fn what_one_node_changes_reaches_the_others_and_outlives_the_database() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let a = nodes.start("a", "all");
    let mut b = nodes.start("b", "edge");
    let goes_to = |server: &Server, path: &str| {
        let answer = server.get(path);
        let header = answer.headers().get("location");
        header.map(|to| to.to_str().unwrap().to_owned())
    };
    let short = |code: &str| json!({"url": "https://one.example/", "code": code});
    let listen = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN \"cupel_catalogue\"'";
    eventually("listening", || nodes.number(listen), |ears| *ears == 2);
    for told in [true, false] {
        if !told {
            // The word may be lost, as behind a pooler: it is asked for.
            let tables = ["campaigns", "links", "short_links", "installation"];
            for table in tables.into_iter().chain(["ruleset_uses"]) {
                nodes.sql(&format!("ALTER TABLE {table} DISABLE TRIGGER tell_changed"));
            }
        }
        let code = format!("s{told}");
        a.post("/short-links", short(&code));
        let path = format!("/{code}");
        reached("a short link", || goes_to(&b, &path).is_some());
        let edit = json!({"url": "https://two.example/"});
        let edited = a.api(Method::PATCH, &format!("/short-links/{code}"), Some(edit));
        assert_eq!(edited.0, 200, "{edited:?}");
        reached("an edit", || {
            goes_to(&b, &path).unwrap() == "https://two.example/"
        });
        let text = STERN.replace("\"default\"", &format!("\"stern-{told}\""));
        a.post("/rulesets", json!({"text": text}));
        let used = a.api(Method::POST, &format!("/rulesets/stern-{told}/use"), None);
        assert_eq!(used.0, 200, "{used:?}");
        reached("a live rule set", || {
            let ready = reqwest::blocking::get(b.control("/readyz?verbose")).unwrap();
            ready.text().unwrap().contains(&format!("stern-{told}@"))
        });
        let rotated = a.api(Method::POST, "/key-ring/rotate", None);
        assert_eq!(rotated.0, 200, "{rotated:?}");
        let campaign = a.campaign();
        a.link(campaign, json!({"url": "https://three.example/"}));
        let token = a.mint(campaign, &["r"])[0].token.clone();
        let path = format!("/c/{token}/1");
        reached("a link under a new key", || goes_to(&b, &path).is_some());
    }
    // And the other way.
    b.post("/short-links", short("of-b"));
    reached("a short link of B", || goes_to(&a, "/of-b").is_some());
    assert_eq!(b.read("/key-ring"), a.read("/key-ring"));
    let campaign = a.campaign();
    a.link(campaign, json!({"url": "https://four.example/"}));
    let token = a.mint(campaign, &["r"])[0].token.clone();
    let path = format!("/c/{token}/1");
    reached("a link", || goes_to(&b, &path).is_some());
    nodes.cluster.stop();
    b.kill9();
    let b = nodes.start("b", "edge");
    assert_eq!(goes_to(&b, &path).unwrap(), "https://four.example/");
    assert_eq!(goes_to(&b, "/strue").unwrap(), "https://two.example/");
    nodes.cluster.start();
    let total =
        || a.api(Method::GET, "/short-links/strue/stats", None).1["raw"]["clicks"]["total"].clone();
    eventually("counted", total, |total| total.as_u64() > Some(0));
}

#[test]
fn a_node_with_other_keys_is_refused_and_takes_no_harm() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let a = nodes.start("a", "all");
    let other = nodes.own.path().join("other");
    let mut command = serving(&other);
    command.env("CUPEL_STORE", nodes.cluster.url("app"));
    let (code, _, said) = run(&mut command);
    assert_eq!(code, 78, "{said}");
    assert!(
        said.contains("the database belongs to another installation"),
        "{said}"
    );
    assert!(said.contains("keys/ring.toml"), "{said}");
    // With links of its own it goes on for their readers, and leaves the database alone.
    let mut stranger = Server::spawn(serving(&other), &other, client());
    stranger.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    stranger.stop();
    let stranger = serve(&other, "all", &nodes.cluster.url("app"));
    assert_eq!(stranger.get("/go").status(), 302);
    assert_eq!(stranger.api(Method::GET, "/campaigns", None).0, 503);
    assert_eq!(nodes.number("SELECT count(*) FROM edges"), 1);
    drop(a);
}
