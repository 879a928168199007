//! A store that several processes settle into: leases of shards, how far each edge is, and what
//! waits in the inbox (DESIGN 5.6).

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row as _};

use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::super::events::StoredHit;
use super::super::inbox::{ACCEPTED, Arrival, Arrived, HIT, Inbox, read_accepted, read_hit};
use super::super::ingest::Turns;
use super::super::sql::within;
use super::super::{StoreError, narrow, unsigned};
use super::held::{Held, ask};
use super::leases::{micros, share, turns};

/// An edge that was not heard of for so long is not waited for.
pub(super) const SILENT: Duration = Duration::from_secs(60);

const EDGES: &str = "SELECT edge, incarnation, sequence, settled_sequence, shipped_to, seen_at,
        seen_at > 0 AND greatest(seen_at, $2) < cupel_now() - $1 AS silent
    FROM positions JOIN edges ON edges.id = positions.edge ORDER BY edge";

/// What several processes share; a store that is a file has nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'s> {
    pub(in crate::store) writer: &'s PgPool,
    /// For what somebody asks.
    pub(in crate::store) readers: &'s PgPool,
}

/// How far one edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeState {
    /// Its row.
    pub edge: i64,
    /// Its name.
    pub id: EdgeId,
    /// Last sequence that is in the store or the inbox.
    pub sequence: u64,
    /// Last sequence up to which every hit is settled, as far as is written down.
    pub settled_sequence: u64,
    /// Every hit before this, by its own clock, is in the store or the inbox.
    pub shipped_to: Micros,
    /// When it was last heard of, by the server's clock; `None` if it said that it stops, or was
    /// never heard of.
    pub seen_at: Option<Micros>,
    /// It was not heard of for a minute, and is not waited for.
    pub silent: bool,
}

impl FromRow<'_, PgRow> for EdgeState {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let number = |column| row.try_get::<i64, _>(column);
        let seen_at = number("seen_at")?;
        let incarnation = u32::try_from(number("incarnation")?);
        Ok(Self {
            edge: row.try_get::<i32, _>("edge")?.into(),
            id: EdgeId(incarnation.map_err(|error| sqlx::Error::Decode(error.into()))?),
            sequence: unsigned(number("sequence")?),
            settled_sequence: unsigned(number("settled_sequence")?),
            shipped_to: Micros::new(number("shipped_to")?),
            seen_at: (seen_at != 0).then_some(Micros::new(seen_at)),
            silent: row.try_get("silent")?,
        })
    }
}

