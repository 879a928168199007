//! What readers see through each proxy with its file of `contrib/`, and what becomes of them when
//! Cupel is stopped behind one.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::Version;
use serde_json::json;

use crate::forwarded::{Probes, TRUSTING, hits};
use crate::harness::{PATIENCE, Server, cupel, eventually};
use crate::proxies::{Behind, CADDY, HAPROXY, HAPROXY_PROTOCOL, NGINX, Proxy, free};
use crate::wire::address;

/// Through a proxy: HTTP/2, HEAD, large heads, a refused prefetch, a press, and the way to https.
fn tour(proxy: &Proxy, configuration: &str) {
    let server = Server::with(configuration, &[]);
    let behind = Behind::start(proxy, address(&server.public));
    let name = format!("https://localhost:{}", behind.https.port());
    let client = behind.authority.client().resolve("localhost", behind.https);
    let client = client.build().unwrap();
    let probes = Probes::new(&server);
    let [plain, prefetched, asked, large] = [(); 4].map(|()| probes.next());
    let answer = client.get(format!("{name}{plain}")).send().unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (302, Version::HTTP_2)
    );
    let answer = client.get(format!("{name}{prefetched}"));
    let answer = answer
        .header("sec-purpose", "prefetch;prerender")
        .send()
        .unwrap();
    assert_eq!(answer.status(), 425);
    assert_eq!(
        client
            .head(format!("{name}{asked}"))
            .send()
            .unwrap()
            .status(),
        302
    );
    let tag = "x".repeat(7_000);
    let answer = client
        .get(format!("{name}{large}?utm={tag}"))
        .header("x-large", &tag);
    assert_eq!(answer.send().unwrap().status(), 302);

    // A press from the page, as a browser sends it.
    let campaign = server.campaign();
    server.link(
        campaign,
        json!({"url": "https://shop.example/done", "kind": "action"}),
    );
    let one = server.mint(campaign, &["reader"])[0].clone();
    let page = format!("{name}/a/{}/{}/1", one.token, one.act(1));
    let shown = client.get(&page).send().unwrap();
    assert!(shown.status() == 200 && shown.text().unwrap().contains("<button"));
    let own = client.post(&page).header("sec-fetch-site", "same-origin");
    assert_eq!(own.body("").send().unwrap().status(), 303);
    let foreign = client.post(&page).header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.body("").send().unwrap().status(), 403);

    let clear = crate::harness::client();
    let moved = clear
        .get(format!("http://{}{plain}", behind.http))
        .send()
        .unwrap();
    assert_eq!(moved.status(), 308);
    let to = moved.headers()["location"].to_str().unwrap();
    assert!(to.starts_with("https://") && to.ends_with(&plain), "{to}");

    let events = probes.events(|last| {
        assert_eq!(
            client.get(format!("{name}{last}")).send().unwrap().status(),
            302
        );
    });
    for (path, method, answer) in [
        (plain, "GET", "redirected"),
        (prefetched, "GET", "speculation_refused"),
        (asked, "HEAD", "redirected"),
        (large, "GET", "redirected"),
    ] {
        // Once each: nothing is asked twice.
        let all = hits(&events, &path);
        let all = all
            .iter()
            .map(|hit| (hit["method"].as_str(), hit["answer"].as_str()));
        let all: Vec<_> = all.collect();
        assert_eq!(all, [(Some(method), Some(answer))], "{path}");
    }
    let presses = server.events(&format!("&campaign={campaign}&kind=press"), 2);
    assert_eq!(presses.len(), 2);
}

#[test]
fn readers_come_through_nginx() {
    tour(&NGINX, TRUSTING);
}

#[test]
fn readers_come_through_haproxy() {
    tour(&HAPROXY, TRUSTING);
}

#[test]
fn readers_come_through_haproxy_that_names_them_by_protocol() {
    tour(
        &HAPROXY_PROTOCOL,
        &format!("{TRUSTING}proxy_protocol = true\n"),
    );
}

