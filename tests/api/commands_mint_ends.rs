//! How `cupel mint` ends when somebody leaves: its reader, its server, whoever started it. And what
//! it says when nothing is minted, or nothing is to be said.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::{Value, json};

use crate::commands_mint::{mint, server};
use crate::commands_reach::Place;
use crate::harness::{PATIENCE, Server};

fn started(server: &Server, args: &[&str]) -> Child {
    mint(server, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn rows(range: std::ops::Range<u32>) -> String {
    range.map(|row| format!("u{row},x\n")).collect()
}

/// Lines of standard error, as they come.
fn said(child: &mut Child) -> Receiver<String> {
    let (say, heard) = sync_channel(100);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            say.send(line).unwrap();
        }
    });
    heard
}

fn until(heard: &Receiver<String>, what: &str) -> String {
    loop {
        let line = heard.recv_timeout(PATIENCE).unwrap();
        if line.contains(what) {
            return line;
        }
    }
}

#[test]
fn a_reader_who_leaves_does_not_make_a_merge_whole() {
    let server = server();
    let mut child = started(&server, &[]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        // It leaves before it has read all.
        let _heard = write!(stdin, "id,name\n{}", rows(0..50_000));
    });
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    writing.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(74), "{err}");
    let last = err.lines().last().unwrap();
    assert!(
        last.starts_with("cupel: standard output: its reader has left; at most 2,000 rows are out")
            && last.ends_with("go on with --skip-rows COUNT --no-header"),
        "{last}"
    );
}

#[test]
fn while_the_server_is_away_it_is_asked_again_until_somebody_interrupts() {
    let mut server = server();
    let mut child = started(&server, &[]);
    let heard = said(&mut child);
    let mut stdin = child.stdin.take().unwrap();
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
    write!(stdin, "id,name\n{}", rows(0..20_000)).unwrap();
    first_row.recv_timeout(PATIENCE).unwrap();
    server.stop();
    let writing = std::thread::spawn(move || {
        // It may leave before it has read all.
        let _heard = write!(stdin, "{}", rows(20_000..40_000));
        stdin
    });
    let line = until(&heard, "the server is away");
    assert!(line.ends_with("trying again for 30 s"), "{line}");
    let asked = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let line = until(&heard, "interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(writing.join().unwrap());
    let written = reading.join().unwrap().lines().count() - 1;
    assert!(
        line.ends_with(&format!("go on with --skip-rows {written} --no-header")),
        "{written}: {line}"
    );
}

#[test]
fn a_server_that_comes_back_is_gone_on_with() {
    let mut server = server();
    let own = tempfile::tempdir().unwrap();
    let out = own.path().join("out.csv");
    let mut child = started(&server, &["-o", out.to_str().unwrap()]);
    let heard = said(&mut child);
    let mut stdin = child.stdin.take().unwrap();
    write!(stdin, "id,name\n{}", rows(0..20_000)).unwrap();
    until(&heard, "adding: ");
    server.stop();
    let writing = std::thread::spawn(move || {
        write!(stdin, "{}", rows(20_000..40_000)).unwrap();
    });
    until(&heard, "the server is away");
    server.revive();
    writing.join().unwrap();
    until(&heard, "minted 40,000 rows");
    assert!(child.wait().unwrap().success());
    let merged = fs::read_to_string(out).unwrap();
    assert_eq!(merged.lines().count(), 40_001);
}

#[test]
fn checking_reads_all_and_mints_nothing() {
    let server = server();
    let place = Place::directory(&server.data);
    let bad: String = (0..25).map(|_| ",x\n").collect();
    let good = rows(0..60);
    let input = format!("id,name\n1,Anna\n{bad}{good}2,Bob,x\n").replace(',', ";");
    let (code, out, err) = place.run("mint --campaign 1 --check", &input);
    assert_eq!(code, 65, "{err}");
    assert_eq!(
        err,
        "cupel: standard input: 26 bad rows; mend them, or put them apart with --skip-bad FILE\n"
    );
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "standard input: delimiter semicolon, line end LF, header",
            "recipients' ids: column 1 (id), by its name",
            "adding: cupel_message, cupel_token, cupel_act_0, cupel_act_1",
            "line 3: the id is empty",
        ]
    );
    assert_eq!(
        lines[3 + 19..],
        [
            "line 22: the id is empty",
            "and 6 rows more",
            "87 rows, 26 bad"
        ]
    );

    let again = "id\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n2\n";
    let (code, out, err) = place.run("mint --campaign 1 --check --json", again);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        (&said["rows"], &said["bad"], &said["bad_rows"]),
        (&json!(11), &json!(0), &json!([]))
    );
    assert_eq!(
        (&said["repeated"], &said["repeated_rows"]),
        (&json!(1), &json!([{"line": 12, "recipient": "2"}]))
    );
    let (code, out, _) = place.run("mint --campaign 1 --check", again);
    let says = "line 12: there before: 2\n11 rows, 0 bad, 1 of recipients that are there before: \
                each row is a mail\n";
    assert!(code == 0 && out.ends_with(says), "{out}");
    assert_eq!(said["id_column"]["name"], "id");
    let first = || {
        place.json("numbers lease 1 --count 1")["first"]
            .as_u64()
            .unwrap()
    };
    let before = first();
    assert_eq!(place.run("mint --campaign 1 --check", "id\n1\n2\n").0, 0);
    assert_eq!(first(), before + 1, "no number was used up");
    let (code, _, err) = place.run("mint --campaign 9 --check", "id\n1\n");
    assert!(
        code == 66 && err.contains("campaign 9: no such campaign"),
        "{err}"
    );
}

#[test]
fn quiet_says_nothing_but_errors() {
    let server = server();
    let place = Place::directory(&server.data);
    let (code, out, err) = place.run("mint --campaign 1 -q", "id\n1\n");
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 2, ""));
    let (code, _, err) = place.run("mint --campaign 1 --quiet", "id,n\n1,a\n,b\n");
    assert_eq!((code, err.lines().count()), (65, 1), "{err}");
    assert!(err.contains("; 1 row is out; go on with"), "{err}");
    let (code, _, err) = place.run("mint --campaign 1", "id\n1\n");
    assert!(code == 0 && err.contains("minted 1 row in "), "{err}");
}
