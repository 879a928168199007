//! What must hold in every engine: clicks arrive, presses act, refused prefetches let the click
//! through.

use serde_json::{Value, json};

use crate::driver::Browser;
use crate::harness::Server;

fn holds_in(engine: &str) {
    let mut browser = Browser::open(engine, &[]);
    let destination = browser.destination(json!({}));
    let redirecting = browser.destination(json!({"redirects": true}));
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": destination}));
    server.link(
        campaign,
        json!({"url": destination, "kind": "action", "sub_kind": "confirm"}),
    );
    server.link(campaign, json!({"url": redirecting, "kind": "action"}));
    let one = server.mint(campaign, &["r"])[0].clone();
    let token = &one.token;

    let clicked = browser.ask(
        "click",
        json!({"url": server.url(&format!("/c/{token}/1"))}),
    );
    assert_eq!(clicked["finalUrl"], json!(destination), "{clicked}");
    assert_eq!(clicked["messages"], json!([]), "{clicked}");

    let action = |number: u64| server.url(&format!("/a/{token}/{}/{number}", one.act(number)));
    for what in ["press", "press-no-js"] {
        let pressed = browser.ask(what, json!({"url": action(2)}));
        assert_eq!(pressed["buttonText"], "Confirm", "{pressed}");
        assert_eq!(pressed["finalUrl"], json!(destination), "{what}: {pressed}");
        assert_eq!(pressed["messages"], json!([]), "{pressed}");
    }
    let onward = browser.ask("press", json!({"url": action(3)}));
    assert_eq!(
        onward["navigated"], true,
        "a destination that redirects on: {onward}"
    );
    assert_eq!(onward["title"], "Landed", "{onward}");

    let unsubscribe = server.url(&format!("/u/{token}/{}/0", one.act(0)));
    let pressed = browser.ask("press", json!({"url": unsubscribe}));
    assert_eq!(pressed["title"], "You are unsubscribed", "{pressed}");

    for icon in ["/favicon.ico", "/_/favicon.svg"] {
        let shown = browser.ask("image", json!({"url": server.url(icon)}));
        assert_eq!(shown["event"], "load", "{icon}: {shown}");
        assert!(
            shown["naturalWidth"].as_u64().unwrap() >= 16,
            "{icon}: {shown}"
        );
    }

    let log = browser.ask("destination-log", json!({}));
    for request in log["requests"].as_array().unwrap() {
        let referer = request["headers"].as_object().unwrap().get("referer");
        let referer = referer.and_then(Value::as_str).unwrap_or_default();
        assert!(!referer.contains(token), "the token leaks: {request}");
    }
    let acted = server.events("", 9);
    let acted = acted
        .iter()
        .filter(|event| event["answer"] == "acted" || event["answer"] == "repeated");
    assert_eq!(acted.count(), 4, "each press acted, and nothing else did");
}

#[test]
fn chromium() {
    holds_in("chromium");
}

#[test]
fn firefox() {
    holds_in("firefox");
}

#[test]
fn webkit() {
    holds_in("webkit");
}
