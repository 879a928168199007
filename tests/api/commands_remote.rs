//! Commands on a server elsewhere: keys, certificates, pages of lists, what people see of events.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;

use reqwest::header::USER_AGENT;
use serde_json::{Value, json};

use crate::commands_reach::Place;
use crate::harness::{PATIENCE, Server, cupel, eventually};

#[test]
fn a_key_reaches_as_far_as_its_scope() {
    let server = Server::new();
    let file = server.data.with_extension("key");
    let admin = Place::server(&server, &server.data.join("admin.key"));
    admin.says("campaign create --name c --home-url https://h.example/");
    let with = |key: &str| {
        fs::write(&file, key).unwrap();
        Place::server(&server, &file)
    };
    let read = with(&admin.says("keys create --name r --scope read"));
    read.says("stats 1");
    let (code, line) = read.fails("campaign create --name c --home-url https://h.example/");
    assert_eq!(
        (code, line.as_str()),
        (77, "cupel: this needs a key of scope mint\n")
    );
    let mint = with(&admin.says("keys create --name m --scope mint"));
    mint.says("link create 1 https://a.example/");
    assert_eq!(mint.fails("stats 1").0, 77);
    assert_eq!(mint.fails("keys ring").0, 77);
    let (code, line) = with("cpl_unknown").fails("campaign list");
    assert!(
        code == 77 && line.contains("this API key is not known"),
        "{line}"
    );
    let (code, line) = with("secret").fails("campaign list");
    assert!(
        code == 65 && line.contains("no API key there") && !line.contains("secret"),
        "{line}"
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(read.fails("campaign list").0, 66);
    let key = fs::read_to_string(server.data.join("admin.key")).unwrap();
    let from_stdin = Place::server(&server, "-".as_ref());
    let (code, out, err) = from_stdin.run("campaign list --json", &key);
    assert_eq!((code, out.lines().count()), (0, 1), "{err}");
    let (code, _, err) = from_stdin.run("mint --campaign 1", &key);
    assert!(
        code == 64 && err.contains("standard input is the key already"),
        "{err}"
    );
}

#[test]
fn lists_go_through_all_pages() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    for number in 0..1_003 {
        server.post(
            "/short-links",
            json!({"url": "https://a.example/", "code": number.to_string()}),
        );
    }
    let codes = |command: &str| -> Vec<String> {
        let rows = place.rows(command);
        rows.iter()
            .map(|row| row["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = codes("short list");
    let expected: Vec<_> = (0..1_003).map(|number| number.to_string()).collect();
    assert_eq!(all, expected);
    assert_eq!(codes("short list --limit 1001").len(), 1_001);
    let table = place.says("short list");
    assert_eq!(table.lines().count(), 1_004, "one header over all pages");
    assert!(
        table.starts_with("CODE") && !table.contains('\u{1b}'),
        "plain where nobody looks"
    );
    assert_eq!(
        place.says("campaign list"),
        "ID  NAME  HOME  LEVEL  CREATED  ARCHIVED\n"
    );
}

#[test]
fn an_event_can_be_redone_by_hand_and_obeys_no_agent() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "s1"}),
    );
    let hit = |agent: &[u8]| {
        let request = server
            .client
            .get(server.url("/s1"))
            .header(USER_AGENT, agent);
        assert_eq!(request.send().unwrap().status(), 302);
    };
    hit(b"curl/8.0 \xc2\x9b31mred");
    server.events("", 1);
    let event = place.rows("events list --kind click").remove(0);
    let shown = place.says(&format!("events show {}", event["id"].as_str().unwrap()));
    assert!(
        shown.contains("agent       curl/8.0 \\u{9b}31mred\n"),
        "{shown}"
    );
    let judgement = &event["judgement"];
    let weights: Vec<_> = shown.lines().filter(|line| line.contains("  ")).collect();
    let sum: f64 = judgement["prior"].as_f64().unwrap()
        + judgement["signals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|signal| {
                let name = signal["name"].as_str().unwrap();
                assert!(
                    weights.iter().any(|line| line.starts_with(name)),
                    "{name}: {shown}"
                );
                signal["weight"].as_f64().unwrap()
            })
            .sum::<f64>();
    let score = 100.0 / (1.0 + (-sum).exp());
    let last = format!("score = 100 / (1 + e^-({sum:.2})) = {score:.1}\n");
    assert!(shown.ends_with(&last), "{last} in {shown}");
    let stats = place.says("short stats s1");
    let clicks = stats
        .lines()
        .find(|line| line.starts_with("clicks"))
        .unwrap();
    let cells: Vec<_> = clicks.split_whitespace().collect();
    assert_eq!(cells, ["clicks", "1", "-", "1", "0", "-", "0", "0.0", "%"]);

    let mut following = cupel()
        .args(["events", "list", "--follow", "--json"])
        .args(&place.args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["id"], event["id"]);
    hit(b"second");
    assert_eq!(next()["agent"], "second");
    following.kill().unwrap();
    following.wait().unwrap();
}

/// Answers one request after the other over TLS, whatever was asked.
fn tls_server(body: &'static str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection.unwrap();
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, connection);
            let mut begin = [0; 4_096];
            // A client that does not trust us leaves at the handshake.
            if stream.read(&mut begin).is_ok() {
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, made.cert.pem())
}

#[test]
fn certificates_of_a_private_authority_are_trusted_when_named() {
    let own = tempfile::tempdir().unwrap();
    let path = |name: &str| own.path().join(name).display().to_string();
    let (url, pem) = tls_server("{\"campaigns\": [{\"id\": 7}], \"next\": null}");
    fs::write(path("ca.pem"), pem).unwrap();
    fs::write(path("key"), "cpl_x\n").unwrap();
    fs::write(path("nothing.pem"), "nothing\n").unwrap();
    let mut place = Place {
        args: ["--server", &url, "--key-file", &path("key")]
            .map(str::to_owned)
            .into(),
    };
    let (code, line) = place.fails("campaign list");
    assert!(code == 69 && line.contains("certificate"), "{line}");
    place.args.extend(["--ca-file".to_owned(), path("ca.pem")]);
    assert_eq!(place.rows("campaign list")[0]["id"], 7);
    let (code, line) = place.fails("health");
    assert!(
        code == 76 && line.contains("is it a cupel server?"),
        "{line}"
    );
    *place.args.last_mut().unwrap() = path("nothing.pem");
    let (code, line) = place.fails("campaign list");
    assert!(code == 65 && line.contains("no certificate"), "{line}");
}

#[test]
fn a_reader_who_leaves_ends_a_list_quietly() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    for _ in 0..300 {
        server.campaign();
    }
    let mut child = cupel()
        .args(["campaign", "list", "--json"])
        .args(&place.args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = eventually("the end", || child.try_wait().unwrap(), Option::is_some);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((status.unwrap().code(), said.as_str()), (Some(0), ""));
}
