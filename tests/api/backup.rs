//! Backups: made beside a server that is being written to, whole or refused, and put back into a
//! store of either kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Server, client, cupel, cupel_on_file, eventually, postgres, run};
use crate::postgres::database;

/// Runs a command that must succeed, and returns its only line as JSON.
fn done(command: &mut Command) -> Value {
    let (code, out, err) = run(command.arg("--json"));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    serde_json::from_str(&out).unwrap()
}

fn refused(command: &mut Command, wanted: i32, says: &str) {
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (wanted, ""), "{err}");
    assert!(
        err.contains(says) && err.lines().count() == 1,
        "{says}: {err}"
    );
}

/// A key to open backups with, and who they are for.
fn key(own: &Path) -> (PathBuf, String) {
    let file = own.join("backup.key");
    let (code, recipient, err) = run(cupel().args(["backup", "key", "--out"]).arg(&file));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(recipient.starts_with("age1"), "{recipient}");
    refused(
        cupel().args(["backup", "key", "--out"]).arg(&file),
        73,
        "exists already",
    );
    (file, recipient.trim().to_owned())
}

fn create(server: &Server, recipient: &str, out: &Path) -> Command {
    let mut command = cupel();
    command.args(["backup", "create", "--recipient", recipient, "--data"]);
    command.arg(&server.data).arg("--out").arg(out);
    command
}

fn verify(file: &Path, key: &Path) -> Command {
    let mut command = cupel();
    command
        .args(["backup", "verify"])
        .arg(file)
        .arg("--identity")
        .arg(key);
    command
}

fn restore(binary: Command, file: &Path, key: &Path, data: &Path) -> Command {
    let mut command = binary;
    command
        .args(["backup", "restore"])
        .arg(file)
        .arg("--identity")
        .arg(key);
    command.arg("--data").arg(data);
    command
}

