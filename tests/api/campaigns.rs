//! Campaigns, links and minting.

use reqwest::Method;
use serde_json::json;

use crate::harness::Server;

#[test]
fn a_campaign_is_made_listed_edited_and_archived() {
    let server = Server::new();
    let body = json!({"name": "May", "home_url": "https://home.example"});
    let (status, made) = server.api(Method::POST, "/campaigns", Some(body));
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["id"], &made["name"]), (&json!(1), &json!("May")));
    assert_eq!(made["home_url"], "https://home.example/");
    server.campaign();
    server.campaign();

    let page = server.read("/campaigns?limit=2");
    assert_eq!(page["campaigns"].as_array().unwrap().len(), 2);
    let rest = server.read(&format!("/campaigns?after={}", page["next"]));
    assert_eq!(rest["campaigns"][0]["id"], 3);
    assert!(rest["next"].is_null());

    let (status, edited) = server.api(Method::PATCH, "/campaigns/1", Some(json!({"name": "June"})));
    assert_eq!((status, &edited["name"]), (200, &json!("June")));
    assert_eq!(server.read("/campaigns/1")["name"], "June");

    let number = server.link(1, json!({"url": "https://a.example/"}));
    let minted = server.mint(1, &["r"]);
    let archived = server.post("/campaigns/1/archive", json!({}));
    assert!(archived["archived_at"].is_string());
    let answer = server.get(&format!("/c/{}/{number}", minted[0].token));
    assert_eq!(answer.status(), 302, "links of an archived campaign go on");
}

#[test]
fn links_have_one_number_per_url_and_kind() {
    let server = Server::new();
    let campaign = server.campaign();
    let link = |url: &str, kind: &str| server.link(campaign, json!({"url": url, "kind": kind}));
    assert_eq!(link("https://a.example/1", "content"), 1);
    assert_eq!(link("https://a.example/2", "content"), 2);
    assert_eq!(link("https://A.example/1", "content"), 1, "the same URL");
    assert_eq!(link("https://a.example/1", "action"), 3, "another kind");
    let again = json!({"url": "https://a.example/1", "kind": "action"});
    let made = server.post(&format!("/campaigns/{campaign}/links"), again);
    assert_eq!(
        made["also"],
        json!([{"number": 1, "kind": "content"}]),
        "mail may be out"
    );
    assert_eq!(link("https://a.example/off", "unsubscribe"), 4);
    assert_eq!(link("https://a.example/off", "unsubscribe"), 4);
    let path = format!("/campaigns/{campaign}/links");
    let second = json!({"url": "https://a.example/other", "kind": "unsubscribe"});
    assert_eq!(server.api(Method::POST, &path, Some(second)).0, 409);
    assert_eq!(server.read(&path)["links"].as_array().unwrap().len(), 4);
    let action = &server.read(&format!("{path}/3"));
    assert_eq!(
        (&action["kind"], &action["sub_kind"]),
        (&json!("action"), &json!("generic"))
    );
}

#[test]
fn an_edited_link_takes_mail_already_sent_along_and_a_disabled_one_is_gone() {
    let server = Server::new();
    let campaign = server.campaign();
    let number = server.link(campaign, json!({"url": "https://a.example/old"}));
    let path = format!("/c/{}/{number}", server.mint(campaign, &["r"])[0].token);
    assert_eq!(
        server.get(&path).headers()["location"],
        "https://a.example/old"
    );
    let link = format!("/campaigns/{campaign}/links/{number}");
    let edit = json!({"url": "https://b.example/new", "label": "New"});
    assert_eq!(server.api(Method::PATCH, &link, Some(edit)).0, 200);
    assert_eq!(
        server.get(&path).headers()["location"],
        "https://b.example/new"
    );
    server.post(&format!("{link}/disable"), json!({}));
    let gone = server.get(&path);
    assert_eq!(gone.status(), 410);
    assert!(gone.text().unwrap().contains("no longer in use"));
    server.api(Method::PATCH, &link, Some(json!({"disabled": false})));
    assert_eq!(server.get(&path).status(), 302);
}

