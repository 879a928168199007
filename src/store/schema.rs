//! Which schema a database has, and which one is known here.

use sqlx::migrate::{MigrateError, Migrator};

use super::copying::unfinished_from;
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

    /// The schema of the database there, without opening that: nothing is made or brought up to
    /// date. `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is half of a copy.
    pub async fn schema(place: &Place) -> Result<Option<i64>, StoreError> {
        const THERE: Sql = Sql::of(
            "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            "SELECT count(to_regclass('_sqlx_migrations'))",
        );
        const SQL: Sql = Sql::same("SELECT max(version) FROM _sqlx_migrations");
        let readers = match place {
            Place::Directory(data) => sqlite::peek(data).await?,
            Place::Postgres(url) => postgres::peek(url).await?,
        };
        let Some(readers) = readers else {
            return Ok(None);
        };
        let asked = async {
            if let Some(from) = unfinished_from(&readers).await? {
                return Err(StoreError::Unfinished { from });
            }
            let there: i64 = readers.one(Query::new(THERE)).await?.at(0)?;
            match there {
                0 => Ok(None),
                _ => readers.one(Query::new(SQL)).await?.at(0),
            }
        };
        let schema = asked.await;
        readers.close().await;
        schema
    }
}

/// The newest schema that is known here.
pub(super) fn known(migrations: &Migrator) -> i64 {
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
