//! Sums and unique counts, read back.

use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Ledger};
use crate::domain::time::Micros;

use super::sql::{Query, Row, Sql};
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

/// Sums and unique counts of a campaign at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Over all time.
    pub sums: Vec<SumRow>,
    /// Likewise.
    pub uniques: Vec<UniqueRow>,
}

impl Store {
    /// What is counted of a campaign, by the judgements of this ledger.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn counts(&self, ledger: Ledger, campaign: u32) -> Result<Counts, StoreError> {
        // One statement: it sees one moment.
        const SQL: Sql = Sql::same(
            "SELECT kind, link, class, method, counted, CAST(sum(hits) AS BIGINT),
                CAST(sum(anonymous) AS BIGINT), FALSE
            FROM sums WHERE ruleset IN (0, $1) AND campaign = $2 AND cell = 0
            GROUP BY kind, link, class, method, counted
            UNION ALL
            SELECT kind, link, 0, 0, FALSE, CAST(sum(raw) AS BIGINT), CAST(sum(human) AS BIGINT),
                TRUE
            FROM uniques WHERE ruleset IN (0, $1) AND campaign = $2 GROUP BY kind, link",
        );
        let query = Query::new(SQL)
            .bind(i64::from(ledger.0))
            .bind(i64::from(campaign));
        let mut counts = Counts::default();
        for row in &self.readers.all(query).await? {
            match row.at(7)? {
                false => counts.sums.push(sum(row)?),
                true => counts.uniques.push(unique(row)?),
            }
        }
        Ok(counts)
    }

    /// Sums over all time of a short link, likewise.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn short_link_sums(
        &self,
        ledger: Ledger,
        link: u32,
    ) -> Result<Vec<SumRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT kind, link, class, method, counted, CAST(sum(hits) AS BIGINT),
                CAST(sum(anonymous) AS BIGINT)
            FROM sums WHERE ruleset IN (0, $1) AND campaign = 0 AND cell = 0 AND link = $2
            GROUP BY kind, link, class, method, counted",
        );
        let query = Query::new(SQL)
            .bind(i64::from(ledger.0))
            .bind(i64::from(link));
        self.readers.all(query).await?.iter().map(sum).collect()
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

fn sum(row: &Row) -> Result<SumRow, StoreError> {
    let bad = || StoreError::Unreadable("sum");
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
}

fn unique(row: &Row) -> Result<UniqueRow, StoreError> {
    let kind = HitKind::from_code(narrow(row.at(0)?, "unique count")?);
    let link: i64 = row.at(1)?;
    Ok(UniqueRow {
        kind: kind.ok_or(StoreError::Unreadable("unique count"))?,
        link: match link {
            ..0 => None,
            link => Some(narrow(link, "unique count")?),
        },
        raw: row.at(5)?,
        human: row.at(6)?,
    })
}
