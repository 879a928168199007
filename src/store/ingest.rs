//! What settling writes: rows, sums, message states and the position, in one transaction that is
//! guarded by the position it expects.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::act::Act;
use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Facts, RuleSetId, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;

use super::edges::Position;
use super::events::StoredHit;
use super::messages::MessageState;
use super::{Store, StoreError, signed, unsigned};

/// Rows of one INSERT; a hit binds 27 values and SQLite takes 32,766.
const INSERT_ROWS_MAX: usize = 500;

/// Key of a cell in the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SumKey {
    /// The rule set that gave the class.
    pub ruleset: RuleSetId,
    /// Campaign or short link.
    pub target: (u32, u32),
    /// Start of the quarter of an hour.
    pub cell: Micros,
    /// Kind of hit.
    pub kind: HitKind,
    /// Class of the hit.
    pub class: Class,
    /// Method of the hit.
    pub method: Method,
    /// Whether it counts in totals.
    pub counted: bool,
}

/// What a cell gains or loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredSums {
    /// Hits.
    pub hits: i64,
    /// Those of them without a message.
    pub anonymous: i64,
}

/// Key of a unique count; link `None` is the campaign as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueKey {
    /// The rule set that says who is human.
    pub ruleset: RuleSetId,
    /// The campaign.
    pub campaign: u32,
    /// Kind of hit.
    pub kind: HitKind,
    /// The link.
    pub link: Option<u32>,
}

/// A judgement that replaces the one on a stored hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The hit.
    pub sequence: u64,
    /// Facts it rests on.
    pub facts: Facts,
    /// What it says.
    pub verdict: Verdict,
    /// The rule set.
    pub ruleset: RuleSetId,
    /// When it was made.
    pub at: Micros,
}

/// Everything that one transaction writes.
#[derive(Debug, Default)]
pub struct Ingest {
    /// Row of the edge ([`Store::edge`]).
    pub edge: i64,
    /// Position that the store is expected to be at.
    pub from: Position,
    /// Position afterwards.
    pub to: Position,
    /// Texts behind ids.
    pub texts: Vec<(u64, Vec<u8>)>,
    /// New hits.
    pub hits: Vec<StoredHit>,
    /// Presses and unsubscribes, with their sequences.
    pub acts: Vec<(u64, Act)>,
    /// Judgements that changed.
    pub revisions: Vec<Revision>,
    /// States of messages.
    pub messages: Vec<(MessageId, MessageState)>,
    /// Changes of sums.
    pub sums: Vec<(SumKey, StoredSums)>,
    /// Changes of unique counts: raw, human.
    pub uniques: Vec<(UniqueKey, (i64, i64))>,
}

