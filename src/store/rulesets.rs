//! Rule sets: their texts, for as long as a judgement names one, and which of them is live.

use crate::domain::judgement::RuleSetId;
use crate::domain::time::Micros;

use super::connections::Transaction;
use super::rejudgements::end_all_in_force;
use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow};

/// A rule set as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSetRow {
    /// Its id in hits and judgements.
    pub id: RuleSetId,
    /// Name, without the version.
    pub name: String,
    /// Version.
    pub version: u32,
    /// The TOML it was read from.
    pub text: String,
    /// When it was kept first.
    pub created_at: Micros,
}

/// Which rule set is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSetUse {
    /// Counts the changes, from 1.
    pub number: i64,
    /// The rule set.
    pub ruleset: RuleSetId,
    /// Since when.
    pub at: Micros,
    /// Whether it came with the program, and a newer one that does takes its place.
    pub shipped: bool,
}

impl Store {
    /// Keeps the text of a rule set, so that its judgements stay explainable; `false` if it was
    /// kept already.
    ///
    /// # Errors
    /// `Conflict` if its id, or its name and version, belong to another text; or not available.
    pub async fn keep_ruleset(&self, row: &RuleSetRow) -> Result<bool, StoreError> {
        const INSERT: Sql = Sql::same(
            "INSERT INTO rulesets (id, name, version, text, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        );
        const KEPT: Sql = Sql::same("SELECT text FROM rulesets WHERE id = $1");
        let insert = Query::new(INSERT)
            .bind(row.id.0)
            .bind(row.name.as_str())
            .bind(row.version)
            .bind(row.text.as_str())
            .bind(row.created_at.get());
        let writer = self.writer()?;
        let new = writer.run(insert).await? > 0;
        let kept = writer.optional(Query::new(KEPT).bind(row.id.0)).await?;
        match kept.map(|kept| kept.at::<String>(0)).transpose()? {
            Some(text) if text == row.text => Ok(new),
            Some(_) => Err(StoreError::Conflict("another rule set with its id")),
            None => Err(StoreError::Conflict(
                "another rule set of its name and version",
            )),
        }
    }

    /// Every rule set that was ever kept here, the oldest first.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn rulesets(&self) -> Result<Vec<RuleSetRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT id, name, version, text, created_at FROM rulesets ORDER BY created_at, id",
        );
        let rows = self.readers.all(Query::new(SQL)).await?;
        rows.iter().map(row).collect()
    }

    /// Which of them is live; `None` before any was.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn live_ruleset(&self) -> Result<Option<RuleSetUse>, StoreError> {
        const SQL: Sql =
            Sql::same("SELECT id, ruleset, at, shipped FROM ruleset_uses ORDER BY id DESC LIMIT 1");
        let row = self.readers.optional(Query::new(SQL)).await?;
        row.map(|row| {
            Ok(RuleSetUse {
                number: row.at(0)?,
                ruleset: RuleSetId(narrow(row.at(1)?, "rule set")?),
                at: Micros::new(row.at(2)?),
                shipped: row.at(3)?,
            })
        })
        .transpose()
    }

    /// Makes another live, if the last use was the one of this number (0: none was); `false` if
    /// there was another since. What others judge again in force is at its end.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn use_ruleset(
        &self,
        id: RuleSetId,
        shipped: bool,
        after: i64,
        now: Micros,
    ) -> Result<bool, StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO ruleset_uses (id, ruleset, at, shipped) VALUES ($1, $2, $3, $4)
            ON CONFLICT (id) DO NOTHING",
        );
        let mut transaction = self.writer()?.begin().await?;
        last_use(&mut transaction).await?;
        let query = Query::new(SQL).bind(after + 1).bind(id.0);
        let query = query.bind(now.get()).bind(shipped);
        let used = transaction.run(query).await? > 0;
        if used {
            end_all_in_force(&mut transaction, now).await?;
            transaction.commit().await?;
        }
        Ok(used)
    }
}

/// The rule set of the last use, which nobody else goes behind before this is done.
pub(super) async fn last_use(on: &mut Transaction) -> Result<Option<RuleSetId>, StoreError> {
    const HOLD: Sql =
        Sql::same("UPDATE ruleset_uses SET at = at WHERE id = (SELECT min(id) FROM ruleset_uses)");
    const LAST: Sql = Sql::same("SELECT ruleset FROM ruleset_uses ORDER BY id DESC LIMIT 1");
    // Of the first, which stays the first: whoever waits for the last may hold what was the last.
    on.run(Query::new(HOLD)).await?;
    // Who held it before has gone behind it since.
    let row = on.optional(Query::new(LAST)).await?;
    let id = row.map(|row| Ok::<_, StoreError>(RuleSetId(narrow(row.at(0)?, "rule set")?)));
    id.transpose()
}

fn row(row: &Row) -> Result<RuleSetRow, StoreError> {
    const WHAT: &str = "rule set";
    Ok(RuleSetRow {
        id: RuleSetId(narrow(row.at(0)?, WHAT)?),
        name: row.at(1)?,
        version: narrow(row.at(2)?, WHAT)?,
        text: row.at(3)?,
        created_at: Micros::new(row.at(4)?),
    })
}
