//! The store: SQL and nothing but. Methods are grouped by topic, one file each.
//!
//! SQLite in one file, write-ahead log, `synchronous=FULL`: what a commit answered survives a
//! power cut. One connection writes, a few read. The file is created once; a file that has gone
//! missing since is reported, never silently replaced by an empty one.

mod campaigns;
mod edges;
mod events;
mod ingest;
mod keys;
mod links;
mod messages;
#[cfg(test)]
pub(crate) mod sabotage;
mod short_links;
mod stats;

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::domain::campaign::{PrivacyLevel, TenantId};
use crate::domain::time::Micros;

pub use campaigns::{CampaignEdit, CampaignRow};
pub use edges::Position;
pub use events::{EventFilter, StoredHit};
pub use ingest::{Ingest, Revision, StoredSums, SumKey, UniqueKey};
pub use keys::{ApiKey, Scope};
pub use links::{LinkEdit, LinkRow, NewLink};
pub use messages::{LinkCounts, MessageState};
pub use short_links::{ShortLinkEdit, ShortLinkRow};
pub use stats::{SumRow, UniqueRow};

const READERS_MAX: u32 = 4;
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// The database within a data directory.
const FILE: &str = "cupel.sqlite";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is locked, or is damaged. Trying later may help.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The file was there once and is not any more, or is empty.
    #[error(
        "{path} is missing or empty; put it back, or remove {marker} to begin with an empty one"
    )]
    Missing {
        /// The database file.
        path: PathBuf,
        /// The file that says it was created.
        marker: PathBuf,
    },
    /// The file at the store's path is another one than was opened.
    #[error("{path} was moved away or replaced")]
    Replaced {
        /// The database file.
        path: PathBuf,
    },
    /// The schema could not be brought up to date, or is of a newer version.
    #[error("the store's schema: {0}")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// Somebody else moved the position: nothing was written.
    #[error("the position moved from {expected} meanwhile; nothing was written")]
    Position {
        /// Where it was expected.
        expected: u64,
    },
    /// Something with this name or meaning is there already.
    #[error("{0} exists already")]
    Conflict(&'static str),
    /// A limit is reached.
    #[error("at most {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A row that this version cannot have written.
    #[error("the store holds an unreadable {0}")]
    Unreadable(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    inode: u64,
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Store {
    /// Opens the database of `data`, creating it the first time, and brings its schema up to
    /// date.
    ///
    /// # Errors
    /// See [`StoreError`]; a file that is not a database is `Unavailable`.
    pub async fn open(data: &Path, now: Micros) -> Result<Self, StoreError> {
        let io = |error: std::io::Error| StoreError::Unavailable(sqlx::Error::Io(error));
        let path = data.join(FILE);
        let marker = data.join("store-created");
        let is_empty = std::fs::metadata(&path).map_or(true, |about| about.len() == 0);
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
            // Once, here: a pool that made files would put an empty one where one was moved away.
            // For its owner alone, and so are the files that the database makes beside it.
            private(&path).map_err(io)?;
        }
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY_WAIT)
            .before_acquire(|connection, _| {
                // SQLite ends a transaction by itself where the disk is full or fails; sqlx then
                // takes it for open for ever, and begins no other on that connection.
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            })
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => StoreError::Unavailable(error),
            other => StoreError::Schema(other),
        })?;
        private(&marker).map_err(io)?;
        let inode = std::fs::metadata(&path).map_err(io)?.ino();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(BUSY_WAIT)
            .connect_with(options.read_only(true).pragma("cache_size", "-2048"))
            .await?;
        let store = Self {
            path,
            inode,
            readers,
            writer,
        };
        store.ensure_first_tenant(now).await?;
        Ok(store)
    }

    /// Whether somebody has the store of `data` open: of those who do, the last one to close it
    /// deletes its shared memory.
    #[must_use]
    pub fn is_held(data: &Path) -> bool {
        data.join(format!("{FILE}-shm")).exists()
    }

    /// Whether the file at the store's path is still the one that was opened. A connection to a
    /// file that was moved away would go on writing where nobody looks.
    ///
    /// # Errors
    /// It is not, or cannot be seen.
    pub fn check_place(&self) -> Result<(), StoreError> {
        let inode = std::fs::metadata(&self.path).map(|about| about.ino());
        if inode.is_ok_and(|inode| inode == self.inode) {
            return Ok(());
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
        })
    }

    /// Bytes of the database and its write-ahead log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let wal = self.path.with_file_name(format!("{FILE}-wal"));
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        bytes(&self.path) + bytes(&wal)
    }

    /// The writing connection, if the file is where it belongs.
    fn writer(&self) -> Result<&SqlitePool, StoreError> {
        self.check_place()?;
        Ok(&self.writer)
    }

    /// Whether a query gets through.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.check_place()?;
        sqlx::query("SELECT 1 FROM tenants LIMIT 1")
            .fetch_optional(&self.readers)
            .await?;
        Ok(())
    }

    /// Closes the connections; waits for what runs.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn ensure_first_tenant(&self, now: Micros) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO tenants (id, name, level, created_at)
            VALUES ($1, 'default', $2, $3) ON CONFLICT (id) DO NOTHING";
        sqlx::query(SQL)
            .bind(i64::from(TenantId::FIRST.get()))
            .bind(i64::from(PrivacyLevel::Individual.code()))
            .bind(now.get())
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

/// Makes an empty file if there is none, for its owner alone.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let made = options.append(true).create(true).mode(0o600).open(path);
    made.map(|_| ())
}

/// Reads a column that holds a number which the domain keeps in a smaller or unsigned type.
fn narrow<T: TryFrom<i64>>(value: i64, what: &'static str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Unreadable(what))
}

/// 64-bit patterns (ids, fact bits) as SQL keeps them.
const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}

/// And back.
const fn unsigned(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}
