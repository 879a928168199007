//! TLS as Cupel speaks it: protocols, certificates that change, and HTTP/2.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::blocking::Client;
use reqwest::{Method, Version};
use serde_json::{Value, json};

use crate::authority::{Authority, Leaf};
use crate::forwarded::{Probes, hits};
use crate::harness::{Minted, Server, eventually};
use crate::wire::{address, connect, secure};

/// A server with a certificate of this authority for `name` on both listeners; where its files are.
fn secured(authority: &Authority, name: &str, more: &str) -> (Server, tempfile::TempDir) {
    let own = tempfile::tempdir().unwrap();
    let (chain, key) = authority.issue(name).write(own.path());
    let data = own.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let configuration = format!(
        "base_url = \"https://localhost\"\nworkers = 1\n{more}\n[tls]\n\
         certificate = {chain:?}\nkey = {key:?}\n\
         control_certificate = {chain:?}\ncontrol_key = {key:?}\n"
    );
    std::fs::write(data.join("cupel.toml"), configuration).unwrap();
    let mut command = crate::harness::cupel();
    command.arg("serve").arg("--data").arg(&data);
    command.args(["--listen", "127.0.0.1:0,http://127.0.0.1:0"]);
    command.args(["--control", "127.0.0.1:0"]);
    let client = authority.client().build().unwrap();
    (Server::spawn(command, &data, client), own)
}

/// The name by which a new connection's certificate is told apart.
fn presented(server: &Server) -> String {
    let door = address(&server.public).to_string();
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &door, "-servername", "localhost"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let mut named = Command::new("openssl")
        .args(["x509", "-noout", "-ext", "subjectAltName"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    named
        .stdin
        .take()
        .unwrap()
        .write_all(&shown.stdout)
        .unwrap();
    let named = named.wait_with_output().unwrap();
    let text = String::from_utf8(named.stdout).unwrap();
    let names = text
        .split("DNS:")
        .map(|name| name.trim().trim_end_matches(','));
    let own = names.filter(|name| name.ends_with(".example"));
    own.last().unwrap_or_default().to_owned()
}

#[test]
fn both_listeners_speak_tls_and_readers_choose_between_http_1_and_2() {
    let authority = Authority::new();
    let (server, _own) = secured(&authority, "one.example", "");
    assert!(server.public.starts_with("https://"), "{}", server.public);
    assert!(server.control.starts_with("https://"), "{}", server.control);
    let plain = server.others[0].clone();
    assert!(plain.starts_with("http://"), "{plain}");
    let probes = Probes::new(&server);
    let only_1 = authority.client().http1_only().build().unwrap();
    let path = probes.next();
    for (client, door, version) in [
        (&server.client, &server.public, Version::HTTP_2),
        (&only_1, &server.public, Version::HTTP_11),
        (&server.client, &plain, Version::HTTP_11),
    ] {
        let answer = client.get(format!("{door}{path}")).send().unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (302, version));
    }
    let events = probes.events(|last| drop(server.get(last)));
    let hits = hits(&events, &path);
    let schemes: Vec<_> = hits
        .iter()
        .map(|hit| hit["scheme"].as_str().unwrap())
        .collect();
    assert_eq!(schemes, ["https", "https", "http"]);
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let authority = Authority::new();
    let (server, _own) = secured(&authority, "one.example", "");
    let door = address(&server.public).to_string();
    let spoken = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-connect", &door, "-brief"])
            .args(arguments);
        command
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(spoken(&["-tls1_3"]));
    assert!(spoken(&["-tls1_2"]));
    // openssl itself must be talked into these.
    let weak = "DEFAULT:@SECLEVEL=0";
    assert!(!spoken(&["-tls1_1", "-cipher", weak]));
    assert!(!spoken(&["-tls1", "-cipher", weak]));
    assert!(!spoken(&[
        "-tls1_2",
        "-cipher",
        "AES128-SHA:AES256-SHA:@SECLEVEL=0"
    ]));
    // Clear text on the port of TLS is told nothing, and ends.
    let mut stream = connect("127.0.0.1", address(&server.public));
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
}

#[test]
fn a_certificate_is_replaced_without_dropping_anybody() {
    let authority = Authority::new();
    let patient = "[http]\nkeep_alive_seconds = 60";
    let (server, own) = secured(&authority, "one.example", patient);
    assert_eq!(presented(&server), "one.example");
    let config = authority.raw(&["http/1.1"]);
    let mut old = secure(connect("127.0.0.1", address(&server.public)), &config);
    let mut ask = move || {
        old.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = [0; 4_096];
        let read = old.read(&mut answer).unwrap();
        let said = answer[..read].escape_ascii().to_string();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        // The rest of the page.
        while old.sock.set_nonblocking(true).is_ok() && old.read(&mut answer).is_ok() {}
        old.sock.set_nonblocking(false).unwrap();
    };
    ask();
    authority.issue("two.example").write(own.path());
    let soon = |name: &'static str| {
        let now = || {
            ask();
            presented(&server)
        };
        let mut now = now;
        eventually(name, &mut now, |seen| seen == name)
    };
    let mut soon = soon;
    soon("two.example");

    let said = |what: &str| server.log().matches(what).count();
    let kept = "kept the old certificate";
    assert_eq!(said(kept), 0, "{}", server.log());
    let refused = |files: &Leaf, why: &str| {
        let before = said(kept);
        files.write(own.path());
        // Both listeners have these files, and each says it once.
        eventually("a refusal", || said(kept), |now| *now == before + 2);
        assert!(server.log().contains(why), "{why}: {}", server.log());
    };
    let (two, three) = (
        authority.issue("x.example"),
        authority.issue("three.example"),
    );
    let leaf = |chain: &str, key: &str| Leaf {
        chain: chain.to_owned(),
        key: key.to_owned(),
    };
    refused(&leaf(&three.chain, &two.key), "is not the key of");
    refused(&leaf("no certificate", &two.key), "holds no certificate");
    let endless = "x".repeat(2 << 20);
    refused(&leaf(&endless, &two.key), "holds more than 1048576 bytes");
    refused(&leaf(&three.chain, "no key"), "holds no key");
    assert_eq!(presented(&server), "two.example");
    let before = said(kept);
    // The chain is right already; its key completes the pair.
    three.write(own.path());
    soon("three.example");
    assert_eq!(said(kept), before);
    soon("three.example");
}

