//! `cupel copy` and `cupel migrate`: an installation goes from one store to another with all that
//! it has, also where that is broken off; schemas that are too old or too new.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::harness::{Server, client, cupel_on_file, eventually, postgres, run};

const HITS: u64 = 120_000;

fn copy(from: &str, to: &str) -> Command {
    let mut command = cupel_on_file();
    command.args(["copy", "--from", from, "--to", to, "--json"]);
    command
}

fn on_file(data: &Path) -> String {
    format!("sqlite:{}", data.display())
}

/// An empty database of the server, if there is one to test with.
fn database(name: &str) -> Option<String> {
    let url = postgres()?;
    let name = format!("{name}_{}", std::process::id());
    crate::postgres::database(&url, &name);
    Some(format!("{url}/{name}"))
}

fn serve(data: &Path, store: Option<&str>) -> Command {
    let mut command = cupel_on_file();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--data")
        .arg(data);
    command.envs(store.map(|url| ("CUPEL_STORE", url)));
    command
}

/// Runs statements on the database of a directory that nobody serves.
pub(crate) fn on_database(data: &Path, statements: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let file = data.join("cupel.sqlite");
        let options = SqliteConnectOptions::new().filename(file);
        let mut on = SqliteConnection::connect_with(&options).await.unwrap();
        on.execute(AssertSqlSafe(statements.to_owned()))
            .await
            .unwrap();
        on.close().await.unwrap();
    });
}

/// What a server says of its campaign, its short link and its hits.
fn accounts(server: &Server, key: &str) -> Value {
    let read = |path: &str| {
        let (status, mut json) = server.api_as(key, Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {json}");
        // It goes on with the time.
        json.as_object_mut().unwrap().remove("settled_to");
        json
    };
    json!([
        read("/campaigns/1/stats"),
        read("/campaigns/1/links"),
        read("/short-links/go/stats"),
        read("/events?limit=100"),
    ])
}

#[test]
fn an_installation_moves_to_another_store_and_goes_on() {
    let mut server = Server::on_file();
    let key = server.key.clone();
    let campaign = server.campaign();
    let link = server.link(campaign, json!({"url": "https://a.example/", "label": "ä"}));
    server.link(
        campaign,
        json!({"url": "https://b.example/", "kind": "action", "sub_kind": "login"}),
    );
    server.post(
        "/short-links",
        json!({"url": "https://c.example/", "code": "go"}),
    );
    let minted = server.mint(campaign, &["one", "two"]);
    for mail in &minted {
        server.get(&format!("/o/{}.gif", mail.token));
        server.get(&format!("/c/{}/{link}", mail.token));
    }
    server.get("/go");
    server.settled("", 5);
    let before = accounts(&server, &key);
    let taken = run(&mut copy(&on_file(&server.data), "sqlite:/nowhere/to/be"));
    assert_eq!(taken.0, 75, "the server runs: {}", taken.2);
    server.stop();

    let own = tempfile::tempdir().unwrap();
    let other = own.path().join("other");
    let mut from = on_file(&server.data);
    if let Some(url) = database("moved") {
        let (code, out, err) = run(&mut copy(&from, &url));
        assert_eq!(code, 0, "{err}");
        let said: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&said["tables"]["hits"], &said["tables"]["links"]),
            (&json!(5), &json!(2))
        );
        let mut moved = Server::spawn(serve(&server.data, Some(&url)), &server.data, client());
        assert_eq!(accounts(&moved, &key), before);
        moved.get("/go");
        let clicks = || {
            let (_, stats) = moved.api_as(&key, Method::GET, "/short-links/go/stats", None);
            stats["raw"]["clicks"]["total"].clone()
        };
        eventually("counted on", clicks, |clicks| *clicks == 2);
        let body = json!({"name": "next", "home_url": "https://h.example/"});
        let (status, made) = moved.api_as(&key, Method::POST, "/campaigns", Some(body));
        assert_eq!((status, &made["id"]), (201, &json!(campaign + 1)), "{made}");
        moved.stop();
        let again = run(&mut copy(&from, &url));
        assert_eq!(again.0, 73, "{}", again.2);
        assert!(
            again.2.contains("is not empty: it has campaigns"),
            "{}",
            again.2
        );
        from = url;
    }
    let (code, _, err) = run(&mut copy(&from, &on_file(&other)));
    assert_eq!(code, 0, "{err}");
    for file in ["keys", "journal", "catalogue"] {
        let place = other.join(file);
        assert!(
            !place.exists(),
            "{file} belongs to the directory, not to the store"
        );
    }
    std::fs::remove_dir_all(&other).unwrap();
    std::fs::create_dir(&other).unwrap();
    let (code, _, err) = run(&mut copy(&from, &on_file(&other)));
    assert_eq!(code, 0, "{err}");
    let put = std::fs::copy(other.join("cupel.sqlite"), server.data.join("cupel.sqlite"));
    put.unwrap();
    drop(std::fs::remove_file(server.data.join("store-is")));
    let back = Server::spawn(serve(&server.data, None), &server.data, client());
    let events = &accounts(&back, &key)[3]["events"];
    let seen = events.as_array().unwrap().len();
    assert_eq!(seen, if postgres().is_some() { 6 } else { 5 });
}

