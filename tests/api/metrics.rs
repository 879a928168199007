//! Metrics: what is exported is what is documented, by Prometheus' own rules, and true.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use cupel::telemetry::{METRICS, Metric};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, damaged, eventually};

/// Only where there is TLS.
pub(crate) const SOMETIMES: &[&str] = &["cupel_tls_certificate_expiry_timestamp_seconds"];
const SERIES_MAX: usize = 200;

pub(crate) fn scrape(server: &Server) -> String {
    let answer = server
        .client
        .get(server.control("/metrics"))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().unwrap()
}

/// Every series, and its value.
pub(crate) fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Names of the metrics that a scrape declares, with their kinds.
pub(crate) fn declared(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split_once(' ').unwrap()).collect()
}

/// Runs promtool; fails with what it said.
pub(crate) fn promtool(arguments: &[&str], input: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let started = Command::new("promtool")
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.expect("promtool is missing: install Debian's package prometheus");
    let mut to = child.stdin.take().unwrap();
    to.write_all(input.as_bytes()).unwrap();
    drop(to);
    let done = child.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn what_is_exported_is_documented_and_there_from_the_start() {
    let server = Server::new();
    let text = scrape(&server);
    promtool(&["check", "metrics"], &text);
    let declared = declared(&text);
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for name in declared.keys() {
        assert!(known.contains(name), "{name} is not in METRICS");
    }
    for Metric {
        name, kind, help, ..
    } in METRICS
    {
        if SOMETIMES.contains(name) {
            continue;
        }
        assert_eq!(declared.get(name), Some(&kind.name()), "{name}\n{text}");
        assert!(
            text.contains(&format!("# HELP {name} {help}\n")),
            "{name}\n{text}"
        );
    }
    let all = series(&text);
    assert!(all.len() <= SERIES_MAX, "{} series\n{text}", all.len());
    println!("{} series", all.len());
    for (name, value) in [
        ("cupel_build_info{version=\"0.1.0\"}", 1.0),
        ("cupel_store_up", 1.0),
        ("cupel_hits_total{kind=\"press\",class=\"proxied\"}", 0.0),
        ("cupel_dropped_total{reason=\"disk_hung\"}", 0.0),
        ("cupel_token_invalid_total{reason=\"revoked\"}", 0.0),
        ("cupel_api_responses_total{status=\"5xx\"}", 0.0),
        (
            "cupel_api_requests_total{route=\"/api/v1/events/{id}\"}",
            0.0,
        ),
        ("cupel_redirect_duration_seconds_count", 0.0),
        ("cupel_settle_duration_seconds_bucket{le=\"+Inf\"}", 0.0),
        ("cupel_panics_total", 0.0),
        ("cupel_config_last_reload_successful", 1.0),
    ] {
        assert_eq!(all.get(name), Some(&value), "{name}\n{text}");
    }
}

#[test]
fn docs_have_every_metric() {
    let rows = METRICS.iter().map(|metric| {
        let labels = metric.labels.join(", ");
        let Metric { name, help, .. } = metric;
        format!("| `{name}` | {} | {labels} | {help} |", metric.kind.name())
    });
    let rows: Vec<_> = rows.collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let there: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(there, rows, "docs/metrics.md wants:\n{}", rows.join("\n"));
}

#[test]
fn figures_are_what_happened() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://a.example/"}));
    let one = server.mint(campaign, &["r"])[0].clone();
    let click = format!("/c/{}/1", one.token);
    // One in 64 is timed; each of the workers may be short of its turn.
    for _ in 0..300 {
        assert_eq!(server.get(&click).status(), 302);
    }
    server.get(&format!("/o/{}.gif", one.token));
    let press = format!("/u/{}/{}/0", one.token, one.act(0));
    let request = server
        .public(Method::POST, &press)
        .body("List-Unsubscribe=One-Click");
    assert_eq!(request.send().unwrap().status(), 200);
    server.get(&format!("/c/{}/1", damaged(&one.token, 40)));
    server.get("/c/nonsense/1");
    server.events("", 303);

    let now = || series(&scrape(&server));
    let settled = eventually("settled", now, |all| {
        all["cupel_settle_waiting_records"] == 0.0
    });
    let sum = |prefix: &str| -> f64 {
        let named = settled.iter().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(_, value)| value).sum()
    };
    assert_eq!(
        sum("cupel_hits_total{kind=\"click\""),
        301.0,
        "a damaged token is a hit"
    );
    assert_eq!(sum("cupel_hits_total{kind=\"open\""), 1.0);
    assert_eq!(
        settled["cupel_hits_total{kind=\"unsubscribe\",class=\"proxied\"}"],
        1.0
    );
    assert_eq!(
        settled["cupel_token_invalid_total{reason=\"damaged\"}"],
        1.0
    );
    assert_eq!(
        settled["cupel_token_invalid_total{reason=\"malformed\"}"],
        1.0
    );
    assert_eq!(settled["cupel_unknown_requests_total"], 1.0);
    let timed = settled["cupel_redirect_duration_seconds_count"];
    assert!(
        (1.0..=5.0).contains(&timed),
        "{timed} answers of 303 were timed"
    );
    assert!(settled["cupel_redirect_duration_seconds_sum"] > 0.0);
    assert!(settled["cupel_journal_fsync_duration_seconds_count"] > 0.0);
    assert!(settled["cupel_journal_bytes"] >= 303.0 * 128.0);
    assert!(settled["cupel_settle_records_total"] >= 303.0);
    assert!(settled["cupel_settle_duration_seconds_count"] > 0.0);
    assert!(settled["process_resident_memory_bytes"] > 1e6);
    assert_eq!(settled["cupel_catalogue_campaigns"], 1.0);
    let ratio = settled["cupel_journal_ring_fill_ratio"];
    assert!((0.0..1.0).contains(&ratio), "{ratio}");
    assert_eq!(settled["cupel_settle_lag_seconds"], 0.0);
    let built = settled["cupel_network_table_build_timestamp_seconds"];
    assert!(built > 1.7e9, "{built}");
    let text = scrape(&server);
    promtool(&["check", "metrics"], &text);
    assert!(series(&text).len() <= SERIES_MAX);
}

#[test]
fn each_route_is_counted_under_its_own_name() {
    let server = Server::new();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md"));
    let text = text.unwrap();
    let mut routes = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let call = row.split('`').nth(1).unwrap();
        let Some((method, path)) = call.split_once(" /") else {
            continue;
        };
        let route = format!("/api/v1/{path}");
        let url = server.control(&route.replace("{id}", "9").replace("{number}", "1"));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        server
            .client
            .request(method, url.replace("{code}", "x"))
            .send()
            .unwrap();
        routes.insert(route);
    }
    assert!(routes.len() > 15, "{routes:?}");
    let all = series(&scrape(&server));
    for route in routes {
        let name = format!("cupel_api_requests_total{{route=\"{route}\"}}");
        let count = all
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is missing"));
        assert!(*count >= 1.0, "{name}");
    }
    // What strangers ask for becomes no series.
    for n in 0..20 {
        let url = server.control(&format!("/api/v1/stranger{n}\"}} 1"));
        assert_eq!(server.client.get(url).send().unwrap().status(), 404);
    }
    let text = scrape(&server);
    assert!(!text.contains("stranger"), "{text}");
    assert_eq!(
        series(&text)["cupel_api_requests_total{route=\"other\"}"],
        20.0
    );
}
