//! What other nodes have done to the catalogue and the keys of a store that several share.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use sqlx::postgres::{PgListener, PgPool};

use crate::journal::EdgeId;

use super::campaigns::{CampaignRow, campaign};
use super::links::{LinkRow, link};
use super::postgres::{MIGRATIONS, Shared};
use super::schema::known;
use super::short_links::{ShortLinkRow, short_link};
use super::sql::{Query, Row, Sql, within};
use super::{Store, StoreError};

/// Rows read in one go.
const PAGE_ROWS: u32 = 20_000;
/// Told by the database with every change.
const CHANNEL: &str = "cupel_catalogue";

/// The installation that a database belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its mark.
    pub mark: Vec<u8>,
    /// How often its key ring has changed.
    pub ring_version: i64,
    /// The key ring, sealed.
    pub ring: Vec<u8>,
}

/// Transactions whose changes were not all seen by the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: i64,
    to: i64,
}

/// What has changed.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// The database is not what was opened: its server has been started since, or is another, which
    /// may lack what was there and count its transactions from before; or a newer cupel has brought
    /// it up to date.
    pub changed: bool,
    /// Where, in the catalogue; `None` if nothing has.
    pub catalogue: Option<Span>,
    /// How often the key ring has changed.
    pub ring_version: i64,
    /// How often a rule set was made live, and how many are kept.
    pub rulesets: (i64, i64),
    next: i64,
}

/// Rows that have changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Campaigns.
    pub campaigns: Vec<CampaignRow>,
    /// Links of campaigns.
    pub links: Vec<LinkRow>,
    /// Short links.
    pub short_links: Vec<ShortLinkRow>,
}

/// Hears when something has changed.
#[derive(Debug)]
pub struct Ear(PgListener);

impl Ear {
    /// Waits until something has.
    ///
    /// # Errors
    /// The connection is gone; what changes meanwhile is found by asking.
    pub async fn hear(&mut self) -> Result<(), StoreError> {
        self.0.recv().await?;
        Ok(())
    }
}

/// Where a node is in the changes of a database.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) listens: PgPool,
    /// When the server began, which tells one server from another.
    server: i64,
    from: AtomicI64,
}

impl Following {
    /// From now on.
    pub(super) async fn begin(on: &PgPool, listens: PgPool) -> Result<Self, StoreError> {
        const SQL: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
            (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
        let (from, server): (i64, i64) = within(sqlx::query_as(SQL).fetch_one(on)).await?;
        Ok(Self {
            listens,
            server,
            from: from.into(),
        })
    }
}

impl Store {
    /// Hears of changes from now on; `None` for a store that is this process's alone.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn listen(&self) -> Result<Option<Ear>, StoreError> {
        let Some(following) = &self.following else {
            return Ok(None);
        };
        let mut listener = within(PgListener::connect_with(&following.listens)).await?;
        within(listener.listen(CHANNEL)).await?;
        Ok(Some(Ear(listener)))
    }

