//! What a node of each role does, and what all of them show of each other.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Nodes, WINDOW, mailing};
use crate::harness::{Server, client, cupel_on_file, eventually, postgres, run};

fn nodes_of(server: &Server) -> Vec<Value> {
    let (status, said) = server.api(Method::GET, "/nodes", None);
    assert_eq!(status, 200, "{said}");
    said["nodes"].as_array().unwrap().clone()
}

#[test]
fn a_node_that_settles_answers_no_readers_and_heeds_what_it_is_told() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let mut edge = nodes.start("a", "edge");
    let campaign = edge.campaign();
    edge.link(campaign, json!({"url": "https://one.example/"}));
    let one = mailing(&edge, campaign, 1).remove(0);
    assert_eq!(edge.get(&format!("/c/{}/1", one.token)).status(), 302);
    // Nobody settles yet, and that shows.
    let unheld = || edge.metric("cupel_settle_unheld_shards");
    eventually("nobody", unheld, |unheld| *unheld == 16.0);
    let waiting = || nodes_of(&edge)[0]["waiting"].clone();
    eventually("waiting", waiting, |waiting| *waiting == 1);
    assert_eq!(edge.metric("cupel_settled_to_timestamp_seconds"), 0.0);

    let settler = nodes.start("s", "settle");
    assert_eq!(settler.public, "", "nobody is listened to");
    // Accepted later than it was clicked: a machine looked.
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let event = json!({"message": one.message, "event": "delivered", "at": at.to_string()});
    let told = settler.api(
        Method::POST,
        "/deliveries",
        Some(json!({"events": [event]})),
    );
    assert_eq!(told.0, 202, "{told:?}");
    let events = || settler.all_events("");
    let settled = eventually("settled", events, |events| {
        events.len() == 1 && events[0]["judgement"]["stage"] == "settled"
    });
    assert_eq!(settled[0]["link"], 1, "{settled:?}");
    eventually("judged by its acceptance", events, |events| {
        let signals = events[0]["judgement"]["signals"].to_string();
        signals.contains("time.before_accept")
    });
    eventually("settled by one", unheld, |unheld| *unheld == 0.0);

    let mut shards: Vec<_> = nodes_of(&edge)
        .iter()
        .map(|node| node["shards"].clone())
        .collect();
    shards.sort_by_key(Value::as_u64);
    assert_eq!(shards, [json!(0), json!(16)]);
    assert!(
        nodes_of(&edge)
            .iter()
            .all(|node| node["state"] == "running")
    );
    // One that stops in order is not waited for; one that only vanished can be forgotten.
    edge.stop();
    let stopped = || {
        nodes_of(&settler)
            .iter()
            .filter(|node| node["state"] == "stopped")
            .count()
    };
    eventually("stopped", stopped, |stopped| *stopped == 1);
    nodes.sql("UPDATE positions SET seen_at = cupel_now() - 61000000 WHERE edge = 1");
    let silent = || {
        nodes_of(&settler)
            .into_iter()
            .find(|node| node["state"] == "silent")
    };
    let silent = eventually("silent", silent, Option::is_some).unwrap();
    let name = silent["id"].as_str().unwrap();
    let report = settler.stats(campaign);
    assert_eq!(report["silent_edges"], json!([name]), "{report}");
    let forget = format!("/nodes/{name}/forget");
    assert_eq!(settler.api(Method::POST, &forget, None).0, 200);
    assert_eq!(settler.stats(campaign)["silent_edges"], json!([]));
    let running = nodes_of(&settler)
        .into_iter()
        .find(|node| node["state"] == "running")
        .unwrap();
    let forget = format!("/nodes/{}/forget", running["id"].as_str().unwrap());
    assert_eq!(settler.api(Method::POST, &forget, None).0, 409);
}

#[test]
fn the_api_of_a_node_that_settles_speaks_tls_where_it_is_to() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let edge = nodes.start("a", "edge");
    let own = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (own.path().join("chain.pem"), own.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let data = nodes.data("s");
    std::fs::create_dir_all(data.join("keys")).unwrap();
    let ring = edge.data.join("keys/ring.toml");
    std::fs::copy(ring, data.join("keys/ring.toml")).unwrap();
    let mut command = cupel_on_file();
    command
        .args([
            "serve",
            "--role=settle",
            "--control=127.0.0.1:0",
            "--set",
            WINDOW,
        ])
        .arg(format!("--set=tls.control_certificate={}", chain.display()))
        .arg(format!("--set=tls.control_key={}", key.display()))
        .arg("--data")
        .arg(&data)
        .env("CUPEL_STORE", nodes.cluster.url("app"));
    let trusting = reqwest::blocking::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build();
    let settler = Server::spawn(command, &data, trusting.unwrap());
    assert!(
        settler.control.starts_with("https://"),
        "{}",
        settler.control
    );
    let in_clear = settler.control("/livez").replace("https://", "http://");
    assert!(client().get(in_clear).send().is_err());
}

#[test]
fn a_command_that_is_not_told_of_the_database_begins_no_other() {
    if postgres().is_none() {
        return;
    }
    let mut nodes = Nodes::none();
    let mut a = nodes.start("a", "all");
    a.stop();
    let mut command = cupel_on_file();
    command.args(["campaign", "list", "--data"]).arg(&a.data);
    let (code, out, err) = run(&mut command);
    assert_eq!((code, out.as_str()), (78, ""), "{err}");
    assert!(
        err.contains("no store is configured") && err.contains("--config"),
        "{err}"
    );
    assert!(!a.data.join("cupel.sqlite").exists());
    command.env("CUPEL_STORE", nodes.cluster.url("app"));
    assert_eq!(run(&mut command).0, 0);
}
