//! Edges, and how far each one's journal is in the store.

use std::collections::HashMap;

use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::sql::{Query, Row, Sql};
use super::{Place, Store, StoreError, narrow, postgres, sqlite};

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
    /// How far an edge's journal is in a store, without opening that: nothing is made, brought up
    /// to date or kept open. `None` if there is no store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn peek(place: &Place, edge: EdgeId) -> Result<Option<Position>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT sequence, settled_sequence, settled_to
            FROM positions JOIN edges ON edges.id = positions.edge WHERE incarnation = $1",
        );
        let readers = match place {
            Place::Directory(data) => sqlite::peek(data).await?,
            Place::Postgres(url) => postgres::peek(url).await?,
        };
        let Some(readers) = readers else {
            return Ok(None);
        };
        let row = readers.optional(Query::new(SQL).bind(edge.0)).await?;
        readers.close().await;
        let position = row
            .as_ref()
            .map_or_else(|| Ok(Position::default()), position);
        position.map(Some)
    }

    /// Edges that were not heard of for a minute: what they have kept since is not counted yet.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn silent_edges(&self) -> Result<Vec<EdgeId>, StoreError> {
        let Some(shared) = self.shared() else {
            return Ok(Vec::new());
        };
        shared.silent().await
    }

    /// Every edge that there ever was, behind its row.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edge_names(&self) -> Result<HashMap<i64, EdgeId>, StoreError> {
        const SQL: Sql = Sql::same("SELECT id, incarnation FROM edges");
        let rows = self.readers.all(Query::new(SQL)).await?;
        let name = |row: &Row| Ok((row.at(0)?, EdgeId(narrow(row.at(1)?, "edge")?)));
        rows.iter().map(name).collect()
    }

    /// The row of an edge, made on first sight, and its position.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edge(&self, edge: EdgeId, now: Micros) -> Result<(i64, Position), StoreError> {
        const EDGE: Sql = Sql::same(
            "INSERT INTO edges (incarnation, created_at) VALUES ($1, $2)
            ON CONFLICT (incarnation) DO UPDATE SET incarnation = excluded.incarnation
            RETURNING id",
        );
        const POSITION: Sql = Sql::same(
            "INSERT INTO positions
            (edge, sequence, settled_sequence, settled_to) VALUES ($1, 0, 0, 0)
            ON CONFLICT (edge) DO UPDATE SET edge = excluded.edge
            RETURNING sequence, settled_sequence, settled_to",
        );
        let mut transaction = self.writer.begin().await?;
        let row = transaction
            .one(Query::new(EDGE).bind(i64::from(edge.0)).bind(now.get()))
            .await?;
        let id: i64 = row.at(0)?;
        let row = transaction.one(Query::new(POSITION).bind(id)).await?;
        transaction.commit().await?;
        Ok((id, position(&row)?))
    }
}

/// Reads sequence, settled sequence and settled time.
fn position(row: &Row) -> Result<Position, StoreError> {
    Ok(Position {
        sequence: narrow(row.at(0)?, "position")?,
        settled_sequence: narrow(row.at(1)?, "position")?,
        settled_to: Micros::new(row.at(2)?),
    })
}
