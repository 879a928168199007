//! Settling into SQLite: rows in statements as long as it takes them.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::domain::act::Act;
use crate::domain::message::MessageId;
use crate::domain::time::Micros;

use super::super::events::StoredHit;
use super::super::evidence::add_to_sqlite as add_evidence;
use super::super::ingest::{
    END_REJUDGEMENT, HOLD_REJUDGEMENT, Ingest, MOVE_POSITION, Moved, REJUDGED, Revision,
    StoredSums, SumKey, UniqueKey, claimed, recipient,
};
use super::super::messages::MessageState;
use super::super::rejudgements::Rejudged;
use super::super::shadows;
use super::super::sql::Row;
use super::super::sweeps::add_to_sqlite as add_sweeps;
use super::super::{StoreError, signed};

/// Rows of one statement; a hit binds 27 values and SQLite takes 32,766.
const ROWS_MAX: usize = 500;

/// Writes everything or nothing.
pub(in crate::store) async fn ingest(writer: &SqlitePool, all: &Ingest) -> Result<(), StoreError> {
    let mut transaction = begin(writer).await?;
    if let Some(journal) = &all.journal {
        move_position(&mut transaction, journal).await?;
    }
    if commits_position_apart() {
        transaction.commit().await?;
        transaction = begin(writer).await?;
    }
    if let Some(rejudged) = &all.rejudged {
        let hold = sqlx::query(HOLD_REJUDGEMENT).bind(rejudged.id);
        let held = hold.execute(&mut *transaction).await?;
        rejudged.held(held.rows_affected())?;
    }
    let edge = all.journal.map_or(0, |journal| journal.edge);
    insert_texts(&mut transaction, &all.texts).await?;
    for rows in all.hits.chunks(ROWS_MAX) {
        insert_hits(&mut transaction, rows).await?;
    }
    for (sequence, act) in &all.acts {
        insert_act(&mut transaction, edge, *sequence, act).await?;
    }
    for rows in all.revisions.chunks(ROWS_MAX) {
        revise(&mut transaction, rows).await?;
    }
    for rows in all.messages.chunks(ROWS_MAX) {
        upsert_messages(&mut transaction, rows).await?;
    }
    for rows in all.sums.chunks(ROWS_MAX) {
        add_sums(&mut transaction, rows).await?;
    }
    for rows in all.uniques.chunks(ROWS_MAX) {
        add_uniques(&mut transaction, rows).await?;
    }
    add_evidence(&mut transaction, &all.evidence).await?;
    add_sweeps(&mut transaction, &all.sweeps).await?;
    if let Some(rejudged) = &all.rejudged {
        rejudge(&mut transaction, rejudged).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A connection that was broken off as it began or ended a transaction may be in it still, and
/// would be for as long as the pool has it: it is ended, and the next round gets another.
async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, StoreError> {
    let begun = writer.begin_with("BEGIN IMMEDIATE").await;
    if let Err(sqlx::Error::Database(_)) = &begun {
        writer.acquire().await?.close().await?;
    }
    Ok(begun?)
}

async fn move_position(on: &mut SqliteConnection, all: &Moved) -> Result<(), StoreError> {
    let moved = sqlx::query(MOVE_POSITION)
        .bind(all.edge)
        .bind(signed(all.to.sequence))
        .bind(signed(all.to.settled_sequence))
        .bind(all.to.settled_to.get())
        .bind(signed(all.from.sequence))
        .bind(signed(all.from.settled_sequence))
        .execute(on)
        .await?;
    all.moved(moved.rows_affected())
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

pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A statement of so many rows of so many values. They have no names: SQLite looks each name up
/// among all that the statement has, which cost more than all else.
pub(super) fn statement(begin: &str, values: usize, rows: usize, end: &str) -> Statement {
    let mut text = String::with_capacity(begin.len() + rows * (2 * values + 2) + end.len());
    text.push_str(begin);
    for row in 0..rows {
        text.push_str(if row == 0 { "(?" } else { ",(?" });
        for _ in 1..values {
            text.push_str(",?");
        }
        text.push(')');
    }
    text.push_str(end);
    // Those of every odd size would fill the cache with plans of one use.
    sqlx::query(AssertSqlSafe(text)).persistent(rows == ROWS_MAX)
}

async fn insert_hits(
    on: &mut SqliteConnection,
    rows: &[(i64, Box<StoredHit>)],
) -> Result<(), StoreError> {
    const BEGIN: &str = "INSERT INTO hits (edge, sequence, at, kind, method, protocol, answer,
        level, token, flags, campaign, link, minted_at, number, agent, headers, asn, lists,
        lists_version, prefix, source, claimed, facts, ruleset, score, class, revision) VALUES ";
    let mut query = statement(BEGIN, 27, rows.len(), "");
    for (edge, stored) in rows {
        let hit = &stored.hit;
        let (campaign, link) = hit.target.numbers();
        let message = hit.message.map(|(message, _)| message);
        query = query
            .bind(*edge)
            .bind(signed(stored.sequence))
            .bind(hit.at.get())
            .bind(hit.kind.code())
            .bind(hit.method.code())
            .bind(hit.protocol())
            .bind(hit.answer.code())
            .bind(hit.level.code())
            .bind(hit.token.code())
            .bind(hit.flags())
            .bind(campaign)
            .bind(link)
            .bind(message.map(|message| message.minted_at))
            .bind(message.map(|message| message.number))
            .bind((hit.agent != 0).then_some(signed(hit.agent)))
            .bind((hit.headers != 0).then_some(signed(hit.headers)))
            .bind(hit.network.asn)
            .bind(hit.network.lists.bits())
            .bind(hit.network.lists_version)
            .bind(stored.prefix.map(|prefix| prefix.to_string()))
            .bind(stored.source.map(signed))
            .bind(claimed(hit))
            .bind(signed(hit.facts.bits()))
            .bind(hit.ruleset.0)
            .bind(hit.verdict.score.tenths())
            .bind(hit.verdict.class.code())
            .bind(stored.revision);
    }
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

/// Moves the judgements in force aside, and puts others in their place.
async fn revise(on: &mut SqliteConnection, rows: &[Revision]) -> Result<(), StoreError> {
    const KEEP: &str = ") INSERT INTO judgements
            (edge, sequence, ruleset, revision, facts, score, class, replaced_at)
        SELECT h.edge, h.sequence, h.ruleset, h.revision, h.facts, h.score, h.class, new.at
        FROM new CROSS JOIN hits h ON h.edge = new.edge AND h.sequence = new.sequence";
    const REPLACE: &str = ") UPDATE hits SET facts = new.facts, score = new.score,
            class = new.class, ruleset = new.ruleset, revision = revision + 1
        FROM new WHERE hits.edge = new.edge AND hits.sequence = new.sequence";
    let begin = "WITH new (edge, sequence, at) AS (VALUES ";
    let mut keep = statement(begin, 3, rows.len(), KEEP);
    for revision in rows {
        keep = keep
            .bind(revision.edge)
            .bind(signed(revision.sequence))
            .bind(revision.at.get());
    }
    keep.execute(&mut *on).await?;
    let begin = "WITH new (edge, sequence, facts, score, class, ruleset) AS (VALUES ";
    let mut replace = statement(begin, 6, rows.len(), REPLACE);
    for revision in rows {
        replace = replace
            .bind(revision.edge)
            .bind(signed(revision.sequence))
            .bind(signed(revision.facts.bits()))
            .bind(revision.verdict.score.tenths())
            .bind(revision.verdict.class.code())
            .bind(revision.ruleset.0);
    }
    replace.execute(on).await?;
    Ok(())
}

/// Columns of [`MessageState`] for those of `ids` that have one.
pub(in crate::store) async fn message_states(
    writer: &SqlitePool,
    ids: &[MessageId],
) -> Result<Vec<Row>, StoreError> {
    const BEGIN: &str = "SELECT campaign, minted_at, number, recipient, accepted_at, first_hit_at,
            counts, recent, shadows
        FROM messages WHERE (campaign, minted_at, number) IN (VALUES ";
    let mut states = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ROWS_MAX) {
        let mut query = statement(BEGIN, 3, ids.len(), ")");
        for id in ids {
            query = query
                .bind(id.campaign.get())
                .bind(id.minted_at)
                .bind(id.number);
        }
        states.extend(query.fetch_all(writer).await?.into_iter().map(Row::Sqlite));
    }
    Ok(states)
}

async fn upsert_messages(
    on: &mut SqliteConnection,
    rows: &[(MessageId, MessageState)],
) -> Result<(), StoreError> {
    const BEGIN: &str = "INSERT OR REPLACE INTO messages
        (campaign, minted_at, number, recipient, accepted_at, first_hit_at, counts, recent,
            shadows)
        VALUES ";
    let mut query = statement(BEGIN, 9, rows.len(), "");
    for (id, state) in rows {
        query = query
            .bind(id.campaign.get())
            .bind(id.minted_at)
            .bind(id.number)
            .bind(state.recipient.map(|key| key.bytes().to_vec()))
            .bind(state.accepted_at.map(Micros::get))
            .bind(state.first_hit_at.map(Micros::get))
            .bind(state.write_counts())
            .bind(state.write_recent())
            .bind(shadows::write(&state.shadows));
    }
    query.execute(on).await?;
    Ok(())
}

async fn add_sums(
    on: &mut SqliteConnection,
    rows: &[(SumKey, StoredSums)],
) -> Result<(), StoreError> {
    const BEGIN: &str = "INSERT INTO sums
        (ruleset, campaign, cell, kind, link, class, method, counted, hits, anonymous) VALUES ";
    const END: &str = " ON CONFLICT DO UPDATE SET hits = hits + excluded.hits,
        anonymous = anonymous + excluded.anonymous";
    let mut query = statement(BEGIN, 10, rows.len(), END);
    for (key, sums) in rows {
        query = query
            .bind(key.ledger.0)
            .bind(key.target.0)
            .bind(key.cell.get())
            .bind(key.kind.code())
            .bind(key.target.1)
            .bind(key.class.code())
            .bind(key.method.code())
            .bind(key.counted)
            .bind(sums.hits)
            .bind(sums.anonymous);
    }
    query.execute(on).await?;
    Ok(())
}

async fn add_uniques(
    on: &mut SqliteConnection,
    rows: &[(UniqueKey, (i64, i64))],
) -> Result<(), StoreError> {
    const BEGIN: &str = "INSERT INTO uniques (ruleset, campaign, kind, link, raw, human) VALUES ";
    const END: &str =
        " ON CONFLICT DO UPDATE SET raw = raw + excluded.raw, human = human + excluded.human";
    let mut query = statement(BEGIN, 6, rows.len(), END);
    for (key, (raw, human)) in rows {
        query = query
            .bind(key.ledger.0)
            .bind(key.campaign)
            .bind(key.kind.code())
            .bind(key.link.map_or(-1, i64::from))
            .bind(*raw)
            .bind(*human);
    }
    query.execute(on).await?;
    Ok(())
}

async fn rejudge(on: &mut SqliteConnection, all: &Rejudged) -> Result<(), StoreError> {
    const BEGIN: &str = "INSERT INTO rejudged_classes
        (rejudgement, part, of, kind, was, class, hits) VALUES ";
    const END: &str = " ON CONFLICT DO UPDATE SET hits = hits + excluded.hits";
    for shard in &all.shards {
        sqlx::query(REJUDGED)
            .bind(all.id)
            .bind(shard.shard.get())
            .bind(shard.to.0)
            .bind(signed(shard.to.1))
            .bind(shard.hits)
            .bind(shard.changed)
            .bind(shard.done)
            .execute(&mut *on)
            .await?;
    }
    for rows in all.classes.chunks(ROWS_MAX) {
        let mut query = statement(BEGIN, 7, rows.len(), END);
        for (of, hits) in rows {
            let (part, number) = of.part.columns();
            query = query
                .bind(all.id)
                .bind(part)
                .bind(number)
                .bind(of.kind.code())
                .bind(of.was.code())
                .bind(of.class.code())
                .bind(*hits);
        }
        query.execute(&mut *on).await?;
    }
    let end = sqlx::query(END_REJUDGEMENT).bind(all.id).bind(all.at.get());
    end.execute(on).await?;
    Ok(())
}

/// Whether the position is committed before what it stands for: never.
#[cfg(not(test))]
const fn commits_position_apart() -> bool {
    false
}

#[cfg(test)]
use super::super::sabotage::commits_position_apart;
