//! API keys, by their hash, and the rule sets that judgements were made with.

use sqlx::Row;

use crate::domain::coded_enum;
use crate::domain::judgement::RuleSetId;
use crate::domain::time::Micros;

use super::{Store, StoreError, narrow};

coded_enum! {
    /// What an API key may do (DESIGN 5.4).
    pub enum Scope {
        /// Campaigns, links, rewriting, minting, short links.
        Mint = 1 => "mint",
        /// Statistics, events, exports.
        Read = 2 => "read",
        /// Everything.
        Admin = 3 => "admin",
    }
}

impl Scope {
    /// Whether a key of this scope may do what needs `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed
    }
}

/// An API key as it is stored: never the key itself.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its number.
    pub id: i64,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Micros,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

impl Store {
    /// Keeps a new key's hash (SHA-256 of the key as it is sent).
    ///
    /// # Errors
    /// The store is not available.
    pub async fn create_api_key(
        &self,
        name: &str,
        scope: Scope,
        hash: &[u8; 32],
        now: Micros,
    ) -> Result<ApiKey, StoreError> {
        const SQL: &str = "INSERT INTO api_keys (name, scope, hash, created_at)
            VALUES ($1, $2, $3, $4) RETURNING id";
        let id = sqlx::query_scalar(SQL)
            .bind(name)
            .bind(i64::from(scope.code()))
            .bind(hash.as_slice())
            .bind(now.get())
            .fetch_one(self.writer()?)
            .await?;
        Ok(ApiKey {
            id,
            name: name.to_owned(),
            scope,
            created_at: now,
            revoked_at: None,
        })
    }

    /// The key with this hash.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        const SQL: &str = "SELECT id, name, scope, created_at, revoked_at
            FROM api_keys WHERE hash = $1";
        let row = sqlx::query(SQL)
            .bind(hash.as_slice())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let scope = Scope::from_code(narrow(row.try_get("scope")?, "scope")?);
        Ok(Some(ApiKey {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            scope: scope.ok_or(StoreError::Unreadable("scope"))?,
            created_at: Micros::new(row.try_get("created_at")?),
            revoked_at: row
                .try_get::<Option<i64>, _>("revoked_at")?
                .map(Micros::new),
        }))
    }

    /// How many keys there are, revoked ones among them.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn api_keys_count(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM api_keys")
            .fetch_one(&self.readers)
            .await?)
    }

    /// Keeps the text of a rule set that judges here, so that its judgements stay explainable.
    ///
    /// # Errors
    /// `Conflict` if its id belongs to another text; or not available.
    pub async fn keep_ruleset(
        &self,
        id: RuleSetId,
        name: &str,
        version: u32,
        text: &str,
        now: Micros,
    ) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO rulesets (id, name, version, text, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
        sqlx::query(INSERT)
            .bind(i64::from(id.0))
            .bind(name)
            .bind(i64::from(version))
            .bind(text)
            .bind(now.get())
            .execute(&self.writer)
            .await?;
        let kept: String = sqlx::query_scalar("SELECT text FROM rulesets WHERE id = $1")
            .bind(i64::from(id.0))
            .fetch_one(&self.writer)
            .await?;
        if kept == text {
            Ok(())
        } else {
            Err(StoreError::Conflict("another rule set with this id"))
        }
    }

    /// Text of every rule set that ever judged here.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn rulesets(&self) -> Result<Vec<(RuleSetId, String)>, StoreError> {
        let rows = sqlx::query("SELECT id, text FROM rulesets ORDER BY id")
            .fetch_all(&self.writer)
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    RuleSetId(narrow(row.try_get("id")?, "rule set")?),
                    row.try_get(1)?,
                ))
            })
            .collect()
    }
}
