//! `cupel mint`: any CSV in, the same with tokens out.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::commands_reach::Place;
use crate::harness::{Server, cupel};

pub(super) fn mint(server: &Server, args: &[&str]) -> Command {
    let mut command = cupel();
    command
        .args(["mint", "--campaign", "1", "--data"])
        .arg(&server.data)
        .args(args);
    command
}

/// A server with a campaign that has an action.
pub(super) fn server() -> Server {
    let server = Server::new();
    server.campaign();
    server.link(1, json!({"url": "https://a.example/ok", "kind": "action"}));
    server
}

/// Output and standard error of minting for this input.
fn minted(server: &Server, input: &[u8], args: &[&str]) -> (i32, Vec<u8>, String) {
    let own = tempfile::tempdir().unwrap();
    let path = own.path().join("in.csv");
    fs::write(&path, input).unwrap();
    let done = mint(server, args).arg(&path).output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    let shown = path.display().to_string();
    (
        done.status.code().unwrap(),
        done.stdout,
        err.replace(&shown, "in.csv"),
    )
}

/// Whether it names a message: campaign, time and number.
fn is_message(word: &str) -> bool {
    let numbers: Vec<_> = word.split('-').map(str::parse::<u64>).collect();
    numbers.len() == 3 && numbers.iter().all(Result::is_ok)
}

/// Replaces messages, tokens and tags by what they are: their places and lengths stay.
pub(super) fn plain(output: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(output).into_owned();
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut out = String::new();
    for part in text.split_inclusive(|c| !word(c)) {
        let (bare, end) = match part.strip_suffix(|c| !word(c)) {
            Some(bare) => (bare, &part[bare.len()..]),
            None => (part, ""),
        };
        out.push_str(match bare.len() {
            _ if is_message(bare) => "MESSAGE",
            48 => "TOKEN",
            16 => "TAG",
            _ => bare,
        });
        out.push_str(end);
    }
    out.into_bytes()
}

/// Inputs, outputs with `+` where our columns stand, what stands between fields, and what is said.
const DIALECTS: &[(&str, &str, &str, &str)] = &[
    (
        "id,name\n1,Anna\n2,Bob\n",
        "id,name+\n1,Anna+\n2,Bob+\n",
        ",",
        "delimiter comma, line end LF, header",
    ),
    (
        "\u{feff}Name;E-Mail\r\n\"Doe; \"\"J\"\"\r\nJr\";j@x.example\r\nÄ;a@x.example\r\n",
        "\u{feff}Name;E-Mail+\r\n\"Doe; \"\"J\"\"\r\nJr\";j@x.example+\r\nÄ;a@x.example+\r\n",
        ";",
        "delimiter semicolon, line end CRLF, byte order mark, header",
    ),
    (
        "a@x.example\nb@x.example",
        "a@x.example+\nb@x.example+\n",
        ",",
        "no header",
    ),
    (
        "email\na@x\n",
        "email+\na@x+\n",
        ",",
        "column 1 (email), by its name",
    ),
    (
        "7\tAnna\n8\tBob\n",
        "7\tAnna+\n8\tBob+\n",
        "\t",
        "column 1, by its values",
    ),
    (
        "\"id\",\"n\"\n\"1\",\"\"\n",
        "\"id\",\"n+\"\n\"1\",\"+\"\n",
        "\",\"",
        "header",
    ),
    (
        "name,id,name\nx,1,y\n",
        "name,id,name+\nx,1,y+\n",
        ",",
        "column 2 (id), by its name",
    ),
    (
        "id,mail\n1,a@x\n1,b@x\n",
        "id,mail+\n1,a@x+\n1,b@x+\n",
        ",",
        "column 2 (mail), by",
    ),
    ("id,name\n", "id,name+\n", ",", "minted 0 rows"),
    (
        "sep=;\r\nid;name\r\n1;a,b\r\n",
        "id;name+\r\n1;a,b+\r\n",
        ";",
        "line end CRLF, sep= line (left out), header",
    ),
    (
        "id|name\n\n1|Anna\n\n",
        "id|name+\n1|Anna+\n",
        "|",
        "delimiter pipe",
    ),
];

