//! Short links.

use crate::domain::campaign::{ShortLinkId, TenantId};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow};

/// A short link as it is stored.
#[derive(Clone, Debug)]
pub struct ShortLinkRow {
    /// Its id in hits and sums.
    pub id: ShortLinkId,
    /// Its code in the URL.
    pub code: String,
    /// Where it leads.
    pub destination: Destination,
    /// When it was made.
    pub created_at: Micros,
    /// When it stops.
    pub expires_at: Option<Micros>,
    /// When it was disabled.
    pub disabled_at: Option<Micros>,
}

/// What an edit of a short link changes.
#[derive(Clone, Debug, Default)]
pub struct ShortLinkEdit {
    /// New destination.
    pub destination: Option<Destination>,
    /// New end; `Some(None)` takes it away.
    pub expires_at: Option<Option<Micros>>,
    /// Disabled (since when) or not.
    pub disabled_at: Option<Option<Micros>>,
}

const PAGE: Sql = Sql::same(
    "SELECT id, code, url, created_at, expires_at, disabled_at
    FROM short_links WHERE id > $1 ORDER BY id LIMIT $2",
);

const ONE: Sql = Sql::same(
    "SELECT id, code, url, created_at, expires_at, disabled_at
    FROM short_links WHERE code = $1",
);

const NUMBER_ON: &str = "SELECT setval(pg_get_serial_sequence('short_links', 'id'), max(id))
    FROM short_links HAVING max(id) IS NOT NULL";

impl Store {
    /// Makes a short link.
    ///
    /// # Errors
    /// `Conflict` if the code is taken; or not available.
    pub async fn create_short_link(
        &self,
        tenant: TenantId,
        code: &str,
        destination: &Destination,
        expires_at: Option<Micros>,
        now: Micros,
    ) -> Result<ShortLinkRow, StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO short_links (tenant, code, url, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (code) DO NOTHING
            RETURNING id, code, url, created_at, expires_at, disabled_at",
        );
        let made = self
            .writer()?
            .optional(
                Query::new(SQL)
                    .bind(i64::from(tenant.get()))
                    .bind(code)
                    .bind(destination.as_str())
                    .bind(now.get())
                    .bind(expires_at.map(Micros::get)),
            )
            .await?;
        short_link(&made.ok_or(StoreError::Conflict("a short link with this code"))?)
    }

    /// One short link, by its code.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn short_link(&self, code: &str) -> Result<Option<ShortLinkRow>, StoreError> {
        let row = self.readers.optional(Query::new(ONE).bind(code)).await?;
        row.map(|row| short_link(&row)).transpose()
    }

    /// Short links with ids above `after`, at most `limit`.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn short_links(
        &self,
        after: u32,
        limit: u32,
    ) -> Result<Vec<ShortLinkRow>, StoreError> {
        let rows = self
            .readers
            .all(
                Query::new(PAGE)
                    .bind(i64::from(after))
                    .bind(i64::from(limit)),
            )
            .await?;
        rows.iter().map(short_link).collect()
    }

    /// How many short links there are, and how many bytes their codes and URLs take.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn short_links_size(&self) -> Result<(usize, usize), StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT count(*) AS links,
                CAST(coalesce(sum(octet_length(code) + octet_length(url)), 0) AS BIGINT) AS bytes
            FROM short_links",
        );
        let row = self.readers.one(Query::new(SQL)).await?;
        Ok((
            narrow(row.get("links")?, "number of short links")?,
            narrow(row.get("bytes")?, "length of short links")?,
        ))
    }

    /// Takes in short links that an edge knows and this store does not.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn adopt_short_links(
        &self,
        tenant: TenantId,
        rows: &[ShortLinkRow],
    ) -> Result<(), StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO short_links
            (id, tenant, code, url, created_at, expires_at, disabled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        );
        let mut transaction = self.writer()?.begin().await?;
        for row in rows {
            transaction
                .run(
                    Query::new(SQL)
                        .bind(i64::from(row.id.get()))
                        .bind(i64::from(tenant.get()))
                        .bind(row.code.as_str())
                        .bind(row.destination.as_str())
                        .bind(row.created_at.get())
                        .bind(row.expires_at.map(Micros::get))
                        .bind(row.disabled_at.map(Micros::get)),
                )
                .await?;
        }
        transaction.number_on(NUMBER_ON).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Changes a short link; `None` if there is none.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edit_short_link(
        &self,
        code: &str,
        edit: &ShortLinkEdit,
    ) -> Result<Option<ShortLinkRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "UPDATE short_links SET url = coalesce($2, url),
                expires_at = CASE WHEN $3 THEN $4 ELSE expires_at END,
                disabled_at = CASE WHEN $5 THEN $6 ELSE disabled_at END
            WHERE code = $1
            RETURNING id, code, url, created_at, expires_at, disabled_at",
        );
        let row = self
            .writer()?
            .optional(
                Query::new(SQL)
                    .bind(code)
                    .bind(edit.destination.as_ref().map(Destination::as_str))
                    .bind(edit.expires_at.is_some())
                    .bind(edit.expires_at.flatten().map(Micros::get))
                    .bind(edit.disabled_at.is_some())
                    .bind(edit.disabled_at.flatten().map(Micros::get)),
            )
            .await?;
        row.map(|row| short_link(&row)).transpose()
    }
}

pub(super) fn short_link(row: &Row) -> Result<ShortLinkRow, StoreError> {
    let id = ShortLinkId::new(narrow(row.get("id")?, "short link")?);
    Ok(ShortLinkRow {
        id: id.ok_or(StoreError::Unreadable("short link"))?,
        code: row.get("code")?,
        destination: Destination::stored(row.get("url")?),
        created_at: Micros::new(row.get("created_at")?),
        expires_at: row.get::<Option<i64>>("expires_at")?.map(Micros::new),
        disabled_at: row.get::<Option<i64>>("disabled_at")?.map(Micros::new),
    })
}
