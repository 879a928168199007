//! What commands say where they may not look, are told too much, or cannot print.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use serde_json::json;

use crate::harness::{Server, answer_once, cupel, for_anybody, run};

/// Somebody who owns nothing.
const NOBODY: u32 = 65_534;

#[test]
fn a_directory_of_somebody_else_is_not_taken_for_an_empty_one() {
    let server = Server::new();
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let data = server.data.to_str().unwrap();
    let ask = |command: &str| {
        let (_folder, mut asked) = for_anybody();
        asked.args(command.split(' ')).args(["--data", data]);
        if root {
            asked.uid(NOBODY).gid(NOBODY);
        }
        run(&mut asked)
    };
    let mode = |mode| fs::set_permissions(&server.data, Permissions::from_mode(mode)).unwrap();
    mode(if root { 0o700 } else { 0o000 });
    for command in ["health", "campaign list", "config show", "doctor"] {
        let (code, out, err) = ask(command);
        assert_eq!((code, out.as_str()), (77, ""), "{command}: {err}");
        assert!(err.contains("run this as its owner"), "{command}: {err}");
    }
    mode(0o700);
}

#[test]
fn what_is_said_of_a_server_is_no_order_to_this_machine() {
    let server = Server::new();
    let data = server.data.to_str().unwrap();
    for flag in [
        &["--key-file", "prod.key"][..],
        &["--ca-file", "ca.pem"],
        &["--insecure"],
    ] {
        let revoke = ["keys", "revoke", "1", "--yes", "--data", data];
        let (code, _, err) = run(cupel().args(revoke).args(flag));
        assert_eq!(code, 64, "{flag:?}: {err}");
        assert!(err.contains("is for --server"), "{flag:?}: {err}");
    }
    let (code, out, _) = run(cupel().args(["keys", "ring", "--data", data]));
    assert!(code == 0 && !out.contains("revoked"), "{out}");
}

#[test]
fn empty_variables_are_as_good_as_none() {
    let server = Server::new();
    let home = server.data.parent().unwrap();
    let link = home.join("data");
    if !link.exists() {
        std::os::unix::fs::symlink(&server.data, &link).unwrap();
    }
    let mut command = cupel();
    for variable in [
        "CUPEL_SERVER",
        "CUPEL_KEY_FILE",
        "CUPEL_CA_FILE",
        "CUPEL_DATA",
        "CUPEL_CONFIG",
    ] {
        command.env(variable, "");
    }
    let (code, _, err) = run(command.args(["campaign", "list"]).current_dir(home));
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn following_needs_a_server_and_keeps_none_away() {
    let mut server = Server::new();
    server.stop();
    let data = server.data.to_str().unwrap();
    let (code, _, err) = run(cupel().args(["events", "list", "--follow", "--data", data]));
    assert!(
        code == 69 && err.contains("no server runs"),
        "{code}: {err}"
    );
}

#[test]
fn an_output_that_takes_nothing_ends_a_command_with_74_and_no_panic() {
    let server = Server::new();
    server.campaign();
    let data = server.data.to_str().unwrap();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for command in [
        "config check --listen 127.0.0.1:0 --data",
        "config check --json --listen 127.0.0.1:0 --data",
        "campaign list --data",
        "health --data",
        "config docs --json",
        "--help",
    ] {
        let mut asked = cupel();
        asked.args(command.split(' ')).stdout(full());
        if command.ends_with("--data") {
            asked.arg(data);
        }
        let done = asked.stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(74), "{command}: {err}");
    }
    // Nobody hears why, but the exit code stays what it is.
    let mut deaf = cupel();
    let deaf = deaf.args(["campaign", "show", "4711", "--data", data]);
    let done = deaf.stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(done.code(), Some(66));
}

#[test]
fn a_terminal_obeys_nothing_that_an_error_repeats() {
    let (code, _, err) = run(cupel().args(["campaign", "list", "--data", "no\u{1b}[2Jwhere"]));
    assert_eq!(code, 78, "{err}");
    assert!(!err.contains('\u{1b}') && err.contains("[2J"), "{err:?}");
}

#[test]
fn a_terminal_obeys_nothing_that_a_server_elsewhere_says() {
    let own = tempfile::tempdir().unwrap();
    let key = own.path().join("key");
    fs::write(&key, "cpl_x").unwrap();
    let evil = "\u{1b}]0;evil\u{7}\u{202e}.5";
    let keys = json!({"keys": [{"id": evil, "name": evil, "created_at": evil, "scope": [evil]}]});
    let reloaded = json!({"changed": [evil], "restart": [evil]});
    for (command, body) in [
        ("keys list", keys),
        ("keys create --name n --scope read", json!({"key": evil})),
        ("config reload", reloaded),
        ("campaign show 1", json!({"created_at": evil})),
    ] {
        let url = answer_once(body.to_string(), || ());
        let (code, out, err) = run(cupel()
            .args(command.split(' '))
            .args(["--server", &url, "--key-file"])
            .arg(&key));
        assert_eq!(code, 0, "{command}: {err}");
        assert!(
            out.contains("evil") && !out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{command}: {out:?}"
        );
    }
}
