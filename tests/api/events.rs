//! Events explain themselves, raw and human stand side by side, and privacy levels strip.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Server;

pub(crate) const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36";
/// What it sends when a link is followed, behind a proxy.
pub(crate) const NAVIGATION: &[(&str, &str)] = &[
    ("x-forwarded-proto", "https"),
    (
        "sec-ch-ua",
        "\"Google Chrome\";v=\"154\", \"Chromium\";v=\"154\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Windows\""),
    ("upgrade-insecure-requests", "1"),
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "de-DE,de;q=0.9"),
];
const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 \
                     (via ggpht.com GoogleImageProxy)";

pub(crate) fn server() -> Server {
    Server::with(
        "trusted_proxies = [\"127.0.0.0/8\"]\n[settle]\nwindow_seconds = 1\n",
        &["--base-url", "https://t.example.com"],
    )
}

pub(crate) struct Hits<'a> {
    pub(crate) server: &'a Server,
    pub(crate) path: String,
}

impl Hits<'_> {
    pub(crate) fn send(&self, method: Method, from: &str, agent: &str, more: &[(&str, &str)]) {
        let mut request = self
            .server
            .public(method, &self.path)
            .header("x-forwarded-for", from)
            .header("user-agent", agent);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let answer = request.send().unwrap();
        assert!(answer.status().as_u16() < 400, "{}", answer.status());
    }

    pub(crate) fn browser(&self, from: &str) {
        self.send(Method::GET, from, CHROME, NAVIGATION);
    }
}

#[test]
fn the_judgement_can_be_redone_by_hand() {
    let server = server();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let click = Hits {
        server: &server,
        path: format!("/c/{token}/1"),
    };
    let open = Hits {
        server: &server,
        path: format!("/o/{token}.gif"),
    };
    click.browser("84.160.1.1");
    click.send(
        Method::GET,
        "40.94.16.1",
        CHROME,
        &[("x-forwarded-proto", "https")],
    );
    click.send(Method::GET, "84.160.1.1", "python-requests/2.32", &[]);
    click.send(Method::HEAD, "84.160.1.1", CHROME, &[]);
    open.send(Method::GET, "66.102.1.1", GMAIL, &[]);
    open.send(Method::GET, "17.0.0.1", "Mozilla/5.0", &[]);

    let events = server.events("", 6);
    let classes: Vec<_> = events
        .iter()
        .map(|event| event["judgement"]["class"].as_str().unwrap())
        .collect();
    assert_eq!(
        classes,
        ["human", "scanner", "bot", "bot", "proxied", "prefetch"]
    );
    for event in &events {
        let judgement = &event["judgement"];
        let weights = judgement["signals"].as_array().unwrap();
        let sum: f64 = weights
            .iter()
            .map(|one| one["weight"].as_f64().unwrap())
            .sum();
        let score = 100.0 / (1.0 + (-(judgement["prior"].as_f64().unwrap() + sum)).exp());
        let said = judgement["score"].as_f64().unwrap();
        assert!(
            (score - said).abs() <= 0.051,
            "{score} is not {said}: {event}"
        );
        assert_eq!(judgement["ruleset"], "default@3");
        let by_id = server.read(&format!("/events/{}", event["id"].as_str().unwrap()));
        assert_eq!(by_id["at"], event["at"]);
    }
    let scanner = &events[1];
    assert_eq!(scanner["network"]["asn"], 8075);
    assert!(
        scanner["network"]["org"]
            .as_str()
            .unwrap()
            .contains("Microsoft")
    );
    assert_eq!(scanner["network"]["prefix"], "40.94.16.0/24");
    assert_eq!(events[2]["agent"], "python-requests/2.32");

    let stats = server.stats(campaign);
    let counter = |total: i64, unique: i64| {
        json!({
            "total": total, "unique": unique, "anonymous": 0
        })
    };
    assert_eq!(stats["raw"]["clicks"], counter(3, 1));
    assert_eq!(stats["human"]["clicks"], counter(1, 1));
    assert_eq!(stats["raw"]["opens"], counter(2, 1));
    assert_eq!(stats["human"]["opens"], counter(1, 1));
    assert_eq!(
        stats["by_class"],
        json!({
            "human": 1, "proxied": 1, "prefetch": 1, "scanner": 1, "bot": 2, "suspect": 0
        })
    );
    assert_eq!(server.all_events("&class=bot").len(), 2);
    assert_eq!(
        server
            .all_events(&format!("&kind=open&campaign={campaign}"))
            .len(),
        2
    );
    assert_eq!(server.api(Method::GET, "/events?campaign=99", None).0, 404);
    for bad in [
        "kind=x",
        "class=x",
        "after=x",
        "limit=0",
        "limit=1001",
        "campaign=x",
        "y=1",
    ] {
        assert_eq!(
            server.api(Method::GET, &format!("/events?{bad}"), None).0,
            422,
            "{bad}"
        );
    }
}

