//! Every command does the same through a socket, from elsewhere with a key, and without a server.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Server, cupel, run};

/// Commands that are told where to work.
pub(super) struct Place {
    pub(super) args: Vec<String>,
}

impl Place {
    pub(super) fn directory(data: &Path) -> Self {
        Self {
            args: vec!["--data".to_owned(), data.display().to_string()],
        }
    }

    pub(super) fn server(server: &Server, key_file: &Path) -> Self {
        let args = ["--server", &server.control, "--key-file"];
        let mut args: Vec<_> = args.map(str::to_owned).into();
        args.push(key_file.display().to_string());
        Self { args }
    }

    /// Exit code, standard output and error of a command that is given this to read.
    pub(super) fn run(&self, command: &str, input: &str) -> (i32, String, String) {
        let mut child = cupel()
            .args(command.split(' '))
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that needs no input may be gone before it is written.
        let _heard = stdin.write_all(input.as_bytes());
        drop(stdin);
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = done.status.code().unwrap_or(-1);
        (code, text(done.stdout), text(done.stderr))
    }

    /// Standard output of a command that succeeds.
    pub(super) fn says(&self, command: &str) -> String {
        let (code, out, err) = self.run(command, "");
        assert_eq!(code, 0, "{command}: {out}{err}");
        out
    }

    /// The JSON document of a command that succeeds.
    pub(super) fn json(&self, command: &str) -> Value {
        let out = self.says(&format!("{command} --json"));
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{command}: {out}"))
    }

    /// The objects of a list, one a line.
    pub(super) fn rows(&self, command: &str) -> Vec<Value> {
        let out = self.says(&format!("{command} --json"));
        let rows = out.lines().map(|line| serde_json::from_str(line).unwrap());
        rows.collect()
    }

    /// Exit code and the one line of a command that fails.
    pub(super) fn fails(&self, command: &str) -> (i32, String) {
        let (code, out, err) = self.run(command, "");
        assert_eq!(
            (out.as_str(), err.lines().count()),
            ("", 1),
            "{command}: {err}"
        );
        (code, err)
    }
}

/// Everything that commands do, and what comes of it.
fn everything(place: &Place) {
    campaigns_and_links(place);
    short_links(place);
    templates_and_messages(place);
    keys(place);
}

fn campaigns_and_links(place: &Place) {
    let made = place.json("campaign create --name May --home-url https://home.example/");
    assert_eq!((&made["id"], &made["name"]), (&json!(1), &json!("May")));
    let edited = place.json("campaign edit 1 --name June --level aggregate");
    assert_eq!(
        (&edited["name"], &edited["level"]),
        (&json!("June"), &json!("aggregate"))
    );
    assert_eq!(
        place.json("campaign edit 1 --level individual")["level"],
        "individual"
    );
    assert!(place.json("campaign archive 1")["archived_at"].is_string());
    assert!(place.json("campaign restore 1")["archived_at"].is_null());
    assert_eq!(
        place.rows("campaigns list"),
        [place.json("campaign show 1")]
    );
    assert!(place.says("campaign show 1").contains("\nname      June\n"));

    let action = "link create 1 https://a.example/ok --kind action --sub-kind confirm --label Ok";
    let made = place.json(action);
    assert_eq!((&made["number"], &made["label"]), (&json!(1), &json!("Ok")));
    assert_eq!(place.json(action)["number"], 1, "the same again");
    let (code, _, err) = place.run("link create 1 https://a.example/ok", "");
    assert!(
        code == 0 && err.contains("link 1 of kind action leads to the same URL"),
        "{err}"
    );
    let edited = place.json("link edit 1 2 --url https://b.example/ --label Sale");
    assert_eq!(
        (&edited["url"], &edited["label"]),
        (&json!("https://b.example/"), &json!("Sale"))
    );
    assert!(place.json("link edit 1 2 --no-label")["label"].is_null());
    assert!(place.json("link disable 1 2")["disabled_at"].is_string());
    assert!(place.json("link enable 1 2")["disabled_at"].is_null());
    assert_eq!(place.rows("link list 1")[1], place.json("link show 1 2"));
    let (code, line) = place.fails("link show 1 3");
    assert_eq!(
        (code, line.as_str()),
        (66, "cupel: campaign 1, link 3: no such link\n")
    );
}

