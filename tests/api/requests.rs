//! Ids of control requests, and what the log says of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually};

const JSON: &str = "[settle]\nwindow_seconds = 1\n[log]\nformat = \"json\"\n";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Lines of the log that are about this request.
fn lines(server: &Server, id: &str) -> Vec<Value> {
    let about = || {
        let log = server.log();
        let lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["request_id"] == id)
            .collect::<Vec<_>>()
    };
    eventually("lines", about, |lines| !lines.is_empty())
}

#[test]
fn a_caller_finds_its_request_again_in_the_log() {
    let server = Server::with(JSON, &[]);
    let url = server.control("/api/v1/campaigns?limit=7&after=5");
    let answer = server
        .client
        .get(url)
        .bearer_auth(&server.key)
        .header("x-request-id", "their-1.A_z")
        .header("traceparent", TRACE)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-id"], "their-1.A_z");
    let found = lines(&server, "their-1.A_z");
    let [line] = found.as_slice() else {
        panic!("one line a request: {found:?}");
    };
    for (name, value) in [
        ("level", json!("INFO")),
        ("message", json!("web: answered")),
        ("method", json!("GET")),
        ("route", json!("/api/v1/campaigns")),
        ("status", json!(200)),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert!(line["ms"].as_f64().unwrap() > 0.0, "{line}");
    assert!(
        !server.log().contains("after"),
        "a query is nobody's business"
    );
    assert!(!server.log().contains(&server.key), "nor is a key");
}

#[test]
fn an_insane_id_is_replaced_and_errors_name_theirs() {
    let server = Server::with(JSON, &[]);
    let url = server.control("/api/v1/campaigns/999");
    let long = "x".repeat(129);
    for insane in ["a b", "{\"x\":1}", "ä", &long] {
        let request = server.client.get(&url).bearer_auth(&server.key);
        let value = reqwest::header::HeaderValue::from_bytes(insane.as_bytes()).unwrap();
        let answer = request.header("x-request-id", value).send().unwrap();
        assert_eq!(answer.status(), 404);
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        let problem: Value = answer.json().unwrap();
        assert_eq!(problem["request_id"], id.as_str());
        assert_eq!(lines(&server, &id)[0]["status"], 404);
    }
    let (_, a) = server.api(Method::GET, "/nothing", None);
    let (_, b) = server.api_as("cpl_wrong", Method::GET, "/campaigns", None);
    assert!(
        a["request_id"].is_string() && a["request_id"] != b["request_id"],
        "{a} {b}"
    );
}

#[test]
fn whatever_a_caller_sends_the_log_has_one_line_an_event() {
    for format in ["text", "json"] {
        let configuration = format!("[log]\nformat = \"{format}\"\nfilter = \"debug\"\n");
        let server = Server::with(&configuration, &[]);
        let forged = "/%0a2026-01-01T00:00:00Z%20ERROR%20forged%1b[31m";
        for path in [forged, "/api/v1/\u{202e}", "/api/v1/campaigns/%0d%0a"] {
            let request = server.client.get(server.control(path));
            let answer = request.bearer_auth("cpl_\u{9b}31m").send().unwrap();
            assert!(answer.status().is_client_error(), "{path}");
        }
        server.post(
            "/campaigns",
            json!({"name": "a\u{202e}b", "home_url": "https://h.example/"}),
        );
        let (status, _) = server.api(Method::POST, "/campaigns", Some(json!({"na\nme": 1})));
        assert_eq!(status, 422);
        let log = server.log();
        assert!(!log.is_empty() && !log.contains("forged"), "{log}");
        let strange = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!log.contains(strange), "{log:?}");
        for line in log.lines() {
            let whole = match format {
                "json" => serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
                _ => line.as_bytes().get(..3) == Some(b"202"),
            };
            assert!(whole, "no line of ours: {line:?}");
        }
    }
}

#[test]
fn hits_are_not_in_the_log() {
    let server = Server::with("[log]\nfilter = \"trace,mio=off,sqlx=off\"\n", &[]);
    let before = server.log();
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "quiet1"}),
    );
    for _ in 0..20 {
        assert_eq!(server.get("/quiet1").status(), 302);
    }
    let log = server.log();
    let new = log.strip_prefix(&before).unwrap();
    assert!(new.contains("/api/v1/short-links"), "{new}");
    assert!(
        !new.contains("quiet1") && !new.contains("a.example"),
        "{new}"
    );
}
