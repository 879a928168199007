//! The front answers beneath actix-web what the App behind it would answer too: whichever takes a
//! request, the reader gets the same bytes and the store the same hit.
//!
//! One directory is made and copied. The real binary serves the one, an App without a front the
//! other; then both are settled, and everything is compared.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{App as Routes, HttpServer, rt};
use cupel::app::{App, DirectoryLock};
use cupel::config::{Config, Flags};
use cupel::journal::Journal;
use cupel::listen::Listeners;
use serde_json::{Value, json};

use crate::bad_input::raw;
use crate::harness::{Server, damaged};

/// A browser that was led here.
const CLICK: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36\r\nSec-Fetch-Mode: navigate\r\n";

/// One worker keeps hits in the order in which they came. Windows stay open: what is compared is
/// what was seen of the requests.
fn configuration(durability: &str) -> String {
    format!(
        "base_url = \"http://t.example\"\nworkers = 1\n\
         [journal]\ndurability = \"{durability}\"\n[settle]\nwindow_seconds = 3600\n"
    )
}

/// Every kind of link that there is; the paths of all, good and bad.
fn paths(server: &Server) -> Vec<String> {
    let campaign = server.campaign();
    for link in [
        json!({"url": "https://shop.example/p?a=1#x"}),
        json!({"url": "https://shop.example/u/{v1}?e={v2}"}),
        json!({"url": "https://trap.example/", "kind": "honeypot"}),
        json!({"url": "https://old.example/"}),
        json!({"url": "https://a.example/", "kind": "action"}),
        json!({"url": "https://off.example/", "kind": "unsubscribe"}),
    ] {
        server.link(campaign, link);
    }
    server.post(&format!("/campaigns/{campaign}/links/4/disable"), json!({}));
    let one = server.mint(campaign, &["r"])[0].clone();
    let token = &one.token;
    let archived = server.campaign();
    server.link(archived, json!({"url": "https://late.example/"}));
    let late = server.mint(archived, &["r"])[0].token.clone();
    server.post(&format!("/campaigns/{archived}/archive"), json!({}));
    let short = json!({"url": "https://a.example/", "code": "Summer"});
    server.post("/short-links", short);
    let short = json!({"url": "https://b.example/", "code": "Winter"});
    server.post("/short-links", short);
    server.post("/short-links/Winter/disable", json!({}));

    let damaged = damaged(token, 47);
    let unknown = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut paths: Vec<_> = ["0", "01", "1", "2", "3", "4", "5", "6", "7", "x", "", "1/"]
        .iter()
        .map(|number| format!("/c/{token}/{number}"))
        .collect();
    for token in [&damaged, unknown, "x", "%00", ""] {
        paths.push(format!("/c/{token}/1"));
        paths.push(format!("/o/{token}.gif"));
    }
    for path in [
        format!("/c/{token}/2?v1=ann&v2=a%40b.example"),
        format!("/c/{token}/2?v1=%2e%2e&r=ann@a.example"),
        format!("/c/{token}/1?r=ann@a.example"),
        format!("/c/{token}/1?r=*|EMAIL|*&&=%zz"),
        format!("/c/{token}/1?{}", "x".repeat(9_000)),
        format!("/c/{late}/1"),
        format!("/c/{token}"),
        format!("/C/{token}/1"),
        format!("//c/{token}/1"),
        format!("http://elsewhere.example/c/{token}/1"),
        format!("/o/{token}.gif"),
        format!("/o/{token}"),
        format!("/o/{token}.gif?r=ann"),
        format!("/o/{token}.gif/x"),
        format!("/a/{token}/{}/5", one.act(5)),
        format!("/u/{token}/{}/0", one.act(0)),
        format!("/u/{token}/{}/0", one.act(5)),
    ] {
        paths.push(path);
    }
    let others = [
        "/Summer",
        "/Summer?v1=x",
        "/Winter",
        "/summer",
        "/Summer/",
        "/",
        "//",
        "/?x",
        "/favicon.ico",
        "/robots.txt",
        "/_/favicon.svg",
        "/.well-known/gpc.json",
        "/hooks/x",
        "/nothing/here",
        "*",
    ];
    paths.extend(others.map(str::to_owned));
    paths
}

