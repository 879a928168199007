//! Commands, first start, and what goes wrong at the second one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use reqwest::Method;

use crate::harness::{Server, cupel, run};

#[test]
fn the_first_key_goes_to_a_file_of_its_owner() {
    let server = Server::new();
    let file = server.data.join("admin.key");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(server.key.starts_with("cpl_"));
    for (path, mode) in [
        ("keys", 0o700),
        ("keys/ring.toml", 0o600),
        ("control.sock", 0o600),
    ] {
        let about = fs::metadata(server.data.join(path)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, mode, "{path}");
    }
}

fn create_key(server: &Server) -> String {
    let (code, out, err) = run(cupel()
        .args(["keys", "create", "--data", server.data.to_str().unwrap()])
        .args(["--name", "n", "--scope", "admin"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let key = out.trim_end().to_owned();
    assert!(
        key.starts_with("cpl_") && out == format!("{key}\n"),
        "alone on stdout: {out:?}"
    );
    key
}

#[test]
fn keys_are_made_beside_a_running_server_and_without_one() {
    let mut server = Server::new();
    let beside = create_key(&server);
    assert_eq!(
        server.api_as(&beside, Method::GET, "/campaigns", None).0,
        200
    );
    server.stop();
    let alone = create_key(&server);
    server.revive();
    assert_eq!(
        server.api_as(&alone, Method::GET, "/campaigns", None).0,
        200
    );
    let data = server.data.to_str().unwrap().to_owned();
    let ring = |args: &[&str]| run(cupel().arg("keys").args(args).args(["--data", &data]));
    assert_eq!(ring(&["rotate"]).0, 0);
    let (code, out, _) = ring(&["ring", "--json"]);
    assert_eq!(code, 0);
    let newest: serde_json::Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(newest["state"], "signing");
    let (code, _, err) = ring(&["revoke", "2", "--yes"]);
    assert_eq!((code, err.lines().count()), (65, 1), "{err}");
}

#[test]
fn a_key_may_come_before_the_first_start() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let (code, key, err) = run(cupel()
        .args(["keys", "create", "--data", data.to_str().unwrap()])
        .args(["--name", "early", "--scope", "read"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let server = Server::start(&data, &[]);
    let (status, events) = server.api_as(key.trim(), Method::GET, "/events", None);
    assert_eq!((status, &events["events"]), (200, &serde_json::json!([])));
    let (code, _, err) = run(cupel().args(["keys", "ring", "--data", "/nowhere/data"]));
    assert!(
        code == 78 && err.contains("/nowhere/data does not exist"),
        "{code} {err}"
    );
}

/// Runs `serve` where it cannot; exit code and the one line that it says.
fn refused(args: &[&str]) -> (i32, String) {
    let (code, out, err) = run(cupel().arg("serve").args(args));
    assert_eq!(out, "", "nothing but the error: {err}");
    assert_eq!(err.lines().count(), 1, "one line: {err}");
    (code, err)
}

#[test]
fn mistakes_at_the_start_are_one_clear_line_each() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("d").to_str().unwrap().to_owned();
    let file = own.path().join("cupel.toml");
    fs::write(&file, "data = 'd'\nlisten_on = '127.0.0.1:0'\n").unwrap();
    let (code, line) = refused(&["--config", file.to_str().unwrap()]);
    assert_eq!(code, 78);
    assert!(
        line.contains("cupel.toml:2: listen_on: unknown key; did you mean listen?"),
        "{line}"
    );

    let (code, line) = refused(&["--config", "/nowhere/cupel.toml"]);
    assert!(code == 78 && line.contains("/nowhere/cupel.toml"), "{line}");

    let (code, line) = refused(&["--data", &data, "--listen", "nonsense"]);
    assert!(
        code == 78 && line.contains("listen: \"nonsense\" is not an address"),
        "{line}"
    );

    let (code, line) = refused(&["--data", &data, "--base-url", "https://a.example/path"]);
    assert!(code == 78 && line.contains("base_url"), "{line}");

    let (code, line) = refused(&["--data", &data, "--control", "0.0.0.0:0"]);
    assert!(code == 78 && line.contains("loopback"), "{line}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, line) = refused(&["--data", &data, "--listen", &address]);
    assert!(code == 75 && line.contains(&address), "{code} {line}");

    let (code, line) = refused(&[
        "--data",
        &data,
        "--listen=127.0.0.1:0",
        "--control=127.0.0.1:0",
        "--set=tls.certificate=/dev/null",
        "--set=tls.key=/dev/null",
    ]);
    assert!(
        code == 78 && line.contains("/dev/null: holds no certificate"),
        "{code} {line}"
    );

    // Even root cannot make a directory under a file.
    let (code, line) = refused(&["--data", &format!("{}/d", file.display())]);
    assert!(
        code == 73 && line.contains("data directory"),
        "{code} {line}"
    );

    let (code, out, _) = run(cupel().arg("serv"));
    assert_eq!((code, out.as_str()), (64, ""));
}

#[test]
fn a_first_key_that_cannot_be_handed_over_is_made_at_the_next_start() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("cupel.toml"), "").unwrap();
    // Nothing can be written where a directory is.
    fs::create_dir(data.join("admin.key")).unwrap();
    let mut server = Server::start(&data, &[]);
    assert!(
        server.log().contains("no first API key"),
        "{}",
        server.log()
    );
    server.stop();
    fs::remove_dir(data.join("admin.key")).unwrap();
    let server = Server::start(&data, &[]);
    assert_eq!(server.api(Method::GET, "/campaigns", None).0, 200);
}

#[test]
fn a_second_server_on_a_directory_is_refused_and_changes_nothing() {
    let server = Server::new();
    let before = fs::read(server.data.join("keys/ring.toml")).unwrap();
    let data = server.data.to_str().unwrap();
    let (code, line) = refused(&[
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ]);
    assert!(
        code == 75 && line.contains("in use by another cupel"),
        "{code} {line}"
    );
    assert_eq!(
        fs::read(server.data.join("keys/ring.toml")).unwrap(),
        before
    );
    assert_eq!(server.get("/").status(), 200);
}

#[test]
fn the_network_table_is_built_from_csv_and_swapped_when_it_changes() {
    let own = tempfile::tempdir().unwrap();
    let path = |name: &str| own.path().join(name).to_str().unwrap().to_owned();
    let build = |asn: u32, flags: &[&str]| {
        fs::write(
            path("4.csv"),
            format!("198.51.100.0,198.51.100.255,{asn},\"Own, Inc.\"\n"),
        )
        .unwrap();
        fs::write(
            path("6.csv"),
            "2001:db8::,2001:db8::ffff:ffff:ffff:ffff,64501,Six\n",
        )
        .unwrap();
        run(cupel()
            .args([
                "geoip",
                "build",
                "--ipv4",
                &path("4.csv"),
                "--ipv6",
                &path("6.csv"),
            ])
            .args(flags)
            .args(["--out", &path("own.cupel")]))
    };
    let (code, out, err) = build(64_500, &[]);
    assert_eq!(code, 0, "{out}{err}");
    let table = path("own.cupel");
    let configuration =
        format!("trusted_proxies = [\"127.0.0.0/8\"]\n[network]\ntable = \"{table}\"\n");
    let server = Server::with(&configuration, &[]);
    let made = serde_json::json!({"url": "https://a.example/", "code": "x1"});
    server.post("/short-links", made);
    let hit = |count: usize| {
        let request = server
            .public(Method::GET, "/x1")
            .header("x-forwarded-for", "198.51.100.7");
        assert_eq!(request.send().unwrap().status(), 302);
        server.events("", count).last().unwrap()["network"].clone()
    };
    assert_eq!(hit(1)["asn"], 64_500);
    assert_eq!(hit(2)["org"], "Own, Inc.");
    fs::write(&table, "broken").unwrap();
    crate::harness::eventually(
        "refusal",
        || server.log(),
        |log| log.contains("kept the old"),
    );
    assert_eq!(
        hit(3)["asn"],
        64_500,
        "a broken file is refused and the old table kept"
    );
    let (code, _, err) = build(64_502, &[]);
    assert!(
        code == 73 && err.contains("is there already; replace it with --force"),
        "it may be anything: {err}"
    );
    assert_eq!(fs::read_to_string(&table).unwrap(), "broken");
    assert_eq!(build(64_502, &["--force"]).0, 0);
    crate::harness::eventually(
        "swap",
        || server.log(),
        |log| log.matches("took over a new").count() == 1,
    );
    assert_eq!(hit(4)["asn"], 64_502);
    assert_eq!(build(64_502, &[]).0, 0, "a table gives way to a table");
    let piped = cupel()
        .args(["geoip", "build", "--out", "/dev/stdout"])
        .args(["--ipv4", &path("4.csv"), "--ipv6", &path("6.csv")])
        .output()
        .unwrap();
    assert_eq!(piped.stdout, fs::read(&table).unwrap());
    let (code, _, err) = run(Command::new(env!("CARGO_BIN_EXE_cupel")).args([
        "geoip",
        "build",
        "--ipv4",
        "/nowhere",
        "--ipv6",
        "/nowhere",
        "--out",
        "/dev/null",
    ]));
    assert!(
        code == 66 && err.contains("/nowhere") && err.lines().count() == 1,
        "{err}"
    );
}
