//! Scripts that set the judge against simulated mailings: the tables that the documentation has.

use std::path::Path;
use std::process::Command;

use crate::judge::corpora;

/// What it prints stands in docs/judging.md.
fn is_documented(script: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let done = Command::new(script)
        .arg(corpora().join("hits"))
        .env("CUPEL", env!("CARGO_BIN_EXE_cupel"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let table = String::from_utf8(done.stdout).unwrap();
    let docs = include_str!("../../docs/judging.md");
    assert!(docs.contains(&table), "docs/judging.md wants\n{table}");
}

#[test]
fn rules_of_others_do_what_the_documentation_says() {
    is_documented("bench/baselines");
}

#[test]
fn gateways_that_nobody_has_met_pass_as_the_documentation_says() {
    is_documented("bench/unseen");
}
