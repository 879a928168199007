//! Rewriting through the API.

use reqwest::Method;
use serde_json::json;

use crate::harness::Server;

#[test]
fn a_template_comes_back_with_tracked_links_and_every_other_byte() {
    let server = Server::with("", &["--base-url", "https://t.example.com"]);
    let campaign = server.campaign();
    let confirm = "https://a.example/confirm";
    assert_eq!(
        server.link(campaign, json!({"url": confirm, "kind": "action"})),
        1
    );
    let off = json!({"url": "https://a.example/off", "kind": "unsubscribe"});
    assert_eq!(server.link(campaign, off), 2);
    let html = "<!DOCTYPE html><HTML><body  CLASS=x>\r\n\
                <a HREF='https://a.example/?a=1&amp;b=2'>ä</a>\
                <a href=\"https://a.example/confirm\">c</a><a href=https://a.example/off>o</a>\
                <a href=\"mailto:x@a.example\">m</a><a href=\"{{ action_url }}\">t</a>\
                <area href=\"https://a.example/?a=1&b=2\"><!-- <a href=\"https://no.example\"> -->\
                <a href=\"https://a.example/u?e={{email}}\">e</a></body></HTML>\n";
    let text = "Go to https://a.example/?a=1&b=2, or (https://a.example/t).";
    let path = format!("/campaigns/{campaign}/rewrite");
    let done = server.post(&path, json!({"html": html, "text": text}));
    let c = "https://t.example.com/c/{{cupel_token}}";
    let expected = html
        .replace("'https://a.example/?a=1&amp;b=2'", &format!("'{c}/3'"))
        .replace(
            "\"https://a.example/confirm\"",
            "\"https://t.example.com/a/{{cupel_token}}/{{cupel_act_1}}/1\"",
        )
        .replace("\"https://a.example/?a=1&b=2\"", &format!("\"{c}/3\""))
        .replace(
            "\"https://a.example/u?e={{email}}\"",
            &format!("\"{c}/4?v1={{{{email}}}}\""),
        );
    let got = done["html"].as_str().unwrap();
    let off_url = "https://t.example.com/u/{{cupel_token}}/{{cupel_act_0}}/0";
    assert!(got.contains(off_url), "{got}");
    let pixel = got
        .find("<img")
        .map(|at| &got[at..=at + got[at..].find('>').unwrap()])
        .unwrap();
    assert!(
        pixel.contains("https://t.example.com/o/{{cupel_token}}.gif"),
        "{pixel}"
    );
    assert!(got.contains(&format!("{pixel}</body>")));
    let without = got
        .replace(pixel, "")
        .replace(&format!("\"{off_url}\""), "https://a.example/off");
    assert_eq!(without.replace(off_url, "https://a.example/off"), expected);
    assert_eq!(done["text"], format!("Go to {c}/3, or ({c}/5)."));
    assert_eq!(
        done["columns"],
        json!(["cupel_token", "cupel_act_0", "cupel_act_1"])
    );
    let links = done["links"].as_array().unwrap();
    assert!(
        links.contains(&json!({"number": 1, "url": confirm, "kind": "action"})),
        "{links:?}"
    );
    assert_eq!(links.len(), 5);

    let again = server.post(&path, json!({"html": got, "text": done["text"]}));
    assert_eq!(
        (&again["html"], &again["text"]),
        (&done["html"], &done["text"]),
        "idempotent"
    );

    let token = server.mint(campaign, &["r"])[0].token.clone();
    let templated = server.get(&format!("/c/{token}/4?v1=a%40b.example"));
    assert_eq!(
        templated.headers()["location"],
        "https://a.example/u?e=a%40b.example"
    );
}

#[test]
fn the_senders_own_tags_and_no_pixel() {
    let server = Server::with("", &["--base-url", "https://t.example.com"]);
    let campaign = server.campaign();
    let path = format!("/campaigns/{campaign}/rewrite");
    let body = json!({
        "html": "<a href=\"https://a.example/\">x</a>",
        "token_tag": "*|TOKEN|*", "act_tag": "*|ACT_N|*", "pixel": false,
    });
    let done = server.post(&path, body);
    assert_eq!(
        done["html"],
        "<a href=\"https://t.example.com/c/*|TOKEN|*/1\">x</a>"
    );
    assert!(done["text"].is_null());
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"html": "x", "act_tag": "{{act}}"}), "/act_tag"),
        (
            json!({"html": "x", "token_tag": "\"><script>"}),
            "/token_tag",
        ),
        (json!({"html": 1}), "/html"),
    ] {
        let (status, problem) = server.api(Method::POST, &path, Some(body));
        assert_eq!(
            (status, &problem["pointer"]),
            (422, &json!(pointer)),
            "{problem}"
        );
    }
}

#[test]
fn a_template_that_would_grow_without_bounds_is_refused_and_registers_nothing() {
    let server = Server::with("", &["--base-url", "https://t.example.com"]);
    let campaign = server.campaign();
    let path = format!("/campaigns/{campaign}/rewrite");
    // Between single quotes each of the tag's becomes five bytes.
    let quotes = "'".repeat(200);
    let grows = "<a href='http://a.example/'>".repeat(70_000);
    for (body, pointer, what) in [
        (
            json!({"html": grows, "token_tag": quotes}),
            "/html",
            "67108864 bytes",
        ),
        (
            json!({"html": "<a href=x>".repeat(100_001)}),
            "/html",
            "100000 links",
        ),
        (
            json!({"text": "http://a.example ".repeat(100_001)}),
            "/text",
            "100000 links",
        ),
        (
            json!({"html": "x", "token_tag": "t".repeat(201)}),
            "/token_tag",
            "1 to 200 bytes",
        ),
    ] {
        let (status, problem) = server.api(Method::POST, &path, Some(body));
        assert_eq!(
            (status, &problem["pointer"]),
            (422, &json!(pointer)),
            "{problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(what), "{detail}");
    }
    let links = server.read(&format!("/campaigns/{campaign}/links"));
    assert_eq!(links["links"], json!([]));
    server.post(&path, json!({"html": grows}));
}
