//! Judgements that a later one has replaced.

use crate::domain::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use crate::domain::time::Micros;
use crate::journal::EdgeId;

use super::sql::{Query, Sql};
use super::{Store, StoreError, narrow, signed, unsigned};

/// A judgement that was in force until another replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierJudgement {
    /// The rule set that made it.
    pub ruleset: RuleSetId,
    /// Facts that it rested on.
    pub facts: Facts,
    /// What it said.
    pub verdict: Verdict,
    /// Until when.
    pub replaced_at: Micros,
}

impl Store {
    /// What was said of a hit before, in order.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn earlier_judgements(
        &self,
        edge: EdgeId,
        sequence: u64,
    ) -> Result<Vec<EarlierJudgement>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT j.ruleset, j.facts, j.score, j.class, j.replaced_at
            FROM judgements j JOIN edges e ON e.id = j.edge
            WHERE e.incarnation = $1 AND j.sequence = $2 ORDER BY j.revision",
        );
        const WHAT: &str = "judgement";
        let query = Query::new(SQL).bind(edge.0).bind(signed(sequence));
        let rows = self.readers.all(query).await?;
        rows.iter()
            .map(|row| {
                let class = Class::from_code(narrow(row.at(3)?, WHAT)?);
                Ok(EarlierJudgement {
                    ruleset: RuleSetId(narrow(row.at(0)?, WHAT)?),
                    facts: Facts::from_bits(unsigned(row.at(1)?)),
                    verdict: Verdict {
                        score: Score::from_tenths(narrow(row.at(2)?, WHAT)?),
                        class: class.ok_or(StoreError::Unreadable(WHAT))?,
                    },
                    replaced_at: Micros::new(row.at(4)?),
                })
            })
            .collect()
    }
}