    /// Whether something has changed since [`Self::followed`] was last told, or the store opened.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn news(&self) -> Result<News, StoreError> {
        const SQL: Sql = Sql::same(
            "WITH seen AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS low,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS high)
            SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, low, high,
                EXISTS (SELECT 1 FROM campaigns WHERE changed >= $1 AND changed < high)
                OR EXISTS (SELECT 1 FROM links WHERE changed >= $1 AND changed < high)
                OR EXISTS (SELECT 1 FROM short_links WHERE changed >= $1 AND changed < high),
                coalesce((SELECT ring_version FROM installation), 0),
                (SELECT max(version) FROM _sqlx_migrations),
                coalesce((SELECT max(id) FROM ruleset_uses), 0), (SELECT count(*) FROM rulesets)
            FROM seen",
        );
        let following = self.following.as_ref();
        let from = following.map_or(0, |following| following.from.load(Relaxed));
        let row = self.readers.one(Query::new(SQL).bind(from)).await?;
        let (next, to) = (row.at(1)?, row.at(2)?);
        Ok(News {
            changed: following.map(|following| following.server) != Some(row.at(0)?)
                || row.at::<i64>(5)? != known(&MIGRATIONS),
            catalogue: row.at::<bool>(3)?.then_some(Span { from, to }),
            ring_version: row.at(4)?,
            rulesets: (row.at(6)?, row.at(7)?),
            next,
        })
    }

    /// These news were taken in.
    pub fn followed(&self, news: &News) {
        if let Some(following) = &self.following {
            following.from.store(news.next, Relaxed);
        }
    }

    /// Rows of the catalogue that have changed.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn changed(&self, span: Span) -> Result<Changed, StoreError> {
        const CAMPAIGNS: Sql = Sql::same(
            "SELECT c.id, c.tenant, c.name, c.home_url, c.created_at, c.archived_at,
                greatest(c.level, t.level) AS level
            FROM campaigns c JOIN tenants t ON t.id = c.tenant
            WHERE c.changed >= $1 AND c.changed < $2 AND c.id > $3 ORDER BY c.id LIMIT $4",
        );
        const LINKS: Sql = Sql::same(
            "SELECT campaign, number, kind, action, url, label, disabled_at FROM links
            WHERE changed >= $1 AND changed < $2 AND (campaign, number) > ($3, $4)
            ORDER BY campaign, number LIMIT $5",
        );
        const SHORT_LINKS: Sql = Sql::same(
            "SELECT id, code, url, created_at, expires_at, disabled_at FROM short_links
            WHERE changed >= $1 AND changed < $2 AND id > $3 ORDER BY id LIMIT $4",
        );
        let mut changed = Changed::default();
        let query = |sql| Query::new(sql).bind(span.from).bind(span.to);
        let mut after = Some(0_u32);
        while let Some(last) = after {
            let rows = query(CAMPAIGNS).bind(last).bind(PAGE_ROWS);
            let rows = self.page(rows, campaign, &mut changed.campaigns).await?;
            after = rows
                .then(|| changed.campaigns.last().map(|row| row.id.get()))
                .flatten();
        }
        let mut after = Some((0, 0));
        while let Some((campaign, number)) = after {
            let rows = query(LINKS).bind(campaign).bind(number).bind(PAGE_ROWS);
            let rows = self.page(rows, link, &mut changed.links).await?;
            let last = changed.links.last();
            let last = last.map(|row| (row.campaign.get(), row.number.get()));
            after = rows.then_some(last).flatten();
        }
        let mut after = Some(0_u32);
        while let Some(last) = after {
            let rows = query(SHORT_LINKS).bind(last).bind(PAGE_ROWS);
            let rows = self.page(rows, short_link, &mut changed.short_links);
            let rows = rows.await?;
            after = rows
                .then(|| changed.short_links.last().map(|row| row.id.get()))
                .flatten();
        }
        Ok(changed)
    }

    /// Adds rows of one page; whether there may be another.
    async fn page<T>(
        &self,
        query: Query<'_>,
        read: fn(&Row) -> Result<T, StoreError>,
        to: &mut Vec<T>,
    ) -> Result<bool, StoreError> {
        let rows = self.readers.all(query).await?;
        for row in &rows {
            to.push(read(row)?);
        }
        Ok(u32::try_from(rows.len()) == Ok(PAGE_ROWS))
    }
}

impl Shared<'_> {
    /// The installation that the database belongs to: this one, if it was nobody's.
    ///
    /// # Errors
    /// The store is not available, or belongs to another installation.
    pub async fn installation(
        &self,
        mark: &[u8],
        ring: &[u8],
        edge: EdgeId,
    ) -> Result<Installation, StoreError> {
        let found = self.found(mark, ring, edge).await?;
        found
            .filter(|found| found.mark == mark)
            .ok_or(StoreError::OtherInstallation)
    }
}
