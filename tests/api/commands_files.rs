//! Files that commands write: nothing that is there is lost, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::commands_mint::{mint, plain, server};
use crate::harness::{Server, answer_once, cupel, run};

const INPUT: &str = "id,name\n1,Anna\n,Bob\n3,Cleo\n";
const BAD: &str = "id,name,cupel_error\n,Bob,line 3: the id is empty\n";

/// A directory with an input.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join("in.csv"), INPUT).unwrap();
        Self(own)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The same, with tokens and tags replaced.
    fn plain(&self, name: &str) -> String {
        String::from_utf8(plain(self.read(name).as_bytes())).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let all = fs::read_dir(self.0.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = all
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Exit code and standard error of minting `in.csv`, in this directory.
    fn mint(&self, server: &Server, args: &str) -> (i32, String) {
        let mut command = mint(server, &args.split(' ').collect::<Vec<_>>());
        let (code, _, err) = run(command.arg("in.csv").current_dir(self.0.path()));
        (code, err)
    }
}

#[test]
fn minting_overwrites_nothing() {
    let server = server();
    let files = Files::new();
    fs::hard_link(files.path("in.csv"), files.path("twin.csv")).unwrap();
    std::os::unix::fs::symlink("in.csv", files.path("link.csv")).unwrap();
    fs::write(files.path("mine.csv"), "mine\n").unwrap();
    let there = files.names();
    for (args, says) in [
        ("--out o --skip-bad in.csv", "File exists"),
        ("--out o --skip-bad twin.csv", "File exists"),
        ("--out o --skip-bad link.csv", "File exists"),
        (
            "--out o --skip-bad mine.csv",
            "name another with --skip-bad",
        ),
        ("--out o --skip-bad ./o", "File exists"),
        ("--out mine.csv --skip-bad bad", "go on with it by --resume"),
        (
            "--out o --resume --skip-bad in.csv",
            "is the file that is read",
        ),
        (
            "--out o --resume --skip-bad link.csv",
            "is the file that is read",
        ),
        (
            "--out o --resume --skip-bad twin.csv",
            "is the file that is read",
        ),
        (
            "--out o --resume --skip-bad mine.csv",
            "holds no rows that were put apart",
        ),
        (
            "--out o --resume --skip-bad ./o",
            "is where the merged CSV goes",
        ),
        ("--out link.csv --resume", "is the file that is read"),
        (
            "--skip-rows 1 --no-header --skip-bad mine.csv",
            "holds no rows that were",
        ),
        ("--out /dev/null", "is no file"),
        ("--skip-bad -", "--skip-bad needs a file"),
        ("--out - --resume", "--resume needs a file"),
        ("--out o --no-header", "--out goes on by --resume"),
        ("--out o --skip-rows 1", "--out goes on by --resume"),
    ] {
        let (code, err) = files.mint(&server, args);
        assert!(matches!(code, 64 | 65 | 73), "{args}: {code} {err}");
        assert!(err.lines().last().unwrap().contains(says), "{args}: {err}");
        assert_eq!(files.read("in.csv"), INPUT, "{args}");
        assert_eq!(files.read("mine.csv"), "mine\n", "{args}");
        assert_eq!(files.names(), there, "{args}");
    }
    // One line without a header looks like the beginning of a row.
    let args = "--header no --id-column 1 --out mine.csv --resume";
    let (code, err) = files.mint(&server, args);
    assert!(
        code == 65 && err.contains("its only row is not whole"),
        "{err}"
    );
    assert_eq!(files.read("mine.csv"), "mine\n");
    // Who reads tokens may act for recipients.
    assert_eq!(files.mint(&server, "--out new.csv --skip-bad bad.csv").0, 0);
    for name in ["new.csv", "bad.csv"] {
        let mode = fs::metadata(files.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn bad_rows_go_into_a_new_file_or_a_stream_and_anew_where_a_merge_goes_on() {
    let server = server();
    let files = Files::new();
    let (code, err) = files.mint(&server, "-o o --skip-bad bad.csv");
    assert_eq!((code, files.read("bad.csv").as_str()), (0, BAD), "{err}");
    let whole = files.read("o");
    let begun = whole.find("3,Cleo").unwrap();
    fs::write(files.path("o"), &whole[..begun]).unwrap();
    let (code, err) = files.mint(&server, "-o o --resume --skip-bad bad.csv");
    assert_eq!((code, files.read("bad.csv").as_str()), (0, BAD), "{err}");
    let merged = files.plain("o");
    assert!(
        merged.ends_with("\n1,Anna,MESSAGE,TOKEN,TAG,TAG\n3,Cleo,MESSAGE,TOKEN,TAG,TAG\n"),
        "{merged}"
    );

    // What does not go on leaves the bad rows of what did as they were.
    let other = INPUT.replace("Cleo", "Carla");
    fs::write(files.path("in.csv"), other).unwrap();
    let there = files.names();
    let (code, err) = files.mint(&server, "-o o --resume --skip-bad bad.csv");
    assert!(
        code == 65 && err.contains("not what the output has"),
        "{err}"
    );
    assert_eq!(
        (files.read("bad.csv").as_str(), files.names()),
        (BAD, there)
    );
    fs::write(files.path("in.csv"), INPUT).unwrap();

    let (code, err) = files.mint(&server, "-o - --skip-bad /dev/null");
    assert!(code == 0 && err.contains("put 1 apart"), "{err}");
    let pipe = files.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reading = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
    let (code, err) = files.mint(&server, "--skip-bad pipe");
    assert_eq!((code, reading.join().unwrap().as_str()), (0, BAD), "{err}");
}

#[test]
fn a_merge_goes_on_with_its_own_campaign_only() {
    let server = server();
    let other = server.campaign();
    server.link(
        other,
        serde_json::json!({"url": "https://a.example/ok", "kind": "action"}),
    );
    let files = Files::new();
    fs::write(files.path("in.csv"), "id\n1\n2\n").unwrap();
    assert_eq!(files.mint(&server, "-q -o o").0, 0);
    let whole = files.read("o");
    let resume = |campaign: u64| {
        let mut command = cupel();
        command.args(["mint", "in.csv", "-o", "o", "--resume", "--campaign"]);
        command
            .arg(campaign.to_string())
            .arg("--data")
            .arg(&server.data);
        run(command.current_dir(files.0.path()))
    };
    let (code, _, err) = resume(other);
    assert!(
        code == 65 && err.contains(&format!("o: its rows are of campaign 1, not {other}")),
        "{err}"
    );
    assert_eq!(files.read("o"), whole);
    assert_eq!(resume(1).0, 0);
}

#[test]
fn a_template_is_written_whole_to_a_new_file_or_in_place_of_one_that_is_named() {
    let server = server();
    let files = Files::new();
    let template = "<a href=\"https://new.example/\">x</a>";
    fs::write(files.path("t.html"), template).unwrap();
    let rewrite = |args: &str| {
        let mut command = cupel();
        command.args([
            "rewrite",
            "t.html",
            "--campaign",
            "1",
            "--no-pixel",
            "--data",
        ]);
        command.arg(&server.data).args(args.split(' '));
        run(command.current_dir(files.0.path()))
    };
    let (code, out, err) = rewrite("-o t.html");
    assert_eq!(
        (code, out.as_str(), err.lines().count()),
        (73, "", 1),
        "{err}"
    );
    assert!(
        err.contains("t.html is there already; replace it with --force"),
        "{err}"
    );
    assert_eq!(files.read("t.html"), template);
    let links = server.read("/campaigns/1/links");
    assert_eq!(
        links["links"].as_array().unwrap().len(),
        1,
        "nothing was registered"
    );

    let (code, tracked, _) = rewrite("-o -");
    assert!(
        code == 0 && tracked.contains("{{cupel_token}}"),
        "{tracked}"
    );
    assert_eq!(rewrite("-o tracked.html").0, 0);
    assert_eq!(files.read("tracked.html"), tracked);
    fs::write(files.path("tracked.html"), "old").unwrap();
    std::os::unix::fs::symlink("tracked.html", files.path("link.html")).unwrap();
    assert_eq!(rewrite("-o link.html --force").0, 0);
    assert_eq!(files.read("tracked.html"), tracked);
    assert_eq!(
        files.names(),
        ["in.csv", "link.html", "t.html", "tracked.html"]
    );
    let (code, _, err) = rewrite("-o nowhere/t.html");
    assert!(
        code == 73 && err.contains("cannot make nowhere/t.html"),
        "{err}"
    );
    let late = files.path("late.html");
    let came = late.clone();
    let body = r#"{"html": "<a>", "links": [], "columns": [], "left_alone": []}"#.to_owned();
    let url = answer_once(body, move || fs::write(came, "precious").unwrap());
    fs::write(files.path("key"), "cpl_x").unwrap();
    let elsewhere = ["--server", &url, "--key-file", "key"];
    let (code, _, err) = run(cupel()
        .args(["rewrite", "--campaign", "1", "t.html", "-o", "late.html"])
        .args(elsewhere)
        .current_dir(files.0.path()));
    assert!(code == 73 && err.contains("--force"), "{err}");
    assert_eq!(
        files.read("late.html"),
        "precious",
        "what came meanwhile stays"
    );
    assert!(!files.names().iter().any(|name| name.ends_with(".part")));
    if Path::new("/dev/full").exists() {
        let (code, _, err) = rewrite("-o /dev/full");
        assert!(code == 74 && err.contains("No space left"), "{err}");
    }
}