#[test]
fn readers_come_through_caddy() {
    tour(&CADDY, TRUSTING);
}

/// Clicks without a pause, over connections that stay open, until told to end.
fn clicking(
    client: reqwest::blocking::Client,
    url: String,
    over: &Arc<AtomicBool>,
    count: &Arc<AtomicU64>,
) -> std::thread::JoinHandle<()> {
    let (over, count) = (Arc::clone(over), Arc::clone(count));
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let answer = client.get(&url).send().unwrap();
            assert_eq!(answer.status(), 302);
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// A second Cupel with the same keys and links.
fn twin(of: &Server, into: &std::path::Path) -> std::path::PathBuf {
    let data = into.join("twin");
    let copied = Command::new("cp")
        .arg("-r")
        .args([&of.data, &data])
        .status();
    assert!(copied.unwrap().success());
    data
}

fn serve(data: &std::path::Path, door: SocketAddr) -> Server {
    let mut command = cupel();
    command.arg("serve").arg("--data").arg(data);
    command.args(["--control", "127.0.0.1:0", "--listen", &door.to_string()]);
    Server::spawn(command, data, crate::harness::client())
}

#[test]
fn two_cupels_are_restarted_in_turn_behind_haproxy_and_nobody_notices() {
    let own = tempfile::tempdir().unwrap();
    let doors: [SocketAddr; 2] = free();
    let mut first = Server::with(TRUSTING, &[]);
    let campaign = first.campaign();
    first.link(campaign, json!({"url": "https://shop.example/"}));
    let path = format!("/c/{}/1", first.mint(campaign, &["reader"])[0].token);
    let key = first.key.clone();
    first.stop();
    let data = [twin(&first, own.path()), own.path().join("other")];
    let copied = Command::new("cp")
        .arg("-r")
        .args([&data[0], &data[1]])
        .status();
    assert!(copied.unwrap().success());
    // One edge is one directory: a copy takes a name of its own.
    let start = |at: usize| {
        let mut server = serve(&data[at], doors[at]);
        server.key.clone_from(&key);
        server
    };
    let mut servers = [start(0), start(1)];
    let behind = Behind::start_with(&HAPROXY, doors[0], |text| {
        let one = format!("    server one {} check inter 1s\n", doors[0]);
        assert!(text.contains(&one), "{text}");
        let two = one
            .replace("one", "two")
            .replace(&doors[0].to_string(), &doors[1].to_string());
        text.replace(&one, &format!("{one}{two}"))
    });
    let url = format!("https://localhost:{}{path}", behind.https.port());
    let (over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let readers: Vec<_> = [true, true, true, false]
        .map(|keeps| {
            let client = behind.authority.client().resolve("localhost", behind.https);
            let client = client.timeout(PATIENCE).http1_only();
            let client = if keeps {
                client
            } else {
                client.pool_max_idle_per_host(0)
            };
            clicking(client.build().unwrap(), url.clone(), &over, &count)
        })
        .into_iter()
        .collect();
    for round in 0..4 {
        let before = count.load(Ordering::Relaxed);
        eventually(
            "clicks",
            || count.load(Ordering::Relaxed),
            |now| *now > before + 200,
        );
        let at = round % 2;
        servers[at].stop();
        servers[at] = start(at);
        // HAProxy has found it again when it is asked.
        let asked = || servers[at].metric("cupel_hits_total");
        eventually("the restarted one", asked, |hits| *hits > 0.0);
    }
    over.store(true, Ordering::Relaxed);
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    let count = count.load(Ordering::Relaxed);
    println!("{count} clicks over 4 restarts, 0 failed");
    let total = || {
        let one = |server: &Server| server.stats(campaign)["raw"]["clicks"]["total"].as_u64();
        servers.iter().filter_map(one).sum::<u64>()
    };
    eventually("hits", total, |total| *total == count);
}
