//! Rule sets of one's own in a server: kept, made live, and kept live.

mod on_file;
mod shadows;

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::server;
use crate::harness::{Server, eventually};
use crate::neighbours::{CLOUD, HOME, campaign, follow};

const SHIPPED: &str = include_str!("../../../src/judge/rulesets/default.toml");

/// By which every hit is a machine's.
fn stern(version: u32) -> String {
    let version = format!("version = {version}");
    let changes = [
        ("name = \"default\"", "name = \"stern\""),
        ("version = 3", &version),
        ("open = -2.0\nclick = -2.0", "open = 9.0\nclick = 9.0"),
    ];
    changes
        .into_iter()
        .fold(SHIPPED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
}

fn add(server: &Server, text: &str) -> (u16, Value) {
    server.api(Method::POST, "/rulesets", Some(json!({"text": text})))
}

fn make_live(server: &Server, name: &str) -> Value {
    let (status, shown) = server.api(Method::POST, &format!("/rulesets/{name}/use"), None);
    assert_eq!(status, 200, "{shown}");
    shown
}

fn live(server: &Server) -> String {
    let kept = server.read("/rulesets");
    let kept = kept["rulesets"].as_array().unwrap().clone();
    let mut live = kept.iter().filter(|one| one["live"] == true);
    let named = live.next().unwrap()["ruleset"].as_str().unwrap().to_owned();
    assert!(live.next().is_none(), "one is live");
    let ready = reqwest::blocking::get(server.control("/readyz?verbose"));
    let ready = ready.unwrap().text().unwrap();
    assert!(ready.contains(&named), "{named}: {ready}");
    named
}

/// What the next hit is judged by, and as what.
fn judged(server: &Server) -> (String, String) {
    let (campaign, token) = campaign(server);
    follow(server, &token, 1).browser(HOME);
    let event = server
        .settled(&format!("&campaign={campaign}"), 1)
        .remove(0);
    let judgement = &event["judgement"];
    let text = |name: &str| judgement[name].as_str().unwrap().to_owned();
    (text("ruleset"), text("class"))
}

fn pair(ruleset: &str, class: &str) -> (String, String) {
    (ruleset.to_owned(), class.to_owned())
}

#[test]
fn a_rule_set_of_ones_own_judges_once_it_is_used_and_goes_on_after_a_crash() {
    let mut server = server();
    let (status, kept) = add(&server, &stern(1));
    assert_eq!((status, &kept["live"]), (201, &json!(false)), "{kept}");
    assert_eq!(judged(&server), pair("default@3", "human"));

    let shown = make_live(&server, "stern@1");
    assert_eq!(shown["live"], true, "{shown}");
    assert_eq!(judged(&server), pair("stern@1", "bot"));
    // What was judged before stays, with the reasons that it had.
    let events = server.events("", 2);
    let before = &events[0]["judgement"];
    assert_eq!(before["ruleset"], "default@3");
    assert_eq!(before["prior"], -2.0);

    server.kill9();
    server.revive();
    assert_eq!(live(&server), "stern@1");
    assert_eq!(judged(&server), pair("stern@1", "bot"));
    make_live(&server, "default");
    assert_eq!(live(&server), "default@3");
}

#[test]
fn a_rule_set_is_kept_once_under_its_name_and_only_if_it_is_whole() {
    let server = server();
    assert_eq!(add(&server, &stern(1)).0, 201);
    assert_eq!(add(&server, &stern(1)).0, 200);
    let refused = |text: &str, status: u16, says: &str| {
        let (found, answer) = add(&server, text);
        assert_eq!(found, status, "{answer}");
        assert_eq!(answer["pointer"], "/text", "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{says}: {detail}");
    };
    let other = stern(1).replace("\"ua.headless\" = 6.0", "\"ua.headless\" = 5.0");
    refused(&other, 409, "stern@1 is kept with another text");
    refused(&other.replace("stern", "default"), 409, "default names");
    let misspelt = stern(2).replace("\"ua.empty\"", "\"ua.emtpy\"");
    refused(&misspelt, 422, "line 50, ua.emtpy: no such signal");
    refused(&"#".repeat((1 << 20) + 1), 422, "more than 1 MiB");
    assert_eq!(add(&server, &stern(2)).0, 201);
    // Without a version it is the newest of that name.
    assert_eq!(make_live(&server, "stern")["ruleset"], "stern@2");
    let kept = server.read("/rulesets/stern@1");
    assert_eq!(kept["text"], stern(1));
    let (status, _) = server.api(Method::POST, "/rulesets/none@1/use", None);
    assert_eq!(status, 404);
}

#[test]
fn what_a_rule_set_says_of_networks_and_agents_of_ones_own_goes_before_the_shipped_lists() {
    let server = server();
    let own = SHIPPED
        .replace("name = \"default\"", "name = \"own\"")
        .replace(
            "[networks]",
            &format!("[networks]\nhuman_egress = [\"{CLOUD}/32\"]"),
        )
        .replace(
            "[agents]",
            "[agents]\nsecurity_scanner = [\"Windows NT 10.0\"]",
        );
    assert_eq!(add(&server, &own).0, 201);
    let (campaign, token) = campaign(&server);
    let signals = || {
        follow(&server, &token, 1).browser(CLOUD);
        let events = server.events(&format!("&campaign={campaign}"), 1);
        let last = events.last().unwrap();
        let id = last["id"].as_str().unwrap().to_owned();
        let signals = last["judgement"]["signals"].as_array().unwrap();
        let names = signals
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned());
        (id, names.collect::<Vec<_>>())
    };
    let (_, before) = signals();
    assert!(before.contains(&"net.hosting".to_owned()), "{before:?}");
    make_live(&server, "own");
    eventually("a hit that is judged by it", signals, |(_, names)| {
        names.contains(&"net.human_egress".to_owned())
    });
    let (id, after) = signals();
    assert!(!after.contains(&"net.hosting".to_owned()), "{after:?}");
    assert!(
        after.contains(&"ua.security_scanner".to_owned()),
        "{after:?}"
    );
    let explained = server.read(&format!("/events/{id}/explain"));
    assert_eq!(explained["own_network"], true, "{explained}");
    let text = explained["text"].to_string();
    assert!(text.contains("the rule set's own networks"), "{text}");
}

#[test]
fn what_is_settled_is_changed_by_evidence_and_not_by_another_rule_set() {
    let server = server();
    let (campaign, token) = campaign(&server);
    follow(&server, &token, 1).browser(HOME);
    let filter = format!("&campaign={campaign}");
    server.settled(&filter, 1);
    assert_eq!(add(&server, &stern(1)).0, 201);
    make_live(&server, "stern");
    follow(&server, &token, 2).browser(HOME);
    let events = server.settled(&filter, 2);
    let said: Vec<_> = events
        .iter()
        .map(|event| event["judgement"]["ruleset"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["default@3", "stern@1"]);
}
