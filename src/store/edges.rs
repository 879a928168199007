//! Edges, and how far each one's journal is in the store.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row};

use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::{BUSY_WAIT, FILE, Store, StoreError, narrow};

/// How far an edge's journal is in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Last sequence whose record is written and counted.
    pub sequence: u64,
    /// Last sequence whose window has closed.
    pub settled_sequence: u64,
    /// Time up to which windows are closed.
    pub settled_to: Micros,
}

impl Store {
    /// How far an edge's journal is in the store of `data`, without opening that: nothing is
    /// made, brought up to date or kept open. `None` if there is no store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn peek(data: &Path, edge: EdgeId) -> Result<Option<Position>, StoreError> {
        const SQL: &str = "SELECT sequence, settled_sequence, settled_to
            FROM positions JOIN edges ON edges.id = positions.edge WHERE incarnation = $1";
        let path = data.join(FILE);
        if std::fs::metadata(&path).map_or(true, |about| about.len() == 0) {
            return Ok(None);
        }
        // Without a write-ahead log nobody has it open, and it needs no locks: those would leave
        // files behind.
        let alone = !data.join(format!("{FILE}-wal")).exists();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .immutable(alone)
            .busy_timeout(BUSY_WAIT);
        let mut connection = options.connect().await?;
        let row = sqlx::query(SQL)
            .bind(i64::from(edge.0))
            .fetch_optional(&mut connection)
            .await?;
        let position = row
            .as_ref()
            .map_or_else(|| Ok(Position::default()), position)?;
        connection.close().await?;
        Ok(Some(position))
    }

    /// The row of an edge, made on first sight, and its position.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edge(&self, edge: EdgeId, now: Micros) -> Result<(i64, Position), StoreError> {
        const EDGE: &str = "INSERT INTO edges (incarnation, created_at) VALUES ($1, $2)
            ON CONFLICT (incarnation) DO UPDATE SET incarnation = excluded.incarnation
            RETURNING id";
        const POSITION: &str = "INSERT INTO positions
            (edge, sequence, settled_sequence, settled_to) VALUES ($1, 0, 0, 0)
            ON CONFLICT (edge) DO UPDATE SET edge = excluded.edge
            RETURNING sequence, settled_sequence, settled_to";
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let id: i64 = sqlx::query_scalar(EDGE)
            .bind(i64::from(edge.0))
            .bind(now.get())
            .fetch_one(&mut *transaction)
            .await?;
        let row = sqlx::query(POSITION)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok((id, position(&row)?))
    }
}

/// Reads sequence, settled sequence and settled time.
fn position(row: &SqliteRow) -> Result<Position, StoreError> {
    Ok(Position {
        sequence: narrow(row.try_get(0)?, "position")?,
        settled_sequence: narrow(row.try_get(1)?, "position")?,
        settled_to: Micros::new(row.try_get(2)?),
    })
}
