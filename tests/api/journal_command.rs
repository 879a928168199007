//! `cupel journal`: what an operator sees of a journal, and settling without a server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Minted, Server, cupel, run};

/// A campaign with one link of each kind, and two messages.
struct Mail {
    campaign: u64,
    one: Minted,
    two: Minted,
}

impl Mail {
    fn of(server: &Server) -> Self {
        let campaign = server.campaign();
        server.link(campaign, json!({"url": "https://shop.example/"}));
        server.link(
            campaign,
            json!({"url": "https://a.example/ok", "kind": "action"}),
        );
        let mut all = server.mint(campaign, &["one", "two"]);
        let (two, one) = (all.pop().unwrap(), all.pop().unwrap());
        Self { campaign, one, two }
    }

    fn click(&self) -> String {
        format!("/c/{}/1", self.one.token)
    }

    /// Two opens, a click, a press, an unsubscribe, an acceptance: five hits, two acts.
    fn all_of_it(&self, server: &Server) {
        for one in [&self.one, &self.two] {
            assert_eq!(server.get(&format!("/o/{}.gif", one.token)).status(), 200);
        }
        assert_eq!(server.get(&self.click()).status(), 302);
        let press = format!("/a/{}/{}/2", self.one.token, self.one.act(2));
        let press = server.public(Method::POST, &press).send().unwrap();
        assert_eq!(press.status(), 303);
        let unsubscribe = format!("/u/{}/{}/0", self.two.token, self.two.act(0));
        let unsubscribe = server.public(Method::POST, &unsubscribe);
        let unsubscribe = unsubscribe.body("List-Unsubscribe=One-Click").send();
        assert_eq!(unsubscribe.unwrap().status(), 200);
        server.post(
            "/deliveries",
            json!({"events": [{"message": self.one.message, "event": "delivered",
                "at": "2026-01-01T00:00:00Z"}]}),
        );
    }
}

pub(super) fn journal(data: &Path, args: &[&str]) -> (i32, String, String) {
    run(cupel().arg("journal").args(args).arg("--data").arg(data))
}

/// Exit code and report of `verify --json`.
pub(super) fn verified(data: &Path) -> (i32, Value) {
    let (code, out, err) = journal(data, &["verify", "--json"]);
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}{err}"));
    (code, report)
}

/// How many records of a kind the log has.
fn logged(report: &Value, kind: &str) -> u64 {
    let segments = report["segments"].as_array().unwrap().iter();
    segments
        .map(|segment| segment["records"][kind].as_u64().unwrap())
        .sum()
}

pub(super) fn inspected(data: &Path, args: &[&str]) -> Vec<Value> {
    let (code, out, err) = journal(data, &[&["inspect", "--json"], args].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Every file of a directory with its length and its last change.
fn files(directory: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let about = fs::metadata(&path).unwrap();
            all.insert(path, (about.len(), about.modified().unwrap()));
        }
    }
    all
}

/// The first segment that holds hits.
fn segment(report: &Value, data: &Path) -> PathBuf {
    let segments = report["segments"].as_array().unwrap().iter();
    let mut with = segments.filter(|segment| segment["records"]["hits"] != 0);
    let file = with.next().unwrap()["file"].as_str().unwrap();
    data.join("journal").join(file)
}

