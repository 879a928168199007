//! Which schema a database has, and which one is known here.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

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

/// Migrations of a folder by the names of their files. `sqlx::migrate!` does the same, and has both
/// databases built a second time for the compiler.
macro_rules! migrations {
    ($folder:literal, $($name:literal),+ $(,)?) => {
        std::sync::LazyLock::new(|| $crate::store::schema::migrator([$((
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/migrations/", $folder, "/", $name, ".sql"
            )),
        )),+]))
    };
}
pub(super) use migrations;

/// Of files by their names: a number, and what it is about.
pub(super) fn migrator<const N: usize>(files: [(&'static str, &'static str); N]) -> Migrator {
    let migration = |(name, sql): (&'static str, &'static str)| {
        let (version, about) = name.split_once('_').unwrap_or_default();
        let version = version.parse().unwrap_or_default();
        let (about, sql) = (about.replace('_', " "), sql.into_sql_str());
        Migration::new(version, about.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(files.map(migration).into())
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Migrator, postgres, sqlite};

    /// What is in the folders is what is known, as sqlx would read it there.
    #[tokio::test]
    async fn every_file_is_known_and_in_the_form_of_before() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        for (name, known) in [
            ("sqlite", &sqlite::MIGRATIONS),
            ("postgres", &postgres::MIGRATIONS),
        ] {
            let read = Migrator::new(folder.join(name)).await.unwrap();
            assert!(read.iter().count() > 0);
            let said = |all: &Migrator| -> Vec<_> {
                let said = all
                    .iter()
                    .map(|one| (one.version, one.description.clone(), one.checksum.clone()));
                said.collect()
            };
            assert_eq!(said(known), said(&read), "{name}");
        }
    }
}