/// Kills a copy again and again, and lets it go on each time.
#[test]
fn a_copy_that_is_killed_goes_on_where_it_was() {
    let mut server = Server::on_file();
    server.campaign();
    server.post(
        "/short-links",
        json!({"url": "https://c.example/", "code": "go"}),
    );
    server.get("/go");
    server.settled("", 1);
    server.stop();
    on_database(
        &server.data,
        &format!(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {HITS})
            INSERT INTO hits SELECT edge, sequence + n, at + n * 20000000, kind, method, protocol,
                answer, level, token, flags, 4000000000, 3000000000 + n % 7, 5, n, agent, headers,
                4200000000, 40000, lists_version, prefix, -n, claimed, -1, ruleset, score, class, 0
            FROM hits, n;
            INSERT INTO acts SELECT edge, sequence, at, 3, 1, 2, 5, 6, x'00ff', 1
                FROM hits LIMIT 9;
            INSERT INTO acts SELECT edge, -sequence, at, 3, 1, 2, 5, 6, NULL, NULL
                FROM hits LIMIT 9;
            INSERT INTO judgements SELECT edge, sequence, ruleset, 0, -1, 999, 3, at FROM hits;
            INSERT INTO texts SELECT -sequence, CAST(x'00ff41' AS BLOB) FROM hits LIMIT 6000;
            INSERT INTO sweeps SELECT at, -sequence, 4294967295 FROM hits LIMIT 6000;
            INSERT INTO messages SELECT 1, 5, sequence, x'01', NULL, at, x'', x'00ff', x'00'
                FROM hits LIMIT 6000"
        ),
    );
    let own = tempfile::tempdir().unwrap();
    let to = match database("killed") {
        Some(url) => url,
        None => on_file(&own.path().join("to")),
    };
    let from = on_file(&server.data);
    let mut kills = 0;
    let said = loop {
        let mut child = copy(&from, &to)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + 15 * kills));
        if child.try_wait().unwrap().is_some() {
            let ended = child.wait_with_output().unwrap();
            let err = String::from_utf8_lossy(&ended.stderr);
            // The one before may have been killed when all was done and nothing said.
            let done = err.contains("the database is not empty");
            assert!(done || ended.status.success(), "{ended:?}");
            break ended.stdout;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    };
    assert!(kills > 2, "killed only {kills} times");

    // Nothing is lost on the way there and back.
    let back = on_file(&own.path().join("back"));
    let (code, out, err) = run(&mut copy(&to, &back));
    assert_eq!(code, 0, "{err}");
    let copied: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(copied["tables"]["hits"], HITS);
    assert_eq!(copied["tables"]["acts"], 18);
    if !said.is_empty() {
        assert_eq!(serde_json::from_slice::<Value>(&said).unwrap(), copied);
    }
    let before = server.data.join("cupel.sqlite");
    on_database(
        &own.path().join("back"),
        &format!(
            "ATTACH '{}' AS before;
            CREATE TABLE left_over (n INTEGER NOT NULL CHECK (n = 0));{}",
            before.display(),
            copied["tables"]
                .as_object()
                .unwrap()
                .keys()
                .fold(String::new(), |all, table| format!(
                    "{all}
                INSERT INTO left_over SELECT count(*) FROM
                    (SELECT * FROM before.{table} EXCEPT SELECT * FROM main.{table});"
                ))
        ),
    );
}

