//! Judging history again: what is asked for, how far it is in each shard, and what it came to.

use std::collections::BTreeMap;

use crate::domain::campaign::CampaignId;
use crate::domain::hit::HitKind;
use crate::domain::judgement::{Class, Ledger, RejudgeMode, RuleSetId};
use crate::domain::shard::Shard;
use crate::domain::time::Micros;

use super::connections::Transaction;
use super::ingest::sequence;
use super::judged_hits::HitPlace;
use super::rulesets::last_use;
use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow, unsigned};

const WHAT: &str = "rejudgement";

/// Something that is judged again, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejudgement {
    /// Its number.
    pub id: i64,
    /// By what.
    pub ruleset: RuleSetId,
    /// To what end.
    pub mode: RejudgeMode,
    /// Only this campaign's.
    pub campaign: Option<CampaignId>,
    /// Since when.
    pub begun_at: Micros,
    /// Until when.
    pub ended_at: Option<Micros>,
    /// Whether every hit was looked at.
    pub done: bool,
    /// Hits that there were when it began.
    pub of: u64,
    /// Hits that were looked at.
    pub hits: u64,
    /// Those of them that got another class.
    pub changed: u64,
}

impl Rejudgement {
    /// Where it is counted, if it is of a rule set in shadow.
    #[must_use]
    pub fn ledger(&self) -> Option<Ledger> {
        let shadow = self.mode == RejudgeMode::Shadow;
        let number = u32::try_from(self.id).ok().filter(|_| shadow);
        number.map(Ledger)
    }
}

/// What of a shard a rejudgement has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedAt {
    /// What stands up to there.
    To(HitPlace),
    /// All there was, and what has come since.
    All,
}

/// A rejudgement that is not at its end, and how far it is in each shard.
pub type OpenRejudgement = (Rejudgement, BTreeMap<Shard, LookedAt>);

/// What rejudged hits are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A campaign; 0 is short links.
    Campaign(u32),
    /// The bit of a signal that holds.
    Signal(u8),
}

/// What became of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reclassed {
    /// Of what.
    pub part: Part,
    /// Kind of hit.
    pub kind: HitKind,
    /// Its class before.
    pub was: Class,
    /// And now.
    pub class: Class,
}

/// What one transaction does for a rejudgement.
#[derive(Debug)]
pub struct Rejudged {
    /// Its number.
    pub id: i64,
    /// How far each shard is now.
    pub shards: Vec<RejudgedShard>,
    /// Hits that got another class.
    pub classes: Vec<(Reclassed, i64)>,
    /// When.
    pub at: Micros,
}

impl Rejudged {
    /// Nothing is left to be looked at in these shards.
    pub(super) fn is_last(&self) -> bool {
        self.shards.iter().all(|shard| shard.done)
    }

    /// It is not at its end, and cannot come there before this is written.
    pub(super) fn held(&self, rows: u64) -> Result<(), StoreError> {
        match rows {
            0 => Err(StoreError::Ended),
            _ => Ok(()),
        }
    }
}

/// How far a shard is.
#[derive(Clone, Copy, Debug)]
pub struct RejudgedShard {
    /// The shard.
    pub shard: Shard,
    /// What stands up to here was looked at.
    pub to: HitPlace,
    /// Hits that were, since the last time.
    pub hits: i64,
    /// Those of them that got another class.
    pub changed: i64,
    /// There is nothing behind it.
    pub done: bool,
}

macro_rules! list {
    ($end:literal) => {
        concat!(
            "SELECT r.id, r.ruleset, r.mode, r.campaign, r.begun_at, r.ended_at,
                min(CASE WHEN d.done THEN 1 ELSE 0 END), CAST(sum(d.hits) AS BIGINT),
                CAST(sum(d.changed) AS BIGINT), r.hits
            FROM rejudgements r JOIN rejudged d ON d.rejudgement = r.id WHERE ",
            $end
        )
    };
}

