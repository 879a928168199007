//! The store: SQL and nothing but. Methods are grouped by topic, one file each; what they ask is
//! written for both databases side by side (`sql.rs`).

mod backup;
mod campaigns;
mod connections;
mod copying;
mod edges;
mod events;
mod evidence;
mod follow;
mod inbox;
mod ingest;
mod judged_hits;
mod judgements;
mod keys;
mod links;
mod messages;
mod postgres;
mod recent;
mod rejudgements;
mod rows;
mod rulesets;
#[cfg(test)]
pub(crate) mod sabotage;
mod schema;
mod shadows;
mod short_links;
mod sql;
mod sqlite;
mod stats;
mod sweeps;
mod tables;

use std::path::{Path, PathBuf};

use crate::domain::campaign::{PrivacyLevel, TenantId};
use crate::domain::time::Micros;

use connections::Pool;
use follow::Following;
use sql::{Query, Sql};
use sqlite::File;

pub use backup::{Page, Restoring, Snapshot};
pub use campaigns::{CampaignEdit, CampaignRow};
pub use copying::{Copied, copy};
pub use edges::Position;
pub use events::{EventFilter, HitsAfter, StoredHit};
pub use evidence::EvidenceKey;
pub use follow::{Changed, Ear, Installation, News, Span};
pub use inbox::{Arrival, Arrived, Inbox};
pub use ingest::{Ingest, Lease, Moved, Revision, StoredSums, SumKey, Turns, UniqueKey};
pub use judged_hits::{HitPlace, JudgedHit, JudgedHits};
pub use judgements::EarlierJudgement;
pub use keys::{ApiKey, Scope};
pub use links::{LinkEdit, LinkRow, NewLink};
pub use messages::{LinkCounts, MessageState};
pub use postgres::{EdgeState, Node, Shared};
pub use recent::{RECENT_MAX, Recent};
pub use rejudgements::{
    LookedAt, OpenRejudgement, Part, Reclassed, Rejudged, RejudgedShard, Rejudgement,
};
pub use rulesets::{RuleSetRow, RuleSetUse};
pub use shadows::ShadowCount;
pub use short_links::{ShortLinkEdit, ShortLinkRow};
pub use stats::{Counts, SumRow, UniqueRow};

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
    /// A newer version has changed the schema.
    #[error(
        "the database is of a newer cupel: its schema is {found}, this one knows {known}; install \
         that version again, or put back a backup from before"
    )]
    Newer {
        /// The schema it has.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// An older version made the schema.
    #[error(
        "the database is of an older cupel: its schema is {found}, this one needs {known}; run \
             cupel migrate, or start the server"
    )]
    Older {
        /// The schema it has.
        found: i64,
        /// The one that is needed.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the store's schema: {0}")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// Somebody else moved the position: nothing was written.
    #[error("the position moved from {expected} meanwhile; nothing was written")]
    Position {
        /// Where it was expected.
        expected: u64,
    },
    /// Somebody else settles what was to be settled: nothing was written.
    #[error("others have taken over what was to be settled; nothing was written")]
    LeaseLost,
    /// What it was to be written for has come to its end: nothing was written.
    #[error("what it was done for has ended; nothing was written")]
    Ended,
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
    /// A copy into it was begun and not finished.
    #[error("the database is half of a copy from {from}; run the same command again")]
    Unfinished {
        /// Where it came from.
        from: String,
    },
    /// There is something where a copy is to go.
    #[error("the database is not empty: it has {table}; name a new one")]
    NotEmpty {
        /// The first table that has rows.
        table: &'static str,
    },
    /// Hits were shipped and not settled: a copy would lack them.
    #[error(
        "{rows} records wait in the inbox; let them be settled first: cupel serve --role settle"
    )]
    Waiting {
        /// How many.
        rows: u64,
    },
    /// A copy has more or fewer rows than what it was made from.
    #[error(
        "{table}: {rows} rows were copied, and there are {of}; something wrote meanwhile: stop it, \
         empty the new database, and copy again"
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// Rows in the copy.
        rows: u64,
        /// Rows in the other.
        of: u64,
    },
    /// Its links were signed with other keys.
    #[error(
        "the database belongs to another installation: its keys are not those of this data \
         directory; put keys/ring.toml of one of its nodes there, or name another database in store"
    )]
    OtherInstallation,
    /// Another program lives in the schema.
    #[error("the database has {what} of something else; name an empty one in store")]
    Foreign {
        /// What was found.
        what: &'static str,
    },
    /// The database server is older than what is written for it.
    #[error("the database server is too old: version {version}, {needed} at least")]
    TooOld {
        /// Its version, as `server_version_num` says it.
        version: i32,
        /// The oldest that will do.
        needed: i32,
    },
    /// A row that this version cannot have written.
    #[error("the store holds an unreadable {0}")]
    Unreadable(&'static str),
}