#[test]
fn half_a_copy_is_nobodys_store() {
    let mut server = Server::on_file();
    server.post(
        "/short-links",
        json!({"url": "https://c.example/", "code": "go"}),
    );
    server.stop();
    on_database(
        &server.data,
        "CREATE TABLE copying (source TEXT NOT NULL); INSERT INTO copying VALUES ('sqlite:/old')",
    );
    let mut migrate = cupel_on_file();
    migrate.args(["migrate", "--data"]).arg(&server.data);
    let (code, _, err) = run(&mut migrate);
    assert_eq!(code, 78, "{err}");
    let says = "half of a copy from sqlite:/old; run the same command again";
    assert!(err.contains(says), "{err}");
    let own = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&mut copy(&on_file(&server.data), &on_file(own.path())));
    assert_eq!(code, 78, "{err}");
    // Links go on: they are in the catalogue.
    server.revive();
    assert_eq!(server.get("/go").status(), 302);
}

#[test]
fn a_copy_says_what_it_cannot_use() {
    let own = tempfile::tempdir().unwrap();
    let empty = own.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (from, to, code, says) in [
        (
            "sqlite:/nowhere/at/all",
            "sqlite:/tmp/x",
            78,
            "/nowhere/at/all does not exist",
        ),
        (
            &*on_file(&empty),
            "sqlite:/tmp/x",
            66,
            "no database of cupel's is there",
        ),
        (
            "sqlite:/tmp/x",
            "sqlite:/tmp/x",
            64,
            "are the same database",
        ),
        (
            "mysql://u:secret@h/d",
            "sqlite:/tmp/x",
            64,
            "is neither sqlite:DIR nor postgres://",
        ),
        (
            "postgres://u:pa#secret@h/d",
            "sqlite:/tmp/x",
            69,
            "postgres://***: the store is not available",
        ),
        (
            "postgres://u:secret@127.0.0.1:1/d",
            "sqlite:/tmp/x",
            69,
            "postgres://u:***@127.0.0.1:1/d: the store is not available",
        ),
    ] {
        let to = to.replace("/tmp/x", own.path().join("x").to_str().unwrap());
        let from = from.replace("/tmp/x", own.path().join("x").to_str().unwrap());
        let (got, out, err) = run(&mut copy(&from, &to));
        assert_eq!((got, out.as_str()), (code, ""), "{from}: {err}");
        assert!(
            err.contains(says) && !err.contains("secret"),
            "{from}: {err}"
        );
    }
}

#[test]
fn a_schema_is_brought_up_to_date_and_a_newer_one_refused() {
    let own = tempfile::tempdir().unwrap();
    let migrate = |more: &[&str]| {
        let mut command = cupel_on_file();
        command
            .args(["migrate", "--data"])
            .arg(own.path())
            .args(more);
        run(&mut command)
    };
    let (code, _, err) = migrate(&["--check"]);
    assert_eq!(code, 78, "{err}");
    assert!(
        err.contains("schema 0, and this cupel needs 6; run cupel migrate"),
        "{err}"
    );
    assert_eq!(
        migrate(&[]),
        (0, "schema 6, was 0\n".to_owned(), String::new())
    );
    assert_eq!(
        migrate(&["--check"]),
        (0, "schema 6, up to date\n".to_owned(), String::new())
    );
    assert_eq!(migrate(&["--json"]).1, "{\"before\":6,\"schema\":6}\n");
    on_database(
        own.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99, 'later', TRUE, x'00', 0)",
    );
    for more in [&["--check"][..], &[]] {
        let (code, _, err) = migrate(more);
        assert_eq!(code, 78, "{err}");
        assert!(
            err.contains("of a newer cupel: its schema is 99, this one knows 6"),
            "{err}"
        );
    }
}
