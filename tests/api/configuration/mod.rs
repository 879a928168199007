//! Configurations that are wrong, each with the right line; and reading one again.

mod wrong;

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, cupel, cupel_on_file, eventually, run};
use wrong::{WRONG, Wrong};

#[test]
fn wrong_configurations_are_refused_with_the_right_line() {
    assert!(WRONG.len() >= 40);
    for Wrong(text, variables, flag, said) in WRONG {
        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join("cupel.toml"), text).unwrap();
        let mut check = cupel();
        check
            .current_dir(own.path())
            .args(["config", "check", "--config", "cupel.toml"]);
        check.envs(variables.iter().copied());
        if !flag.is_empty() {
            check.args(["--set", flag]);
        }
        let (code, out, err) = run(&mut check);
        assert_eq!((code, out.as_str()), (78, ""), "{text:?}: {err}");
        let beginning = "cupel: configuration: ";
        let found = err.lines().any(|line| {
            line.strip_prefix(beginning)
                .is_some_and(|rest| rest.starts_with(said))
        });
        assert!(found, "{text:?} {variables:?} {flag:?}: no {said}\n{err}");
    }
}

#[test]
fn what_is_printed_is_a_configuration_that_says_the_same() {
    let own = tempfile::tempdir().unwrap();
    let written = own.path().join("a.toml");
    fs::write(
        &written,
        "act_hosts = ['a.example']\n[journal]\nkeep_hours = '2 days'\n",
    )
    .unwrap();
    let print = |file: &std::path::Path| {
        let (code, out, err) = run(cupel_on_file()
            .args(["config", "print", "--config", file.to_str().unwrap()])
            .args(["--set", "face.sender=We \"and\" you"]));
        assert_eq!((code, err.as_str()), (0, ""));
        out
    };
    let once = print(&written);
    let again = own.path().join("b.toml");
    fs::write(&again, &once).unwrap();
    assert_eq!(print(&again), once);
    assert!(
        once.contains("keep_hours = \"2 days\"") && once.contains("act_hosts = [\"a.example\"]")
    );
    let (code, docs, _) = run(cupel_on_file().args(["config", "docs"]));
    fs::write(&again, docs).unwrap();
    let (checked, out, err) = run(cupel_on_file()
        .args(["config", "check", "--config"])
        .arg(&again));
    assert_eq!((code, checked, err.as_str()), (0, 0, ""));
    assert!(out.starts_with("ok: 0 of "), "{out}");
}

/// Asks for a link again and again, until told to stop; how often it was not redirected.
fn while_it_redirects(server: &Server, work: impl FnOnce()) -> u64 {
    use std::sync::atomic::{AtomicBool, Ordering};
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut failed = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = server.public(Method::GET, "/go").send();
                failed += u64::from(!answer.is_ok_and(|answer| answer.status() == 302));
            }
            failed
        });
        work();
        done.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    })
}

#[test]
fn a_configuration_is_taken_over_whole_or_not_at_all_and_no_reader_notices() {
    let server = Server::with("[face]\nsender = \"First\"\n", &[]);
    let file = server.data.join("cupel.toml");
    let root = || server.get("/").text().unwrap();
    let reload = || server.api(Method::POST, "/config/reload", None);
    let failed = while_it_redirects(&server, || {
        for round in 0..10 {
            let good = format!(
                "act_hosts = [\"a{round}.example\"]\nworkers = 3\n\
                 [face]\nsender = \"Sender {round}\"\n"
            );
            fs::write(&file, good).unwrap();
            let (status, said) = reload();
            assert_eq!(
                (status, &said["restart"]),
                (200, &json!(["workers"])),
                "{said}"
            );
            assert_eq!(said["changed"], json!(["act_hosts", "face.sender"]));
            assert!(root().contains(&format!("Sender {round}")));
            // One key is good and one is wrong: neither is taken.
            fs::write(
                &file,
                "[face]\nsender = \"Nobody\"\n[privacy]\nlevel = \"al\"\n",
            )
            .unwrap();
            let (status, said) = reload();
            assert_eq!(status, 422, "{said}");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains("cupel.toml:4: privacy.level"), "{detail}");
            assert!(root().contains(&format!("Sender {round}")));
        }
    });
    assert_eq!(failed, 0);
    assert_eq!(server.metric("cupel_config_last_reload_successful"), 0.0);
    let health = server
        .client
        .get(server.control("/readyz?verbose"))
        .send()
        .unwrap();
    let health: serde_json::Value = health.json().unwrap();
    let refused = health["parts"]["config"]["refused"].as_str().unwrap();
    assert!(
        refused.ends_with("cupel.toml:4: privacy.level") && health["ready"] == true,
        "{health}"
    );
    // SIGHUP does the same.
    fs::write(&file, "[face]\nsender = \"By signal\"\n").unwrap();
    server.signal("HUP");
    eventually("taken over", root, |root| root.contains("By signal"));
    let metric = || server.metric("cupel_config_last_reload_successful");
    eventually("it says so", metric, |good| *good > 0.5);
    // What was read and is not in force is not shown as if it were.
    let show = || run(cupel().args(["config", "show", "--data"]).arg(&server.data));
    assert_eq!(show().2, "");
    fs::write(&file, "workers = 3\n").unwrap();
    assert_eq!(reload().0, 200);
    assert_eq!(show().2, "at the next start: workers\n");
    let (_, found, _) = doctor(&server, &["--offline"]);
    let waiting = "workers changed since the server started".to_owned();
    assert_eq!(
        finding(&found, "configuration"),
        ("warning".to_owned(), waiting)
    );
    // Every mistake has its line, and the last one says that nothing happened.
    fs::write(&file, "workers = 0\nlevel = 1\n").unwrap();
    let reload = ["config", "reload", "--data"];
    let (code, _, err) = run(cupel().args(reload).arg(&server.data));
    let lines: Vec<_> = err.lines().collect();
    assert!(
        code == 65
            && lines.len() == 3
            && lines[0].contains("cupel.toml:1: workers")
            && lines[1].contains("cupel.toml:2: level")
            && lines[2] == "cupel: nothing changed: what was in force still is",
        "{err}"
    );
    let (_, found, _) = doctor(&server, &["--offline"]);
    let (state, detail) = finding(&found, "configuration");
    assert!(
        state == "wrong" && detail.contains("was refused"),
        "{detail}"
    );
}

