//! SQLite in one file, write-ahead log, `synchronous=FULL`: what a commit answered survives a power
//! cut. One connection writes, a few read. The file is created once; a file that has gone missing
//! since is reported, never silently replaced by an empty one.

mod ingest;
mod insert;

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::connections::Pool;
use super::schema::{migrations, refused};
use super::{Store, StoreError};

pub(super) use ingest::{ingest, message_states};
pub(super) use insert::insert;

const READERS_MAX: u32 = 4;
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// The database within a data directory.
const NAME: &str = "cupel.sqlite";
/// Says that there was one once.
const CREATED: &str = "store-created";

pub(super) static MIGRATIONS: LazyLock<Migrator> = migrations!(
    "sqlite",
    "0001_first",
    "0002_recent",
    "0003_rule_sets",
    "0004_evidence",
    "0005_shadows",
    "0006_sweeps",
);

/// Where the database lies.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    inode: u64,
}

impl File {
    /// Whether somebody has that of `data` open.
    pub(super) fn is_held(data: &Path) -> bool {
        data.join(format!("{NAME}-shm")).exists()
    }

    /// Whether the file at this path is still the one that was opened.
    pub(super) fn check_place(&self) -> Result<(), StoreError> {
        let inode = fs::metadata(&self.path).map(|about| about.ino());
        if inode.is_ok_and(|inode| inode == self.inode) {
            return Ok(());
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
        })
    }

    /// Bytes of it and of its write-ahead log.
    pub(super) fn bytes(&self) -> u64 {
        let wal = self.path.with_file_name(format!("{NAME}-wal"));
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
        bytes(&self.path) + bytes(&wal)
    }
}

/// Opens the database of `data`, creating it the first time, and brings its schema up to date.
pub(super) async fn open(data: &Path) -> Result<Store, StoreError> {
    let io = |error: std::io::Error| StoreError::Unavailable(sqlx::Error::Io(error));
    let path = data.join(NAME);
    let marker = data.join(CREATED);
    let is_empty = fs::metadata(&path).map_or(true, |about| about.len() == 0);
    if marker.exists() && is_empty {
        return Err(StoreError::Missing { path, marker });
    }
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_WAIT)
        .foreign_keys(true)
        .statement_cache_capacity(64)
        .pragma("cache_size", "-8192");
    if is_empty {
        // Once, here: a pool that made files would put an empty one where one was moved away. For
        // its owner alone, and so are the files that the database makes beside it.
        private(&path).map_err(io)?;
    }
    let writer = writer(options.clone()).await?;
    let migrated = MIGRATIONS.run(&writer).await;
    migrated.map_err(|error| refused(error, &MIGRATIONS))?;
    private(&marker).map_err(io)?;
    let inode = fs::metadata(&path).map_err(io)?.ino();
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(BUSY_WAIT)
        .connect_with(options.read_only(true).pragma("cache_size", "-2048"))
        .await?;
    Ok(Store {
        readers: Pool::Sqlite(readers),
        writer: Pool::Sqlite(writer),
        file: Some(File { path, inode }),
        following: None,
    })
}

/// Lets a database that is not there any more be forgotten, so that another may take its place.
pub(super) fn forget(data: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::Unavailable(sqlx::Error::Io(error));
    let is_empty = fs::metadata(data.join(NAME)).map_or(true, |about| about.len() == 0);
    if !is_empty {
        return Ok(());
    }
    match fs::remove_file(data.join(CREATED)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(error)),
        _ => Ok(()),
    }
}

/// Makes an empty file if there is none, for its owner alone.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let made = options.append(true).create(true).mode(0o600).open(path);
    made.map(|_| ())
}

async fn writer(options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY_WAIT)
        .before_acquire(|connection, _| {
            // SQLite ends a transaction by itself where the disk is full or fails; sqlx then takes
            // it for open for ever, and begins no other on that connection.
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        });
    Ok(pool.connect_with(options).await?)
}

/// A connection to the database of `data` that makes, migrates and keeps nothing; `None` if there
/// is no database.
pub(super) async fn peek(data: &Path) -> Result<Option<Pool>, StoreError> {
    let path = data.join(NAME);
    if fs::metadata(&path).map_or(true, |about| about.len() == 0) {
        return Ok(None);
    }
    // Without a write-ahead log nobody has it open, and it needs no locks: those would leave files
    // behind.
    let alone = !data.join(format!("{NAME}-wal")).exists();
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true)
        .immutable(alone)
        .busy_timeout(BUSY_WAIT);
    let pool = SqlitePoolOptions::new().max_connections(1);
    Ok(Some(Pool::Sqlite(pool.connect_with(options).await?)))
}

/// Whether the database is locked.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        // SQLITE_BUSY and SQLITE_LOCKED, without their extensions.
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6)),
        sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}
