//! What the nodes of an installation know of each other through its database, and leave there for
//! each other.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::super::StoreError;
use super::super::follow::Installation;
use super::held::ask;
use super::leases::micros;
use super::shared::{SILENT, Shared};

/// A process of several that share a store.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Its name, which its edge has too.
    pub id: EdgeId,
    /// As of an edge; `None` where it answers no readers.
    pub shipped_to: Option<Micros>,
    /// When it was last heard of; `None` if it has stopped.
    pub seen_at: Option<Micros>,
    /// As of an edge.
    pub silent: bool,
    /// Shards that it settles.
    pub shards: i64,
    /// Records of it that wait to be settled.
    pub waiting: i64,
}

impl FromRow<'_, PgRow> for Node {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let id = u32::try_from(row.try_get::<i64, _>("id")?);
        let time = |column| row.try_get::<Option<i64>, _>(column);
        Ok(Self {
            id: EdgeId(id.map_err(|error| sqlx::Error::Decode(error.into()))?),
            shipped_to: time("shipped_to")?.map(Micros::new),
            seen_at: time("seen_at")?.map(Micros::new),
            silent: row.try_get("silent")?,
            shards: row.try_get("shards")?,
            waiting: row.try_get("waiting")?,
        })
    }
}

impl Shared<'_> {
    /// Every node that ships or settles, by its name; and how many rows of each wait in the inbox.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        const SQL: &str = "SELECT coalesce(e.incarnation, s.id) AS id, e.shipped_to,
                nullif(greatest(e.seen_at, s.seen_at), 0) AS seen_at,
                coalesce(greatest(e.seen_at, s.seen_at) > 0
                    AND greatest(e.seen_at, s.seen_at) < cupel_now() - $1, false) AS silent,
                (SELECT count(*) FROM shards WHERE holder = coalesce(e.incarnation, s.id)
                    AND held_until >= cupel_now()) AS shards,
                coalesce(i.waiting, 0) AS waiting
            FROM (SELECT * FROM positions JOIN edges ON edges.id = positions.edge) e
            FULL JOIN settlers s ON s.id = e.incarnation
            LEFT JOIN (SELECT edge, count(*) AS waiting FROM inbox GROUP BY edge) i
                ON i.edge = e.edge ORDER BY 1";
        let query = sqlx::query_as(SQL).bind(micros(SILENT));
        Ok(ask(self.readers, async |on| query.fetch_all(on).await).await?)
    }

    /// Forgets an edge that is silent: it is not waited for, and not named any more. `false` if
    /// there is none of this name, or it is heard of.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn forget(&self, id: EdgeId) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE positions SET seen_at = 0
            WHERE seen_at > 0 AND seen_at < cupel_now() - $2
            AND edge = (SELECT id FROM edges WHERE incarnation = $1)";
        let query = sqlx::query(SQL).bind(i64::from(id.0)).bind(micros(SILENT));
        let done = ask(self.writer, async |on| query.execute(on).await).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Who has the database. One that is nobody's is taken into possession, unless it has links and
    /// this edge had no part in them.
    pub(in crate::store) async fn found(
        &self,
        mark: &[u8],
        ring: &[u8],
        edge: EdgeId,
    ) -> Result<Option<Installation>, StoreError> {
        const FOUND: &str = "INSERT INTO installation (mark, ring_version, ring) SELECT $1, 1, $2
            WHERE EXISTS (SELECT 1 FROM edges WHERE incarnation = $3)
                OR NOT EXISTS (SELECT 1 FROM campaigns)
                AND NOT EXISTS (SELECT 1 FROM short_links)
            ON CONFLICT DO NOTHING";
        const SQL: &str = "SELECT mark, ring_version, ring FROM installation";
        let find = async || {
            let query = sqlx::query_as(SQL);
            let found = ask(self.writer, async |on| query.fetch_optional(on).await);
            let row: Option<(Vec<u8>, i64, Vec<u8>)> = found.await?;
            Ok::<_, StoreError>(row.map(|(mark, ring_version, ring)| Installation {
                mark,
                ring_version,
                ring,
            }))
        };
        if let Some(found) = find().await? {
            return Ok(Some(found));
        }
        let insert = sqlx::query(FOUND).bind(mark).bind(ring);
        let insert = insert.bind(i64::from(edge.0));
        ask(self.writer, async |on| insert.execute(on).await).await?;
        find().await
    }

    /// Takes a database into possession whose links are known to be signed with these keys.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn claim(&self, mark: &[u8], ring: &[u8]) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO installation (mark, ring_version, ring) VALUES ($1, 1, $2)
            ON CONFLICT DO NOTHING";
        let query = sqlx::query(SQL).bind(mark).bind(ring);
        ask(self.writer, async |on| query.execute(on).await).await?;
        Ok(())
    }

    /// Puts another key ring in the place of this version; whether it was the last one.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn put_ring(&self, version: i64, ring: &[u8]) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE installation SET ring = $2, ring_version = ring_version + 1
            WHERE ring_version = $1";
        let query = sqlx::query(SQL).bind(version).bind(ring);
        let done = ask(self.writer, async |on| query.execute(on).await);
        Ok(done.await?.rows_affected() == 1)
    }

    /// Sealed keys of the present days: `today` has the one that is given unless another was there,
    /// and those of days before yesterday are destroyed.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn day_keys(
        &self,
        today: i64,
        sealed: &[u8],
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        const PUT: &str =
            "INSERT INTO day_keys (day, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        // By the clock of all: one that is ahead must not take today's from the others.
        const DESTROY: &str = "DELETE FROM day_keys WHERE day < cupel_now() / 86400000000 - 1";
        const SQL: &str = "SELECT day, sealed FROM day_keys";
        let put = sqlx::query(PUT).bind(today).bind(sealed);
        ask(self.writer, async |on| put.execute(on).await).await?;
        let destroy = sqlx::query(DESTROY);
        ask(self.writer, async |on| destroy.execute(on).await).await?;
        let query = sqlx::query_as(SQL);
        Ok(ask(self.writer, async |on| query.fetch_all(on).await).await?)
    }
}
