//! Health as load balancers and people ask for it.

mod on_file;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, eventually};

/// Status and text.
fn ask(server: &Server, path: &str) -> (u16, String) {
    let answer = server.client.get(server.control(path)).send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

fn verbose(server: &Server) -> (u16, Value) {
    let (status, text) = ask(server, "/readyz?verbose");
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn a_server_that_is_well_says_so_in_a_word_and_in_full() {
    let server = Server::new();
    server.campaign();
    assert_eq!(ask(&server, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(ask(&server, "/readyz"), (200, "ready\n".to_owned()));
    let head = server.client.head(server.control("/readyz")).send();
    assert_eq!(head.unwrap().status(), 200);

    let (status, said) = verbose(&server);
    assert_eq!(
        (status, &said["ready"], &said["stopping"]),
        (200, &json!(true), &json!(false))
    );
    let parts = said["parts"].as_object().unwrap();
    for name in [
        "store",
        "journal",
        "settling",
        "catalogue",
        "keys",
        "networks",
        "ruleset",
    ] {
        let part = &parts[name];
        assert_eq!(part["ok"], true, "{name}: {part}");
        assert!(!part["detail"].as_str().unwrap().is_empty(), "{name}");
    }
    assert_eq!(parts["catalogue"]["campaigns"], 1);
    assert_eq!(parts["journal"]["state"], "ok");
    assert!(
        parts["networks"]["built_at"]
            .as_str()
            .unwrap()
            .starts_with("20")
    );
}

#[test]
fn what_is_settled_does_not_wait_after_a_restart() {
    let mut server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://a.example/"}));
    let one = server.mint(campaign, &["r"])[0].clone();
    assert_eq!(server.get(&format!("/c/{}/1", one.token)).status(), 302);
    server.settled("", 1);
    server.stop();
    // No round says how far the store is.
    let paused = "[settle]\npaused = true\n";
    std::fs::write(server.data.join("cupel.toml"), paused).unwrap();
    server.revive();
    let (_, said) = verbose(&server);
    assert!(
        said["parts"]["journal"]["last"].as_u64() > Some(0),
        "{said}"
    );
    assert_eq!(said["parts"]["settling"]["waiting"], 0, "{said}");
}

#[test]
fn a_server_that_stops_says_so_before_it_is_gone() {
    let mut server = Server::with("[http]\ndrain_seconds = 1\n", &[]);
    let campaign = server.campaign();
    let one = server.mint(campaign, &["r"])[0].clone();
    // A request that is under way holds up the stop.
    let address = server.public.trim_start_matches("http://").to_owned();
    let mut reader = TcpStream::connect(&address).unwrap();
    let path = format!("/u/{}/{}/0", one.token, one.act(0));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-length: 26\r\n\r\n"
    );
    reader.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    reader.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let told = Command::new("kill").arg(server.pid().to_string()).status();
    assert!(told.unwrap().success());
    let stopping = (503, "stopping\n".to_owned());
    eventually(
        "stopping",
        || ask(&server, "/readyz"),
        |said| *said == stopping,
    );
    reader.write_all(b"List-Unsubscribe=One-Click").unwrap();
    let mut answer = String::new();
    reader.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.stop();
}
