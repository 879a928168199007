//! What commands say of themselves: help, completions, manual pages, and what they refuse.
//!
//! Snapshots lie in `tests/cmd`; `TRYCMD=overwrite cargo test --test api snapshots` writes them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::harness::{cupel, run};

/// Every call of the API and the command that makes it.
const CALLS: &[(&str, &str)] = &[
    ("POST /campaigns", "campaign create"),
    ("GET /campaigns", "campaign list"),
    ("GET /campaigns/{id}", "campaign show"),
    ("PATCH /campaigns/{id}", "campaign edit"),
    ("POST /campaigns/{id}/archive", "campaign archive"),
    ("POST /campaigns/{id}/links", "link create"),
    ("GET /campaigns/{id}/links", "link list"),
    ("GET /campaigns/{id}/links/{number}", "link show"),
    ("PATCH /campaigns/{id}/links/{number}", "link edit"),
    (
        "POST /campaigns/{id}/links/{number}/disable",
        "link disable",
    ),
    ("POST /campaigns/{id}/rewrite", "rewrite"),
    ("POST /campaigns/{id}/mint", "mint"),
    ("POST /campaigns/{id}/numbers", "numbers lease"),
    ("GET /campaigns/{id}/stats", "stats"),
    ("POST /short-links", "short create"),
    ("GET /short-links", "short list"),
    ("GET /short-links/{code}", "short show"),
    ("PATCH /short-links/{code}", "short edit"),
    ("POST /short-links/{code}/disable", "short disable"),
    ("GET /short-links/{code}/stats", "short stats"),
    ("GET /events", "events list"),
    ("GET /events/{id}", "events show"),
    ("GET /events/{id}/explain", "explain"),
    ("POST /deliveries", "deliveries send"),
    ("POST /rulesets", "ruleset add"),
    ("GET /rulesets", "ruleset list"),
    ("GET /rulesets/{name}", "ruleset print"),
    ("POST /rulesets/{name}/use", "ruleset use"),
    ("POST /rulesets/{name}/shadow", "ruleset shadow"),
    ("POST /rulesets/{name}/shadow/stop", "ruleset shadow"),
    ("POST /rejudgements", "rejudge"),
    ("GET /rejudgements", "rejudgements list"),
    ("GET /rejudgements/{id}", "rejudgements show"),
    ("POST /rejudgements/{id}/stop", "rejudgements stop"),
    ("GET /calibration", "calibrate"),
    ("GET /config", "config show"),
    ("POST /config/reload", "config reload"),
    ("POST /probes", "doctor"),
    ("GET /probes/{token}", "doctor"),
    ("POST /keys", "keys create"),
    ("GET /keys", "keys list"),
    ("POST /keys/{id}/revoke", "keys withdraw"),
    ("GET /nodes", "nodes list"),
    ("POST /nodes/{id}/forget", "nodes forget"),
    ("GET /key-ring", "keys ring"),
    ("POST /key-ring/rotate", "keys rotate"),
    ("PATCH /key-ring/{id}", "keys retire"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every command that runs something, by its words.
fn leaves() -> Vec<(String, clap::Command)> {
    fn walk(words: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        let mut leaf = true;
        for below in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            leaf = false;
            let words = format!("{words} {}", below.get_name());
            walk(words.trim_start(), below, found);
        }
        if leaf {
            found.push((words.to_owned(), command.clone()));
        }
    }
    let mut found = Vec::new();
    walk("", &cupel::cli::command(), &mut found);
    assert!(found.len() > 30);
    found
}

#[test]
fn every_command_has_an_example() {
    for (words, mut command) in leaves() {
        let help = command.render_long_help().to_string();
        let example = format!("Example: cupel {words}");
        assert!(help.contains(&example), "no {example:?} in\n{help}");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{words}: {} says nothing",
                argument.get_id()
            );
        }
    }
}

#[test]
fn every_call_of_the_api_has_a_command() {
    let routes = fs::read_to_string(root().join("src/web/api/mod.rs")).unwrap();
    let mut known = BTreeSet::new();
    for route in routes.split("at(\"").skip(1) {
        let (path, rest) = route.split_once("\")").unwrap();
        let methods = rest.split("at(\"").next().unwrap();
        for method in ["get", "post", "patch", "put", "delete"] {
            if methods.contains(&format!("{method}().to(")) {
                known.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let listed: BTreeSet<_> = CALLS.iter().map(|(call, _)| (*call).to_owned()).collect();
    assert_eq!(known, listed);
    let commands: BTreeSet<_> = leaves().into_iter().map(|(words, _)| words).collect();
    for (call, command) in CALLS {
        assert!(commands.contains(*command), "{call}: no command {command}");
    }
}

#[test]
fn shells_complete_and_manual_pages_are_whole() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = run(cupel().args(["completions", shell]));
        assert_eq!((code, err.as_str()), (0, ""));
        for word in ["campaign", "skip-bad", "key-file"] {
            assert!(out.contains(word), "{shell} does not complete {word}");
        }
    }
    let own = tempfile::tempdir().unwrap();
    let pages = own.path().join("man1");
    let (code, out, err) = run(cupel().args(["man", "--out"]).arg(&pages));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    for (words, _) in leaves() {
        let page = pages.join(format!("cupel-{}.1", words.replace(' ', "-")));
        let text = fs::read_to_string(&page).unwrap_or_else(|_| panic!("no {}", page.display()));
        assert!(text.contains("Example: cupel"), "{}", page.display());
    }
    let (code, out, _) = run(cupel().arg("man"));
    assert!(code == 0 && out.contains(".TH cupel 1"), "{out}");
    let file = own.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, _, err) = run(cupel().args(["man", "--out"]).arg(file.join("below")));
    assert!(code == 73 && err.lines().count() == 1, "{err}");
}

/// The binary without what this shell sets for it.
fn bare(place: &Path) -> PathBuf {
    let path = place.join("cupel");
    let unset =
        "for name in $(env | sed -n 's/^\\(CUPEL_[A-Z_]*\\)=.*/\\1/p'); do unset $name; done";
    let real = env!("CARGO_BIN_EXE_cupel");
    fs::write(&path, format!("#!/bin/sh\n{unset}\nexec {real} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn snapshots() {
    let own = tempfile::tempdir().unwrap();
    let help = fs::read_to_string(root().join("tests/cmd/help.trycmd")).unwrap();
    for (words, _) in leaves() {
        assert!(
            help.contains(&format!("$ cupel {words} --help\n")),
            "no snapshot of {words}"
        );
    }
    trycmd::TestCases::new()
        .register_bin("cupel", bare(own.path()).as_path())
        .case("tests/cmd/*.trycmd");
}
