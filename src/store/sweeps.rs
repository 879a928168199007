//! Messages that were swept, the first few of each source and day: what is known of sources when
//! settling begins again.

use sqlx::{PgConnection, SqliteConnection};

use crate::domain::sweep::{Source, Sweep};
use crate::domain::time::Micros;

use super::sql::{Query, Sql, low32};
use super::{Store, StoreError, signed, unsigned};

/// Rows that are read, the newest: more sources are not remembered.
const READ_MAX: i64 = 250_000;
/// Rows that are removed at a time.
const FORGOTTEN_MAX: i64 = 5_000;

impl Store {
    /// Sweeps since a time, in order of time; the newest where there are very many.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn sweeps(&self, since: Micros) -> Result<Vec<Sweep>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT at, source, message FROM sweeps WHERE at >= $1 ORDER BY at DESC LIMIT $2",
        );
        let query = Query::new(SQL).bind(since.get()).bind(READ_MAX);
        let rows = self.readers.all(query).await?;
        let read = rows.iter().rev().map(|row| {
            let source = unsigned(row.at(1)?);
            Ok(Sweep {
                at: Micros::new(row.at(0)?),
                source: Source {
                    network: low32(signed(source >> 32)),
                    agent: low32(signed(source)),
                },
                message: low32(row.at(2)?),
            })
        });
        read.collect()
    }

    /// Removes some of the sweeps before a time; `false` if that was all of them.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn forget_sweeps(&self, before: Micros) -> Result<bool, StoreError> {
        const SQL: Sql = Sql::of(
            "DELETE FROM sweeps WHERE (at, source, message) IN
                (SELECT at, source, message FROM sweeps WHERE at < $1 LIMIT $2)",
            "DELETE FROM sweeps WHERE ctid = ANY (ARRAY
                (SELECT ctid FROM sweeps WHERE at < $1 LIMIT $2))",
        );
        let query = Query::new(SQL).bind(before.get()).bind(FORGOTTEN_MAX);
        let removed = self.writer()?.run(query).await?;
        Ok(removed == FORGOTTEN_MAX.unsigned_abs())
    }
}

fn columns(sweep: &Sweep) -> (i64, i64, i64) {
    let source = u64::from(sweep.source.network) << 32 | u64::from(sweep.source.agent);
    (sweep.at.get(), signed(source), i64::from(sweep.message))
}

pub(super) async fn add_to_sqlite(
    on: &mut SqliteConnection,
    all: &[Sweep],
) -> Result<(), StoreError> {
    const ONE: &str =
        "INSERT INTO sweeps (at, source, message) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    for (at, source, message) in all.iter().map(columns) {
        let one = sqlx::query(ONE).bind(at).bind(source).bind(message);
        one.execute(&mut *on).await?;
    }
    Ok(())
}

pub(super) async fn add_to_postgres(
    on: &mut PgConnection,
    all: &[Sweep],
) -> Result<(), StoreError> {
    const ALL: &str = "INSERT INTO sweeps (at, source, message)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING";
    if all.is_empty() {
        return Ok(());
    }
    let rows = || all.iter().map(columns);
    sqlx::query(ALL)
        .bind(rows().map(|(at, _, _)| at).collect::<Vec<_>>())
        .bind(rows().map(|(_, source, _)| source).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, message)| message).collect::<Vec<_>>())
        .execute(on)
        .await?;
    Ok(())
}