#[test]
fn acceptance_anchors_the_times_and_revises_what_was_counted() {
    let server = Server::with(
        "trusted_proxies = [\"127.0.0.0/8\"]\n[settle]\nwindow_seconds = 3\n",
        &["--base-url", "https://t.example.com"],
    );
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let minted = server.mint(campaign, &["r"]);
    let click = Hits {
        server: &server,
        path: format!("/c/{}/1", minted[0].token),
    };
    click.browser("84.160.1.1");
    let before = server.events("", 1);
    assert_eq!(before[0]["judgement"]["stage"], "provisional");
    assert_eq!(before[0]["judgement"]["class"], "human");
    let later = "2099-01-01T00:00:00Z";
    let delivered = json!({"events": [
        {"message": minted[0].message, "event": "delivered", "at": later}
    ]});
    server.post("/deliveries", delivered);

    let after = server.settled("", 1);
    let judgement = &after[0]["judgement"];
    let names: Vec<_> = judgement["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"time.before_accept"), "{judgement}");
    assert_eq!(judgement["revision"], 1, "the earlier judgement is kept");
    assert_ne!(judgement["class"], "human");
    let stats = server.stats(campaign);
    assert_eq!(
        stats["raw"]["clicks"],
        json!({"total": 1, "unique": 1, "anonymous": 0})
    );
    assert_eq!(
        stats["human"]["clicks"],
        json!({"total": 0, "unique": 0, "anonymous": 0})
    );
    assert!(stats["settled_to"].is_string());
    let bad = json!({"events": [{"message": "x", "event": "delivered", "at": later}]});
    let (status, problem) = server.api(Method::POST, "/deliveries", Some(bad));
    assert_eq!(
        (status, &problem["pointer"]),
        (422, &json!("/events/0/message"))
    );
}

#[test]
fn an_aggregate_hit_names_nobody_and_none_records_nothing() {
    let server = server();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let minted = server.mint(campaign, &["r"]);
    let token = &minted[0].token;
    let click = Hits {
        server: &server,
        path: format!("/c/{token}/1"),
    };
    click.send(Method::GET, "84.160.1.77", CHROME, &[("sec-gpc", "1")]);
    click.send(Method::GET, "84.160.1.77", CHROME, &[("dnt", "1")]);
    let events = server.events("", 2);
    for event in &events {
        for member in ["message", "network", "agent", "scheme"] {
            assert_eq!(event[member], Value::Null, "{member}: {event}");
        }
        let at = event["at"].as_str().unwrap();
        assert!(
            at.contains(":00:00.")
                || at.contains(":15:00.")
                || at.contains(":30:00.")
                || at.contains(":45:00."),
            "{at}"
        );
    }
    let clicks = &server.stats(campaign)["raw"]["clicks"];
    assert_eq!(*clicks, json!({"total": 2, "unique": 0, "anonymous": 2}));

    let none = json!({"level": "none"});
    assert_eq!(
        server
            .api(Method::PATCH, &format!("/campaigns/{campaign}"), Some(none))
            .0,
        200
    );
    click.send(Method::GET, "84.160.1.77", CHROME, &[]);
    let unsubscribe = format!("/u/{token}/{}/0", minted[0].act(0));
    let one_click = server
        .public(Method::POST, &unsubscribe)
        .body("List-Unsubscribe=One-Click")
        .send();
    assert_eq!(one_click.unwrap().status(), 200, "acts are kept as acts");
    let individual = json!({"level": "individual"});
    server.api(
        Method::PATCH,
        &format!("/campaigns/{campaign}"),
        Some(individual),
    );
    click.send(Method::GET, "84.160.1.78", CHROME, &[]);
    let events = server.events("", 3);
    assert_eq!(events.len(), 3, "level none records no hit: {events:?}");
    server.settled("", 3);
}