impl Store {
    /// Asks for history to be judged again; whoever settles it does so. Returns its number.
    ///
    /// # Errors
    /// `Conflict` if it is to be in force, and another rule set is live; or not available.
    pub async fn begin_rejudgement(
        &self,
        ruleset: RuleSetId,
        mode: RejudgeMode,
        campaign: Option<CampaignId>,
        now: Micros,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.writer()?.begin().await?;
        let in_force = mode == RejudgeMode::InForce;
        if in_force && last_use(&mut transaction).await? != Some(ruleset) {
            return Err(StoreError::Conflict("another rule set that is live"));
        }
        let id = insert(&mut transaction, (ruleset, mode, campaign), now).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Ends a rejudgement; what it has changed stays so. `None` if there is none.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn end_rejudgement(&self, id: i64, now: Micros) -> Result<bool, StoreError> {
        const SQL: Sql =
            Sql::same("UPDATE rejudgements SET ended_at = coalesce(ended_at, $2) WHERE id = $1");
        let end = Query::new(SQL).bind(id).bind(now.get());
        Ok(self.writer()?.run(end).await? > 0)
    }

    /// One rejudgement.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn rejudgement(&self, id: i64) -> Result<Option<Rejudgement>, StoreError> {
        const SQL: Sql = Sql::same(list!("r.id = $1 GROUP BY r.id"));
        let row = self.writer.optional(Query::new(SQL).bind(id)).await?;
        row.map(|row| rejudgement(&row)).transpose()
    }

    /// Rejudgements with ids below `before`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn rejudgements(
        &self,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Rejudgement>, StoreError> {
        const SQL: Sql = Sql::same(list!("r.id < $1 GROUP BY r.id ORDER BY r.id DESC LIMIT $2"));
        let query = Query::new(SQL).bind(before).bind(limit);
        let rows = self.writer.all(query).await?;
        rows.iter().map(rejudgement).collect()
    }

    /// The rejudgement that counts what this rule set says, if it is in shadow.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn shadow(&self, ruleset: RuleSetId) -> Result<Option<Rejudgement>, StoreError> {
        const SQL: Sql = Sql::same(list!(
            "r.mode = $1 AND r.ruleset = $2 AND r.ended_at IS NULL GROUP BY r.id"
        ));
        let query = Query::new(SQL)
            .bind(RejudgeMode::Shadow.code())
            .bind(ruleset.0);
        let row = self.writer.optional(query).await?;
        row.map(|row| rejudgement(&row)).transpose()
    }

    /// Every rejudgement that counts what a rule set in shadow says.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn shadows(&self) -> Result<Vec<Rejudgement>, StoreError> {
        const SQL: Sql = Sql::same(list!(
            "r.mode = $1 AND r.ended_at IS NULL GROUP BY r.id ORDER BY r.id"
        ));
        let query = Query::new(SQL).bind(RejudgeMode::Shadow.code());
        let rows = self.writer.all(query).await?;
        rows.iter().map(rejudgement).collect()
    }

    /// Rejudgements that are not at their end, the oldest first.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn open_rejudgements(&self) -> Result<Vec<OpenRejudgement>, StoreError> {
        const OPEN: Sql = Sql::same(list!("r.ended_at IS NULL GROUP BY r.id ORDER BY r.id"));
        const SHARDS: Sql = Sql::same(
            "SELECT d.rejudgement, d.shard, d.edge, d.sequence, d.done
            FROM rejudged d JOIN rejudgements r ON r.id = d.rejudgement
            WHERE r.ended_at IS NULL",
        );
        let open = self.writer.all(Query::new(OPEN)).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mut shards: BTreeMap<i64, BTreeMap<Shard, LookedAt>> = BTreeMap::new();
        for row in &self.writer.all(Query::new(SHARDS)).await? {
            let shard = Shard::new(narrow(row.at(1)?, WHAT)?);
            let shard = shard.ok_or(StoreError::Unreadable(WHAT))?;
            let looked_at = match row.at(4)? {
                true => LookedAt::All,
                false => LookedAt::To((row.at(2)?, sequence(row.at(3)?))),
            };
            let of = shards.entry(row.at(0)?).or_default();
            of.insert(shard, looked_at);
        }
        let with_shards = open.iter().map(|row| {
            let open = rejudgement(row)?;
            Ok((open, shards.remove(&open.id).unwrap_or_default()))
        });
        with_shards.collect()
    }

    /// What a rejudgement came to: how many hits got which class instead of which.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn rejudged_classes(&self, id: i64) -> Result<Vec<(Reclassed, i64)>, StoreError> {
        const SQL: Sql = Sql::same(
            "SELECT part, of, kind, was, class, hits FROM rejudged_classes
            WHERE rejudgement = $1 ORDER BY part, of, kind, was, class",
        );
        let rows = self.writer.all(Query::new(SQL).bind(id)).await?;
        let bad = || StoreError::Unreadable(WHAT);
        let read = |row: &Row| {
            let class = |at| Ok::<_, StoreError>(Class::from_code(narrow(row.at(at)?, WHAT)?));
            let part = match row.at::<i64>(0)? {
                CAMPAIGNS => Part::Campaign(narrow(row.at(1)?, WHAT)?),
                _ => Part::Signal(narrow(row.at(1)?, WHAT)?),
            };
            let reclassed = Reclassed {
                part,
                kind: HitKind::from_code(narrow(row.at(2)?, WHAT)?).ok_or_else(bad)?,
                was: class(3)?.ok_or_else(bad)?,
                class: class(4)?.ok_or_else(bad)?,
            };
            Ok((reclassed, row.at(5)?))
        };
        rows.iter().map(read).collect()
    }
}

