//! Holds the tree to what STYLE and ARCHITECTURE promise: sizes, names, directions.

#![allow(
    clippy::unwrap_used,
    reason = "a test that is surprised should fail there and then"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const LINE_CHARS_MAX: usize = 100;
const ARCHITECTURE_LINES_MAX: usize = 150;
const BANNED: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "types",
];

/// Which rooms a room may use. Everything may use itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("shutdown", &[]),
    ("whole_file", &[]),
    ("telemetry", &[]),
    ("config", &["domain", "journal", "telemetry"]),
    ("judge", &["domain", "network"]),
    ("network", &["domain"]),
    ("rewrite", &["domain"]),
    ("resolve", &["domain", "whole_file"]),
    ("journal", &["domain"]),
    ("store", &["domain", "journal"]),
    ("stats", &["domain", "judge", "store"]),
    (
        "settle",
        &["domain", "journal", "judge", "store", "whole_file"],
    ),
    (
        "web",
        &[
            "clock",
            "config",
            "domain",
            "journal",
            "judge",
            "network",
            "resolve",
            "rewrite",
            "stats",
            "store",
            "telemetry",
        ],
    ),
    (
        "listen",
        &["config", "domain", "shutdown", "web", "whole_file"],
    ),
    (
        "cli",
        &[
            "app",
            "clock",
            "config",
            "domain",
            "journal",
            "judge",
            "listen",
            "network",
            "resolve",
            "settle",
            "shutdown",
            "stats",
            "store",
            "telemetry",
            "web",
        ],
    ),
    (
        "app",
        &[
            "clock",
            "config",
            "domain",
            "journal",
            "judge",
            "listen",
            "network",
            "resolve",
            "settle",
            "shutdown",
            "store",
            "web",
            "whole_file",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(under: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} under {under}");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The room a file of `src` belongs to.
fn room(path: &Path) -> String {
    let path = name(path);
    let first = path.trim_start_matches("src/").split('/').next().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn files_and_lines_are_short() {
    let mut long = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            long.push(format!("{}: {lines} lines", name(&path)));
        }
        for (at, line) in text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                long.push(format!(
                    "{}:{}: {} characters",
                    name(&path),
                    at + 1,
                    line.len()
                ));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn rooms_have_meaningful_names_and_begin_with_what_they_own() {
    for path in files("src", "rs") {
        let named = name(&path);
        for part in named.split(['/', '.']) {
            assert!(!BANNED.contains(&part), "{named}: {part} says nothing");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{named} begins without saying what it is"
        );
        assert!(
            !text.contains("#[allow("),
            "{named}: use #[expect(…, reason)]"
        );
    }
}

#[test]
fn rooms_depend_one_way() {
    let mut wrong = Vec::new();
    let mut rooms = BTreeSet::new();
    for path in files("src", "rs") {
        let room = room(&path);
        if matches!(room.as_str(), "main" | "lib") {
            continue;
        }
        rooms.insert(room.clone());
        let allowed = MAY_USE.iter().find(|(name, _)| *name == room);
        let allowed = allowed
            .unwrap_or_else(|| panic!("{room} is a new room: draw it into the map"))
            .1;
        let text = fs::read_to_string(&path).unwrap();
        for used in text.split("crate::").skip(1) {
            let used: String = used
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", name(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let drawn: BTreeSet<_> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rooms, drawn, "the map shows the rooms that there are");
}

#[test]
fn only_the_store_speaks_sql_and_only_the_web_status_codes() {
    for path in files("src", "rs") {
        let (room, text) = (room(&path), fs::read_to_string(&path).unwrap());
        let speaks = |word: &str| text.contains(word);
        if room != "store" {
            let sql = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM"];
            let found = sql.iter().find(|word| speaks(word));
            assert!(found.is_none(), "{}: {found:?}", name(&path));
        }
        if room != "web" {
            assert!(!speaks("StatusCode"), "{} knows status codes", name(&path));
        }
    }
}

#[test]
fn only_the_app_spawns() {
    for path in files("src", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let spawns = [
            "rt::spawn(",
            "tokio::spawn(",
            "thread::spawn(",
            "thread::Builder",
        ];
        let found = spawns.iter().find(|word| text.contains(**word));
        let in_tests = name(&path).contains("tests");
        let may = room(&path) == "app" || in_tests;
        assert!(may || found.is_none(), "{}: {found:?}", name(&path));
    }
}

#[test]
fn only_one_file_is_unsafe() {
    for path in files("src", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let uses = code.filter(|line| line.contains("unsafe")).count();
        let may = name(&path) == "src/journal/mapped.rs";
        assert!(may || uses == 0, "{} is unsafe", name(&path));
    }
}

#[test]
fn architecture_is_short_and_names_every_room() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= ARCHITECTURE_LINES_MAX);
    for (room, _) in MAY_USE {
        assert!(
            text.contains(&format!("`{room}")),
            "ARCHITECTURE.md does not name {room}"
        );
    }
}

#[test]
fn nothing_leads_to_a_machine_or_a_registry() {
    let tracked = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(tracked.stdout).unwrap();
    for file in listed
        .split('\0')
        .filter(|file| !file.is_empty() && *file != "Cargo.lock")
    {
        let Ok(text) = fs::read_to_string(root().join(file)) else {
            continue;
        };
        let registry = ["registry", ".npm", "js"].concat();
        let machine = ["/", "work/"].concat();
        for trace in [registry.as_str(), machine.as_str()] {
            assert!(!text.contains(trace), "{file} names {trace}");
        }
    }
}

/// Licences under which we link.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
];

/// Whether an SPDX expression leaves us a choice that we may take.
fn is_allowed(expression: &str) -> bool {
    let choices = expression.replace('/', " OR ").replace(['(', ')'], "");
    choices.split(" OR ").any(|choice| {
        choice
            .split(" AND ")
            .all(|licence| LICENCES.contains(&licence.trim()))
    })
}

#[test]
fn everything_that_is_linked_may_be() {
    let done = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none named");
        assert!(is_allowed(licence), "{}: {licence}", package["name"]);
    }
}
