//! Action and unsubscribe links: only a press acts.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Minted, Server};

struct Acts {
    server: Server,
    campaign: u64,
    one: Minted,
    two: Minted,
}

impl Acts {
    fn new() -> Self {
        let server = Server::new();
        let campaign = server.campaign();
        for (url, kind) in [
            ("https://a.example/confirm?x=1", "action"),
            ("https://a.example/other", "action"),
            ("https://a.example/bye", "unsubscribe"),
        ] {
            server.link(campaign, json!({"url": url, "kind": kind}));
        }
        let mut all = server.mint(campaign, &["one", "two"]);
        let (two, one) = (all.pop().unwrap(), all.pop().unwrap());
        Self {
            server,
            campaign,
            one,
            two,
        }
    }

    fn action(&self, number: u64) -> String {
        format!("/a/{}/{}/{number}", self.one.token, self.one.act(number))
    }

    fn unsubscribe(&self) -> String {
        format!("/u/{}/{}/0", self.one.token, self.one.act(0))
    }
}

#[test]
fn looking_shows_a_page_and_pressing_acts() {
    let acts = Acts::new();
    let (server, path) = (&acts.server, acts.action(1));
    let page = server.get(&path);
    assert_eq!(page.status(), 200);
    let headers = page.headers().clone();
    assert_eq!(headers["referrer-policy"], "same-origin");
    assert_eq!(headers["cache-control"], "no-store");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' https://a.example "),
        "{policy}"
    );
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let html = page.text().unwrap();
    assert!(
        html.contains("<form method=\"post\">") && html.contains("a.example"),
        "{html}"
    );
    assert_eq!(
        server.public(Method::HEAD, &path).send().unwrap().status(),
        200
    );

    let press = server.public(Method::POST, &path).send().unwrap();
    assert_eq!(press.status(), 303);
    assert_eq!(press.headers()["location"], "https://a.example/confirm?x=1");
    assert_eq!(press.headers()["referrer-policy"], "no-referrer");
    let again = server.public(Method::POST, &path).send().unwrap();
    assert_eq!(again.headers()["location"], "https://a.example/confirm?x=1");

    let events = server.events("", 4);
    let answers: Vec<_> = events
        .iter()
        .map(|event| event["answer"].as_str().unwrap())
        .collect();
    assert_eq!(answers, ["page", "page", "acted", "repeated"]);
    let stats = server.stats(acts.campaign);
    assert_eq!(
        stats["raw"]["pages"],
        json!({"total": 1, "unique": 1, "anonymous": 0})
    );
    assert_eq!(
        stats["raw"]["presses"],
        json!({"total": 2, "unique": 1, "anonymous": 0})
    );
}

#[test]
fn one_click_unsubscribes_at_once_and_the_page_by_its_button() {
    let acts = Acts::new();
    let (server, path) = (&acts.server, acts.unsubscribe());
    let form = "multipart/form-data; boundary=x";
    let part = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                One-Click\r\n--x--\r\n";
    let urlencoded = "application/x-www-form-urlencoded";
    for (kind, body) in [(urlencoded, "List-Unsubscribe=One-Click"), (form, part)] {
        let request = server
            .public(Method::POST, &path)
            .header("content-type", kind)
            .body(body);
        let answer = request.send().unwrap();
        assert_eq!(answer.status(), 200, "{kind}");
        assert!(answer.headers().get("location").is_none());
    }
    let page = server.get(&path);
    assert_eq!(page.status(), 200);
    assert!(page.text().unwrap().contains("Unsubscribe"));
    let press = server.public(Method::POST, &path).send().unwrap();
    assert_eq!(press.headers()["location"], "https://a.example/bye");
    let events = server.events("&kind=unsubscribe", 3);
    let via: Vec<_> = events
        .iter()
        .map(|event| event["via"].as_str().unwrap())
        .collect();
    assert_eq!(via, ["one_click", "one_click", "page"]);
    assert_eq!(events[0]["judgement"]["class"], "proxied");
    let stats = server.stats(acts.campaign);
    assert_eq!(
        stats["raw"]["unsubscribes"],
        json!({"total": 3, "unique": 1, "anonymous": 0})
    );

    let without = server.campaign();
    let one = &server.mint(without, &["r"])[0];
    let done = server
        .public(Method::POST, &format!("/u/{}/{}/0", one.token, one.act(0)))
        .send();
    let done = done.unwrap();
    assert_eq!(done.status(), 200);
    assert!(done.text().unwrap().contains("You are unsubscribed"));
}

