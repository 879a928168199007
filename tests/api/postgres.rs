//! What only a store on another machine can do: go away, hang, refuse. `./test` runs all suites on
//! PostgreSQL too, and these with them; without `CUPEL_TEST_POSTGRES` there is none to go away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, client, cupel, cupel_on_file, eventually, postgres, run};

pub(crate) const THROUGH: u8 = 0;
pub(crate) const CUT: u8 = 1;
pub(crate) const HANG: u8 = 2;
pub(crate) const SLOW: u8 = 3;
/// How soon a change of the way is heeded.
const SOON: Duration = Duration::from_millis(20);

/// The way to the database server: it leads there, nowhere, or goes dead.
pub(crate) struct Way {
    state: Arc<AtomicU8>,
    /// Where it leads.
    server: Arc<Mutex<String>>,
    pub(crate) place: String,
}

/// Where the server of this URL is.
fn place_of(url: &str) -> String {
    let place = url.rsplit_once('@').unwrap().1;
    place.split('/').next().unwrap().to_owned()
}

impl Way {
    /// To the server of this URL.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let state = Arc::new(AtomicU8::new(THROUGH));
        let server = Arc::new(Mutex::new(place_of(url)));
        let (shared, leads) = (Arc::clone(&state), Arc::clone(&server));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let there = leads.lock().unwrap().clone();
                // A server that is not there refuses: so does the way.
                if shared.load(Ordering::Relaxed) != CUT
                    && let Ok(there) = TcpStream::connect(there)
                {
                    pass(
                        client.try_clone().unwrap(),
                        there.try_clone().unwrap(),
                        &shared,
                    );
                    pass(there, client, &shared);
                }
            }
        });
        Self {
            state,
            server,
            place,
        }
    }

    /// Leads to the server of this URL from now on.
    pub(crate) fn lead(&self, url: &str) {
        *self.server.lock().unwrap() = place_of(url);
    }

    pub(crate) fn port(&self) -> u16 {
        self.place.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub(crate) fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }
}

/// Hands over what comes, as long as the way is there.
fn pass(mut from: TcpStream, mut to: TcpStream, state: &Arc<AtomicU8>) {
    let state = Arc::clone(state);
    // A state that changes is heeded soon, also where nothing comes.
    from.set_read_timeout(Some(SOON)).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        let mut late = false;
        loop {
            match state.load(Ordering::Relaxed) {
                CUT => break,
                // What comes meanwhile waits, and arrives late.
                HANG => std::thread::sleep(SOON),
                SLOW if !late => {
                    std::thread::sleep(5 * SOON);
                    late = true;
                }
                _ => match from.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(read) if to.write_all(&bytes[..read]).is_err() => break,
                    _ => late = false,
                },
            }
        }
        drop(from.shutdown(std::net::Shutdown::Both));
        drop(to.shutdown(std::net::Shutdown::Both));
    });
}