#[test]
fn verify_is_sound_beside_a_server_and_after_it() {
    let mut server = Server::new();
    Mail::of(&server).all_of_it(&server);
    server.events("", 5);
    let count = |report: &Value| {
        let kinds = ["hits", "texts", "acts", "acceptances", "received", "newer"];
        kinds.map(|kind| logged(report, kind))
    };
    let (code, report) = verified(&server.data);
    assert_eq!((code, &report["sound"]), (0, &json!(true)), "{report}");
    let [hits, texts, acts, acceptances, received, newer] = count(&report);
    let all = [hits, acts, acceptances, received, newer];
    assert_eq!(all, [5, 2, 1, 1, 0], "{report}");
    assert!(texts >= 2, "{report}");
    let last = report["segments"].as_array().unwrap().last().unwrap();
    assert_eq!(last["last"], hits + texts + acts + acceptances + received);

    server.stop();
    let before = files(&server.data);
    let (code, out, err) = journal(&server.data, &["verify"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("5 hits") && out.contains("not in the log yet: nothing"),
        "{out}"
    );
    assert!(out.lines().last().unwrap().starts_with("sound: "), "{out}");
    assert_eq!(inspected(&server.data, &[]).len() as u64, last["last"]);
    assert_eq!(journal(&server.data, &["replay", "--dry-run"]).0, 0);
    assert_eq!(files(&server.data), before, "looking changes nothing");
}

#[test]
fn a_flipped_byte_is_named_with_file_and_offset() {
    let mut server = Server::new();
    Mail::of(&server).all_of_it(&server);
    server.stop();
    let path = segment(&verified(&server.data).1, &server.data);
    let whole = fs::read(&path).unwrap();
    // In the header, in the middle, and in the last record of all.
    for (at, lost) in [
        (20, json!(0)),
        (whole.len() / 2, json!(1)),
        (whole.len() - 9, json!(null)),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let (code, report) = verified(&server.data);
        assert_eq!((code, &report["sound"]), (65, &json!(false)), "{report}");
        let segments = report["segments"].as_array().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let segment = segments.iter().find(|one| one["file"] == name).unwrap();
        let span = match segment["damaged"].as_array().unwrap().first() {
            Some(span) => span,
            None => &segment["torn_end"],
        };
        let offset = span["offset"].as_u64().unwrap();
        let end = offset + span["bytes"].as_u64().unwrap();
        assert!((offset..end).contains(&(at as u64)), "{at}: {segment}");
        assert_eq!(span["records"], lost, "{at}: {segment}");
        let (code, out, err) = journal(&server.data, &["verify"]);
        assert_eq!((code, err.lines().count()), (65, 1), "{err}");
        let named = format!("{} at offset {offset}: 1 damaged span", path.display());
        assert!(err.contains(&named), "{err}");
        assert!(out.contains(&format!("at offset {offset}")), "{out}");
        let (code, shown, _) = journal(&server.data, &["inspect"]);
        assert_eq!(code, 0);
        assert_eq!(
            shown.lines().count() as u64,
            ["hits", "texts", "acts", "acceptances", "received"]
                .map(|kind| logged(&report, kind))
                .iter()
                .sum::<u64>()
        );
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(verified(&server.data).0, 0);
    // A segment that has gone leaves a hole in the sequences.
    server.revive();
    let mail = Mail::of(&server);
    assert_eq!(server.get(&mail.click()).status(), 302);
    server.stop();
    server.revive();
    assert_eq!(server.get(&mail.click()).status(), 302);
    server.stop();
    let (_, report) = verified(&server.data);
    let full = report["segments"].as_array().unwrap().iter();
    let full: Vec<_> = full.filter(|one| one["records"]["hits"] != 0).collect();
    assert_eq!(full.len(), 3, "{report}");
    let middle = full[1]["file"].as_str().unwrap();
    fs::remove_file(server.data.join("journal").join(middle)).unwrap();
    let (code, report) = verified(&server.data);
    assert_eq!(code, 65);
    assert_eq!(
        report["gaps"],
        json!([{"from": full[1]["first"], "to": full[1]["last"]}])
    );
}

#[test]
fn inspect_shows_what_was_done_and_hides_addresses() {
    let server = Server::with("trusted_proxies = [\"127.0.0.0/8\"]\n", &[]);
    let mail = Mail::of(&server);
    mail.all_of_it(&server);
    let short = json!({"url": "https://a.example/", "code": "x1"});
    server.post("/short-links", short);
    let click = server.public(Method::GET, "/x1");
    let click = click.header("x-forwarded-for", "198.51.100.77");
    let click = click.header("user-agent", "odd \u{9b}31m agent".as_bytes());
    assert_eq!(click.send().unwrap().status(), 302);
    let events = server.events("", 6);

    let hits = inspected(&server.data, &["--kind", "hit"]);
    let kinds: Vec<_> = hits.iter().map(|hit| hit["kind"].clone()).collect();
    let expected = events.iter().map(|event| event["kind"].clone());
    assert_eq!(kinds, expected.collect::<Vec<_>>());
    for (hit, event) in hits.iter().zip(&events) {
        assert_eq!(hit["event"], event["id"]);
        for name in [
            "at", "campaign", "link", "message", "answer", "method", "token", "privacy", "counted",
        ] {
            assert_eq!(hit[name], event[name], "{name}: {hit} {event}");
        }
    }
    let acts = inspected(&server.data, &["--kind", "act"]);
    let told: Vec<_> = acts.iter().map(|act| [&act["kind"], &act["via"]]).collect();
    assert_eq!(
        json!(told),
        json!([["press", null], ["unsubscribe", "one_click"]])
    );
    let accepted = inspected(&server.data, &["--kind", "accepted"]);
    assert_eq!(accepted[0]["message"], mail.one.message);
    assert_eq!(accepted[0]["at"], "2026-01-01T00:00:00.000000Z");
    let campaign = mail.campaign.to_string();
    let of_campaign = inspected(&server.data, &["--campaign", &campaign]);
    assert_eq!(of_campaign.len(), 8, "all but texts and the short link");
    let third = acts[0]["sequence"].to_string();
    let some = ["--from", third.as_str(), "--limit", "2"];
    let some = inspected(&server.data, &some);
    assert_eq!((some.len(), &some[0]), (2, &acts[0]));
    let one = inspected(&server.data, &["--from", &third, "--to", &third]);
    assert_eq!(one, acts[..1]);

    let (_, plain, _) = journal(&server.data, &["inspect"]);
    assert!(plain.contains("prefix=198.51.100.0/24"), "{plain}");
    assert!(!plain.contains("198.51.100.77"), "{plain}");
    assert!(
        plain.contains("odd") && !plain.contains('\u{9b}'),
        "{plain}"
    );
    let (_, all, _) = journal(&server.data, &["inspect", "--addresses"]);
    assert!(all.contains("address=198.51.100.77"), "{all}");
}

#[test]
fn after_a_kill_verify_counts_what_is_in_the_rings() {
    let mut server = Server::with("[journal]\nsync_ms_max = 50\n", &[]);
    let mail = Mail::of(&server);
    let mut answered = 0;
    let mut seen_in_rings = false;
    for _ in 0..6 {
        for _ in 0..3 {
            assert_eq!(server.get(&mail.click()).status(), 302);
            answered += 1;
        }
        server.kill9();
        let (code, report) = verified(&server.data);
        assert_eq!(code, 0, "{report}");
        let unlogged = report["rings"]["unlogged"]["hits"].as_u64().unwrap();
        assert_eq!(logged(&report, "hits") + unlogged, answered, "{report}");
        seen_in_rings |= unlogged > 0;
        server.revive();
    }
    assert!(seen_in_rings, "each of six kills came after the drainer");
    let (code, report) = verified(&server.data);
    assert_eq!((code, logged(&report, "hits")), (0, answered), "{report}");
    server.events("", usize::try_from(answered).unwrap());
}

#[test]
fn replay_settles_once_what_a_paused_server_left() {
    let mut server = Server::with("[settle]\npaused = true\nwindow_seconds = 1\n", &[]);
    let mail = Mail::of(&server);
    mail.all_of_it(&server);
    let (code, _, err) = journal(&server.data, &["replay"]);
    assert!(code == 75 && err.contains("in use"), "{code} {err}");
    assert_eq!(server.stats(mail.campaign)["raw"]["opens"]["total"], 0);
    server.kill9();
    let (code, out, _) = journal(&server.data, &["replay", "--dry-run", "--json"]);
    let outlook: Value = serde_json::from_str(&out).unwrap();
    let sum = |kind: &str| {
        let of = |part: &str| outlook[part][kind].as_u64().unwrap();
        of("records") + of("in_rings")
    };
    assert_eq!(
        (code, &outlook["from"], sum("hits"), sum("acts")),
        (0, &json!(0), 5, 2)
    );
    let (code, _, err) = journal(&server.data, &["replay", "--from", "3"]);
    assert!(code == 65 && err.contains("never be counted"), "{err}");

    let (code, out, err) = journal(&server.data, &["replay", "--json"]);
    let first: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code} {err}"));
    assert_eq!((code, &first["hits"]), (0, &json!(5)), "{first}");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let position = first["position"].to_string();
    let (code, out, _) = journal(&server.data, &["replay", "--from", &position]);
    assert_eq!(code, 0);
    let nothing = format!("replayed 0 records (0 hits) to position {position}; closed");
    assert!(out.starts_with(&nothing), "{out}");
    let (_, out, _) = journal(&server.data, &["replay", "--json"]);
    let third: Value = serde_json::from_str(&out).unwrap();
    let idle = [&third["records"], &third["settled"]];
    assert_eq!(idle, [&json!(0), &json!(0)], "every window has closed");
    let (code, _, err) = journal(&server.data, &["replay", "--from", "0"]);
    assert_eq!((code, err.lines().count()), (65, 1), "{err}");
    assert!(err.contains("counted already"), "{err}");

    for configuration in [
        "[settle]\npaused = true\n",
        "[settle]\nwindow_seconds = 1\n",
    ] {
        fs::write(server.data.join("cupel.toml"), configuration).unwrap();
        server.revive();
        if !configuration.contains("paused") {
            server.settled("", 5);
        }
        let raw = &server.stats(mail.campaign)["raw"];
        for (kind, total) in [
            ("opens", 2),
            ("clicks", 1),
            ("presses", 1),
            ("unsubscribes", 1),
        ] {
            assert_eq!(raw[kind]["total"], total, "{kind}: {raw}");
        }
        server.stop();
    }
    assert_eq!(verified(&server.data).0, 0);
}

#[test]
fn what_cannot_be_read_is_one_clear_line() {
    let own = tempfile::tempdir().unwrap();
    let missing = own.path().join("missing");
    for args in [
        &["verify"] as &[&str],
        &["inspect"],
        &["replay"],
        &["replay", "--dry-run"],
    ] {
        let (code, out, err) = journal(&missing, args);
        assert_eq!((code, out.as_str(), err.lines().count()), (78, "", 1));
        assert!(err.contains("missing does not exist"), "{err}");
        let (code, _, err) = journal(own.path(), args);
        assert!(code == 78 && err.contains("no journal here"), "{err}");
        assert!(files(own.path()).is_empty(), "nothing is made");
    }

    let mut server = Server::new();
    Mail::of(&server).all_of_it(&server);
    server.stop();
    let path = segment(&verified(&server.data).1, &server.data);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let sum = crc32c::crc32c(&bytes[..32]).to_le_bytes();
    bytes[32..36].copy_from_slice(&sum);
    fs::write(&path, &bytes).unwrap();
    for args in [&["verify"] as &[&str], &["inspect"], &["replay"]] {
        let (code, out, err) = journal(&server.data, args);
        assert_eq!((code, out.as_str(), err.lines().count()), (69, "", 1));
        let named = err.contains(path.to_str().unwrap());
        assert!(named && err.contains("newer version"), "{err}");
    }
}
