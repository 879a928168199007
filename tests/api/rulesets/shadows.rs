//! A rule set in shadow: what it says is counted beside what is in force, of history and of what
//! comes, and comes to what it would be if it were in force.

use reqwest::Method;
use serde_json::{Value, json};

use super::{add, make_live, stern};
use crate::events::server;
use crate::harness::{Server, eventually};
use crate::neighbours::{CLOUD, FIREFOX, FIREFOX_SENDS, HOME, campaign_of, follow};
use crate::rejudgements::strict;

fn ask(server: &Server, path: &str) -> (u16, Value) {
    server.api(Method::POST, path, None)
}

/// Counts it from now on, and waits until all that there is was looked at.
fn in_shadow(server: &Server, name: &str) -> Value {
    let (status, begun) = ask(server, &format!("/rulesets/{name}/shadow"));
    assert_eq!(status, 200, "{begun}");
    let path = format!("/rulesets/{name}");
    let shadow = || server.read(&path)["shadow"].clone();
    eventually("a shadow of all history", shadow, |shadow| {
        shadow["complete"] == true
    })
}

/// Raw and human clicks of a campaign, total and unique, and clicks by class.
fn counts(server: &Server, campaign: u64, by: &str) -> Value {
    let stats = server.read(&format!("/campaigns/{campaign}/stats{by}"));
    let links = stats["links"].as_array().unwrap().iter();
    let links = links.map(|link| json!([link["raw"]["clicks"], link["human"]["clicks"]]));
    json!({
        "raw": stats["raw"]["clicks"],
        "human": stats["human"]["clicks"],
        "by_class": stats["by_class"],
        "links": links.collect::<Vec<_>>(),
    })
}

/// Somebody at home, somebody in the cloud, and somebody who is at one and then at the other.
fn people(server: &Server, campaign: u64) {
    let tokens = server.mint(campaign, &["one", "other", "both"]);
    for (from, whose) in [(HOME, 0), (CLOUD, 1), (HOME, 2)] {
        let hits = follow(server, &tokens[whose].token, 1);
        hits.send(Method::GET, from, FIREFOX, FIREFOX_SENDS);
    }
    // By another browser: one in two places at once is no person's.
    let other = FIREFOX.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64");
    let hits = follow(server, &tokens[2].token, 2);
    hits.send(Method::GET, CLOUD, &other, FIREFOX_SENDS);
}

#[test]
fn what_a_shadow_counts_is_what_it_would_be_in_force() {
    let mut server = server();
    let (campaign, _) = campaign_of(&server, 3);
    assert_eq!(add(&server, &strict()).0, 201);
    people(&server, campaign);
    server.settled("", 4);
    let counted = in_shadow(&server, "strict");
    assert_eq!((&counted["hits"], &counted["of"]), (&json!(4), &json!(4)));
    let by_strict = |server: &Server| counts(server, campaign, "?ruleset=strict");
    let before = by_strict(&server);
    assert_eq!(
        before["human"],
        json!({"total": 2, "unique": 2, "anonymous": 0})
    );
    assert_eq!(
        before["raw"],
        json!({"total": 4, "unique": 3, "anonymous": 0})
    );
    assert_eq!(
        counts(&server, campaign, "")["human"]["total"],
        4,
        "in force nothing changed"
    );
    assert_eq!(
        ask(&server, "/rulesets/strict/shadow").1["shadow"]["rejudgement"],
        counted["rejudgement"],
        "it is counted once"
    );
    // What comes is counted too, and a crash changes nothing.
    server.kill9();
    server.revive();
    people(&server, campaign);
    let settled = server.settled("", 8);
    let shadow = eventually(
        "new hits",
        || by_strict(&server),
        |counts| counts["raw"]["total"] == 8,
    );
    assert_eq!(
        shadow["human"],
        json!({"total": 4, "unique": 4, "anonymous": 0})
    );
    // What it would say of one.
    let of_cloud = settled
        .iter()
        .find(|event| event["network"]["prefix"] == "5.161.10.0/24");
    let id = of_cloud.unwrap()["id"].as_str().unwrap();
    let would = server.read(&format!("/events/{id}/explain?ruleset=strict"));
    assert_eq!(would["judgement"]["class"], "scanner", "{would}");
    let said = would["text"][0].as_str().unwrap();
    assert!(
        said.contains("by strict@3 would be judged scanner"),
        "{said}"
    );
    assert_eq!(
        server.read(&format!("/events/{id}/explain"))["judgement"]["class"],
        "human"
    );
    // In force it comes to the same.
    make_live(&server, "strict");
    let (status, begun) = server.api(Method::POST, "/rejudgements", Some(json!({})));
    assert_eq!(status, 202, "{begun}");
    let path = format!("/rejudgements/{}", begun["id"]);
    eventually(
        "history in force",
        || server.read(&path),
        |now| now["state"] == "done",
    );
    assert_eq!(counts(&server, campaign, ""), shadow);
    assert_eq!(by_strict(&server), shadow, "no difference is left");

    let (status, ended) = ask(&server, "/rulesets/strict/shadow/stop");
    assert_eq!((status, &ended["shadow"]), (200, &Value::Null));
    let path = format!("/campaigns/{campaign}/stats?ruleset=strict");
    let (status, refused) = server.api(Method::GET, &path, None);
    assert_eq!(status, 409, "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("begin with cupel ruleset shadow strict@3"),
        "{detail}"
    );
}

#[test]
fn as_many_are_counted_as_the_configuration_says() {
    let server = Server::with("[settle]\nrulesets_max = 2\n", &[]);
    add(&server, &strict());
    add(&server, &stern(1));
    in_shadow(&server, "strict");
    let (status, refused) = ask(&server, "/rulesets/stern/shadow");
    assert_eq!(status, 409, "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("in shadow are: strict@3"), "{detail}");
    let listed = server.read("/rejudgements?limit=1")["rejudgements"][0].clone();
    assert_eq!(
        (&listed["mode"], &listed["state"]),
        (&json!("shadow"), &json!("counting"))
    );
    let stopped = ask(&server, &format!("/rejudgements/{}/stop", listed["id"]));
    assert_eq!((stopped.0, &stopped.1["state"]), (200, &json!("done")));
    in_shadow(&server, "stern");
    assert_eq!(ask(&server, "/rulesets/strict/shadow/stop").0, 409);
    assert_eq!(ask(&server, "/rulesets/none/shadow").0, 404);
}
