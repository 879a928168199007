//! Which schema a database has, and which one is known here.

use sqlx::migrate::{MigrateError, Migrator};

use super::sql::{Query, Sql};
use super::{Place, Store, StoreError, postgres, sqlite};

impl Store {
    /// The schema that this version brings a database at `place` to.
    #[must_use]
    pub fn schema_known(place: &Place) -> i64 {
        known(match place {
            Place::Directory(_) => &sqlite::MIGRATIONS,
            Place::Postgres(_) => &postgres::MIGRATIONS,
        })
    }

    /// The schema of the database there, without opening that: nothing is made or brought up to date.
    /// `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn schema(place: &Place) -> Result<Option<i64>, StoreError> {
        const SQL: Sql = Sql::same("SELECT max(version) FROM _sqlx_migrations");
        let readers = match place {
            Place::Directory(data) => sqlite::peek(data).await?,
            Place::Postgres(url) => postgres::peek(url).await?,
        };
        let Some(readers) = readers else {
            return Ok(None);
        };
        let row = readers.one(Query::new(SQL)).await;
        readers.close().await;
        row?.at(0)
    }
}

fn known(migrations: &Migrator) -> i64 {
    let versions = migrations.iter().map(|migration| migration.version);
    versions.max().unwrap_or(0)
}

/// Why a schema could not be brought up to date.
pub(super) fn refused(error: MigrateError, migrations: &Migrator) -> StoreError {
    match error {
        MigrateError::Execute(error) => StoreError::Unavailable(error),
        MigrateError::VersionMissing(found) => StoreError::Newer {
            found,
            known: known(migrations),
        },
        other => StoreError::Schema(other),
    }
}
