//! History judged again: looked at first, then changed beside what was said before.

mod on_file;

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::server;
use crate::harness::{Server, eventually};
use crate::neighbours::{CLOUD, FIREFOX, FIREFOX_SENDS, HOME, campaign_of, follow};

const SHIPPED: &str = include_str!("../../../src/judge/rulesets/default.toml");

/// By which hits from hosting companies are a machine's.
pub(crate) fn strict() -> String {
    SHIPPED
        .replace("name = \"default\"", "name = \"strict\"")
        .replace(
            "\"net.hosting\" = { open = 0.0, click = 1.2 }",
            "\"net.hosting\" = 9.0",
        )
}

/// A person at home and one in the cloud, in each of two campaigns; all settled.
fn people(server: &Server) -> [u64; 2] {
    let campaigns = [(), ()].map(|()| {
        let (campaign, _) = campaign_of(server, 3);
        for from in [HOME, CLOUD] {
            let token = &server.mint(campaign, &[from])[0].token;
            follow(server, token, 1).send(Method::GET, from, FIREFOX, FIREFOX_SENDS);
        }
        campaign
    });
    let events = server.settled("", 4);
    assert!(
        events
            .iter()
            .all(|event| event["judgement"]["human"] == true)
    );
    campaigns
}

fn begin(server: &Server, asked: Value) -> Value {
    let (status, begun) = server.api(Method::POST, "/rejudgements", Some(asked));
    assert_eq!(status, 202, "{begun}");
    let path = format!("/rejudgements/{}", begun["id"]);
    eventually(
        "a rejudgement that is done",
        || server.read(&path),
        |now| now["state"] == "done",
    )
}

fn human_clicks(server: &Server, campaign: u64) -> (u64, u64) {
    let clicks = server.stats(campaign)["human"]["clicks"].clone();
    let number = |name: &str| clicks[name].as_u64().unwrap();
    (number("total"), number("unique"))
}

fn classes(server: &Server) -> Vec<String> {
    let class = |event: Value| event["judgement"]["class"].as_str().unwrap().to_owned();
    server.events("", 4).into_iter().map(class).collect()
}

#[test]
fn what_would_change_is_shown_and_what_changes_stands_beside_what_was_said() {
    let mut server = server();
    let [one, other] = people(&server);
    server.post("/rulesets", json!({"text": strict()}));
    let asked = json!({"ruleset": "strict", "dry_run": true});
    let would = begin(&server, asked);
    assert_eq!((&would["hits"], &would["of"]), (&json!(4), &json!(4)));
    assert_eq!(would["changed"], 2, "{would}");
    let rows = would["by_class"].as_array().unwrap();
    let row = json!({"kind": "click", "was": "human", "class": "scanner", "hits": 2});
    assert_eq!(rows, &[row]);
    let signals = would["by_signal"].as_array().unwrap();
    let hosting = signals.iter().find(|row| row["signal"] == "net.hosting");
    assert_eq!(hosting.unwrap()["hits"], 2, "{would}");
    let campaigns = would["by_campaign"].as_array().unwrap();
    assert_eq!(campaigns.len(), 2);
    assert!(campaigns.iter().all(|row| row["human"] == -1), "{would}");
    assert_eq!(classes(&server), ["human"; 4], "nothing has changed");

    let refused = server.api(
        Method::POST,
        "/rejudgements",
        Some(json!({"ruleset": "strict"})),
    );
    assert_eq!(refused.0, 409, "{refused:?}");
    server.api(Method::POST, "/rulesets/strict/use", None);
    let done = begin(&server, json!({"campaign": one}));
    assert_eq!(
        (&done["mode"], &done["changed"]),
        (&json!("in-force"), &json!(1))
    );
    assert_eq!(human_clicks(&server, one), (1, 1));
    assert_eq!(human_clicks(&server, other), (2, 2));
    // It goes on behind what was done, also after a crash; what is done is not done again.
    server.kill9();
    server.revive();
    assert_eq!(begin(&server, json!({}))["changed"], 1);
    assert_eq!(begin(&server, json!({}))["changed"], 0);
    assert_eq!(human_clicks(&server, other), (1, 1));
    let events = server.events("", 4);
    let changed: Vec<_> = events
        .iter()
        .filter(|it| it["judgement"]["class"] == "scanner")
        .collect();
    assert_eq!(changed.len(), 2);
    for event in changed {
        assert_eq!(event["judgement"]["ruleset"], "strict@3");
        assert_eq!(event["judgement"]["revision"], 1);
        let id = event["id"].as_str().unwrap();
        let explained = server.read(&format!("/events/{id}/explain"));
        assert_eq!(explained["earlier"][0]["ruleset"], "default@3");
    }
    // And back.
    server.api(Method::POST, "/rulesets/default/use", None);
    assert_eq!(begin(&server, json!({}))["changed"], 2);
    assert_eq!(classes(&server), ["human"; 4]);
    assert_eq!(human_clicks(&server, one), (2, 2));
    let listed = server.read("/rejudgements?limit=1");
    assert_eq!(listed["rejudgements"][0]["changed"], 2, "{listed}");
    assert!(listed["next"].is_number());
}

#[test]
fn what_is_judged_again_stops_when_asked_and_when_another_rule_set_is_used() {
    let server = Server::with("[settle]\npaused = true\n", &[]);
    let begin = |asked: Value| {
        let (status, begun) = server.api(Method::POST, "/rejudgements", Some(asked));
        assert_eq!(
            (status, &begun["state"]),
            (202, &json!("running")),
            "{begun}"
        );
        format!("/rejudgements/{}", begun["id"])
    };
    let (asked, in_force) = (begin(json!({"dry_run": true})), begin(json!({})));
    let stopped = server.api(Method::POST, &format!("{asked}/stop"), None);
    assert_eq!((stopped.0, &stopped.1["state"]), (200, &json!("stopped")));
    let looks = begin(json!({"dry_run": true}));
    server.post("/rulesets", json!({"text": strict()}));
    let used = server.api(Method::POST, "/rulesets/strict/use", None);
    assert_eq!(used.0, 200, "{used:?}");
    assert_eq!(server.read(&in_force)["state"], "stopped");
    assert_eq!(server.read(&looks)["state"], "running");
}