impl Store {
    /// Writes everything or nothing.
    ///
    /// # Errors
    /// `Position` if the store is not where it is expected to be; or not available.
    pub async fn ingest(&self, all: &Ingest) -> Result<(), StoreError> {
        self.check_place()?;
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        move_position(&mut transaction, all).await?;
        if commits_position_apart() {
            transaction.commit().await?;
            transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        }
        insert_texts(&mut transaction, &all.texts).await?;
        for rows in all.hits.chunks(INSERT_ROWS_MAX) {
            insert_hits(&mut transaction, all.edge, rows).await?;
        }
        for (sequence, act) in &all.acts {
            insert_act(&mut transaction, all.edge, *sequence, act).await?;
        }
        for revision in &all.revisions {
            revise(&mut transaction, all.edge, revision).await?;
        }
        for rows in all.messages.chunks(INSERT_ROWS_MAX) {
            upsert_messages(&mut transaction, rows).await?;
        }
        for rows in all.sums.chunks(INSERT_ROWS_MAX) {
            add_sums(&mut transaction, rows).await?;
        }
        for rows in all.uniques.chunks(INSERT_ROWS_MAX) {
            add_uniques(&mut transaction, rows).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn move_position(on: &mut SqliteConnection, all: &Ingest) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE positions SET sequence = $2, settled_sequence = $3, settled_to = $4
        WHERE edge = $1 AND sequence = $5 AND settled_sequence = $6";
    let moved = sqlx::query(SQL)
        .bind(all.edge)
        .bind(signed(all.to.sequence))
        .bind(signed(all.to.settled_sequence))
        .bind(all.to.settled_to.get())
        .bind(signed(all.from.sequence))
        .bind(signed(all.from.settled_sequence))
        .execute(on)
        .await?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Position {
        expected: all.from.sequence,
    })
}

async fn insert_texts(
    on: &mut SqliteConnection,
    texts: &[(u64, Vec<u8>)],
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO texts (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    for (id, text) in texts {
        sqlx::query(SQL)
            .bind(signed(*id))
            .bind(text.as_slice())
            .execute(&mut *on)
            .await?;
    }
    Ok(())
}

async fn insert_hits(
    on: &mut SqliteConnection,
    edge: i64,
    rows: &[StoredHit],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO hits (edge, sequence, at, kind, method, protocol, answer, level, token,
         flags, campaign, link, minted_at, number, agent, headers, asn, lists, lists_version,
         prefix, source, claimed, facts, ruleset, score, class, revision) ",
    );
    query.push_values(rows, |mut row, stored| {
        let hit = &stored.hit;
        let (campaign, link) = target(hit);
        let message = hit.message.map(|(message, _)| message);
        row.push_bind(edge)
            .push_bind(signed(stored.sequence))
            .push_bind(hit.at.get())
            .push_bind(i64::from(hit.kind.code()))
            .push_bind(i64::from(hit.method.code()))
            .push_bind(i64::from(hit.protocol()))
            .push_bind(i64::from(hit.answer.code()))
            .push_bind(i64::from(hit.level.code()))
            .push_bind(i64::from(hit.token.code()))
            .push_bind(i64::from(hit.flags()))
            .push_bind(i64::from(campaign))
            .push_bind(i64::from(link))
            .push_bind(message.map(|message| i64::from(message.minted_at)))
            .push_bind(message.map(|message| i64::from(message.number)))
            .push_bind((hit.agent != 0).then_some(signed(hit.agent)))
            .push_bind((hit.headers != 0).then_some(signed(hit.headers)))
            .push_bind(i64::from(hit.network.asn))
            .push_bind(i64::from(hit.network.lists.bits()))
            .push_bind(i64::from(hit.network.lists_version))
            .push_bind(stored.prefix.as_deref())
            .push_bind(stored.source.map(signed))
            .push_bind(claimed(hit))
            .push_bind(signed(hit.facts.bits()))
            .push_bind(i64::from(hit.ruleset.0))
            .push_bind(i64::from(hit.verdict.score.tenths()))
            .push_bind(i64::from(hit.verdict.class.code()))
            .push_bind(i64::from(stored.revision));
    });
    // Statements of every odd size would fill the cache with large one-off plans.
    let query = query.build().persistent(rows.len() == INSERT_ROWS_MAX);
    query.execute(on).await?;
    Ok(())
}

async fn insert_act(
    on: &mut SqliteConnection,
    edge: i64,
    sequence: u64,
    act: &Act,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO acts
            (edge, sequence, at, kind, campaign, link, minted_at, number, recipient, via)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    sqlx::query(SQL)
        .bind(edge)
        .bind(signed(sequence))
        .bind(act.at.get())
        .bind(i64::from(act.kind.code()))
        .bind(i64::from(act.message.campaign.get()))
        .bind(i64::from(act.link))
        .bind(i64::from(act.message.minted_at))
        .bind(i64::from(act.message.number))
        .bind(recipient(act.recipient))
        .bind(act.via.map(|via| i64::from(via.code())))
        .execute(on)
        .await?;
    Ok(())
}

/// A recipient key as rows keep it: NULL for none.
fn recipient(key: RecipientKey) -> Option<Vec<u8>> {
    (key != RecipientKey::NONE).then(|| key.bytes().to_vec())
}

async fn revise(
    on: &mut SqliteConnection,
    edge: i64,
    revision: &Revision,
) -> Result<(), StoreError> {
    const KEEP: &str = "INSERT INTO judgements
            (edge, sequence, ruleset, revision, facts, score, class, replaced_at)
        SELECT edge, sequence, ruleset, revision, facts, score, class, $3
        FROM hits WHERE edge = $1 AND sequence = $2";
    const REPLACE: &str = "UPDATE hits SET facts = $3, score = $4, class = $5, ruleset = $6,
            revision = revision + 1 WHERE edge = $1 AND sequence = $2";
    sqlx::query(KEEP)
        .bind(edge)
        .bind(signed(revision.sequence))
        .bind(revision.at.get())
        .execute(&mut *on)
        .await?;
    sqlx::query(REPLACE)
        .bind(edge)
        .bind(signed(revision.sequence))
        .bind(signed(revision.facts.bits()))
        .bind(i64::from(revision.verdict.score.tenths()))
        .bind(i64::from(revision.verdict.class.code()))
        .bind(i64::from(revision.ruleset.0))
        .execute(on)
        .await?;
    Ok(())
}

async fn upsert_messages(
    on: &mut SqliteConnection,
    rows: &[(MessageId, MessageState)],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT OR REPLACE INTO messages
         (campaign, minted_at, number, recipient, accepted_at, first_hit_at, counts) ",
    );
    query.push_values(rows, |mut row, (id, state)| {
        row.push_bind(i64::from(id.campaign.get()))
            .push_bind(i64::from(id.minted_at))
            .push_bind(i64::from(id.number))
            .push_bind(state.recipient.map(|key| key.bytes().to_vec()))
            .push_bind(state.accepted_at.map(Micros::get))
            .push_bind(state.first_hit_at.map(Micros::get))
            .push_bind(state.write());
    });
    // Statements of every odd size would fill the cache with large one-off plans.
    let query = query.build().persistent(rows.len() == INSERT_ROWS_MAX);
    query.execute(on).await?;
    Ok(())
}

