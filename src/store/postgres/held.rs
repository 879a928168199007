//! Connections that go back to their pool only if they have answered all that they were asked. Any
//! other is closed: it may be within a transaction, or one answer behind.

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres, raw_sql};

use super::super::sql::within;

/// A connection, closed when it is dropped.
pub(in crate::store) struct Held(Option<PoolConnection<Postgres>>);

impl Held {
    pub(super) async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self(Some(within(pool.acquire()).await?)))
    }

    /// One that has begun a transaction.
    pub(in crate::store) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut held = Self::take(pool).await?;
        within(held.on()?.execute(raw_sql("BEGIN"))).await?;
        Ok(held)
    }

    pub(in crate::store) fn on(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Keeps what the transaction did.
    pub(in crate::store) async fn commit(mut self) -> Result<(), sqlx::Error> {
        within(self.on()?.execute(raw_sql("COMMIT"))).await?;
        self.give_back();
        Ok(())
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// Asks one thing.
pub(in crate::store) async fn ask<T>(
    pool: &PgPool,
    question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut held = Held::take(pool).await?;
    let answer = within(question(held.on()?)).await;
    if !matches!(answer, Err(sqlx::Error::PoolTimedOut)) {
        held.give_back();
    }
    answer
}