#[test]
fn minting_gives_what_a_sender_merges() {
    let server = Server::with("", &["--base-url", "https://t.example.com/"]);
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://a.example/"}));
    server.link(
        campaign,
        json!({"url": "https://a.example/go", "kind": "action"}),
    );
    let all = server.mint(campaign, &["a@example.com", "ä b", "a@example.com"]);
    let one = &all[0];
    assert_eq!(one.recipient, "a@example.com");
    assert_eq!(
        (one.token.len(), one.act(0).len(), one.act(2).len()),
        (48, 16, 16)
    );
    assert_eq!(
        one.acts.as_object().unwrap().len(),
        2,
        "0 and the action: {}",
        one.acts
    );
    assert_eq!(
        one.json["open_url"],
        format!("https://t.example.com/o/{}.gif", one.token)
    );
    let unsubscribe = format!("https://t.example.com/u/{}/{}/0", one.token, one.act(0));
    assert_eq!(one.json["unsubscribe_url"], unsubscribe);
    let verp = one.json["verp"].as_str().unwrap();
    assert!(verp.starts_with("cb-") && verp.len() == 61, "{verp}");
    let numbers: Vec<_> = all
        .iter()
        .map(|one| one.message.rsplit('-').next().unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["0", "1", "2"]);
    let lease = server.post(
        &format!("/campaigns/{campaign}/numbers"),
        json!({"count": 10}),
    );
    assert_eq!(lease, json!({"first": 3, "count": 10}));
    let next = server.mint(campaign, &["c"])[0].message.clone();
    assert!(
        next.ends_with("-13"),
        "numbers are never given twice: {next}"
    );
}

#[test]
fn errors_point_at_what_is_wrong() {
    let server = Server::new();
    let campaign = server.campaign();
    let links = format!("/campaigns/{campaign}/links");
    let mint = format!("/campaigns/{campaign}/mint");
    let long = "x".repeat(257);
    for (path, body, status, pointer) in [
        ("/campaigns", json!({"name": "x"}), 422, "/home_url"),
        ("/campaigns", json!(["x", "https://a.example/"]), 422, ""),
        (
            "/campaigns",
            json!({"name": 1, "home_url": "https://a.example"}),
            422,
            "/name",
        ),
        (
            "/campaigns",
            json!({"name": "a\r\nX: b", "home_url": "https://a.example"}),
            422,
            "/name",
        ),
        (
            "/campaigns",
            json!({"name": "", "home_url": "https://a.example"}),
            422,
            "/name",
        ),
        (
            "/campaigns",
            json!({"name": "x", "home_url": "//a.example"}),
            422,
            "/home_url",
        ),
        (
            "/campaigns",
            json!({"name": "x", "home_url": "https://a.example", "y": 1}),
            422,
            "/y",
        ),
        (
            links.as_str(),
            json!({"url": "javascript:alert(1)"}),
            422,
            "/url",
        ),
        (
            &links,
            json!({"url": "https://u:p@a.example/"}),
            422,
            "/url",
        ),
        (
            &links,
            json!({"url": "https://a.example/", "kind": "pixel"}),
            422,
            "/kind",
        ),
        (
            &links,
            json!({"url": "https://a.example/", "sub_kind": "login"}),
            422,
            "/sub_kind",
        ),
        (
            &mint,
            json!({"recipients": ["a", ""]}),
            422,
            "/recipients/1",
        ),
        (
            &mint,
            json!({"recipients": ["a", long]}),
            422,
            "/recipients/1",
        ),
        (&mint, json!({"recipients": [1]}), 422, "/recipients/0"),
    ] {
        let (got, problem) = server.api(Method::POST, path, Some(body.clone()));
        assert_eq!(got, status, "{path} {body}: {problem}");
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{path} {body}: {problem}"
        );
        assert_eq!(problem["status"], status);
    }
    for path in [
        "/campaigns/99",
        "/campaigns/0",
        "/campaigns/x",
        "/campaigns/1/links/9",
        "/no",
    ] {
        assert_eq!(server.api(Method::GET, path, None).0, 404, "{path}");
    }
    let url = server.control("/api/v1/campaigns");
    let broken = server
        .client
        .post(url)
        .bearer_auth(&server.key)
        .body("{\"name\":")
        .send()
        .unwrap();
    assert_eq!(broken.status(), 422);
    assert_eq!(broken.headers()["content-type"], "application/problem+json");
}

