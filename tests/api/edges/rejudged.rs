//! History judged again by nodes that share it.

use reqwest::Method;
use serde_json::json;

use super::{Nodes, mailing, sums_are_rows};
use crate::harness::{eventually, postgres};

const SHIPPED: &str = include_str!("../../../src/judge/rulesets/default.toml");

#[test]
fn each_node_judges_again_what_it_settles_and_what_one_leaves_another_does() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let a = nodes.start("a", "all");
    let mut b = nodes.start("b", "all");
    let campaign = a.campaign();
    a.link(campaign, json!({"url": "https://one.example/"}));
    let messages = mailing(&a, campaign, 100);
    for (at, message) in messages.iter().enumerate() {
        let server = if at % 2 == 0 { &a } else { &b };
        let path = format!("/c/{}/1", message.token);
        eventually(
            "a link that is known",
            || server.get(&path).status(),
            |status| *status == 302,
        );
    }
    let settled = || nodes.number("SELECT count(*) FROM hits");
    eventually("hits", settled, |hits| *hits >= 100);
    a.settled("", 100);
    let stern = SHIPPED
        .replace("\"default\"", "\"stern\"")
        .replace("open = -2.0\nclick = -2.0", "open = 30\nclick = 30")
        .replace("\"ua.empty\" = ", "\"ua.empty\" = 0.0 # ");
    a.post("/rulesets", json!({"text": stern}));
    a.api(Method::POST, "/rulesets/stern/use", None);
    b.kill9();
    let begun = a.api(Method::POST, "/rejudgements", Some(json!({})));
    assert_eq!(begun.0, 202, "{begun:?}");
    let path = format!("/rejudgements/{}", begun.1["id"]);
    let done = eventually("done", || a.read(&path), |now| now["state"] == "done");
    assert_eq!((&done["hits"], &done["of"]), (&done["of"], &done["hits"]));
    let others = "SELECT count(*) FROM hits WHERE class IN (1, 2)";
    assert_eq!(nodes.number(others), 0, "{done}");
    sums_are_rows(&nodes);
}
