//! Settling into SQLite: rows in statements as long as it takes them.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::domain::act::Act;
use crate::domain::message::MessageId;
use crate::domain::time::Micros;

use super::super::events::StoredHit;
use super::super::ingest::{
    Ingest, MOVE_POSITION, Revision, StoredSums, SumKey, UniqueKey, claimed, recipient, target,
};
use super::super::messages::MessageState;
use super::super::{StoreError, signed};

/// Rows of one INSERT. A statement has its cost, and so has every value: SQLite looks it up by its
/// name, among all names of the statement. bench/settle: 500 rows cost twice as much as 20.
const INSERT_ROWS_MAX: usize = 20;

/// Writes everything or nothing.
pub(in crate::store) async fn ingest(writer: &SqlitePool, all: &Ingest) -> Result<(), StoreError> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    move_position(&mut transaction, all).await?;
    if commits_position_apart() {
        transaction.commit().await?;
        transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
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

async fn move_position(on: &mut SqliteConnection, all: &Ingest) -> Result<(), StoreError> {
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
            .push_bind(stored.prefix.map(|prefix| prefix.to_string()))
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

/// Whether the position is committed before what it stands for: never.
#[cfg(not(test))]
const fn commits_position_apart() -> bool {
    false
}

#[cfg(test)]
use super::super::sabotage::commits_position_apart;
