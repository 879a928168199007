//! Campaigns, and the message numbers that they reserve.

use crate::domain::campaign::{CampaignId, PrivacyLevel, TenantId};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow};

/// A campaign as it is stored.
#[derive(Clone, Debug)]
pub struct CampaignRow {
    /// Its number.
    pub id: CampaignId,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Its name, for people.
    pub name: String,
    /// Where honeypots lead.
    pub home: Destination,
    /// Strictest level of tenant and campaign.
    pub level: PrivacyLevel,
    /// When it was made.
    pub created_at: Micros,
    /// When it was archived; its links go on.
    pub archived_at: Option<Micros>,
}

/// What an edit of a campaign changes.
#[derive(Clone, Debug, Default)]
pub struct CampaignEdit {
    /// New name.
    pub name: Option<String>,
    /// New home.
    pub home: Option<Destination>,
    /// New level.
    pub level: Option<PrivacyLevel>,
    /// Archived (since when) or not.
    pub archived_at: Option<Option<Micros>>,
}

const CAMPAIGN: Sql = Sql::same(
    "SELECT c.id, c.tenant, c.name, c.home_url, c.created_at, c.archived_at,
        CASE WHEN c.level > t.level THEN c.level ELSE t.level END AS level
    FROM campaigns c JOIN tenants t ON t.id = c.tenant WHERE c.id = $1",
);

const CAMPAIGNS: Sql = Sql::same(
    "SELECT c.id, c.tenant, c.name, c.home_url, c.created_at, c.archived_at,
        CASE WHEN c.level > t.level THEN c.level ELSE t.level END AS level
    FROM campaigns c JOIN tenants t ON t.id = c.tenant
    WHERE c.id > $1 ORDER BY c.id LIMIT $2",
);

impl Store {
    /// Makes a campaign of `tenant`.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn create_campaign(
        &self,
        tenant: TenantId,
        name: &str,
        home: &Destination,
        now: Micros,
    ) -> Result<CampaignRow, StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO campaigns
            (tenant, name, home_url, level, next_number, created_at)
            VALUES ($1, $2, $3, $4, 0, $5) RETURNING id",
        );
        let mut transaction = self.writer()?.begin().await?;
        let made = transaction
            .one(
                Query::new(SQL)
                    .bind(i64::from(tenant.get()))
                    .bind(name)
                    .bind(home.as_str())
                    .bind(i64::from(PrivacyLevel::Individual.code()))
                    .bind(now.get()),
            )
            .await?;
        let id: i64 = made.at(0)?;
        let row = transaction.one(Query::new(CAMPAIGN).bind(id)).await?;
        let made = campaign(&row)?;
        transaction.commit().await?;
        Ok(made)
    }

    /// One campaign.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn campaign(&self, id: CampaignId) -> Result<Option<CampaignRow>, StoreError> {
        let query = Query::new(CAMPAIGN).bind(i64::from(id.get()));
        let row = self.readers.optional(query).await?;
        row.map(|row| campaign(&row)).transpose()
    }

    /// Campaigns with ids above `after`, at most `limit`.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn campaigns(&self, after: u32, limit: u32) -> Result<Vec<CampaignRow>, StoreError> {
        let rows = self
            .readers
            .all(
                Query::new(CAMPAIGNS)
                    .bind(i64::from(after))
                    .bind(i64::from(limit)),
            )
            .await?;
        rows.iter().map(campaign).collect()
    }

    /// Changes a campaign; `None` if there is none.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edit_campaign(
        &self,
        id: CampaignId,
        edit: &CampaignEdit,
    ) -> Result<Option<CampaignRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "UPDATE campaigns SET
                name = coalesce($2, name), home_url = coalesce($3, home_url),
                level = coalesce($4, level),
                archived_at = CASE WHEN $5 THEN $6 ELSE archived_at END
            WHERE id = $1",
        );
        let mut transaction = self.writer()?.begin().await?;
        transaction
            .run(
                Query::new(SQL)
                    .bind(i64::from(id.get()))
                    .bind(edit.name.as_deref())
                    .bind(edit.home.as_ref().map(Destination::as_str))
                    .bind(edit.level.map(|level| i64::from(level.code())))
                    .bind(edit.archived_at.is_some())
                    .bind(edit.archived_at.flatten().map(Micros::get)),
            )
            .await?;
        let query = Query::new(CAMPAIGN).bind(i64::from(id.get()));
        let row = transaction.optional(query).await?;
        let edited = row.map(|row| campaign(&row)).transpose()?;
        transaction.commit().await?;
        Ok(edited)
    }

    /// Reserves `count` message numbers for good and returns the first; numbers wrap at 2³².
    /// `None` if there is no such campaign.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn reserve_numbers(
        &self,
        campaign: CampaignId,
        count: u32,
    ) -> Result<Option<u32>, StoreError> {
        const SQL: Sql = Sql::same(
            "UPDATE campaigns SET next_number = (next_number + $2) % 4294967296
            WHERE id = $1 RETURNING (next_number - $2 + 4294967296) % 4294967296",
        );
        let first = self
            .writer()?
            .optional(
                Query::new(SQL)
                    .bind(i64::from(campaign.get()))
                    .bind(i64::from(count)),
            )
            .await?;
        first
            .map(|row| narrow(row.at(0)?, "message number"))
            .transpose()
    }
}

pub(super) fn campaign(row: &Row) -> Result<CampaignRow, StoreError> {
    let bad = StoreError::Unreadable("campaign");
    let level: i64 = row.get("level")?;
    let (Some(id), Some(tenant), Some(level)) = (
        CampaignId::new(narrow(row.get("id")?, "campaign")?),
        TenantId::new(narrow(row.get("tenant")?, "tenant")?),
        PrivacyLevel::from_code(narrow(level, "privacy level")?),
    ) else {
        return Err(bad);
    };
    Ok(CampaignRow {
        id,
        tenant,
        name: row.get("name")?,
        home: Destination::stored(row.get("home_url")?),
        level,
        created_at: Micros::new(row.get("created_at")?),
        archived_at: row.get::<Option<i64>>("archived_at")?.map(Micros::new),
    })
}