/// Everything that is asked of both.
fn requests(paths: &[String]) -> Vec<String> {
    let one = |method: &str, path: &str, rest: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n{rest}\r\n")
    };
    let mut all = Vec::new();
    for path in paths {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            all.push(one(method, path, CLICK));
        }
        for headers in [
            "Sec-Purpose: prefetch;prerender\r\n",
            "Purpose: prefetch\r\n",
            "Sec-GPC: 1\r\n",
            "User-Agent: \u{fe}\r\nX-Forwarded-For: 192.0.2.1\r\nRange: bytes=0-0\r\n",
            "Expect: 100-continue\r\n",
        ] {
            all.push(one("GET", path, headers));
        }
        let body = "Content-Length: 26\r\n\r\nList-Unsubscribe=One-Click";
        let [posted, next] = ["POST", "GET"].map(|method| one(method, path, body));
        // The body of a request that nobody read must not become the next request. Of two that do
        // not fit into one read the second may find the door shut.
        if path.len() < 1_000 {
            all.push(posted.replace("Connection: close\r\n", "") + &next);
        }
        all.push(format!("GET {path} HTTP/1.0\r\n\r\n"));
    }
    all.push(one("CONNECT", "t.example:443", ""));
    all.push(one("DELETE", "/Summer", ""));
    all
}

/// The answer to each request: status, headers in any order, but the time, and body.
fn answers(url: &str, requests: &[String]) -> Vec<String> {
    let answers = requests.iter().map(|request| {
        let answer = raw(url, request.as_bytes());
        assert!(answer.starts_with("HTTP/1."), "{request}{answer}");
        let mut lines: Vec<_> = answer
            .split("\r\n")
            .filter(|line| !line.starts_with("date: "))
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    });
    answers.collect()
}

/// Runs the journal's threads while `work` is done.
fn while_it_moves<R>(journal: &Arc<Journal>, work: impl FnOnce() -> R) -> R {
    let (drained, synced) = (AtomicBool::new(false), AtomicBool::new(false));
    let (drainer, syncer) = (journal.drainer(), journal.syncer());
    std::thread::scope(|scope| {
        let draining = scope.spawn(|| drainer.run(&|| drained.load(Ordering::Relaxed)));
        scope.spawn(|| syncer.run(&|| synced.load(Ordering::Relaxed)));
        let done = work();
        drained.store(true, Ordering::Relaxed);
        draining.join().unwrap();
        synced.store(true, Ordering::Relaxed);
        done
    })
}

/// What an App without a front answers.
fn answers_without_front(data: &Path, requests: Vec<String>) -> Vec<String> {
    let lock = DirectoryLock::take(data).unwrap();
    let flags = Flags {
        data: Some(data.to_owned()),
        ..Flags::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    rt::System::new().block_on(async {
        let config = Config::load(&flags).unwrap();
        let app = App::build(config, lock, Listeners::default(), None)
            .await
            .unwrap();
        let routes = app.public_routes();
        let server = HttpServer::new(move || Routes::new().configure(routes.clone()))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        let serving = rt::spawn(server);
        let journal = Arc::clone(app.journal());
        let asking =
            rt::task::spawn_blocking(move || while_it_moves(&journal, || answers(&url, &requests)));
        let answers = asking.await.unwrap();
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
        answers
    })
}

/// Everything that was recorded, but when, and what the hits around it added: that is as they
/// came. A server that stops has settled what it had.
fn recorded(mut server: Server) -> Vec<Value> {
    server.stop();
    server.revive();
    let mut events = server.all_events("");
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        event.remove("at");
        let judgement = event["judgement"].as_object_mut().unwrap();
        // An anonymous hit has none, and is judged by its request alone.
        if let Some(signals) = judgement["signals"].as_array_mut() {
            signals.retain(|signal| {
                let name = signal["name"].as_str().unwrap();
                !name.starts_with("near.") && !name.starts_with("time.")
            });
            judgement.retain(|name, _| ["ruleset", "prior", "signals"].contains(&name.as_str()));
        }
    }
    events
}

fn compare(durability: &str) {
    let mut server = Server::with(&configuration(durability), &[]);
    let paths = paths(&server);
    server.stop();
    let own = tempfile::tempdir().unwrap();
    let copy = own.path().join("data");
    let copied = Command::new("cp")
        .arg("-a")
        .args([&server.data, &copy])
        .status();
    assert!(copied.unwrap().success());
    // Two of one directory on one database would be one edge.
    drop(std::fs::remove_file(copy.join("store-is")));
    let requests = requests(&paths);

    server.revive();
    let front = answers(&server.public, &requests);
    let behind = answers_without_front(&copy, requests.clone());
    let mut differences = String::new();
    for ((request, front), behind) in requests.iter().zip(&front).zip(&behind) {
        if front != behind {
            writeln!(differences, "{request}front:\n{front}\nbehind:\n{behind}\n").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");

    let (front, behind) = (recorded(server), recorded(Server::start(&copy, &[])));
    assert!(front.len() > 200, "hardly any hits: {}", front.len());
    assert_eq!(front.len(), behind.len());
    for (front, behind) in front.iter().zip(&behind) {
        assert_eq!(front, behind);
    }
}

#[test]
fn the_front_answers_and_records_as_the_app_behind_it() {
    compare("group");
}

#[test]
fn so_it_does_when_answers_wait_for_the_disk() {
    compare("sync");
}
