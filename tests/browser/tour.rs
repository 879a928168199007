//! From an empty directory to raw and human figures that add up to what was sent.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::driver::Browser;
use crate::harness::{Minted, Server, corpora};

const TEMPLATES: usize = 10;
const RECIPIENTS: usize = 10_000;

/// What was done, to be compared with what was counted.
#[derive(Default)]
struct Done {
    hits: usize,
    clicks: i64,
    human_clicks: i64,
    opens: i64,
    human_opens: i64,
    pages: i64,
    presses: i64,
    unsubscribes: i64,
}

/// Ten templates of the corpus, each with its link that is rewritten.
fn rewritten(server: &Server, campaign: u64) -> Vec<(String, Vec<String>)> {
    let folder = corpora("html/postmark");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut done = Vec::new();
    for file in files {
        let html = fs::read_to_string(&file).unwrap();
        let path = format!("/campaigns/{campaign}/rewrite");
        let answer = server.post(&path, json!({"html": html}));
        let links = answer["links"].as_array().unwrap();
        if links.is_empty() {
            continue;
        }
        let urls = links
            .iter()
            .map(|link| link["url"].as_str().unwrap().to_owned())
            .collect();
        let body = answer["html"].as_str().unwrap().to_owned();
        assert!(
            body.contains("/o/{{cupel_token}}.gif"),
            "{}",
            file.display()
        );
        done.push((body, urls));
        if done.len() == TEMPLATES {
            return done;
        }
    }
    panic!("only {} templates with links", done.len());
}

/// Tracked URLs of a merged mail.
fn tracked(mail: &str, server: &Server) -> Vec<String> {
    let begin = format!("{}/c/", server.public);
    let cut = |rest: &str| rest.split(['"', '\'', '>', ' ']).next().unwrap().to_owned();
    mail.match_indices(&begin)
        .filter_map(|(at, _)| mail.get(at..))
        .map(cut)
        .collect()
}

fn curl(args: &[&str]) -> String {
    let done = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(args)
        .output();
    let done = done.expect("curl is needed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn as_a_new_user_would() {
    let mut browser = Browser::open("chromium", &["--headful"]);
    let landing = browser.destination(json!({}));
    let server = Server::new();
    let campaign = server.campaign();
    let content = server.link(campaign, json!({"url": landing}));
    let action = server.link(campaign, json!({"url": landing, "kind": "action"}));
    let templates = rewritten(&server, campaign);

    let recipients: Vec<_> = (0..RECIPIENTS)
        .map(|n| format!("reader{n}@example.com"))
        .collect();
    let recipients: Vec<_> = recipients.iter().map(String::as_str).collect();
    let minted = server.mint(campaign, &recipients);
    assert_eq!(minted.len(), RECIPIENTS);
    let mut done = Done::default();

    mails(&server, &templates, &minted, &mut done);
    let reader = &minted[TEMPLATES];
    let url = |path: String| server.url(&path);
    let link = url(format!("/c/{}/{content}", reader.token));

    let clicked = browser.ask("click", json!({"url": link}));
    assert_eq!(clicked["finalUrl"], json!(landing), "{clicked}");
    let prerendered = browser.ask("prerender-then-click", json!({"url": link}));
    assert_eq!(prerendered["finalUrl"], json!(landing), "{prerendered}");
    let open = url(format!("/o/{}.gif", reader.token));
    assert_eq!(
        browser.ask("image", json!({"url": open}))["naturalWidth"],
        1
    );
    done.clicks += 2;
    done.human_clicks += 2;
    done.opens += 1;
    done.human_opens += 1;
    let page = url(format!(
        "/a/{}/{}/{action}",
        reader.token,
        reader.act(action)
    ));
    let pressed = browser.ask("press", json!({"url": page}));
    assert_eq!(pressed["finalUrl"], json!(landing), "{pressed}");
    done.pages += 1;
    done.presses += 1;

    let head = curl(&["-I", &link]);
    assert!(head.starts_with("HTTP/1.1 302"), "{head}");
    let one_click = reader.json["unsubscribe_url"].as_str().unwrap();
    let said = curl(&["-d", "List-Unsubscribe=One-Click", one_click]);
    assert_eq!(said, "unsubscribed");
    done.unsubscribes += 1;
    drop(browser);

    // What was counted above, one HEAD, and the refused speculative requests.
    done.hits += 7;
    let events = server.settled("", done.hits + 1);
    let speculative: Vec<_> = events
        .iter()
        .filter(|event| event["answer"] == "speculation_refused")
        .collect();
    assert!(!speculative.is_empty(), "the prerender was refused");
    assert!(
        speculative
            .iter()
            .all(|event| event["judgement"]["class"] == "prefetch")
    );
    assert_eq!(events.len(), done.hits + speculative.len());
    add_up(&server.stats(campaign), &events, &done);
}

/// Merges ten mails, and reads them with curl: it loads the pixel and follows every link.
fn mails(server: &Server, templates: &[(String, Vec<String>)], minted: &[Minted], done: &mut Done) {
    for ((body, urls), one) in templates.iter().zip(minted) {
        let mail = body.replace("{{cupel_token}}", &one.token);
        let links = tracked(&mail, server);
        assert!(!links.is_empty());
        for link in &links {
            let head = curl(&["-D", "-", "-o", "/dev/null", link]);
            let location = head
                .lines()
                .find_map(|line| line.strip_prefix("location: "))
                .unwrap_or_else(|| panic!("{head}"));
            assert!(
                urls.iter().any(|url| url == location),
                "{location} is not in {urls:?}"
            );
            done.clicks += 1;
            done.hits += 1;
        }
        let gif = curl(&[
            "-D",
            "-",
            "-o",
            "/dev/null",
            one.json["open_url"].as_str().unwrap(),
        ]);
        assert!(gif.contains("content-type: image/gif"), "{gif}");
        done.opens += 1;
        done.hits += 1;
    }
}

fn add_up(stats: &Value, events: &[Value], done: &Done) {
    let total = |part: &str, kind: &str| stats[part][kind]["total"].as_i64().unwrap();
    for (kind, raw, human) in [
        ("clicks", done.clicks, done.human_clicks),
        ("opens", done.opens, done.human_opens),
        ("pages", done.pages, done.pages),
        ("presses", done.presses, done.presses),
        ("unsubscribes", done.unsubscribes, done.unsubscribes),
    ] {
        assert_eq!(
            (total("raw", kind), total("human", kind)),
            (raw, human),
            "{kind}: {stats}"
        );
    }
    let sum = |part: &str| -> i64 {
        stats[part]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_i64().unwrap())
            .sum()
    };
    let all = i64::try_from(events.len()).unwrap();
    assert_eq!(
        (sum("by_class"), sum("by_method")),
        (all, all),
        "every hit has both"
    );
    for event in events {
        let judgement = &event["judgement"];
        let weights = judgement["signals"].as_array().unwrap();
        let sum: f64 = weights
            .iter()
            .map(|one| one["weight"].as_f64().unwrap())
            .sum();
        let score = 100.0 / (1.0 + (-(judgement["prior"].as_f64().unwrap() + sum)).exp());
        assert!(
            (score - judgement["score"].as_f64().unwrap()).abs() <= 0.051,
            "{event}"
        );
    }
    let curl = events.iter().find(|event| {
        event["agent"]
            .as_str()
            .is_some_and(|agent| agent.starts_with("curl/"))
    });
    assert_eq!(curl.unwrap()["judgement"]["class"], "bot");
}