#[test]
fn an_act_tag_opens_one_door_of_one_message() {
    let acts = Acts::new();
    let (server, one, two) = (&acts.server, &acts.one, &acts.two);
    for (token, tag, number) in [
        (&one.token, two.act(1), 1),
        (&one.token, one.act(2), 1),
        (&one.token, one.act(0), 1),
        (&one.token, one.act(1), 2),
        (&one.token, one.act(1), 9),
        (&one.token, "", 1),
        (&one.token, "AAAAAAAAAAAAAAAA", 1),
    ] {
        for method in [Method::GET, Method::POST] {
            let path = format!("/a/{token}/{tag}/{number}");
            let answer = server.public(method.clone(), &path).send().unwrap();
            assert_eq!(answer.status(), 404, "{method} {path}");
        }
    }
    let path = format!("/u/{}/{}/0", one.token, one.act(1));
    assert_eq!(
        server.public(Method::POST, &path).send().unwrap().status(),
        404
    );
    let path = format!("/u/{}/{}/1", one.token, one.act(1));
    assert_eq!(
        server.public(Method::POST, &path).send().unwrap().status(),
        404
    );
    server.events("", 2);
    let stats = server.stats(acts.campaign);
    assert_eq!(stats["raw"]["presses"]["total"], 0);
    assert_eq!(stats["raw"]["unsubscribes"]["total"], 0);
}

#[test]
fn another_sites_page_cannot_press() {
    let acts = Acts::new();
    let (server, path) = (&acts.server, acts.action(1));
    let own = server.public.clone();
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 303),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", own.as_str(), 303),
    ] {
        let answer = server
            .public(Method::POST, &path)
            .header(name, value)
            .send()
            .unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    assert_eq!(server.get(&acts.action(2)).status(), 200);
    let speculative = server
        .public(Method::GET, &path)
        .header("sec-purpose", "prefetch")
        .send()
        .unwrap();
    assert_eq!(speculative.status(), 425);
    let large = vec![b'x'; 100 << 10];
    let answer = server
        .public(Method::POST, &path)
        .body(large)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(
        server.public(Method::PUT, &path).send().unwrap().status(),
        405
    );
}

#[test]
fn acts_are_taken_on_named_hosts_only() {
    let server = Server::with("act_hosts = [\"Links.example\"]\n", &[]);
    let campaign = server.campaign();
    let url = "https://a.example/";
    server.link(campaign, json!({"url": url}));
    server.link(campaign, json!({"url": url, "kind": "action"}));
    let one = server.mint(campaign, &["r"])[0].clone();
    let (token, zero) = (&one.token, one.act(0));
    let action = format!("/a/{token}/{}/2", one.act(2));
    let unsubscribe = format!("/u/{token}/{zero}/0");
    for (host, page, press, one_click) in [
        ("links.example", 200, 303, 200),
        ("other.example", 403, 403, 403),
    ] {
        let ask = |method, path: &str| {
            let request = server.public(method, path).header("host", host);
            request
                .body("List-Unsubscribe=One-Click")
                .send()
                .unwrap()
                .status()
                .as_u16()
        };
        assert_eq!(
            ask(Method::GET, &format!("/c/{token}/1")),
            302,
            "content on {host}"
        );
        assert_eq!(ask(Method::GET, &action), page, "{host}");
        assert_eq!(ask(Method::POST, &action), press, "{host}");
        assert_eq!(ask(Method::POST, &unsubscribe), one_click, "{host}");
    }
}

#[test]
fn an_unsubscribe_page_names_only_where_its_button_leads() {
    let acts = Acts::new();
    let (server, path) = (&acts.server, acts.unsubscribe());
    let page = || server.get(&path).text().unwrap();
    assert!(page().contains(">a.example<"), "{}", page());
    let disable = format!("/campaigns/{}/links/3/disable", acts.campaign);
    server.post(&disable, json!({}));
    assert!(!page().contains("a.example"), "{}", page());
    let done = server.public(Method::POST, &path).send().unwrap();
    assert_eq!(done.status(), 200);
    assert!(done.text().unwrap().contains("You are unsubscribed"));
}