/// Asks for history to be judged again by this rule set, to this end, of this campaign or of all.
pub(super) async fn insert(
    on: &mut Transaction,
    (ruleset, mode, campaign): (RuleSetId, RejudgeMode, Option<CampaignId>),
    now: Micros,
) -> Result<i64, StoreError> {
    // Campaign by campaign: all time is beside each quarter of an hour there. 0: short links.
    const BEGIN: Sql = Sql::same(
        "INSERT INTO rejudgements (ruleset, mode, campaign, hits, begun_at)
        SELECT $1, $2, $3, CAST(coalesce(sum((SELECT sum(s.hits) FROM sums s
            WHERE s.ruleset = 0 AND s.campaign = c.id AND s.cell = 0)), 0) AS BIGINT), $4
        FROM (SELECT id FROM campaigns UNION ALL SELECT 0) c
        WHERE $3 IS NULL OR c.id = $3 RETURNING id",
    );
    const SHARD: Sql = Sql::same(
        "INSERT INTO rejudged (rejudgement, shard, edge, sequence, hits, changed, done)
        VALUES ($1, $2, 0, 0, 0, 0, FALSE)",
    );
    let begin = Query::new(BEGIN)
        .bind(ruleset.0)
        .bind(mode.code())
        .bind(campaign.map(|campaign| i64::from(campaign.get())))
        .bind(now.get());
    let id: i64 = on.one(begin).await?.at(0)?;
    for shard in Shard::all() {
        on.run(Query::new(SHARD).bind(id).bind(shard.get())).await?;
    }
    Ok(id)
}

/// Ends what is judged again in force: another rule set is live now.
pub(super) async fn end_all_in_force(on: &mut Transaction, now: Micros) -> Result<(), StoreError> {
    const SQL: Sql =
        Sql::same("UPDATE rejudgements SET ended_at = $1 WHERE ended_at IS NULL AND mode = $2");
    let mode = RejudgeMode::InForce.code();
    on.run(Query::new(SQL).bind(now.get()).bind(mode)).await?;
    Ok(())
}

const CAMPAIGNS: i64 = 1;
const SIGNALS: i64 = 2;

impl Part {
    /// As rows keep it: what it is, and its number.
    pub(super) fn columns(self) -> (i64, i64) {
        match self {
            Self::Campaign(number) => (CAMPAIGNS, i64::from(number)),
            Self::Signal(bit) => (SIGNALS, i64::from(bit)),
        }
    }
}

fn rejudgement(row: &Row) -> Result<Rejudgement, StoreError> {
    let bad = || StoreError::Unreadable(WHAT);
    let campaign: Option<i64> = row.at(3)?;
    let campaign = campaign.map(|number| narrow(number, WHAT)).transpose()?;
    Ok(Rejudgement {
        id: row.at(0)?,
        ruleset: RuleSetId(narrow(row.at(1)?, WHAT)?),
        mode: RejudgeMode::from_code(narrow(row.at(2)?, WHAT)?).ok_or_else(bad)?,
        campaign: campaign.and_then(CampaignId::new),
        begun_at: Micros::new(row.at(4)?),
        ended_at: row.at::<Option<i64>>(5)?.map(Micros::new),
        done: row.at::<i64>(6)? == 1,
        hits: unsigned(row.at(7)?),
        changed: unsigned(row.at(8)?),
        of: unsigned(row.at(9)?),
    })
}
