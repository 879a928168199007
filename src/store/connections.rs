//! Pools and transactions of either database.

use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::sqlite::{Sqlite, SqlitePool};
use tokio::time::timeout;

use super::StoreError;
use super::postgres::{Held, ask};
use super::sql::{Query, Row, Sql, within};

const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Connections to either.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Every row.
    pub(super) async fn all(&self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => rows(query.sqlite().fetch_all(pool).await?, Row::Sqlite),
            Self::Postgres(pool) => {
                let found = ask(pool, async |on| query.postgres().fetch_all(on).await);
                rows(found.await?, Row::Postgres)
            }
        })
    }

    /// The first row.
    pub(super) async fn optional(&self, query: Query<'_>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => query.sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
            Self::Postgres(pool) => {
                let row = ask(pool, async |on| query.postgres().fetch_optional(on).await);
                row.await?.map(Row::Postgres)
            }
        })
    }

    /// The only row.
    pub(super) async fn one(&self, query: Query<'_>) -> Result<Row, StoreError> {
        let row = self.optional(query).await?;
        row.ok_or(StoreError::Unavailable(sqlx::Error::RowNotFound))
    }

    /// Every row, of a question that takes as long as it takes.
    pub(super) async fn all_in_the_end(&self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(_) => self.all(query).await,
            Self::Postgres(pool) => {
                let found = query.postgres().fetch_all(pool).await?;
                Ok(rows(found, Row::Postgres))
            }
        }
    }

    /// Does it, and says how many rows it touched.
    pub(super) async fn run(&self, query: Query<'_>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => query.sqlite().execute(pool).await?.rows_affected(),
            Self::Postgres(pool) => {
                let done = ask(pool, async |on| query.postgres().execute(on).await);
                done.await?.rows_affected()
            }
        })
    }

    /// Begins to write; nothing is kept without [`Transaction::commit`].
    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            // Otherwise it would take the lock with its first write, and could not wait for it.
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(Held::begin(pool).await?),
        })
    }

    /// Begins to read what is there now, whatever is written meanwhile.
    pub(super) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        const FIRST: Sql = Sql::same("SELECT count(*) FROM tenants");
        const FREEZE: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let mut transaction = match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Transaction::Postgres(Held::begin(pool).await?),
        };
        if matches!(transaction, Transaction::Postgres(_)) {
            transaction.run(Query::new(Sql::same(FREEZE))).await?;
        }
        // The moment is that of the first question.
        transaction.one(Query::new(FIRST)).await?;
        Ok(transaction)
    }

    /// Waits for what runs, and closes every connection.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            // A server that hangs would be waited for without end.
            Self::Postgres(pool) => drop(timeout(CLOSE_MAX, pool.close()).await),
        }
    }
}

/// All or nothing.
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(Held),
}

impl Transaction {
    /// Every row.
    pub(super) async fn all(&mut self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(on) => rows(query.sqlite().fetch_all(&mut **on).await?, Row::Sqlite),
            Self::Postgres(on) => rows(
                within(query.postgres().fetch_all(on.on()?)).await?,
                Row::Postgres,
            ),
        })
    }

    /// The first row.
    pub(super) async fn optional(&mut self, query: Query<'_>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(on) => {
                let row = query.sqlite().fetch_optional(&mut **on).await?;
                row.map(Row::Sqlite)
            }
            Self::Postgres(on) => {
                let row = within(query.postgres().fetch_optional(on.on()?)).await?;
                row.map(Row::Postgres)
            }
        })
    }

    /// The only row.
    pub(super) async fn one(&mut self, query: Query<'_>) -> Result<Row, StoreError> {
        let row = self.optional(query).await?;
        row.ok_or(StoreError::Unavailable(sqlx::Error::RowNotFound))
    }

    /// Does it, and says how many rows it touched.
    pub(super) async fn run(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(on) => query.sqlite().execute(&mut **on).await?.rows_affected(),
            Self::Postgres(on) => within(query.postgres().execute(on.on()?))
                .await?
                .rows_affected(),
        })
    }

    /// Lets the numbers of a table go on behind the highest that it has, by this statement: rows
    /// with numbers of their own were put into it. SQLite looks by itself.
    pub(super) async fn number_on(&mut self, setval: &'static str) -> Result<(), StoreError> {
        if matches!(self, Self::Postgres(_)) {
            self.run(Query::new(Sql::same(setval))).await?;
        }
        Ok(())
    }

    /// Keeps it.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(on) => on.commit().await?,
            Self::Postgres(on) => on.commit().await?,
        }
        Ok(())
    }
}

fn rows<R>(rows: Vec<R>, made: fn(R) -> Row) -> Vec<Row> {
    rows.into_iter().map(made).collect()
}