/// What statistics and links say.
fn told(server: &Server, key: &str) -> Value {
    let read = |path: &str| {
        let (status, mut said) = server.api_as(key, reqwest::Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {said}");
        if let Some(members) = said.as_object_mut() {
            members.remove("settled_to");
        }
        said
    };
    json!([
        read("/campaigns"),
        read("/campaigns/1/links"),
        read("/campaigns/1/stats"),
        read("/short-links/go/stats"),
        read("/keys"),
        read("/key-ring"),
        read("/events?limit=1000"),
    ])
}

#[test]
fn a_backup_made_under_load_is_whole_and_can_be_put_back_anywhere() {
    let own = tempfile::tempdir().unwrap();
    let (key_file, recipient) = key(own.path());
    let mut server = Server::new();
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://a.example/?q=ä\"b"}));
    server.post(
        "/short-links",
        json!({"url": "https://b.example/", "code": "go"}),
    );
    let minted = server.mint(campaign, &["one", "two"]);
    let path = format!("/c/{}/1", minted[0].token);
    // Before, meanwhile and after.
    for _ in 0..20 {
        assert_eq!(server.get(&path).status(), 302);
        assert_eq!(server.get("/go").status(), 302);
    }
    server.events("", 40);
    let stop = Arc::new(AtomicBool::new(false));
    let (asked, url) = (Arc::clone(&stop), server.url(&path));
    let readers = std::thread::spawn(move || {
        let (client, mut answered) = (client(), 0);
        while !asked.load(Ordering::Relaxed) {
            assert_eq!(client.get(&url).send().unwrap().status(), 302);
            answered += 1;
        }
        answered
    });
    let first = own.path().join("first.backup");
    let made = done(&mut create(&server, &recipient, &first));
    stop.store(true, Ordering::Relaxed);
    let all = 40 + readers.join().unwrap();
    let hits = made["tables"]["hits"].as_u64().unwrap();
    assert!((40..=all as u64).contains(&hits), "{made}");
    let mut checked = done(&mut verify(&first, &key_file));
    assert_eq!(checked, made);
    // Rows and sums are of one moment.
    assert_eq!(checked["tables"]["campaigns"].take(), 1);
    refused(
        &mut create(&server, &recipient, &first),
        73,
        "there already",
    );

    // One of everything, compared with the server that it was made of.
    server.settled("", all);
    let second = own.path().join("second.backup");
    done(&mut create(&server, &recipient, &second));
    let key = server.key.clone();
    let before = told(&server, &key);
    server.stop();

    let mut places: Vec<(&str, Command)> = vec![("file", cupel_on_file())];
    if let Some(url) = postgres() {
        let name = format!("restored_{}", std::process::id());
        database(&url, &name);
        let mut on_server = cupel_on_file();
        on_server.env("CUPEL_STORE", format!("{url}/{name}"));
        places.push(("server", on_server));
    }
    for (name, binary) in places {
        let data = own.path().join(name);
        let mut serve = cupel_on_file();
        for (name, value) in binary.get_envs() {
            serve.env(name, value.unwrap_or_default());
        }
        let put = done(&mut restore(binary, &second, &key_file, &data));
        assert_eq!(put["tables"]["hits"].as_u64().unwrap(), all as u64);
        serve.args([
            "serve",
            "--listen=127.0.0.1:0",
            "--control=127.0.0.1:0",
            "--data",
        ]);
        serve.arg(&data);
        let again = Server::spawn(serve, &data, client());
        assert_eq!(told(&again, &key), before, "{name}");
        // Keys, too: what was mailed goes on.
        assert_eq!(again.get(&path).status(), 302);
        assert_eq!(again.get("/go").status(), 302);
    }
}

#[test]
fn a_restored_server_is_caught_up_from_its_journal() {
    let own = tempfile::tempdir().unwrap();
    let (key_file, recipient) = key(own.path());
    let mut server = Server::on_file();
    server.post(
        "/short-links",
        json!({"url": "https://b.example/", "code": "go"}),
    );
    let total =
        |server: &Server| server.read("/short-links/go/stats")["raw"]["clicks"]["total"].clone();
    for _ in 0..10 {
        assert_eq!(server.get("/go").status(), 302);
    }
    eventually("counted", || total(&server), |total| *total == 10);
    let file = own.path().join("it.backup");
    let mut make = cupel_on_file();
    make.args(["backup", "create", "--recipient", &recipient, "--data"]);
    done(make.arg(&server.data).arg("--out").arg(&file));
    // What comes later is in the journal alone when the database is lost.
    for _ in 0..5 {
        assert_eq!(server.get("/go").status(), 302);
    }
    server.post(
        "/short-links",
        json!({"url": "https://c.example/", "code": "later"}),
    );
    eventually("counted", || total(&server), |total| *total == 15);
    server.stop();
    refused(
        &mut restore(cupel_on_file(), &file, &key_file, &server.data),
        73,
        "cupel.sqlite has something already; move it away",
    );
    for name in ["cupel.sqlite", "cupel.sqlite-wal", "cupel.sqlite-shm"] {
        drop(fs::remove_file(server.data.join(name)));
    }
    done(&mut restore(
        cupel_on_file(),
        &file,
        &key_file,
        &server.data,
    ));
    server.revive();
    eventually("counted", || total(&server), |total| *total == 15);
    assert_eq!(server.get("/later").status(), 302);
}

#[test]
fn what_is_no_whole_backup_or_not_for_us_is_refused_and_changes_nothing() {
    let own = tempfile::tempdir().unwrap();
    let (key_file, recipient) = key(own.path());
    let server = Server::new();
    server.campaign();
    let file = own.path().join("it.backup");
    done(&mut create(&server, &recipient, &file));
    let whole = fs::read(&file).unwrap();
    assert!(
        !whole.windows(10).any(|bytes| bytes == b"recipient_"),
        "in clear"
    );
    let damaged = own.path().join("damaged.backup");
    let data = own.path().join("data");
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&damaged, &bytes).unwrap();
        let (code, out, err) = run(&mut verify(&damaged, &key_file));
        assert!(
            (65..=74).contains(&code) && out.is_empty(),
            "{at}: {code} {err}"
        );
        fs::write(&damaged, &whole[..at]).unwrap();
        let (code, out, err) = run(&mut verify(&damaged, &key_file));
        assert!(
            (65..=74).contains(&code) && out.is_empty(),
            "to {at}: {code} {err}"
        );
    }
    fs::write(&damaged, &whole[..whole.len() - 1]).unwrap();
    let (code, _, err) = run(&mut restore(cupel_on_file(), &damaged, &key_file, &data));
    assert_eq!(code, 65, "{err}");
    assert!(!data.join("cupel.sqlite").exists() && !data.join("keys").exists());
    done(&mut restore(cupel_on_file(), &file, &key_file, &data));

    let stranger = own.path().join("stranger.key");
    run(cupel().args(["backup", "key", "--out"]).arg(&stranger));
    refused(
        &mut verify(&file, &stranger),
        65,
        "for another identity or passphrase",
    );
    // Another installation's keys are there.
    let other = Server::on_file();
    let kept = own.path().join("other");
    fs::create_dir_all(kept.join("keys")).unwrap();
    let ring = Path::new("keys").join("ring.toml");
    fs::copy(other.data.join(&ring), kept.join(&ring)).unwrap();
    fs::write(kept.join("cupel.toml"), "").unwrap();
    let says = "is of another installation";
    refused(
        &mut restore(cupel_on_file(), &file, &key_file, &kept),
        78,
        says,
    );

    let secret = own.path().join("passphrase");
    fs::write(&secret, "correct horse battery staple\n").unwrap();
    let by_word = own.path().join("word.backup");
    let mut make = cupel();
    make.args(["backup", "create", "--passphrase-file"])
        .arg(&secret);
    done(
        make.arg("--data")
            .arg(&server.data)
            .arg("--out")
            .arg(&by_word),
    );
    let mut open = cupel();
    open.args(["backup", "verify"])
        .arg(&by_word)
        .arg("--passphrase-file");
    done(open.arg(&secret));
    refused(
        &mut verify(&by_word, &key_file),
        65,
        "for another identity or passphrase",
    );
}