impl Shared<'_> {
    /// Renews the leases of `holder`, and takes or gives up as many as are its share. Whoever has
    /// one settles that shard alone.
    ///
    /// # Errors
    /// The store is not available; the leases are as they were, or as they were to become.
    pub async fn lease(&self, holder: EdgeId) -> Result<Turns, StoreError> {
        let mut held = Held::begin(self.writer).await?;
        let leases = within(share(held.on()?, i64::from(holder.0))).await?;
        held.commit().await?;
        turns(&leases)
    }

    /// Gives up every lease, and says that this edge stops; with nothing left to ship it is not
    /// waited for.
    ///
    /// # Errors
    /// The store is not available; others wait until the leases run out.
    pub async fn leave(&self, holder: EdgeId, shipped: bool) -> Result<(), StoreError> {
        const RELEASE: &str = "WITH gone AS (DELETE FROM settlers WHERE id = $1)
            UPDATE shards SET holder = NULL, held_until = 0, turn = turn + 1 WHERE holder = $1";
        const LEAVE: &str = "UPDATE positions SET seen_at = 0
            WHERE edge = (SELECT id FROM edges WHERE incarnation = $1)";
        let holder = i64::from(holder.0);
        let release = sqlx::query(RELEASE).bind(holder);
        ask(self.writer, async |on| release.execute(on).await).await?;
        if shipped {
            let leave = sqlx::query(LEAVE).bind(holder);
            ask(self.writer, async |on| leave.execute(on).await).await?;
        }
        Ok(())
    }

    /// The server's time.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn now(&self) -> Result<Micros, StoreError> {
        let query = sqlx::query_scalar("SELECT cupel_now()");
        let now: i64 = ask(self.writer, async |on| query.fetch_one(on).await).await?;
        Ok(Micros::new(now))
    }

    /// Every edge, by its row. One is silent if it could have been heard of since `since`, by the
    /// server's clock, and was not: where the database was away, all were.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edges(&self, since: Micros) -> Result<Vec<EdgeState>, StoreError> {
        let edges = sqlx::query_as(EDGES).bind(micros(SILENT)).bind(since.get());
        Ok(ask(self.writer, async |on| edges.fetch_all(on).await).await?)
    }

    /// Names of edges that are silent.
    pub(in crate::store) async fn silent(&self) -> Result<Vec<EdgeId>, StoreError> {
        let edges = sqlx::query_as(EDGES).bind(micros(SILENT)).bind(0_i64);
        let edges = ask(self.readers, async |on| edges.fetch_all(on).await);
        let edges: Vec<EdgeState> = edges.await?;
        let silent = edges.iter().filter(|edge| edge.silent);
        Ok(silent.map(|edge| edge.id).collect())
    }

    /// Up to which sequence of each edge the hits of all of `shards` are settled, where that was
    /// written down for all of them; and the time up to which they are.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn lanes(
        &self,
        shards: impl Iterator<Item = Shard>,
    ) -> Result<(Vec<(i64, u64)>, Micros), StoreError> {
        const LANES: &str = "SELECT edge, min(settled_sequence) FROM lanes
            WHERE shard = ANY($1) GROUP BY edge HAVING count(*) = cardinality($1)";
        const SETTLED_TO: &str = "SELECT min(settled_to) FROM shards WHERE id = ANY($1)";
        let shards: Vec<_> = shards.map(|shard| i16::from(shard.get())).collect();
        let lanes = sqlx::query_as(LANES).bind(shards.as_slice());
        let lanes = ask(self.writer, async |on| lanes.fetch_all(on).await);
        let lanes: Vec<(i32, i64)> = lanes.await?;
        let settled_to = sqlx::query_scalar(SETTLED_TO).bind(shards);
        let settled_to = ask(self.writer, async |on| settled_to.fetch_one(on).await);
        let settled_to: Option<i64> = settled_to.await?;
        let lanes = lanes.into_iter();
        Ok((
            lanes
                .map(|(edge, to)| (edge.into(), unsigned(to)))
                .collect(),
            settled_to.map_or_else(Micros::default, Micros::new),
        ))
    }

    /// What waits for `shards`, at most `limit` rows of it, of these edges. A row that cannot be
    /// read is said, and taken out with the others.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn inbox(
        &self,
        shards: impl Iterator<Item = Shard>,
        edges: &[EdgeState],
        limit: usize,
    ) -> Result<Inbox, StoreError> {
        const SQL: &str = "SELECT id, sequence, source, edge, kind, record FROM inbox
            WHERE shard = ANY($1) ORDER BY id LIMIT $2";
        let shards: Vec<_> = shards.map(|shard| i16::from(shard.get())).collect();
        let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query_as(SQL).bind(shards).bind(rows_max);
        let rows: Vec<InboxRow> = ask(self.writer, async |on| query.fetch_all(on).await).await?;
        let mut inbox = Inbox {
            emptied: rows.len() < limit,
            ..Inbox::default()
        };
        let names: HashMap<_, _> = edges.iter().map(|edge| (edge.edge, edge.id)).collect();
        for row in rows {
            let Some(name) = names.get(&i64::from(row.3)) else {
                // It came to the store since the edges were asked for.
                inbox.emptied = false;
                break;
            };
            let sequence = row.1;
            inbox.rows.push(row.0);
            match arrival(row, *name) {
                Some(arrival) => inbox.arrivals.push(arrival),
                None => tracing::error!(sequence, "store: left out an unreadable row of the inbox"),
            }
        }
        Ok(inbox)
    }

    /// How many shards nobody has a lease of, and about how many rows wait in the inbox.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn undone(&self) -> Result<(u32, u64), StoreError> {
        // Rows come with rising numbers, and few are left out: to count them would take longer.
        const SQL: &str = "SELECT (SELECT count(*) FROM shards WHERE held_until < cupel_now()),
            coalesce((SELECT max(id) FROM inbox) - (SELECT min(id) FROM inbox) + 1, 0)";
        let query = sqlx::query_as(SQL);
        let (unheld, waiting): (i64, i64) =
            ask(self.writer, async |on| query.fetch_one(on).await).await?;
        Ok((narrow(unheld, "count")?, narrow(waiting, "count")?))
    }

    /// Number of the last row in the inbox.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn last_in_inbox(&self) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query_scalar("SELECT max(id) FROM inbox");
        Ok(ask(self.writer, async |on| query.fetch_one(on).await).await?)
    }

    /// Rows that wait, whoever is to settle them.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar("SELECT count(*) FROM inbox");
        let rows: i64 = ask(self.writer, async |on| query.fetch_one(on).await).await?;
        narrow(rows, "count")
    }

    /// Writes down, for those who ask, up to where the hits of each edge are settled.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn tell_settled(&self) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE positions p
            SET settled_sequence = lane.settled_sequence, settled_to = shard.settled_to
            FROM (SELECT edge, min(settled_sequence) AS settled_sequence FROM lanes
                    GROUP BY edge HAVING count(*) = (SELECT count(*) FROM shards)) lane,
                (SELECT min(settled_to) AS settled_to FROM shards) shard
            WHERE p.edge = lane.edge AND p.edge IN (SELECT edge FROM positions
                    ORDER BY edge FOR UPDATE SKIP LOCKED)
                AND (p.settled_sequence < lane.settled_sequence
                    OR p.settled_to < shard.settled_to)";
        let query = sqlx::query(SQL);
        ask(self.writer, async |on| query.execute(on).await).await?;
        Ok(())
    }
}

/// Number, sequence, source, edge, kind, record.
type InboxRow = (i64, i64, Option<i64>, i32, i16, Vec<u8>);

/// Of an edge with this name.
fn arrival(row: InboxRow, name: EdgeId) -> Option<Arrival> {
    let (_, sequence, source, edge, kind, record) = row;
    let (sequence, edge) = (unsigned(sequence), i64::from(edge));
    let what = match kind {
        HIT => {
            let (hit, prefix) = read_hit(&record)?;
            Arrived::Hit(Box::new(StoredHit {
                edge: name,
                sequence,
                hit,
                prefix,
                source: source.map(unsigned),
                revision: 0,
                settled: false,
                agent: None,
            }))
        }
        ACCEPTED => Arrived::Accepted(read_accepted(&record)?),
        _ => return None,
    };
    Some(Arrival {
        edge,
        sequence,
        what,
    })
}