fn short_links(place: &Place) {
    let made = place.json("short create https://s.example/ --code Summer");
    assert_eq!(made["code"], "Summer");
    let until = "2099-01-01T00:00:00Z";
    let edited = place.json(&format!("short edit Summer --expires-at {until}"));
    assert_eq!(edited["expires_at"], "2099-01-01T00:00:00.000000Z");
    assert!(place.json("short edit Summer --no-expiry")["expires_at"].is_null());
    assert!(place.json("short disable Summer")["disabled_at"].is_string());
    assert!(place.json("short enable Summer")["disabled_at"].is_null());
    assert_eq!(place.rows("short list"), [place.json("short show Summer")]);
    assert_eq!(
        place.json("short stats Summer")["raw"]["clicks"]["total"],
        0
    );
    let (code, line) = place.fails("short create https://s.example/ --code Summer");
    assert_eq!(
        (code, line.as_str()),
        (65, "cupel: --code: the code \"Summer\" is taken\n")
    );
    for (command, code, says) in [
        (
            "short edit Summer --expires-at soon",
            65,
            "cupel: Summer: --expires-at: \"soon\" is not a time such as 2026-11-21T12:00:00Z\n",
        ),
        (
            "short create https://s.example/ --code Api",
            65,
            "c, a, u, o, hooks",
        ),
    ] {
        let (ended, line) = place.fails(command);
        assert!(ended == code && line.contains(says), "{ended} {line}");
    }
}

fn templates_and_messages(place: &Place) {
    let template = "<a href=\"https://a.example/ok\">Ok</a> <a href=\"mailto:x@y.example\">x</a>\n";
    let (code, out, err) = place.run("rewrite --campaign 1 --no-pixel -", template);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("/a/{{cupel_token}}/{{cupel_act_1}}/1\">Ok</a>"),
        "{out}"
    );
    assert!(
        err.contains("left alone (other_scheme)  mailto:x@y.example"),
        "{err}"
    );
    assert!(
        err.ends_with("1 link; merge columns: cupel_token, cupel_act_1\n"),
        "{err}"
    );
    let (code, out, err) = place.run(
        "rewrite --campaign 1 --text --json",
        "https://c.example/ \n",
    );
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        answer["text"]
            .as_str()
            .unwrap()
            .ends_with("/c/{{cupel_token}}/3 \n"),
        "{out}"
    );

    let (code, out, err) = place.run("mint --campaign 1", "id\nanna\nbob\n");
    assert_eq!(code, 0, "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[0],
        "id,cupel_message,cupel_token,cupel_act_0,cupel_act_1"
    );
    let fields: Vec<_> = lines[2].split(',').map(str::len).collect();
    assert_eq!(
        (lines.len(), fields[0], &fields[2..]),
        (3, 3, &[48, 16, 16][..])
    );
    let lease = place.json("numbers lease 1 --count 7");
    assert_eq!(
        (&lease["count"], lease["first"].as_u64().is_some()),
        (&json!(7), true)
    );

    let events = "message,at\n1-1700000000-0,2026-01-01T00:00:00Z\n";
    let (code, out, err) = place.run("deliveries send", events);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "accepted 1 event\n", "")
    );
    let stats = place.json("stats 1");
    assert_eq!(stats["links"].as_array().unwrap().len(), 3);
    assert_eq!(place.rows("events list --campaign 1"), Vec::<Value>::new());
    assert_eq!(
        place.fails("events list --campaign 9"),
        (66, "cupel: campaign 9: no such campaign\n".into())
    );
    assert_eq!(place.fails("events show 00000000-1").0, 66);
}

fn keys(place: &Place) {
    assert!(
        place
            .says("keys create --name n --scope read")
            .starts_with("cpl_")
    );
    assert_eq!(
        place.json("keys create --name n --scope read")["scope"],
        "read"
    );
    assert_eq!(place.says("keys ring"), "KEY  STATE\n  1  signing\n");
    assert_eq!(place.rows("keys rotate")[1]["state"], "signing");
    assert_eq!(place.rows("keys retire 1")[0]["state"], "aged");
    let (code, line) = place.fails("keys revoke 1");
    assert!(code == 64 && line.contains("say --yes"), "{line}");
    assert_eq!(place.rows("keys revoke 1 --yes")[0]["state"], "revoked");
    let listed = place.rows("keys list");
    let id = listed.last().unwrap()["id"].clone();
    assert_eq!(listed.last().unwrap()["name"], "n");
    let withdrawn = place.json(&format!("keys withdraw {id}"));
    assert!(withdrawn["revoked_at"].is_string(), "{withdrawn}");
    assert_eq!(place.rows("keys list").last(), Some(&withdrawn));
    assert_eq!(
        place.fails("keys withdraw 4711"),
        (66, "cupel: API key 4711: no such API key\n".into())
    );
    for (command, code, says) in [
        ("keys revoke 2 --yes", 65, "key 2 signs new tokens"),
        ("keys revoke 9 --yes", 66, "cupel keys withdraw"),
    ] {
        let (ended, line) = place.fails(command);
        assert!(ended == code && line.contains(says), "{line}");
    }
}

