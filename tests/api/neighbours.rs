//! What came around a hit changes what is said of it, once its window has closed and up to a day
//! later; statistics follow, and the person beside a scan stays.

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::{CHROME, Hits, NAVIGATION, server};
use crate::harness::{Server, eventually};

pub(crate) const FIREFOX: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
pub(crate) const FIREFOX_SENDS: &[(&str, &str)] = &[
    ("x-forwarded-proto", "https"),
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("accept-language", "en-US"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
];
/// Of a hosting company.
pub(crate) const CLOUD: &str = "5.161.10.10";
pub(crate) const HOME: &str = "84.160.1.1";

/// Five links and a honeypot, and the token of a message.
pub(crate) fn campaign(server: &Server) -> (u64, String) {
    campaign_of(server, 5)
}

/// People wait for a mail of few links: who follows one at once in a cloud may be one of them.
pub(crate) fn campaign_of(server: &Server, links: u32) -> (u64, String) {
    let campaign = server.campaign();
    for at in 1..=links {
        server.link(
            campaign,
            json!({"url": format!("https://shop.example/{at}")}),
        );
    }
    server.link(
        campaign,
        json!({"url": "https://shop.example/", "kind": "honeypot"}),
    );
    let token = server.mint(campaign, &["reader"])[0].token.clone();
    (campaign, token)
}

pub(crate) fn follow<'a>(server: &'a Server, token: &str, link: u32) -> Hits<'a> {
    Hits {
        server,
        path: format!("/c/{token}/{link}"),
    }
}

fn names(event: &Value) -> Vec<&str> {
    let signals = event["judgement"]["signals"].as_array().unwrap();
    signals
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

fn is_human(event: &Value) -> bool {
    event["judgement"]["human"].as_bool().unwrap()
}

#[test]
fn a_scan_is_known_by_its_neighbours_and_the_person_beside_it_stays() {
    let server = server();
    let (campaign, token) = campaign(&server);
    for link in 1..=5 {
        follow(&server, &token, link).browser(CLOUD);
        if link == 3 {
            let person = follow(&server, &token, 3);
            person.send(Method::GET, HOME, FIREFOX, FIREFOX_SENDS);
        }
    }
    let events = server.settled("", 6);
    for event in &events {
        let from_home = event["network"]["prefix"] == "84.160.1.0/24";
        assert_eq!(is_human(event), from_home, "{event}");
        assert_eq!(names(event).contains(&"near.rapid"), !from_home, "{event}");
    }
    let counter = |total: u64| json!({"total": total, "unique": 1, "anonymous": 0});
    let stats = eventually(
        "settled sums",
        || server.stats(campaign),
        |stats| stats["human"]["clicks"]["total"] == 1,
    );
    assert_eq!(stats["raw"]["clicks"], counter(6));
    assert_eq!(stats["human"]["clicks"], counter(1));
}

#[test]
fn what_comes_later_opens_a_settled_judgement_again() {
    let mut server = server();
    let (campaign, token) = campaign(&server);
    let first = follow(&server, &token, 1);
    first.browser(HOME);
    let person = follow(&server, &token, 2);
    person.send(Method::GET, HOME, FIREFOX, FIREFOX_SENDS);
    let before = server.settled("", 2);
    assert!(before.iter().all(is_human), "{before:?}");
    assert_eq!(server.stats(campaign)["human"]["clicks"]["total"], 2);
    assert_eq!(server.metric("cupel_settle_reopened_total"), 0.0);

    // What the settler knew of the message is in the store.
    server.kill9();
    server.revive();
    follow(&server, &token, 6).browser(HOME);
    let after = eventually(
        "the judgement of the first click",
        || server.all_events(""),
        |events| events.len() == 3 && !is_human(&events[0]),
    );
    assert!(
        names(&after[0]).contains(&"near.marked_source"),
        "{}",
        after[0]
    );
    let revision = |event: &Value| event["judgement"]["revision"].as_u64().unwrap();
    assert_eq!(revision(&after[0]), revision(&before[0]) + 1);
    assert_eq!(after[1], before[1], "another agent in the same house");
    let human = &server.stats(campaign)["human"]["clicks"];
    assert_eq!(*human, json!({"total": 1, "unique": 1, "anonymous": 0}));
    assert_eq!(server.stats(campaign)["raw"]["clicks"]["total"], 2);
    assert_eq!(server.metric("cupel_settle_reopened_total"), 1.0);

    // HEAD says nothing of anybody.
    let (_, other) = self::campaign(&server);
    follow(&server, &other, 1).browser(HOME);
    follow(&server, &other, 6).send(Method::HEAD, HOME, CHROME, NAVIGATION);
    let events = server.settled("&kind=click", 5);
    assert!(is_human(&events[3]) && !is_human(&events[4]), "{events:?}");
}

#[test]
fn of_ten_thousand_hits_on_one_message_forty_eight_are_remembered() {
    let server = server();
    let (campaign, token) = campaign(&server);
    let path = server.url(&format!("/c/{token}/1"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_250 {
                    let asked = server.client.get(&path).header("x-forwarded-for", HOME);
                    assert_eq!(asked.send().unwrap().status(), 302);
                }
            });
        }
    });
    let total = || server.stats(campaign)["raw"]["clicks"]["total"].as_u64();
    eventually("all of them", total, |total| *total == Some(10_000));
    let open = || server.metric("cupel_settle_neighbours_dropped_total");
    eventually("those that there is no room for", open, |many| {
        *many == 9_952.0
    });
    let settled = || server.all_events("&limit=1000").last().cloned();
    let last = eventually("the last one's window", settled, |last| {
        last.as_ref()
            .is_some_and(|last| last["judgement"]["stage"] == "settled")
    });
    let last = last.unwrap();
    assert!(names(&last).contains(&"near.flood"), "{last}");
    assert!(!is_human(&last), "{last}");
}
