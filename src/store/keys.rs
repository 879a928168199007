//! API keys, by their hash.

use crate::domain::coded_enum;
use crate::domain::time::Micros;

use super::sql::{Query, Row, Sql};
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

impl ApiKey {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let scope = Scope::from_code(narrow(row.get("scope")?, "scope")?);
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            scope: scope.ok_or(StoreError::Unreadable("scope"))?,
            created_at: Micros::new(row.get("created_at")?),
            revoked_at: row.get::<Option<i64>>("revoked_at")?.map(Micros::new),
        })
    }
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
        const SQL: Sql = Sql::same(
            "INSERT INTO api_keys (name, scope, hash, created_at)
            VALUES ($1, $2, $3, $4) RETURNING id",
        );
        let made = self
            .writer()?
            .one(
                Query::new(SQL)
                    .bind(name)
                    .bind(i64::from(scope.code()))
                    .bind(hash.as_slice())
                    .bind(now.get()),
            )
            .await?;
        Ok(ApiKey {
            id: made.at(0)?,
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
        const SQL: Sql = Sql::same(
            "SELECT id, name, scope, created_at, revoked_at
            FROM api_keys WHERE hash = $1",
        );
        let row = Query::new(SQL).bind(hash.as_slice());
        let row = self.readers.optional(row).await?;
        row.map(|row| ApiKey::read(&row)).transpose()
    }

    /// Every key, revoked ones among them, in the order in which they were made.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT id, name, scope, created_at, revoked_at
            FROM api_keys ORDER BY id",
        );
        let rows = self.readers.all(Query::new(SQL)).await?;
        rows.iter().map(ApiKey::read).collect()
    }

    /// Revokes a key, and returns it; one that is revoked already keeps its time. `None` if there
    /// is none of this number.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn revoke_api_key(&self, id: i64, now: Micros) -> Result<Option<ApiKey>, StoreError> {
        const SQL: Sql = Sql::same(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $1)
            WHERE id = $2 RETURNING id, name, scope, created_at, revoked_at",
        );
        let row = Query::new(SQL).bind(now.get()).bind(id);
        let row = self.writer()?.optional(row).await?;
        row.map(|row| ApiKey::read(&row)).transpose()
    }

    /// How many keys there are, revoked ones among them.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn api_keys_count(&self) -> Result<i64, StoreError> {
        const SQL: Sql = Sql::same("SELECT count(*) FROM api_keys");
        self.readers.one(Query::new(SQL)).await?.at(0)
    }
}
