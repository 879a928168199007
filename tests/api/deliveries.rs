//! A delivery event is kept as it came, and is found again.

use std::fs;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::Server;
use crate::journal_command::{inspected, journal, verified};

/// Sends a body as it is.
fn deliver(server: &Server, body: &str) -> u16 {
    let request = server.client.post(server.control("/api/v1/deliveries"));
    let request = request.bearer_auth(&server.key).body(body.to_owned());
    request.send().unwrap().status().as_u16()
}

fn sum(report: &Value, of: impl Fn(&Value) -> u64) -> u64 {
    report["segments"].as_array().unwrap().iter().map(of).sum()
}

#[test]
fn the_body_of_a_delivery_is_kept_as_it_came() {
    let mut server = Server::new();
    let campaign = server.campaign();
    let minted = server.mint(campaign, &["one", "two"]);
    let body = |message: &str, space: &str| {
        let at = "2026-01-01T00:00:00Z";
        format!(
            r#"{space}{{"events":[ {{"message":"{message}", "event":"delivered","at":"{at}"}}]}}"#
        )
    };
    let sent = [
        body(&minted[0].message, " \n"),
        body(&minted[1].message, "\t"),
    ];
    assert_eq!(deliver(&server, &sent[0]), 202);
    for (refused, status) in [
        ("{}".to_owned(), 422),
        (body("x", ""), 422),
        (body(&minted[0].message, &" ".repeat(4 << 20)), 413),
    ] {
        assert_eq!(deliver(&server, &refused), status);
    }
    server.kill9();
    server.revive();
    assert_eq!(deliver(&server, &sent[1]), 202);

    let received = inspected(&server.data, &["--kind", "received"]);
    assert_eq!(received.len(), 2, "{received:?}");
    let bytes_of = |one: &Value| {
        let file = one["file"].as_str().unwrap();
        let path = server.data.join("journal").join(file);
        let bytes = fs::read(&path).unwrap();
        let number = |name: &str| usize::try_from(one[name].as_u64().unwrap()).unwrap();
        let at = number("offset");
        (path, at, bytes[at..at + number("length")].to_vec())
    };
    for (one, sent) in received.iter().zip(&sent) {
        assert_eq!(one["source"], "api");
        assert_eq!(
            one["digest"],
            HEXLOWER.encode(&Sha256::digest(sent.as_bytes()))
        );
        assert_eq!(bytes_of(one).2, sent.as_bytes());
    }
    assert_ne!(received[0]["file"], received[1]["file"], "one of each life");
    let accepted = inspected(&server.data, &["--kind", "accepted"]);
    let told: Vec<_> = accepted.iter().map(|one| &one["message"]).collect();
    assert_eq!(json!(told), json!([minted[0].message, minted[1].message]));

    let (code, report) = verified(&server.data);
    assert_eq!(code, 0, "{report}");
    let sound = |report: &Value| sum(report, |one| one["bodies"]["sound"].as_u64().unwrap());
    assert_eq!((sound(&report), &report["spool"]["files"]), (2, &json!(2)));
    let (path, at, _) = bytes_of(&received[1]);
    server.stop();
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[at + 5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (code, out, err) = journal(&server.data, &["verify"]);
    assert_eq!(code, 65);
    assert!(
        err.contains("1 delivery event with a damaged body"),
        "{err}"
    );
    let sequence = &received[1]["sequence"];
    let named = format!(
        "damaged body of {sequence}: {}",
        received[1]["file"].as_str().unwrap()
    );
    assert!(out.contains(&named), "{out}");
    assert_eq!(sound(&verified(&server.data).1), 1);
    fs::remove_file(&path).unwrap();
    let (code, report) = verified(&server.data);
    let lost = |one: &Value| one["bodies"]["lost"].as_array().unwrap().len() as u64;
    assert_eq!(
        (code, sum(&report, lost)),
        (65, 1),
        "too young to have expired"
    );
    fs::write(&path, &whole).unwrap();
    assert_eq!(verified(&server.data).0, 0);
}