#[test]
fn what_is_logged_and_recorded_changes_without_a_restart() {
    let server = Server::with("[log]\nfilter = \"error\"\n", &[]);
    let file = server.data.join("cupel.toml");
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    let hit = || assert_eq!(server.get("/go").status(), 302);
    hit();
    server.events("", 1);
    fs::write(
        &file,
        "[log]\nfilter = \"debug\"\n[privacy]\nlevel = \"none\"\n",
    )
    .unwrap();
    assert_eq!(server.api(Method::POST, "/config/reload", None).0, 200);
    hit();
    eventually(
        "not recorded",
        || server.metric("cupel_unrecorded_hits_total"),
        |it| *it == 1.0,
    );
    eventually(
        "log",
        || server.log(),
        |log| log.contains("took over the configuration"),
    );
    assert_eq!(server.all_events("").len(), 1);
}

#[test]
fn a_configuration_that_hangs_keeps_only_those_waiting_who_asked_for_it() {
    let mut server = Server::new();
    let file = server.data.join("cupel.toml");
    // What is opened and never read hangs like a mount that has gone.
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    server.signal("HUP");
    let long = "reading the configuration takes long";
    eventually("a word of it", || server.log(), |log| log.contains(long));
    let (status, said) = server.api(Method::POST, "/config/reload", None);
    let detail = json!("reading the configuration takes long");
    assert_eq!((status, &said["detail"]), (503, &detail));
    server.read("/config");
    assert!(server.metric("cupel_config_last_reload_successful") > 0.5);
    let ready = server.client.get(server.control("/readyz")).send();
    assert_eq!(ready.unwrap().status(), 200);
    server.stop();
}

fn doctor(server: &Server, arguments: &[&str]) -> (i32, serde_json::Value, String) {
    let data = server.data.to_str().unwrap();
    let (code, out, err) = run(cupel()
        .args(["doctor", "--json", "--data", data])
        .args(arguments));
    let found = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    (code, found, err)
}

/// What doctor says of a check.
fn finding(found: &serde_json::Value, check: &str) -> (String, String) {
    let all = found["findings"].as_array().unwrap();
    let one = all.iter().find(|it| it["check"] == check);
    let one = one.unwrap_or_else(|| panic!("no {check} in {found}"));
    let text = |member: &str| one[member].as_str().unwrap().to_owned();
    (text("state"), text("detail"))
}

#[test]
fn doctor_sees_what_a_reader_would() {
    let server = Server::with("", &[]);
    let (code, found, _) = doctor(&server, &[]);
    assert_eq!(code, 78, "an http base URL is wrong");
    assert!(found["list_unsubscribe"].is_null());
    assert_eq!(finding(&found, "data directory").0, "ok");
    let (state, detail) = finding(&found, "way");
    assert!(
        state == "ok" && detail == "a reader over http is seen as 127.0.0.1",
        "{detail}"
    );
    drop(server);
    // The base URL leads to another server.
    let other = Server::with("", &[]);
    let server = Server::with("", &["--base-url", &other.public]);
    let (_, found, _) = doctor(&server, &[]);
    let (state, detail) = finding(&found, "way");
    assert!(
        state == "wrong" && detail.contains("did not come here"),
        "{detail}"
    );
    let (_, found, _) = doctor(&server, &["--offline"]);
    assert!(
        found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["check"] != "way")
    );
    drop((server, other));
    // Nothing of https is there but the URL.
    let url = "https://t.example.invalid";
    let server = Server::with("act_hosts = [\"b.example\"]\n", &["--base-url", url]);
    let (code, found, err) = doctor(&server, &[]);
    assert_eq!((code, finding(&found, "base URL").0.as_str()), (78, "ok"));
    for (check, says) in [
        ("proxies", "neither is TLS spoken here nor a proxy trusted"),
        (
            "act hosts",
            "t.example.invalid, the host of base_url, is not among act_hosts",
        ),
        ("DNS", "t.example.invalid"),
    ] {
        let (state, detail) = finding(&found, check);
        assert!(
            state == "wrong" && detail.contains(says),
            "{check}: {detail}"
        );
    }
    assert_eq!(err, "cupel: 3 things are wrong\n");
    let headers = found["list_unsubscribe"].as_array().unwrap();
    assert!(
        headers[0]
            .as_str()
            .unwrap()
            .starts_with("List-Unsubscribe: <https://t.example.invalid/u/")
    );
    // A server that does not run.
    let data = tempfile::tempdir().unwrap();
    let (code, out, _) = run(cupel().args(["doctor", "--data"]).arg(data.path()));
    assert!(
        code == 78 && out.contains("no server runs") && out.contains("put the keys back"),
        "{out}"
    );
}
