//! Short links.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, eventually};

#[test]
fn a_short_link_redirects_until_it_ends() {
    let server = Server::new();
    let made = server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "Summer"}),
    );
    assert_eq!(
        (&made["code"], &made["url"]),
        (&json!("Summer"), &json!("https://a.example/"))
    );
    assert_eq!(
        server.get("/Summer").headers()["location"],
        "https://a.example/"
    );
    assert_eq!(server.get("/summer").status(), 404, "case matters");
    let random = server.post("/short-links", json!({"url": "https://b.example/"}));
    let code = random["code"].as_str().unwrap();
    assert_eq!(code.len(), 8);
    assert_eq!(
        server.get(&format!("/{code}")).headers()["location"],
        "https://b.example/"
    );

    let edit = json!({"url": "https://c.example/"});
    assert_eq!(
        server
            .api(Method::PATCH, "/short-links/Summer", Some(edit))
            .0,
        200
    );
    assert_eq!(
        server.get("/Summer").headers()["location"],
        "https://c.example/"
    );
    let past = json!({"expires_at": "2001-01-01T00:00:00Z"});
    assert_eq!(
        server
            .api(Method::PATCH, "/short-links/Summer", Some(past))
            .0,
        200
    );
    assert_eq!(server.get("/Summer").status(), 410);
    let never = json!({"expires_at": null});
    assert_eq!(
        server
            .api(Method::PATCH, "/short-links/Summer", Some(never))
            .0,
        200
    );
    server.post("/short-links/Summer/disable", json!({}));
    assert_eq!(server.get("/Summer").status(), 410);
    let enable = json!({"disabled": false});
    assert_eq!(
        server
            .api(Method::PATCH, "/short-links/Summer", Some(enable))
            .0,
        200
    );
    assert_eq!(server.get("/Summer").status(), 302);

    let total = |stats: &Value| stats["raw"]["clicks"]["total"].as_i64();
    let ask = || server.read("/short-links/Summer/stats");
    let stats = eventually("clicks", ask, |stats| total(stats) == Some(3));
    assert_eq!(
        stats["raw"]["clicks"]["unique"],
        Value::Null,
        "no messages, no uniques"
    );
    assert_eq!(stats["by_method"]["GET"], 5);
    assert_eq!(
        server.read("/short-links")["short_links"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let events = server.events("", 6);
    assert!(events[0]["short_link"].is_u64() && events[0]["campaign"].is_null());
}

#[test]
fn codes_that_cannot_be_are_refused() {
    let server = Server::new();
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "taken"}),
    );
    let long = "x".repeat(65);
    for (code, status) in [
        ("taken", 409),
        ("c", 422),
        ("a", 422),
        ("u", 422),
        ("o", 422),
        ("hooks", 422),
        ("_", 422),
        ("API", 422),
        ("static", 422),
        ("", 422),
        ("a b", 422),
        ("a/b", 422),
        ("ä", 422),
        ("robots.txt", 422),
        (long.as_str(), 422),
    ] {
        let body = json!({"url": "https://a.example/", "code": code});
        let (got, problem) = server.api(Method::POST, "/short-links", Some(body));
        assert_eq!(got, status, "{code}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/code", "{problem}");
    }
}