#[test]
fn every_way_to_write_a_csv_comes_out_as_it_went_in() {
    let server = server();
    for (input, output, between, said) in DIALECTS {
        let (code, out, err) = minted(&server, input.as_bytes(), &[]);
        assert_eq!(code, 0, "{input:?}: {err}");
        let added = |columns: [&str; 4]| format!("{between}{}", columns.join(between));
        let values = added(["MESSAGE", "TOKEN", "TAG", "TAG"]);
        let expected = match said.contains("no header") || !input.contains(['i', 'e']) {
            true => output.replace('+', &values),
            false => {
                let heads = ["cupel_message", "cupel_token", "cupel_act_0", "cupel_act_1"];
                let heads = added(heads);
                output.replacen('+', &heads, 1).replace('+', &values)
            }
        };
        assert_eq!(
            String::from_utf8(plain(&out)).unwrap(),
            expected,
            "{input:?}"
        );
        assert!(err.contains(said), "{input:?}: {said} in {err}");
    }
    let latin = b"id,name\n1,J\xfcrgen\n";
    let (code, out, _) = minted(&server, latin, &[]);
    assert_eq!(code, 0);
    assert!(
        out.windows(12).any(|bytes| bytes == b"\n1,J\xfcrgen,1-"),
        "other columns keep their bytes"
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_line_with_a_remedy() {
    let server = server();
    let long = format!("id\n{}\n", "x".repeat(257));
    let open = format!("id,name\n1,\"{}", "x\n".repeat(1 << 20));
    for (input, args, says) in [
        ("", &[][..], "in.csv: is empty"),
        ("anna\nbob\n", &[], "say --header yes or no"),
        ("member,2025\nanna,12\n", &[], "say --header yes or no"),
        ("sep=;\nid;name\n1;a\n;b\n", &[], "line 4: the id is empty"),
        (
            "id,name\n1,a\n,b\n",
            &[],
            "line 3: the id is empty; mend it, or put it apart with --skip-bad",
        ),
        (
            "id,name\r\n1,\"a\r\nb\"\r\n\r\n,\"x\r\ny\"\r\n",
            &[],
            "line 5: the id is empty",
        ),
        ("id,name\n1,\"a\nb\"\n\n,x", &[], "line 5: the id is empty"),
        (&long, &[], "line 2: the id has 257 bytes; at most 256"),
        (
            "id,name\n1,a\n2\n",
            &[],
            "line 3: 1 column where the first row has 2",
        ),
        (
            &open,
            &[],
            "a row of more than 1 MiB; is a quote not closed?",
        ),
        (
            "id,name\n1,a\n2,\"b\n3,c\n",
            &[],
            "line 3: a quote is opened in this row and never closed",
        ),
        (
            "id,name\r\n1,a\r\n\"2,\"\"b\"\"",
            &[],
            "line 3: a quote is opened in this row and never closed",
        ),
        (
            "email,n\na@x.example,1\na@x.example,2\n",
            &[],
            "of the first 2 rows 2 have a value there, 1 of them different; if it does, say \
             --id-column email",
        ),
        (
            "id,name\n1,a\n",
            &["--id-column", "mail"],
            "no column \"mail\"; there are id, name",
        ),
        (
            "email,email\na,b\n",
            &[],
            "several columns are called email",
        ),
        (
            "email,email\na,b\n",
            &["--id-column", "email"],
            "both called \"email\"; name one by its number",
        ),
        (
            "id,cupel_token\n1,a\n",
            &[],
            "has a column cupel_token already",
        ),
        (
            "name,city\nx,y\nx,y\n",
            &["--header", "yes"],
            "name it with --id-column",
        ),
    ] {
        let (code, _, err) = minted(&server, input.as_bytes(), args);
        assert_eq!(code, 65, "{says}: {err}");
        assert!(err.lines().last().unwrap().contains(says), "{says}: {err}");
    }
    for (input, says) in [
        (
            &b"id\n\xff\xfe\n"[..],
            "line 2: the id is not UTF-8; convert the file first",
        ),
        (b"\xff\xfei\0d\0\n\0", "is UTF-16; save it as CSV in UTF-8"),
    ] {
        let (code, _, err) = minted(&server, input, &[]);
        assert!(code == 65 && err.contains(says), "{err}");
    }
    let (code, _, err) = minted(&server, b"id\n1\n", &["--json"]);
    assert!(code == 64 && err.contains("--json needs --out"), "{err}");
    let asked = ["--delimiter", ":", "--header", "no", "--id-column", "2"];
    let (code, out, err) = minted(&server, b"a,b:c\na,b:d\n", &asked);
    let expected = "a,b:c:MESSAGE:TOKEN:TAG:TAG\na,b:d:MESSAGE:TOKEN:TAG:TAG\n";
    assert_eq!((code, plain(&out)), (0, expected.into()), "{err}");
}

#[test]
fn bad_rows_are_put_apart_with_their_reasons() {
    let server = server();
    let own = tempfile::tempdir().unwrap();
    let apart = own.path().join("bad.csv");
    let input = "id;name\n1;Anna\n;Bob\n3\n4;Dora\n";
    let (code, out, err) = minted(
        &server,
        input.as_bytes(),
        &["--skip-bad", apart.to_str().unwrap()],
    );
    assert_eq!(
        (code, out.iter().filter(|byte| **byte == b'\n').count()),
        (0, 3),
        "{err}"
    );
    assert!(
        err.contains("minted 2 rows") && err.contains("put 2 apart"),
        "{err}"
    );
    let said = fs::read_to_string(apart).unwrap();
    let bob = ";Bob;line 3: the id is empty\n";
    let three = "3;line 4: 1 column where the first row has 2\n";
    assert_eq!(said, format!("id;name;cupel_error\n{bob}{three}"));
}

#[test]
fn tokens_of_a_merge_count_for_their_recipients() {
    let server = server();
    let place = Place::directory(&server.data);
    let number = server.link(1, json!({"url": "https://shop.example/"}));
    let (code, out, _) = place.run("mint --campaign 1", "id\nanna\nbob\n");
    assert_eq!(code, 0);
    let rows: Vec<Vec<_>> = out
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    for row in &rows {
        assert_eq!(server.get(&format!("/c/{}/{number}", row[2])).status(), 302);
    }
    let press = format!("/a/{}/{}/1", rows[0][2], rows[0][4]);
    assert_eq!(
        server.public(Method::POST, &press).send().unwrap().status(),
        303
    );
    let unsubscribe = format!("/u/{}/{}/0", rows[1][2], rows[1][3]);
    let unsubscribe = server.public(Method::POST, &unsubscribe);
    let unsubscribe = unsubscribe.body("List-Unsubscribe=One-Click").send();
    assert_eq!(unsubscribe.unwrap().status(), 200);
    server.events("", 4);
    let stats = place.json("stats 1");
    assert_eq!(stats["raw"]["clicks"]["unique"], 2);
    assert_eq!(stats["raw"]["presses"]["total"], 1);
    assert_eq!(stats["raw"]["unsubscribes"]["total"], 1);
    let (code, line) = place.fails("numbers lease 9 --count 1");
    assert!(
        code == 66 && line.contains("campaign 9: no such campaign"),
        "{line}"
    );
}
