//! Edges, and how far each one's journal is in the store.

use sqlx::Row;

use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::{Store, StoreError, narrow};

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
        let position = Position {
            sequence: narrow(row.try_get(0)?, "position")?,
            settled_sequence: narrow(row.try_get(1)?, "position")?,
            settled_to: Micros::new(row.try_get(2)?),
        };
        Ok((id, position))
    }
}