#[test]
fn a_certificate_that_hangs_holds_up_neither_readers_nor_settling_nor_a_stop() {
    let authority = Authority::new();
    let (mut server, own) = secured(&authority, "one.example", "[settle]\nwindow_seconds = 1");
    let probes = Probes::new(&server);
    let chain = own.path().join("fullchain.pem");
    // What is opened and never read hangs like a mount that has gone.
    let pipe = own.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::fs::rename(&pipe, &chain).unwrap();
    let said = |what: &str| server.log().matches(what).count();
    let long = format!("reading the certificate {} takes long", chain.display());
    // By each listener, and once.
    eventually("a word of it", || said(&long), |now| *now == 2);
    // The configuration names the file, which is looked for when it is read.
    server.signal("HUP");
    let again = "reading the configuration takes long";
    eventually("a word of that", || said(again), |now| *now == 1);

    probes.events(|last| drop(server.get(last)));
    assert_eq!(presented(&server), "one.example");
    assert_eq!(said(&long), 2);
    server.stop();
}

fn press(client: &Client, url: &str, origin: Option<&str>) -> u16 {
    let request = client.request(Method::POST, url);
    let request = match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    };
    request.body("").send().unwrap().status().as_u16()
}

#[test]
fn acts_over_http_2_know_their_host() {
    let authority = Authority::new();
    let data = "act_hosts = [\"localhost\"]";
    let (server, _own) = secured(&authority, "one.example", data);
    let campaign = server.campaign();
    server.link(
        campaign,
        json!({"url": "https://shop.example/done", "kind": "action"}),
    );
    let one: Minted = server.mint(campaign, &["reader"])[0].clone();
    let door = address(&server.public);
    let path = format!("/a/{}/{}/1", one.token, one.act(1));
    // Without a port in the URL the host is what mail would name.
    let here = authority
        .client()
        .resolve("localhost", door)
        .build()
        .unwrap();
    let away = format!("https://127.0.0.1:{}{path}", door.port());
    assert_eq!(here.get(&away).send().unwrap().status(), 403);
    assert_eq!(press(&here, &away, None), 403);
    let raw = h2_press(&authority, &server, &path, "localhost", "https://localhost");
    assert_eq!(raw, 303);
    let raw = h2_press(
        &authority,
        &server,
        &path,
        "localhost",
        "https://evil.example",
    );
    assert_eq!(raw, 403);
    let raw = h2_press(
        &authority,
        &server,
        &path,
        "evil.example",
        "https://evil.example",
    );
    assert_eq!(raw, 403);
    let presses = |events: &[Value]| {
        let answers = events.iter().filter(|event| event["kind"] == "press");
        answers
            .map(|event| event["answer"].to_string())
            .collect::<Vec<_>>()
    };
    let events = server.events("&kind=press", 4);
    assert_eq!(
        presses(&events),
        ["\"refused\"", "\"acted\"", "\"refused\"", "\"refused\""]
    );
}

/// A press over HTTP/2 with this authority: the port is not in it, as on port 443.
fn h2_press(authority: &Authority, server: &Server, path: &str, host: &str, origin: &str) -> u16 {
    let (ca, door) = (server.data.join("ca.pem"), address(&server.public));
    std::fs::write(&ca, authority.pem()).unwrap();
    let done = Command::new("curl")
        .args([
            "--silent",
            "--http2",
            "--output",
            "-",
            "--write-out",
            "\n%{http_version} %{http_code}",
        ])
        .args(["--cacert", ca.to_str().unwrap(), "--data", "", "--header"])
        .arg(format!("Host: {host}"))
        .args(["--header", &format!("Origin: {origin}")])
        .arg(format!("https://localhost:{}{path}", door.port()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let code = last
        .strip_prefix("2 ")
        .unwrap_or_else(|| panic!("not HTTP/2: {text}"));
    code.parse().unwrap()
}

#[test]
fn nothing_starts_with_files_that_do_not_fit() {
    let own = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (chain, key) = authority.issue("one.example").write(own.path());
    std::fs::write(&key, authority.issue("two.example").key).unwrap();
    let (code, said) = start_with(own.path(), &chain, &key);
    assert!(
        code != 0 && said.contains("is not the key of"),
        "{code} {said}"
    );
    std::fs::write(&key, "nothing").unwrap();
    let (code, said) = start_with(own.path(), &chain, &key);
    assert!(code != 0 && said.contains("holds no key"), "{code} {said}");
    std::fs::remove_file(&key).unwrap();
    let (code, said) = start_with(own.path(), &chain, &key);
    assert!(
        code == 78 && said.contains(key.to_str().unwrap()),
        "{code} {said}"
    );
}

fn start_with(own: &Path, chain: &Path, key: &Path) -> (i32, String) {
    let mut command = crate::harness::cupel();
    command.arg("serve").arg("--data").arg(own.join("data"));
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--set",
    ]);
    command.arg(format!("tls.certificate={}", chain.display()));
    command.args(["--set", &format!("tls.key={}", key.display())]);
    let (code, _, said) = crate::harness::run(&mut command);
    (code, said)
}
