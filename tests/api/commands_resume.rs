//! `cupel mint` broken off, by a kill or an interruption, and gone on with.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use serde_json::{Value, json};

use crate::commands_mint::{mint, plain, server};
use crate::harness::{PATIENCE, eventually, run};

/// Each row once, in order, with tokens of its own.
fn check_whole(path: &Path, rows: u64) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut tokens = HashSet::new();
    let mut number = 0;
    for row in reader.records() {
        let row = row.unwrap();
        assert_eq!(row[0], format!("u{number}"));
        assert_eq!((row.len(), row[3].len(), row[5].len()), (6, 48, 16));
        assert!(tokens.insert(row[3].to_owned()), "a token twice");
        number += 1;
    }
    assert_eq!(number, rows);
}

#[test]
fn a_hundred_thousand_rows_survive_a_kill_and_go_on() {
    const ROWS: u64 = 100_000;
    let server = server();
    let own = tempfile::tempdir().unwrap();
    let (input, out) = (own.path().join("in.csv"), own.path().join("out.csv"));
    let rows: String = (0..ROWS)
        .map(|row| format!("u{row},\"Doe, {row}\"\n"))
        .collect();
    fs::write(&input, format!("id,name\n{rows}")).unwrap();
    let into = ["--out", out.to_str().unwrap(), input.to_str().unwrap()];
    let mut killed = mint(&server, &into).stderr(Stdio::null()).spawn().unwrap();
    let size = || fs::metadata(&out).map_or(0, |about| about.len());
    eventually("some rows", size, |bytes| *bytes > 2_000_000);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = fs::read(&out).unwrap();
    // The last row in half, as a kill between two writes leaves it.
    let torn = before.len() - 7;
    fs::OpenOptions::new()
        .write(true)
        .open(&out)
        .unwrap()
        .set_len(torn as u64)
        .unwrap();
    let (code, _, err) = run(&mut mint(&server, &into));
    assert!(
        code == 73 && err.contains("go on with it by --resume"),
        "{err}"
    );
    let (code, said, err) = run(mint(&server, &into).args(["--resume", "--json"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&said).unwrap();
    let (rows, skipped) = (
        said["rows"].as_u64().unwrap(),
        said["skipped"].as_u64().unwrap(),
    );
    assert_eq!(rows + skipped, ROWS);
    assert!(skipped > 10_000, "{said}");
    check_whole(&out, ROWS);
    let after = fs::read(&out).unwrap();
    let kept = before[..torn]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap();
    assert_eq!(
        after[..kept],
        before[..kept],
        "rows already out keep their tokens"
    );
    let (code, said, _) = run(mint(&server, &into).args(["--resume", "--json"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &said["rows"], &said["skipped"]),
        (0, &json!(0), &json!(ROWS))
    );
}

#[test]
fn only_a_file_of_this_input_is_gone_on_with() {
    let server = server();
    let own = tempfile::tempdir().unwrap();
    let path = |name: &str| own.path().join(name).display().to_string();
    fs::write(path("in.csv"), "id,name\r\n1,\"a\r\nb\"\r\n2,c\r\n").unwrap();
    let resume = || {
        run(&mut mint(
            &server,
            &["--resume", "--out", &path("out.csv"), &path("in.csv")],
        ))
    };
    assert_eq!(resume().0, 0, "there may be no file yet");
    let whole = fs::read(path("out.csv")).unwrap();
    // Wherever it is cut, the rest comes back, and what was whole stays.
    for cut in 0..whole.len() {
        fs::write(path("out.csv"), &whole[..cut]).unwrap();
        let (code, _, err) = resume();
        assert_eq!(code, 0, "cut at {cut}: {err}");
        let again = fs::read(path("out.csv")).unwrap();
        assert_eq!(plain(&again), plain(&whole), "cut at {cut}");
        let rows = plain(&whole[..cut]);
        let kept = rows
            .windows(6)
            .rposition(|end| end == b",TAG\r\n")
            .map(|_| {
                whole[..cut]
                    .windows(2)
                    .rposition(|end| end == b"\r\n")
                    .unwrap()
            });
        let second = whole
            .windows(4)
            .position(|begin| begin == b"\r\n2,")
            .unwrap();
        if kept.is_some_and(|kept| kept >= second) {
            assert_eq!(again[..second], whole[..second], "cut at {cut}");
        }
    }
    for (file, says) in [
        ("id,other\r\n", "another header"),
        (
            "id,name,cupel_message,cupel_token,cupel_act_0,cupel_act_1\r\n1,x\r\n2,c\r\n",
            "row 1 is not whole",
        ),
    ] {
        fs::write(path("out.csv"), file).unwrap();
        let (code, _, err) = resume();
        assert!(code == 65 && err.contains(says), "{file}: {err}");
        assert_eq!(
            fs::read_to_string(path("out.csv")).unwrap(),
            file,
            "nothing was changed"
        );
    }
    fs::write(path("out.csv"), &whole).unwrap();
    for (input, says) in [
        (
            "id,name\r\n9,z\r\n8,y\r\n",
            "row 2 is not what the output has there",
        ),
        ("id,name\r\n1,z\r\n", "ends before row 2"),
    ] {
        fs::write(path("in.csv"), input).unwrap();
        let (code, _, err) = resume();
        assert!(code == 65 && err.contains(says), "{input}: {err}");
    }
}

#[test]
fn an_interruption_says_how_to_go_on() {
    let server = server();
    let mut child = mint(&server, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let rows = |range: std::ops::Range<u32>| -> String {
        range.map(|row| format!("u{row},x\n")).collect()
    };
    let input = format!("id,name\n{}", rows(0..22_000));
    let writing = std::thread::spawn(move || {
        // It may leave before it has read all.
        let _heard = stdin.write_all(input.as_bytes());
        stdin
    });
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (say, first_row) = sync_channel(1);
    let reading = std::thread::spawn(move || {
        let mut whole = String::new();
        for _ in 0..2 {
            out.read_line(&mut whole).unwrap();
        }
        say.send(()).unwrap();
        out.read_to_string(&mut whole).unwrap();
        whole
    });
    first_row.recv_timeout(PATIENCE).unwrap();
    let asked = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    drop(writing.join().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let (_, go_on) = said.trim_end().rsplit_once("go on with ").unwrap();
    let whole = reading.join().unwrap();
    let written = whole.lines().count() - 1;
    assert_eq!(go_on, format!("--skip-rows {written} --no-header"));
    let own = tempfile::tempdir().unwrap();
    fs::write(
        own.path().join("in.csv"),
        format!("id,name\n{}", rows(0..22_000)),
    )
    .unwrap();
    let mut more = mint(&server, &go_on.split(' ').collect::<Vec<_>>());
    let (code, rest, err) = run(more.arg(own.path().join("in.csv")));
    assert_eq!(code, 0, "{err}");
    fs::write(own.path().join("out.csv"), whole + &rest).unwrap();
    check_whole(&own.path().join("out.csv"), 22_000);
}
