//! Published rules of others on the simulated mailings: the table that the documentation has.

use std::path::Path;
use std::process::Command;

use crate::judge::corpora;

#[test]
fn rules_of_others_do_what_the_documentation_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/baselines");
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
