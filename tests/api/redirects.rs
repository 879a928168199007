//! Content links and pixels: whatever comes, the row of DESIGN 5.2 holds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, damaged};

fn tracked(server: &Server, url: &str) -> (u64, String) {
    let campaign = server.campaign();
    let number = server.link(campaign, json!({"url": url}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    (campaign, format!("/c/{token}/{number}"))
}

#[test]
fn a_click_is_redirected_without_traces_and_counted() {
    let server = Server::new();
    let (campaign, path) = tracked(&server, "https://shop.example/p?a=1&b=%20#x");
    let answer = server.get(&path);
    assert_eq!(answer.status(), 302);
    let headers = answer.headers();
    assert_eq!(headers["location"], "https://shop.example/p?a=1&b=%20#x");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert!(!headers.contains_key("set-cookie"));
    let head = server.public(Method::HEAD, &path).send().unwrap();
    assert_eq!(
        (head.status().as_u16(), head.text().unwrap().as_str()),
        (302, "")
    );
    assert_eq!(
        server.public(Method::POST, &path).send().unwrap().status(),
        405
    );
    assert_eq!(
        server
            .public(Method::OPTIONS, &path)
            .send()
            .unwrap()
            .status(),
        405
    );

    server.events("", 4);
    let stats = server.stats(campaign);
    let clicks = json!({"total": 1, "unique": 1, "anonymous": 0});
    assert_eq!(stats["raw"]["clicks"], clicks);
    assert_eq!(stats["links"][0]["raw"]["clicks"], clicks);
    assert_eq!(
        stats["by_method"],
        json!({"GET": 1, "HEAD": 1, "POST": 1, "OTHER": 1})
    );
    let classes: i64 = stats["by_class"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_i64().unwrap())
        .sum();
    assert_eq!(classes, 4, "every hit has a class: {stats}");
    assert_eq!(stats["by_class"].as_object().unwrap().len(), 6);
}

#[test]
fn a_pixel_is_always_the_gif() {
    let server = Server::new();
    let campaign = server.campaign();
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let wrong = damaged(&token, 47);
    for name in [token.as_str(), wrong.as_str(), "", "x", "%2e%2e"] {
        let answer = server.get(&format!("/o/{name}.gif"));
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.headers()["content-type"], "image/gif");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let bytes = answer.bytes().unwrap();
        assert_eq!((bytes.len(), &bytes[..6]), (43, b"GIF89a".as_slice()));
    }
    let prefetched = server
        .public(Method::GET, &format!("/o/{token}.gif"))
        .header("sec-purpose", "prefetch;prerender")
        .send()
        .unwrap();
    assert_eq!(
        prefetched.status(),
        200,
        "a prerendered image is not asked for again"
    );
    server.events("&kind=open", 3);
    let opens = &server.stats(campaign)["raw"]["opens"];
    assert_eq!(*opens, json!({"total": 2, "unique": 1, "anonymous": 0}));
}

#[test]
fn a_speculative_click_is_refused_and_does_not_count() {
    let server = Server::new();
    let (campaign, path) = tracked(&server, "https://shop.example/");
    for purpose in [
        "prefetch",
        "Prefetch;prerender",
        "prefetch;anonymous-client-ip",
    ] {
        let request = server
            .public(Method::GET, &path)
            .header("sec-purpose", purpose);
        let answer = request.send().unwrap();
        assert_eq!(answer.status(), 425, "{purpose}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    let legacy = server
        .public(Method::GET, &path)
        .header("purpose", "prefetch")
        .send()
        .unwrap();
    assert_eq!(legacy.status(), 302, "legacy headers are evidence only");
    assert_eq!(server.get(&path).status(), 302);
    let events = server.events("", 5);
    assert_eq!(events[0]["judgement"]["class"], "prefetch", "{}", events[0]);
    assert_eq!(events[0]["answer"], "speculation_refused");
    assert_eq!(server.stats(campaign)["raw"]["clicks"]["total"], 2);
}

#[test]
fn keys_age_and_are_revoked_without_one_dead_link() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let confirm = json!({"url": "https://a.example/c", "kind": "action", "sub_kind": "confirm"});
    server.link(campaign, confirm);
    server.link(
        campaign,
        json!({"url": "https://a.example/g", "kind": "action"}),
    );
    let old = server.mint(campaign, &["old"])[0].clone();
    server.post("/key-ring/rotate", json!({}));
    let new = server.mint(campaign, &["new"])[0].clone();
    let state = |state: &str| {
        let (status, ring) =
            server.api(Method::PATCH, "/key-ring/1", Some(json!({"state": state})));
        assert_eq!(status, 200, "{ring}");
    };
    let check = |what: &str, one: &crate::harness::Minted, expected: [u16; 7]| {
        let (token, zero) = (&one.token, one.act(0));
        let press = |number: u64| {
            let path = format!("/a/{token}/{}/{number}", one.act(number));
            server
                .public(Method::POST, &path)
                .send()
                .unwrap()
                .status()
                .as_u16()
        };
        let unsubscribe = format!("/u/{token}/{zero}/0");
        let one_click = server
            .public(Method::POST, &unsubscribe)
            .body("List-Unsubscribe=One-Click")
            .send()
            .unwrap();
        let seen = [
            server.get(&format!("/c/{token}/1")).status().as_u16(),
            server.get(&format!("/o/{token}.gif")).status().as_u16(),
            server
                .get(&format!("/a/{token}/{}/2", one.act(2)))
                .status()
                .as_u16(),
            press(2),
            press(3),
            server.get(&unsubscribe).status().as_u16(),
            one_click.status().as_u16(),
        ];
        assert_eq!(seen, expected, "{what}");
    };
    check("rotated", &old, [302, 200, 200, 303, 303, 200, 200]);
    check("new", &new, [302, 200, 200, 303, 303, 200, 200]);
    state("aged");
    check("aged", &old, [302, 200, 410, 410, 303, 200, 200]);
    let events = server.events("", 21);
    let last = events.last().unwrap();
    assert_eq!(
        (&last["token"], &last["message"]),
        (&json!("aged"), &json!(old.message))
    );
    assert!(events.iter().any(|event| event["answer"] == "asked_again"));
    state("revoked");
    check("revoked", &old, [302, 200, 403, 403, 403, 200, 200]);
    let events = server.events("", 28);
    let revoked: Vec<_> = events
        .iter()
        .filter(|event| event["token"] == "revoked")
        .collect();
    assert_eq!(revoked.len(), 7);
    assert!(
        revoked.iter().all(|event| event["message"].is_null()),
        "counted for nobody"
    );
    assert_eq!(
        server.stats(campaign)["raw"]["clicks"],
        json!({
            "total": 4, "unique": 2, "anonymous": 1
        })
    );
    let (status, _) = server.api(Method::PATCH, "/key-ring/2", Some(json!({"state": "aged"})));
    assert_eq!(status, 409, "the signing key cannot be retired");
}

#[test]
fn damaged_and_foreign_tokens_lead_nowhere_and_are_counted_under_nobody() {
    let server = Server::new();
    let other = Server::new();
    let (campaign, path) = tracked(&server, "https://shop.example/");
    let token = path.split('/').nth(2).unwrap().to_owned();
    let foreign = tracked(&other, "https://shop.example/").1;
    let mut paths = vec![
        foreign.clone(),
        format!("/c/{token}%27/1"),
        format!("/c/{}/1", &token[..47]),
        format!("/c/{token}=/1"),
        format!("/c/{}/1", token.to_lowercase()),
    ];
    for at in (8..48).step_by(5) {
        paths.push(format!("/c/{}/1", damaged(&token, at)));
    }
    for path in &paths {
        let answer = server.get(path);
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.headers().get("location").is_none());
    }
    let events = server.events("&kind=click", paths.len() - 1);
    for event in &events {
        assert_eq!(
            (&event["token"], &event["message"]),
            (&json!("damaged"), &Value::Null)
        );
    }
    assert_eq!(server.stats(campaign)["raw"]["clicks"]["total"], 0);
    let act = "AAAAAAAAAAAAAAAA";
    let one_click = server
        .public(Method::POST, &format!("/u/{}/{act}/0", damaged(&token, 47)))
        .body("List-Unsubscribe=One-Click")
        .send()
        .unwrap();
    assert_eq!(one_click.status(), 404, "never 200 without effect");
}

#[test]
fn honeypots_lead_home_and_act_numbers_nowhere() {
    let server = Server::new();
    let campaign = server.campaign();
    server.link(
        campaign,
        json!({"url": "https://trap.example/", "kind": "honeypot"}),
    );
    server.link(
        campaign,
        json!({"url": "https://a.example/", "kind": "action"}),
    );
    server.link(
        campaign,
        json!({"url": "https://off.example/", "kind": "unsubscribe"}),
    );
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let trap = server.get(&format!("/c/{token}/1"));
    assert_eq!(trap.headers()["location"], "https://home.example/");
    for number in ["2", "3", "4", "0", "01", "+1", "99999999999", "x", ""] {
        assert_eq!(
            server.get(&format!("/c/{token}/{number}")).status(),
            404,
            "{number}"
        );
    }
    let events = server.events("", 4);
    assert_eq!(
        (&events[0]["honeypot"], &events[0]["counted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(server.stats(campaign)["raw"]["clicks"]["total"], 0);
}

#[test]
fn templated_destinations_are_filled_and_values_kept_nowhere() {
    let server = Server::new();
    let (_, path) = tracked(&server, "https://shop.example/u/{v1}?e={v2}");
    let get = |query: &str| {
        let answer = server.get(&format!("{path}?{query}"));
        assert_eq!(answer.status(), 302, "{query}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(
        get("v1=ann&v2=a%40b.example"),
        "https://shop.example/u/ann?e=a%40b.example"
    );
    assert_eq!(
        get("v1=%2e%2e&v2=%0d%0aX-A:%20b"),
        "https://shop.example/u/?e="
    );
    assert_eq!(
        get("v2=planted-secret-value"),
        "https://shop.example/u/?e=planted-secret-value"
    );
    server.events("", 3);
    server.settled("", 3);
    let found = std::process::Command::new("grep")
        .args(["-rl", "planted-secret-value"])
        .arg(server.data.parent().unwrap())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(found.stdout).unwrap(),
        "",
        "a value was kept"
    );
}

#[test]
fn claimed_recipients_are_hashed_and_unfilled_tags_ignored() {
    let server = Server::new();
    let (_, path) = tracked(&server, "https://shop.example/");
    for tag in [
        "*|EMAIL|*",
        "%%EMAIL%%",
        "{{name}}",
        "%EMAIL%",
        "[email]",
        "{$email}",
        "%",
    ] {
        let answer = server.get(&format!("{path}?r={tag}&x={tag}&u={tag}"));
        assert_eq!(answer.status(), 302, "{tag}");
    }
    assert!(
        server
            .events("", 7)
            .iter()
            .all(|event| event["claimed"] == false)
    );
}
