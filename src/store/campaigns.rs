//! Campaigns, and the message numbers that they reserve.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::campaign::{CampaignId, PrivacyLevel, TenantId};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

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

const CAMPAIGN: &str = "SELECT c.id, c.tenant, c.name, c.home_url,
        max(c.level, t.level) AS level, c.created_at, c.archived_at
    FROM campaigns c JOIN tenants t ON t.id = c.tenant WHERE c.id = $1";

const CAMPAIGNS: &str = "SELECT c.id, c.tenant, c.name, c.home_url,
        max(c.level, t.level) AS level, c.created_at, c.archived_at
    FROM campaigns c JOIN tenants t ON t.id = c.tenant
    WHERE c.id > $1 ORDER BY c.id LIMIT $2";

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
        const SQL: &str = "INSERT INTO campaigns
            (tenant, name, home_url, level, next_number, created_at)
            VALUES ($1, $2, $3, $4, 0, $5) RETURNING id";
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await?;
        let id: i64 = sqlx::query_scalar(SQL)
            .bind(i64::from(tenant.get()))
            .bind(name)
            .bind(home.as_str())
            .bind(i64::from(PrivacyLevel::Individual.code()))
            .bind(now.get())
            .fetch_one(&mut *transaction)
            .await?;
        let row = sqlx::query(CAMPAIGN)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        let made = campaign(&row)?;
        transaction.commit().await?;
        Ok(made)
    }

    /// One campaign.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn campaign(&self, id: CampaignId) -> Result<Option<CampaignRow>, StoreError> {
        let query = sqlx::query(CAMPAIGN).bind(i64::from(id.get()));
        let row = query.fetch_optional(&self.readers).await?;
        row.map(|row| campaign(&row)).transpose()
    }

    /// Campaigns with ids above `after`, at most `limit`.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn campaigns(&self, after: u32, limit: u32) -> Result<Vec<CampaignRow>, StoreError> {
        let rows = sqlx::query(CAMPAIGNS)
            .bind(i64::from(after))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
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
        const SQL: &str = "UPDATE campaigns SET
                name = coalesce($2, name), home_url = coalesce($3, home_url),
                level = coalesce($4, level),
                archived_at = CASE WHEN $5 THEN $6 ELSE archived_at END
            WHERE id = $1";
        let mut transaction = self.writer()?.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(SQL)
            .bind(i64::from(id.get()))
            .bind(edit.name.as_deref())
            .bind(edit.home.as_ref().map(Destination::as_str))
            .bind(edit.level.map(|level| i64::from(level.code())))
            .bind(edit.archived_at.is_some())
            .bind(edit.archived_at.flatten().map(Micros::get))
            .execute(&mut *transaction)
            .await?;
        let query = sqlx::query(CAMPAIGN).bind(i64::from(id.get()));
        let row = query.fetch_optional(&mut *transaction).await?;
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
        const SQL: &str = "UPDATE campaigns SET next_number = (next_number + $2) % 4294967296
            WHERE id = $1 RETURNING (next_number - $2 + 4294967296) % 4294967296";
        let first: Option<i64> = sqlx::query_scalar(SQL)
            .bind(i64::from(campaign.get()))
            .bind(i64::from(count))
            .fetch_optional(self.writer()?)
            .await?;
        first
            .map(|first| narrow(first, "message number"))
            .transpose()
    }
}

fn campaign(row: &SqliteRow) -> Result<CampaignRow, StoreError> {
    let bad = StoreError::Unreadable("campaign");
    let level: i64 = row.try_get("level")?;
    let (Some(id), Some(tenant), Some(level)) = (
        CampaignId::new(narrow(row.try_get("id")?, "campaign")?),
        TenantId::new(narrow(row.try_get("tenant")?, "tenant")?),
        PrivacyLevel::from_code(narrow(level, "privacy level")?),
    ) else {
        return Err(bad);
    };
    Ok(CampaignRow {
        id,
        tenant,
        name: row.try_get("name")?,
        home: Destination::stored(row.try_get("home_url")?),
        level,
        created_at: Micros::new(row.try_get("created_at")?),
        archived_at: row
            .try_get::<Option<i64>, _>("archived_at")?
            .map(Micros::new),
    })
}
