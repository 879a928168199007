//! Sums and unique counts, read back.

use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Ledger};
use crate::domain::time::Micros;

use super::sql::{Query, Sql};
use super::{Store, StoreError, narrow};

/// One row of the sums, over all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumRow {
    /// Kind of hit.
    pub kind: HitKind,
    /// The link.
    pub link: u32,
    /// Class of the hits.
    pub class: Class,
    /// Method of the hits.
    pub method: Method,
    /// Whether they count in totals.
    pub counted: bool,
    /// How many.
    pub hits: i64,
    /// Those of them without a message.
    pub anonymous: i64,
}

/// Unique counts of a kind and link; link `None` is the campaign as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniqueRow {
    /// Kind of hit.
    pub kind: HitKind,
    /// The link.
    pub link: Option<u32>,
    /// Messages with a counted hit.
    pub raw: i64,
    /// Messages with a counted hit of a human class.
    pub human: i64,
}

impl Store {
    /// Sums over all time of a campaign (or of short link `link`, with campaign 0), by the
    /// judgements of this ledger.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn sums(
        &self,
        ledger: Ledger,
        campaign: u32,
        link: Option<u32>,
    ) -> Result<Vec<SumRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT kind, link, class, method, counted, CAST(sum(hits) AS BIGINT),
                CAST(sum(anonymous) AS BIGINT)
            FROM sums WHERE ruleset IN (0, $1) AND campaign = $2 AND cell = 0
                AND ($3 IS NULL OR link = $3)
            GROUP BY kind, link, class, method, counted",
        );
        let rows = self
            .readers
            .all(
                Query::new(SQL)
                    .bind(i64::from(ledger.0))
                    .bind(i64::from(campaign))
                    .bind(link.map(i64::from)),
            )
            .await?;
        let bad = || StoreError::Unreadable("sum");
        rows.iter()
            .map(|row| {
                let code = |at: usize| narrow::<u8>(row.at(at)?, "sum");
                Ok(SumRow {
                    kind: HitKind::from_code(code(0)?).ok_or_else(bad)?,
                    link: narrow(row.at(1)?, "sum")?,
                    class: Class::from_code(code(2)?).ok_or_else(bad)?,
                    method: Method::from_code(code(3)?).ok_or_else(bad)?,
                    counted: row.at(4)?,
                    hits: row.at(5)?,
                    anonymous: row.at(6)?,
                })
            })
            .collect()
    }

    /// Unique counts of a campaign, by the judgements of this ledger.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn uniques(
        &self,
        ledger: Ledger,
        campaign: u32,
    ) -> Result<Vec<UniqueRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT kind, link, CAST(sum(raw) AS BIGINT), CAST(sum(human) AS BIGINT) FROM uniques
            WHERE ruleset IN (0, $1) AND campaign = $2 GROUP BY kind, link",
        );
        let rows = self
            .readers
            .all(
                Query::new(SQL)
                    .bind(i64::from(ledger.0))
                    .bind(i64::from(campaign)),
            )
            .await?;
        rows.iter()
            .map(|row| {
                let kind = HitKind::from_code(narrow(row.at(0)?, "unique count")?);
                let link: i64 = row.at(1)?;
                Ok(UniqueRow {
                    kind: kind.ok_or(StoreError::Unreadable("unique count"))?,
                    link: if link < 0 {
                        None
                    } else {
                        Some(narrow(link, "unique count")?)
                    },
                    raw: row.at(2)?,
                    human: row.at(3)?,
                })
            })
            .collect()
    }

    /// Time up to which the windows are closed; `None` before the first hit.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn settled_to(&self) -> Result<Option<Micros>, StoreError> {
        const SQL: Sql = Sql::of(
            "SELECT max(settled_to) FROM positions WHERE settled_to > 0",
            "SELECT nullif(min(settled_to), 0) FROM shards",
        );
        let at = self.readers.one(Query::new(SQL)).await?;
        Ok(at.at::<Option<i64>>(0)?.map(Micros::new))
    }
}