pub(crate) fn database(server: &str, name: &str) {
    let made = Command::new("psql")
        .args(["-qX", &format!("{server}/postgres")])
        .args(["-c", &format!("CREATE DATABASE {name}")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_database_that_goes_away_or_hangs_costs_no_redirect_and_no_hit() {
    let Some(url) = postgres() else { return };
    let way = Way::to(&url);
    let name = format!("away_{}", std::process::id());
    database(&url, &name);
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let mut command = cupel();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--data")
        .arg(&data)
        .env(
            "CUPEL_STORE",
            format!("postgres://cupel@{}/{name}", way.place),
        );
    let server = Server::spawn(command, &data, client());
    server.post(
        "/short-links",
        json!({"url": "https://a.example/", "code": "go"}),
    );
    let total = || server.read("/short-links/go/stats")["raw"]["clicks"]["total"].clone();
    let hit = || assert_eq!(server.get("/go").status(), 302);
    let status = |path: &str| server.api(Method::GET, path, None).0;
    let mut clicks = 0;
    for state in [CUT, HANG] {
        hit();
        clicks += 1;
        eventually("counted", total, |total| *total == clicks);
        way.set(state);
        eventually("away", || status("/campaigns"), |status| *status == 503);
        for _ in 0..50 {
            hit();
            clicks += 1;
        }
        assert_eq!(status("/campaigns"), 503);
        way.set(THROUGH);
        eventually("back", || status("/campaigns"), |status| *status == 200);
        eventually("counted", total, |total| *total == clicks);
    }
}

#[test]
fn a_directory_that_was_used_before_fills_an_empty_database_and_goes_on() {
    let Some(url) = postgres() else { return };
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let start = |name: &str| {
        database(&url, name);
        let mut command = cupel();
        command
            .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
            .arg("--data")
            .arg(&data)
            .env("CUPEL_STORE", format!("{url}/{name}"));
        Server::spawn(command, &data, client())
    };
    let short = |code: &str| json!({"url": "https://a.example/", "code": code});
    let mut server = start(&format!("first_{}", std::process::id()));
    for number in 1..=3 {
        assert_eq!(server.campaign(), number);
        server.link(number, json!({"url": "https://a.example/"}));
        server.post("/short-links", short(&format!("s{number}")));
    }
    server.stop();
    // As after a restore of an older backup, or of none.
    let server = start(&format!("second_{}", std::process::id()));
    let key = run(cupel()
        .args([
            "keys", "create", "--name", "n", "--scope", "admin", "--data",
        ])
        .arg(&data))
    .1;
    let post = |path: &str, body| server.api_as(key.trim(), Method::POST, path, Some(body));
    let home = json!({"name": "n", "home_url": "https://h.example/"});
    let (status, made) = post("/campaigns", home);
    assert_eq!((status, &made["id"]), (201, &json!(4)), "{made}");
    let (status, made) = post("/campaigns/2/links", json!({"url": "https://b.example/"}));
    assert_eq!((status, &made["number"]), (201, &json!(2)), "{made}");
    assert_eq!(post("/short-links", short("s4")).0, 201);
    assert_eq!(server.get("/s1").status(), 302);
}

#[test]
fn what_a_database_refuses_is_said_in_one_line() {
    let Some(url) = postgres() else { return };
    let place = url.rsplit_once('@').unwrap().1;
    let name = format!("refused_{}", std::process::id());
    database(&url, &name);
    let sql = |text: &str| {
        let done = Command::new("psql")
            .args(["-qX", &format!("{url}/{name}"), "-c", text])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let role = format!("poor_{}", std::process::id());
    sql(&format!("CREATE ROLE {role} LOGIN"));
    let refused = |store: String, wanted: i32| {
        let own = tempfile::tempdir().unwrap();
        let data = own.path().join("data");
        let mut command = cupel_on_file();
        command
            .args(["keys", "create", "--name", "n", "--scope", "read", "--data"])
            .arg(&data)
            .env("CUPEL_STORE", store);
        let (code, out, err) = run(&mut command);
        assert_eq!((code, out.as_str()), (wanted, ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        err
    };
    for (store, says) in [
        (
            format!("postgres://cupel@{place}/nowhere"),
            "database \"nowhere\" does not exist",
        ),
        (
            format!("postgres://nobody@{place}/{name}"),
            "role \"nobody\" does not exist",
        ),
        (
            format!("postgres://{role}@{place}/{name}"),
            "permission denied",
        ),
        (
            format!("postgres://cupel:secret@{place}/{name}?sslmode=require"),
            "server does not support TLS",
        ),
        (
            format!("postgres://cupel:secret@127.0.0.1:1/{name}"),
            "Connection refused",
        ),
    ] {
        let said = refused(store, 75);
        assert!(
            said.contains(says) && !said.contains("secret"),
            "{says}: {said}"
        );
    }
    sql("CREATE TABLE _sqlx_migrations (of_something_else integer)");
    let said = refused(format!("postgres://cupel@{place}/{name}"), 78);
    assert!(said.contains("migrations of something else"), "{said}");
    sql("DROP TABLE _sqlx_migrations; CREATE TABLE hits (of_something_else integer)");
    let said = refused(format!("postgres://cupel@{place}/{name}"), 78);
    assert!(said.contains("tables of something else"), "{said}");
    sql("DROP TABLE hits; CREATE SCHEMA old");
    let old = "RETURNS text AS $$ SELECT '120009' $$ LANGUAGE sql";
    sql(&format!("CREATE FUNCTION old.current_setting(text) {old}"));
    sql(&format!(
        "ALTER DATABASE {name} SET search_path = old, pg_catalog, public"
    ));
    let said = refused(format!("postgres://cupel@{place}/{name}"), 78);
    let says = "too old: version 120009, 130000 at least";
    assert!(said.contains(says), "{said}");
}