async fn add_sums(
    on: &mut SqliteConnection,
    rows: &[(SumKey, StoredSums)],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO sums (ruleset, campaign, cell, kind, link, class, method, counted, hits,
         anonymous) ",
    );
    query.push_values(rows, |mut row, (key, sums)| {
        row.push_bind(i64::from(key.ruleset.0))
            .push_bind(i64::from(key.target.0))
            .push_bind(key.cell.get())
            .push_bind(i64::from(key.kind.code()))
            .push_bind(i64::from(key.target.1))
            .push_bind(i64::from(key.class.code()))
            .push_bind(i64::from(key.method.code()))
            .push_bind(i64::from(key.counted))
            .push_bind(sums.hits)
            .push_bind(sums.anonymous);
    });
    query.push(
        " ON CONFLICT DO UPDATE SET hits = hits + excluded.hits,
          anonymous = anonymous + excluded.anonymous",
    );
    // Statements of every odd size would fill the cache with large one-off plans.
    let query = query.build().persistent(rows.len() == INSERT_ROWS_MAX);
    query.execute(on).await?;
    Ok(())
}

async fn add_uniques(
    on: &mut SqliteConnection,
    rows: &[(UniqueKey, (i64, i64))],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO uniques (ruleset, campaign, kind, link, raw, human) ",
    );
    query.push_values(rows, |mut row, (key, (raw, human))| {
        row.push_bind(i64::from(key.ruleset.0))
            .push_bind(i64::from(key.campaign))
            .push_bind(i64::from(key.kind.code()))
            .push_bind(key.link.map_or(-1, i64::from))
            .push_bind(*raw)
            .push_bind(*human);
    });
    query.push(
        " ON CONFLICT DO UPDATE SET raw = raw + excluded.raw, human = human + excluded.human",
    );
    // Statements of every odd size would fill the cache with large one-off plans.
    let query = query.build().persistent(rows.len() == INSERT_ROWS_MAX);
    query.execute(on).await?;
    Ok(())
}

/// The recipient key that a hit claimed in its query, where the token names none.
fn claimed(hit: &Hit) -> Option<Vec<u8>> {
    hit.message
        .filter(|_| hit.claimed)
        .and_then(|(_, key)| recipient(key))
}

/// Campaign and link as rows and sums name them: campaign 0 for short links.
pub(super) fn target(hit: &Hit) -> (u32, u32) {
    match hit.target {
        Target::Campaign(campaign, link) => (campaign.get(), link),
        Target::Short(id) => (0, id),
    }
}

/// Sequences as rows keep them.
pub(super) fn sequence(value: i64) -> u64 {
    unsigned(value)
}

/// Whether the position is committed before what it stands for: never.
#[cfg(not(test))]
const fn commits_position_apart() -> bool {
    false
}

#[cfg(test)]
use super::sabotage::commits_position_apart;