#[test]
fn keys_reach_as_far_as_their_scope() {
    let server = Server::new();
    let campaign = server.campaign();
    let key = |scope: &str| {
        let made = server.post("/keys", json!({"name": scope, "scope": scope}));
        made["key"].as_str().unwrap().to_owned()
    };
    let (mint, read) = (key("mint"), key("read"));
    let stats = format!("/campaigns/{campaign}/stats");
    for (key, path, status) in [
        (mint.as_str(), "/campaigns", 200),
        (&mint, stats.as_str(), 403),
        (&mint, "/events", 403),
        (&mint, "/key-ring", 403),
        (&read, "/campaigns", 403),
        (&read, &stats, 200),
        (&read, "/events", 200),
        (&read, "/key-ring", 403),
        ("cpl_wrong", "/campaigns", 401),
        ("", "/campaigns", 401),
    ] {
        let (got, problem) = server.api_as(key, Method::GET, path, None);
        assert_eq!(got, status, "{path}: {problem}");
    }
    let (_, problem) = server.api_as(&read, Method::GET, "/campaigns", None);
    assert!(
        problem["detail"].as_str().unwrap().contains("mint"),
        "{problem}"
    );
}

#[test]
fn a_revoked_key_opens_nothing_more() {
    let server = Server::new();
    let made = server.post("/keys", json!({"name": "shop", "scope": "read"}));
    let key = made["key"].as_str().unwrap();
    assert_eq!(server.api_as(key, Method::GET, "/events", None).0, 200);
    let revoke = format!("/keys/{}/revoke", made["id"]);
    for _ in 0..2 {
        let (status, revoked) = server.api(Method::POST, &revoke, None);
        assert_eq!((status, &revoked["name"]), (200, &json!("shop")));
        assert!(revoked["revoked_at"].is_string() && revoked.get("key").is_none());
    }
    let (status, problem) = server.api_as(key, Method::GET, "/events", None);
    assert_eq!(status, 401, "{problem}");
    let listed = server.read("/keys");
    let states = listed["keys"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|key| (key["name"].clone(), key["revoked_at"].is_null()))
        .collect();
    assert_eq!(states[1], (json!("shop"), false), "{listed}");
    assert!(states[0].1, "{listed}");
    assert_eq!(server.api(Method::POST, "/keys/99/revoke", None).0, 404);
    let short = server.api_as(key, Method::POST, "/keys/1/revoke", None);
    assert_eq!(short.0, 401, "it cannot do more than it could");
}

#[test]
fn one_call_mints_no_more_act_tags_than_fit_into_memory() {
    let server = Server::new();
    let campaign = server.campaign();
    let path = format!("/campaigns/{campaign}/mint");
    let refused = |recipients: usize, most: &str| {
        let body = json!({"recipients": vec!["r"; recipients]});
        let (status, problem) = server.api(Method::POST, &path, Some(body));
        assert_eq!(
            (status, &problem["pointer"]),
            (422, &json!("/recipients")),
            "{problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(most), "{detail}");
    };
    refused(100_001, "at most 100000 recipients a request");
    for number in 0..39 {
        let url = format!("https://a.example/{number}");
        server.link(campaign, json!({"url": url, "kind": "action"}));
    }
    // 39 actions, and the tag that unsubscribes.
    refused(25_001, "at most 25000 recipients a request");
    assert_eq!(server.mint(campaign, &["r"; 10]).len(), 10);
}