impl StoreError {
    /// Nobody answered in time.
    #[must_use]
    pub const fn timed_out() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file of this data directory.
    Directory(PathBuf),
    /// In the PostgreSQL database of this URL.
    Postgres(String),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    readers: Pool,
    writer: Pool,
    /// The file that it is, if it is one.
    file: Option<File>,
    /// What other nodes change in it, if there may be others.
    following: Option<Following>,
}

impl Store {
    /// Opens the database, a file being created the first time, and brings its schema up to date.
    ///
    /// # Errors
    /// See [`StoreError`]; a file that is not a database is `Unavailable`.
    pub async fn open(place: &Place, now: Micros) -> Result<Self, StoreError> {
        let store = match place {
            Place::Directory(data) => sqlite::open(data).await?,
            Place::Postgres(url) => postgres::open(url, Some(now)).await?,
        };
        if let Some(source) = copying::unfinished_from(&store.writer).await? {
            return Err(StoreError::Unfinished { from: source });
        }
        store.ensure_first_tenant(now).await?;
        Ok(store)
    }

    /// Whether somebody has the store of `data` open: of those who do, the last one to close it
    /// deletes its shared memory.
    #[must_use]
    pub fn is_held(data: &Path) -> bool {
        File::is_held(data)
    }

    /// Whether the database is still the one that was opened. A connection to a file that was
    /// moved away would go on writing where nobody looks.
    ///
    /// # Errors
    /// It is not, or cannot be seen.
    pub fn check_place(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), File::check_place)
    }

    /// Bytes of the database.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        match &self.file {
            Some(file) => Ok(file.bytes()),
            None => narrow(self.readers.one(postgres::bytes()).await?.at(0)?, "size"),
        }
    }

    /// Makes what the next days need; to be called daily at least.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn look_ahead(&self, now: Micros) -> Result<(), StoreError> {
        match &self.writer {
            Pool::Sqlite(_) => Ok(()),
            Pool::Postgres(writer) => postgres::make_partitions(writer, now).await,
        }
    }

    /// The writing connections, if the database is where it belongs.
    fn writer(&self) -> Result<&Pool, StoreError> {
        self.check_place()?;
        Ok(&self.writer)
    }

    /// Whether a query gets through.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.check_place()?;
        let query = Query::new(Sql::same("SELECT id FROM tenants LIMIT 1"));
        self.readers.optional(query).await?;
        Ok(())
    }

    /// Whether this is over in a moment, and the connections are good: a file that another process
    /// has locked, two transactions that waited for each other, of which one was chosen to fail, or
    /// a row that was there already.
    #[must_use]
    pub fn is_busy(&self, error: &StoreError) -> bool {
        match (error, &self.file) {
            (StoreError::Unavailable(error), Some(_)) => sqlite::is_busy(error),
            (StoreError::Unavailable(error), None) => postgres::is_busy(error),
            _ => false,
        }
    }

    /// What it shares with other processes, if it can be shared.
    #[must_use]
    pub const fn shared(&self) -> Option<Shared<'_>> {
        match (&self.writer, &self.readers) {
            (Pool::Postgres(writer), Pool::Postgres(readers)) => Some(Shared { writer, readers }),
            _ => None,
        }
    }

    /// Whether it is a server, and not a file here.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.file.is_none()
    }

    /// Closes the connections; waits for what runs.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Some(following) = &self.following {
            Pool::Postgres(following.listens.clone()).close().await;
        }
        self.writer.close().await;
    }

    async fn ensure_first_tenant(&self, now: Micros) -> Result<(), StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO tenants (id, name, level, created_at)
            VALUES ($1, 'default', $2, $3) ON CONFLICT (id) DO NOTHING",
        );
        let query = Query::new(SQL)
            .bind(TenantId::FIRST.get())
            .bind(PrivacyLevel::Individual.code())
            .bind(now.get());
        self.writer.run(query).await?;
        Ok(())
    }
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