#[test]
fn through_the_socket_of_the_server_that_runs() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    everything(&place);
    assert_eq!(place.says("health").trim_end(), "ready");
    assert_eq!(place.json("health")["ready"], true);
}

#[test]
fn from_elsewhere_with_a_key() {
    let server = Server::new();
    let place = Place::server(&server, &server.data.join("admin.key"));
    everything(&place);
    let no_key = Place {
        args: vec!["--server".to_owned(), server.control.clone()],
    };
    assert_eq!(no_key.json("health")["ready"], true, "needs no key");
    assert_eq!(no_key.fails("campaign list").0, 64);
}

#[test]
fn without_a_server_and_nothing_is_left_behind() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let place = Place::directory(&data);
    let (code, line) = place.fails("campaign list");
    assert!(code == 78 && line.contains("does not exist"), "{line}");
    fs::create_dir(&data).unwrap();
    let (code, line) = place.fails("campaign list");
    assert!(
        code == 78 && line.contains("holds no data of cupel"),
        "{line}"
    );
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        0,
        "nothing was made in it"
    );
    fs::write(
        data.join("cupel.toml"),
        "base_url = \"https://t.example.com\"\n",
    )
    .unwrap();
    place.says("keys create --name early --scope admin");
    everything(&place);
    let short = place.json("short show Summer");
    assert_eq!(
        short["short_url"], "https://t.example.com/Summer",
        "as configured"
    );
    let (code, line) = place.fails("health");
    assert!(code == 69 && line.contains("no server runs"), "{line}");
    for socket in ["control.sock", "command.sock"] {
        assert!(!data.join(socket).exists(), "{socket}");
    }
    let server = Server::start(&data, &[]);
    let seen = Place::directory(&data).json("campaign show 1");
    assert_eq!(seen["name"], "June");
    assert_eq!(server.get("/Summer").status(), 302);
}

#[test]
fn two_commands_on_a_directory_take_turns() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    Place::directory(&data).says("keys create --name n --scope admin");
    let make = |name: &str| {
        cupel()
            .args(["campaign", "create", "--name", name])
            .args(["--home-url", "https://h.example/", "--json", "--data"])
            .arg(&data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let both = [make("one"), make("two"), make("three")];
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(Place::directory(&data).rows("campaign list").len(), 3);
}

#[test]
fn what_was_typed_wins_over_the_environment() {
    let server = Server::new();
    let elsewhere: PathBuf = server.data.join("nowhere");
    let list = |more: &[&str], environment: &[(&str, &str)]| {
        let mut command = cupel();
        command.args(["campaign", "list", "--json"]).args(more);
        run(command.envs(environment.iter().copied()))
    };
    let (data, key) = (server.data.to_str().unwrap(), server.data.join("admin.key"));
    let (nowhere, key) = (elsewhere.to_str().unwrap(), key.to_str().unwrap());
    let away = ("CUPEL_SERVER", "http://127.0.0.1:1");
    assert_eq!(list(&["--data", data], &[away]).0, 0);
    assert_eq!(
        list(&[], &[away, ("CUPEL_KEY_FILE", key), ("CUPEL_DATA", data)]).0,
        69
    );
    let there = ["--server", &server.control, "--key-file", key];
    assert_eq!(list(&there, &[("CUPEL_DATA", nowhere)]).0, 0);
    assert_eq!(list(&[], &[("CUPEL_DATA", data)]).0, 0);
    let (code, _, err) = list(&["--server", &server.control, "--data", data], &[]);
    assert!(code == 64 && err.contains("name different things"), "{err}");
}

#[test]
fn commands_on_this_machine_need_no_roots_of_authorities() {
    let server = Server::new();
    let key_file = server.data.join("admin.key");
    for place in [
        Place::directory(&server.data),
        Place::server(&server, &key_file),
    ] {
        // As in a container that holds the binary alone.
        let (code, out, err) = run(cupel()
            .args(["keys", "ring", "--json"])
            .args(&place.args)
            .envs([
                ("SSL_CERT_FILE", "/dev/null"),
                ("SSL_CERT_DIR", "/dev/null"),
            ]));
        assert_eq!(code, 0, "{:?}: {err}", place.args);
        assert!(out.contains("signing"), "{out}");
    }
}
