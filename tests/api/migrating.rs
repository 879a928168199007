//! A schema that is brought up to date, and the process killed in the middle.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

use crate::cluster::Cluster;
use crate::harness::{cupel_on_file, eventually, postgres, run};

/// A database as the first version made it.
fn first_version(url: &str) {
    let own = tempfile::tempdir().unwrap();
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres/0001_first.sql");
    fs::copy(first, own.path().join("0001_first.sql")).unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = PgPoolOptions::new().connect(url).await.unwrap();
        let migrator = Migrator::new(own.path()).await.unwrap();
        migrator.run(&pool).await.unwrap();
        pool.close().await;
    });
}

#[test]
fn a_migration_that_is_killed_in_the_middle_has_changed_nothing_and_is_made_again() {
    if postgres().is_none() {
        return;
    }
    let cluster = Cluster::new();
    let url = cluster.url("postgres");
    first_version(&url);
    let own = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = cupel_on_file();
        command.arg("migrate").arg("--data").arg(own.path());
        command.env("CUPEL_STORE", &url);
        command
    };
    let (code, _, err) = run(command().arg("--check"));
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("schema 1, and this cupel needs 7"), "{err}");
    // Others have a form of their own by then, and this one waits.
    let reader = cluster.hold("postgres", "short_links", "ACCESS SHARE");
    let begun = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let mut migrating = command().stdout(Stdio::null()).spawn().unwrap();
    let waits = || cluster.sql("postgres", begun);
    eventually("in the middle", waits, |waiting| waiting == "1");
    migrating.kill().unwrap();
    migrating.wait().unwrap();
    drop(reader);
    eventually("let go", waits, |waiting| waiting == "0");
    let shards = "SELECT count(to_regclass('shards')), max(version) FROM _sqlx_migrations";
    assert_eq!(cluster.sql("postgres", shards), "0|1");
    let (code, out, err) = run(&mut command());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.trim(), "schema 7, was 1");
    let held = "SELECT count(*) FROM shards";
    assert_eq!(cluster.sql("postgres", held), "16");
}
