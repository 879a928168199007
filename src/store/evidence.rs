//! Hits of which something else than their judgement says whose they are, counted by week and by
//! the facts that they are judged on: any rule set can be asked about them.

use sqlx::{PgConnection, SqliteConnection};

use crate::domain::hit::HitKind;
use crate::domain::judgement::Facts;
use crate::domain::time::Micros;

use super::sql::{Query, Sql};
use super::{Store, StoreError, narrow, signed, unsigned};

/// What such hits are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceKey {
    /// When their week began.
    pub week: Micros,
    /// Kind of hit.
    pub kind: HitKind,
    /// Their facts.
    pub facts: Facts,
}

impl Store {
    /// How many there are since a week, in any order.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn evidence(&self, since: Micros) -> Result<Vec<(EvidenceKey, u64)>, StoreError> {
        const SQL: Sql =
            Sql::same("SELECT week, kind, facts, hits FROM evidence WHERE week >= $1 AND hits > 0");
        let query = Query::new(SQL).bind(since.get());
        let rows = self.readers.all(query).await?;
        let bad = || StoreError::Unreadable("evidence");
        let read = rows.iter().map(|row| {
            let key = EvidenceKey {
                week: Micros::new(row.at(0)?),
                kind: HitKind::from_code(narrow(row.at(1)?, "evidence")?).ok_or_else(bad)?,
                facts: Facts::from_bits(unsigned(row.at(2)?)),
            };
            Ok((key, unsigned(row.at(3)?)))
        });
        read.collect()
    }
}

pub(super) async fn add_to_sqlite(
    on: &mut SqliteConnection,
    all: &[(EvidenceKey, i64)],
) -> Result<(), StoreError> {
    const ONE: &str = "INSERT INTO evidence (week, kind, facts, hits) VALUES ($1, $2, $3, $4)
        ON CONFLICT (week, kind, facts) DO UPDATE SET hits = evidence.hits + excluded.hits";
    for (key, hits) in all {
        sqlx::query(ONE)
            .bind(key.week.get())
            .bind(key.kind.code())
            .bind(signed(key.facts.bits()))
            .bind(*hits)
            .execute(&mut *on)
            .await?;
    }
    Ok(())
}

pub(super) async fn add_to_postgres(
    on: &mut PgConnection,
    all: &[(EvidenceKey, i64)],
) -> Result<(), StoreError> {
    const ALL: &str = "INSERT INTO evidence (week, kind, facts, hits)
        SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[])
        ON CONFLICT (week, kind, facts) DO UPDATE SET hits = evidence.hits + excluded.hits";
    if all.is_empty() {
        return Ok(());
    }
    let numbers = |of: fn(&(EvidenceKey, i64)) -> i64| -> Vec<i64> { all.iter().map(of).collect() };
    let kinds = all.iter().map(|(key, _)| i16::from(key.kind.code()));
    sqlx::query(ALL)
        .bind(numbers(|(key, _)| key.week.get()))
        .bind(kinds.collect::<Vec<_>>())
        .bind(numbers(|(key, _)| signed(key.facts.bits())))
        .bind(numbers(|(_, hits)| *hits))
        .execute(on)
        .await?;
    Ok(())
}
