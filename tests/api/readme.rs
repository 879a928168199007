//! From an empty directory to counted hits, by what the README says and nothing else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{cupel, run};

/// From nothing to the first counted click, after the build.
const SECONDS_MAX: &str = "60";

/// The README's blocks of shell with this mark.
fn blocks(mark: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let fence = format!("```sh {mark}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Whatever a test ends with, its server ends too.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Serves as a line of the README says, on ports of the system's choice: server, public and
/// control URL.
fn serve(line: &str, place: &Path) -> (Serving, String, String) {
    // Without the environment of whoever tests.
    let clean = cupel();
    let removed = clean.get_envs().map(|(name, _)| name.to_owned());
    let mut command = Command::new("bash");
    removed.for_each(|name| {
        command.env_remove(name);
    });
    let mut child = command
        .args(["-c", &format!("exec {line}")])
        .envs([
            ("CUPEL_LISTEN", "127.0.0.1:0"),
            ("CUPEL_CONTROL", "127.0.0.1:0"),
        ])
        .current_dir(place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let serving = Serving(child);
    let (mut public, mut control) = (String::new(), String::new());
    for line in lines.by_ref().map_while(Result::ok) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["public", url, ..] => public = url.to_owned(),
            ["control", url] => control = url.trim_end_matches("/api/v1").to_owned(),
            ["ready"] => break,
            _ => {}
        }
    }
    std::thread::spawn(move || lines.count());
    assert!(
        !public.is_empty() && !control.is_empty(),
        "{line} does not serve"
    );
    (serving, public, control)
}

#[test]
fn the_readme_leads_from_an_empty_directory_to_counted_hits() {
    let place = tempfile::tempdir().unwrap();
    // What its `cargo build` leaves.
    let bin = place.path().join("target/release");
    fs::create_dir_all(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_cupel"), bin.join("cupel")).unwrap();
    let install = blocks("cargo").concat();
    let (serving, public, control) = serve(install.lines().last().unwrap(), place.path());
    let tour = blocks("tour");
    assert_eq!(tour.len(), 2, "the tour and the short link");
    let counted = "call $API/campaigns/$C/stats | jq -c '[.raw.opens.total, .raw.clicks.total,
        .raw.pages.total, .raw.presses.total, .raw.unsubscribes.total, .human.clicks.total]'";
    let script = [
        blocks("cargo-key").concat(),
        tour.concat(),
        counted.to_owned(),
    ]
    .concat();
    let script = script
        .replace("http://127.0.0.1:8080", &public)
        .replace("http://127.0.0.1:8081", &control);
    let (code, out, err) = run(Command::new("timeout")
        .args([SECONDS_MAX, "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(place.path()));
    assert_eq!(code, 0, "{out}\n{err}");
    for seen in [
        "\"number\": 1",
        "/c/{{cupel_token}}/3",
        "/u/{{cupel_token}}/{{cupel_act_0}}/0",
        "/a/{{cupel_token}}/{{cupel_act_1}}/1",
        "location: https://example.com/sale",
        "HTTP/1.1 303 See Other",
        "location: https://example.com/confirm",
        "unsubscribed",
        "\"class\": \"bot\"",
        "\"name\": \"ua.library\"",
        "\"code\": \"summer\"",
        "location: https://example.com/summer",
    ] {
        assert!(out.contains(seen), "no {seen} in\n{out}");
    }
    // Each once, and none of the clicks by a person: curl is a robot.
    assert_eq!(out.lines().last(), Some("[1,1,1,1,1,0]"), "{out}");
    drop(serving);
}

#[test]
fn every_way_to_install_says_how_to_get_a_key() {
    for way in ["cargo", "static", "deb", "oci"] {
        assert_eq!(blocks(way).len(), 1, "{way}");
        let key = blocks(&format!("{way}-key")).concat();
        let made = key.starts_with("KEY=$(") && key.contains("keys create");
        assert!(made && key.lines().count() == 1, "{way}: {key}");
    }
}
