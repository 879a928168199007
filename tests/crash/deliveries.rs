//! Delivery events that have ids, and what of them is in the spool and in the log.

use std::net::SocketAddr;

use cupel_bench::Requests;
use serde_json::{Value, json};

use crate::harness::{Server, cupel, run};

/// Events of one message, each accepted at a time of its own: its id in µs.
pub(crate) struct Deliveries {
    message: String,
    key: String,
}

impl Deliveries {
    pub(crate) fn new(server: &Server) -> Self {
        let campaign = server.campaign();
        Self {
            message: server.mint(campaign, &["r"])[0].message.clone(),
            key: server.key.clone(),
        }
    }

    /// Where they are taken.
    pub(crate) fn address(server: &Server) -> SocketAddr {
        let address = server.control.trim_start_matches("http://");
        address.parse().unwrap()
    }

    /// Its requests.
    pub(crate) fn requests(&self) -> impl Requests + use<> {
        let (message, key) = (self.message.clone(), self.key.clone());
        move |id: u64, into: &mut Vec<u8>| {
            let body = format!(
                r#"{{"events": [{{"message": "{message}", "event": "delivered",
                    "at": "2026-01-01T00:00:{:02}.{:06}Z"}}]}}"#,
                id / 1_000_000,
                id % 1_000_000
            );
            let text = format!(
                "POST /api/v1/deliveries HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            into.extend_from_slice(text.as_bytes());
        }
    }

    /// Ids of those whose bodies are in the spool as the log says they came, once for each
    /// record; whatever body the log names must be there. That a cut tore the last record of a
    /// segment is no concern of theirs.
    pub(crate) fn stored(server: &Server) -> Vec<u64> {
        let (_, out) = journal(server, &["verify", "--json"]);
        let report: Value = serde_json::from_str(&out).unwrap();
        for segment in report["segments"].as_array().unwrap() {
            for missing in ["lost", "damaged"] {
                assert_eq!(segment["bodies"][missing], json!([]), "{segment}");
            }
        }
        let (code, out) = journal(server, &["inspect", "--json", "--kind", "received"]);
        assert_eq!(code, 0, "{out}");
        out.lines().map(|line| id_of(server, line)).collect()
    }
}

fn journal(server: &Server, arguments: &[&str]) -> (i32, String) {
    let mut command = cupel();
    command.arg("journal").args(arguments);
    let (code, out, _) = run(command.args(["--data", server.data.to_str().unwrap()]));
    (code, out)
}

/// Reads the id out of the body that a record names.
fn id_of(server: &Server, record: &str) -> u64 {
    let record: Value = serde_json::from_str(record).unwrap();
    let number = |name: &str| usize::try_from(record[name].as_u64().unwrap()).unwrap();
    let file = record["file"].as_str().unwrap();
    let bytes = std::fs::read(server.data.join("journal").join(file)).unwrap();
    let (from, length) = (number("offset"), number("length"));
    let body: Value = serde_json::from_slice(&bytes[from..from + length]).unwrap();
    let at = body["events"][0]["at"].as_str().unwrap();
    let digits: String = at["2026-01-01T00:00:".len()..]
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}