/// The pages as people see them, in each language, wide and on a phone; written to the folder
/// that `CUPEL_SCREENSHOTS` names. None scrolls sideways, whatever has to stand in it.
#[test]
fn pages_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let named = std::env::var("CUPEL_SCREENSHOTS").ok();
    let folder = named.unwrap_or_else(|| folder.path().to_str().unwrap().to_owned());
    let face = "[face]\nsender = \"Nordlicht Versandhandelsgesellschaft\"\n\
                contact = \"abuse-desk@newsletter.nordlicht-versandhandel.example\"\n";
    let server = Server::with(face, &[]);
    let campaign = server.campaign();
    let url = "https://shop.nordlicht-versandhandelsgesellschaft.example/confirm";
    let action = json!({"url": url, "kind": "action", "sub_kind": "confirm"});
    server.link(campaign, action);
    for code in ["off", "past"] {
        server.post("/short-links", json!({"url": url, "code": code}));
    }
    server.post("/short-links/off/disable", json!({}));
    let end = Some(json!({"expires_at": "2001-01-01T00:00:00Z"}));
    assert_eq!(server.api(Method::PATCH, "/short-links/past", end).0, 200);
    let one = server.mint(campaign, &["r"])[0].clone();
    let action = format!("/a/{}/{}/1", one.token, one.act(1));
    let unsubscribe = format!("/u/{}/{}/0", one.token, one.act(0));
    let mut browser = Browser::open("chromium", &[]);
    for (name, path) in [
        ("root", "/"),
        ("confirm", action.as_str()),
        ("unsubscribe", &unsubscribe),
        ("not-found", "/nothing"),
        ("gone", "/off"),
        ("expired", "/past"),
    ] {
        for (language, dark) in [
            ("en", false),
            ("de", true),
            ("es", true),
            ("ar", false),
            ("ja", true),
            ("pl", false),
        ] {
            for (width, height) in [(1280, 800), (320, 760)] {
                let file = format!("{folder}/{name}-{language}-{width}.png");
                let ask = json!({
                    "url": server.url(path), "path": file, "language": language,
                    "width": width, "height": height, "dark": dark,
                });
                let shown = browser.ask("screenshot", ask);
                assert!(shown["contentWidth"].as_u64().unwrap() <= width, "{shown}");
                let png = fs::read(&file).unwrap();
                assert!(png.starts_with(b"\x89PNG") && png.len() > 3_000, "{name}");
            }
        }
    }
    let done = server.public(Method::POST, &unsubscribe).send().unwrap();
    assert_eq!(done.status(), 200);
}
