//! Why a hit was judged as it was, as API and command say it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::{NAVIGATION, server};
use crate::harness::{Server, cupel, eventually};
use crate::neighbours::{CLOUD, FIREFOX, FIREFOX_SENDS, HOME, campaign, follow};

fn explained(server: &Server, event: &Value) -> Value {
    let id = event["id"].as_str().unwrap();
    server.read(&format!("/events/{id}/explain"))
}

fn text(explained: &Value) -> String {
    let sentences = explained["text"].as_array().unwrap().iter();
    let sentences: Vec<_> = sentences.map(|one| one.as_str().unwrap()).collect();
    sentences.join("\n")
}

#[test]
fn a_judgement_is_explained_by_its_sum_its_neighbours_and_what_would_turn_it() {
    let server = server();
    let (campaign, token) = campaign(&server);
    for link in 1..=5 {
        follow(&server, &token, link).browser(CLOUD);
    }
    follow(&server, &token, 3).send(Method::GET, HOME, FIREFOX, FIREFOX_SENDS);
    let events = server.settled("", 6);

    let scanned = explained(&server, &events[0]);
    let ids: Vec<_> = events[1..5].iter().map(|event| &event["id"]).collect();
    let of = |name: &str| {
        let signals = scanned["signals"].as_array().unwrap().iter();
        let mut named = signals.filter(|signal| signal["name"] == name);
        named.next().unwrap()
    };
    let rapid = of("near.rapid");
    assert_eq!(
        rapid["neighbours"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        ids
    );
    assert_eq!(of("near.burst")["neighbours"].as_array().unwrap().len(), 2);
    assert_eq!(of("net.hosting")["neighbours"], Value::Null);
    let sum: f64 = scanned["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|signal| signal["weight"].as_f64().unwrap())
        .sum();
    let said = scanned["sum"].as_f64().unwrap();
    assert!((sum - 2.0 - said).abs() < 0.01, "{sum} {said}");
    let score = 100.0 / (1.0 + (-said).exp());
    let shown = scanned["judgement"]["score"].as_f64().unwrap();
    assert!((score - shown).abs() < 0.06, "{score} {shown}");
    assert!(
        scanned["human_without"]["score"].as_f64().unwrap() < 50.0,
        "{scanned}"
    );
    let neighbours = scanned["neighbours"].as_array().unwrap();
    assert_eq!(neighbours.len(), 5);
    let person = &neighbours[4];
    assert_eq!(
        (&person["same_network"], &person["counted_for"]),
        (&json!(false), &json!([]))
    );
    let said = text(&scanned);
    let begin = format!("The click on link 1 of campaign {campaign} was judged scanner (settled)");
    for part in [
        begin.as_str(),
        "near.rapid: Five links in 5 s",
        "5 other hits",
        "Without near.",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }

    let kept = explained(&server, &events[5]);
    assert_eq!(kept["judgement"]["human"], true);
    assert!(
        kept["more_evidence"]["machine"].as_f64().unwrap() > 1.0,
        "{kept}"
    );
    assert_eq!(kept["human_without"], Value::Null);

    let id = events[0]["id"].as_str().unwrap();
    let command = cupel()
        .args(["explain", id, "--data"])
        .arg(&server.data)
        .output();
    let printed = String::from_utf8(command.unwrap().stdout).unwrap();
    assert_eq!(printed.trim_end(), said);
    let (status, _) = server.api(Method::GET, "/events/ffffffff-1/explain", None);
    assert_eq!(status, 404);
}

#[test]
fn what_was_said_before_stands_beside_what_is_said_now() {
    let server = server();
    let (_, token) = campaign(&server);
    follow(&server, &token, 1).browser(HOME);
    let first = server.settled("", 1).remove(0);
    // The honeypot, from the same source.
    follow(&server, &token, 6).browser(HOME);
    let reopened = eventually(
        "a judgement that is opened again",
        || explained(&server, &first),
        |explained| explained["judgement"]["revision"] == 1,
    );
    let earlier = &reopened["earlier"];
    assert_eq!(earlier.as_array().unwrap().len(), 1, "{reopened}");
    assert_eq!(earlier[0]["class"], "human");
    let names = |said: &Value| said.as_array().unwrap().clone();
    assert!(!names(&earlier[0]["signals"]).contains(&json!("near.marked_source")));
    assert!(text(&reopened).contains("it was human"), "{reopened}");
}

#[test]
fn an_anonymous_hit_has_no_reasons_to_be_explained() {
    let server = server();
    let (_, token) = campaign(&server);
    let asks_for_privacy = [NAVIGATION, &[("sec-gpc", "1")]].concat();
    follow(&server, &token, 1).send(Method::GET, HOME, FIREFOX, &asks_for_privacy);
    let event = server.events("", 1).remove(0);
    let said = text(&explained(&server, &event));
    assert!(
        said.contains("The privacy level keeps no reasons"),
        "{said}"
    );
}
