//! Rule sets in shadow: which there are, and what they count otherwise than those in force.
//!
//! Of a message that is a list of entries of 13 bytes: ledger u32, kind u8, link u32, human i32,
//! little-endian. Human is how many more hits of people it is, of that kind and link.

use crate::domain::hit::HitKind;
use crate::domain::judgement::{Ledger, RejudgeMode, RuleSetId};
use crate::domain::record::take;
use crate::domain::time::Micros;

use super::rejudgements::insert;
use super::rulesets::last_use;
use super::sql::{Query, Sql};
use super::{Store, StoreError};

/// Rows that are removed at once: a database has other things to do.
const FORGOTTEN_MAX: i64 = 5_000;

/// What a rule set in shadow counts otherwise of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowCount {
    /// Whose count.
    pub ledger: Ledger,
    /// Kind of hit.
    pub kind: HitKind,
    /// The link; 0 for opens.
    pub link: u32,
    /// More hits of people, or fewer.
    pub human: i32,
}

pub(super) fn write(all: &[ShadowCount]) -> Option<Vec<u8>> {
    if all.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(all.len() * 13);
    for one in all {
        out.extend_from_slice(&one.ledger.0.to_le_bytes());
        out.push(one.kind.code());
        out.extend_from_slice(&one.link.to_le_bytes());
        out.extend_from_slice(&one.human.to_le_bytes());
    }
    Some(out)
}

/// `None` where the bytes are not of this form.
pub(super) fn read(mut from: &[u8]) -> Option<Vec<ShadowCount>> {
    let mut all = Vec::with_capacity(from.len() / 13);
    while !from.is_empty() {
        let ledger = Ledger(u32::from_le_bytes(take(&mut from)?));
        let [kind] = take::<1>(&mut from)?;
        all.push(ShadowCount {
            ledger,
            kind: HitKind::from_code(kind)?,
            link: u32::from_le_bytes(take(&mut from)?),
            human: i32::from_le_bytes(take(&mut from)?),
        });
    }
    Some(all)
}

impl Store {
    /// Counts what a rule set says beside what is in force, from now on and of history. Returns the
    /// number of the rejudgement that does so: its ledger. If it is counted already, that one's.
    ///
    /// # Errors
    /// `Conflict` if `shadows_max` are counted; or not available.
    pub async fn begin_shadow(
        &self,
        ruleset: RuleSetId,
        shadows_max: u32,
        now: Micros,
    ) -> Result<i64, StoreError> {
        const OPEN: Sql =
            Sql::same("SELECT id, ruleset FROM rejudgements WHERE mode = $1 AND ended_at IS NULL");
        let mode = RejudgeMode::Shadow;
        let mut transaction = self.writer()?.begin().await?;
        // Others who begin one wait here.
        last_use(&mut transaction).await?;
        let open = transaction.all(Query::new(OPEN).bind(mode.code())).await?;
        for row in &open {
            if row.at::<i64>(1)? == i64::from(ruleset.0) {
                return row.at(0);
            }
        }
        if u32::try_from(open.len()).is_ok_and(|open| open >= shadows_max) {
            return Err(StoreError::Conflict("as many shadows as there may be"));
        }
        let id = insert(&mut transaction, (ruleset, mode, None), now).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Removes some of what was counted for rule sets that are not in shadow any more; `false` if
    /// there was nothing of that.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn forget_shadow(&self) -> Result<bool, StoreError> {
        const ENDED: Sql = Sql::same(
            "SELECT r.id FROM rejudgements r WHERE r.mode = $1 AND r.ended_at IS NOT NULL
                AND (EXISTS (SELECT 1 FROM sums s WHERE s.ruleset = r.id)
                    OR EXISTS (SELECT 1 FROM uniques u WHERE u.ruleset = r.id)) LIMIT 1",
        );
        // By their places in PostgreSQL, which would go over the whole table for a list of keys.
        const SUMS: Sql = Sql::of(
            "DELETE FROM sums WHERE (ruleset, campaign, cell, kind, link, class, method, counted) IN
                (SELECT ruleset, campaign, cell, kind, link, class, method, counted FROM sums
                WHERE ruleset = $1 LIMIT $2)",
            "DELETE FROM sums WHERE ctid = ANY (ARRAY
                (SELECT ctid FROM sums WHERE ruleset = $1 LIMIT $2))",
        );
        const UNIQUES: Sql = Sql::of(
            "DELETE FROM uniques WHERE (ruleset, campaign, kind, link) IN
                (SELECT ruleset, campaign, kind, link FROM uniques WHERE ruleset = $1 LIMIT $2)",
            "DELETE FROM uniques WHERE ctid = ANY (ARRAY
                (SELECT ctid FROM uniques WHERE ruleset = $1 LIMIT $2))",
        );
        let writer = self.writer()?;
        let ended = Query::new(ENDED).bind(RejudgeMode::Shadow.code());
        let Some(row) = writer.optional(ended).await? else {
            return Ok(false);
        };
        let id: i64 = row.at(0)?;
        for sql in [SUMS, UNIQUES] {
            let some = Query::new(sql).bind(id).bind(FORGOTTEN_MAX);
            writer.run(some).await?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all = [(1, 3), (u32::MAX, i32::MIN)].map(|(link, human)| ShadowCount {
            ledger: Ledger(7),
            kind: HitKind::Click,
            link,
            human,
        });
        let bytes = write(&all).unwrap();
        assert_eq!(read(&bytes).as_deref(), Some(&all[..]));
        assert_eq!(read(&bytes[1..]), None);
        assert_eq!(write(&[]), None);
    }
}
