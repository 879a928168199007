//! Every line of the README's tour, run as it stands there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::{Server, run};

/// The README's blocks of shell that are marked `tour`.
fn tour() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let blocks = text.split("```sh tour\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2, "the tour and the short link");
    blocks.concat()
}

#[test]
fn the_tour_does_what_the_readme_says() {
    let server = Server::new();
    let place = tempfile::tempdir().unwrap();
    let bin = place.path().join("target/release");
    fs::create_dir_all(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_cupel"), bin.join("cupel")).unwrap();
    symlink(&server.data, place.path().join("data")).unwrap();
    let script = tour()
        .replace("http://127.0.0.1:8080", &server.public)
        .replace("http://127.0.0.1:8081", &server.control);
    let (code, out, err) = run(std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
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
    let stats = server.stats(1);
    for (kind, total) in [
        ("opens", 1),
        ("clicks", 1),
        ("pages", 1),
        ("presses", 1),
        ("unsubscribes", 1),
    ] {
        assert_eq!(stats["raw"][kind]["total"], total, "{kind}: {stats}");
    }
    assert_eq!(stats["human"]["clicks"]["total"], 0, "curl is a robot");
}
