//! History judged again by the command, which sees the server and not its store.

use reqwest::Method;
use serde_json::{Value, json};

use super::{people, strict};
use crate::events::server;
use crate::harness::{cupel, run};

#[test]
fn the_command_shows_what_would_change_then_changes_it() {
    let server = server();
    people(&server);
    server.post("/rulesets", json!({"text": strict()}));
    let rejudge = |words: &[&str]| {
        let mut command = cupel();
        command.arg("rejudge").args(words);
        run(command.arg("--data").arg(&server.data))
    };
    let (code, printed, err) = rejudge(&["--ruleset", "strict", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        printed.contains("by strict@3, 2 of 4 hits would be of another class"),
        "{printed}"
    );
    let (code, _, err) = rejudge(&["--ruleset", "strict"]);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("cupel ruleset use strict"), "{err}");
    server.api(Method::POST, "/rulesets/strict/use", None);
    let (code, printed, err) = rejudge(&["--ruleset", "strict"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        printed.ends_with("2 hits have another class now\n"),
        "{printed}"
    );
    let (code, printed, err) = rejudge(&["--json"]);
    assert_eq!(code, 0, "{err}");
    let would: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&would["changed"], &would["state"]),
        (&json!(0), &json!("done"))
    );
    let (code, _, err) = rejudge(&["--campaign", "99"]);
    assert_eq!(code, 66, "{err}");
}
