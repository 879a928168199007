//! The limit of open files: raised where the system allows it, and lived with where it does not.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::forwarded::head;
use crate::harness::{Server, client, cupel};
use crate::slow::{LIMITS, Links, alone};
use crate::wire::{address, connect, exchange, status};

/// A server under a limit of files, set as a shell does.
fn limited(data: &Path, limit: &str) -> Server {
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("cupel.toml"), LIMITS).unwrap();
    let mut command = Command::new("sh");
    let program = cupel().get_program().to_owned();
    command
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(program);
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--data",
    ]);
    command.arg(data);
    Server::spawn(command, data, client())
}

/// CPU time of a process, seconds.
fn busy(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[test]
fn a_low_limit_of_files_is_raised_or_lived_with() {
    let _turn = alone();
    let own = tempfile::tempdir().unwrap();
    let raised = limited(&own.path().join("raised"), "ulimit -Sn 256");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", raised.pid())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let of_it: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(of_it[0], of_it[1], "{files}");
    drop(raised);

    let server = limited(&own.path().join("low"), "ulimit -n 256");
    let door = address(&server.public);
    let links = Links::of(&server);
    let before = busy(server.pid());
    let began = Instant::now();
    let silent: Vec<_> = (0..600).map(|_| connect("127.0.0.1", door)).collect();
    // They are closed in turn, and whoever waits behind them is served.
    let answer = exchange(
        connect("127.0.0.1", door),
        head(&links.click, &[]).as_bytes(),
    );
    assert_eq!(status(&answer), 302, "{answer:?}");
    let (spent, took) = (busy(server.pid()) - before, began.elapsed().as_secs_f64());
    println!("600 connections at 256 files: {spent:.2} s of CPU in {took:.1} s");
    assert!(spent < took / 2.0 + 0.5, "{spent} s in {took} s: it spins");
    drop(silent);
    assert_eq!(server.get(&links.click).status(), 302);
}
