//! What is said of a server whose files are taken away.

use serde_json::{Value, json};

use super::{ask, verbose};
use crate::harness::{Server, cupel, eventually, run};

#[test]
fn a_store_that_is_away_is_named_and_the_rest_is_well() {
    let server = Server::on_file();
    let (here, away) = (server.data.join("cupel.sqlite"), server.data.join("away"));
    std::fs::rename(&here, &away).unwrap();
    eventually(
        "unready",
        || ask(&server, "/readyz").0,
        |status| *status == 503,
    );
    let (_, line) = ask(&server, "/readyz");
    assert!(
        line.starts_with("unready: store: ") && line.lines().count() == 1,
        "{line}"
    );
    let (status, said) = verbose(&server);
    assert_eq!((status, &said["ready"]), (503, &json!(false)));
    let parts = &said["parts"];
    assert_eq!(
        (&parts["store"]["ok"], &parts["journal"]["ok"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(ask(&server, "/livez").0, 200, "the process lives");
    let data = server.data.to_str().unwrap();
    let health = |flags: &[&str]| run(cupel().args(["health", "--data", data]).args(flags));
    assert_eq!(health(&[]).0, 69);
    assert_eq!(
        health(&["--live"]),
        (0, "alive\n".to_owned(), String::new())
    );
    assert_eq!(health(&["--live", "--json"]).1, "{\"live\":true}\n");
    std::fs::rename(&away, &here).unwrap();
    eventually(
        "ready",
        || ask(&server, "/readyz").0,
        |status| *status == 200,
    );
}

#[test]
fn a_store_that_is_away_at_the_start_is_opened_later_even_while_settling_is_paused() {
    let mut server = Server::on_file();
    server.campaign();
    assert_eq!(server.get("/robots.txt").status(), 200);
    server.stop();
    let (here, away) = (server.data.join("cupel.sqlite"), server.data.join("away"));
    std::fs::rename(&here, &away).unwrap();
    let paused = "[settle]\npaused = true\n";
    std::fs::write(server.data.join("cupel.toml"), paused).unwrap();
    server.revive();
    let (status, said) = verbose(&server);
    let settling = &said["parts"]["settling"];
    assert_eq!(
        (status, &settling["waiting"]),
        (503, &Value::Null),
        "{said}"
    );
    std::fs::rename(&away, &here).unwrap();
    eventually(
        "ready",
        || ask(&server, "/readyz").0,
        |status| *status == 200,
    );
    let (_, said) = verbose(&server);
    assert_eq!(said["parts"]["settling"]["waiting"], 0, "{said}");
}

#[test]
fn day_keys_that_cannot_be_written_are_spoken_of_once_and_not_with_every_round() {
    // Those of a store that others share lie there.
    let mut server = Server::on_file();
    server.stop();
    // Nothing can be written where a directory is.
    std::fs::create_dir(server.data.join("day-keys.new")).unwrap();
    std::fs::remove_file(server.data.join("day-keys")).unwrap();
    server.revive();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://a.example/"}));
    let one = server.mint(campaign, &["r"])[0].clone();
    assert_eq!(server.get(&format!("/c/{}/1", one.token)).status(), 302);
    // A second, and ten rounds, later.
    server.settled("", 1);
    let log = server.log();
    assert_eq!(
        log.matches("day keys cannot be written").count(),
        1,
        "{log}"
    );
}
