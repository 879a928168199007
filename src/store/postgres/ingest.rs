//! Settling into PostgreSQL: new rows by COPY, changes by one statement a table.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use crate::domain::act::Act;
use crate::domain::record::Hit;

use super::super::events::StoredHit;
use super::super::evidence::add_to_postgres as add_evidence;
use super::super::inbox::{
    ACCEPTED, Arrival, Arrived, HIT, write_accepted, write_hit as hit_record,
};
use super::super::ingest::{
    Ingest, Moved, Revision, StoredSums, SumKey, UniqueKey, claimed, recipient,
};
use super::super::sweeps::add_to_postgres as add_sweeps;
use super::super::{StoreError, narrow, signed};
use super::copy::Rows;
use super::held::Held;
use super::leases::next_turn;
use super::messages::{copy_messages, upsert_messages};
use super::rejudged;

/// Bytes of a hit in COPY, about.
const HIT_BYTES: usize = 280;
const ACT_BYTES: usize = 110;
const SHIPPED_BYTES: usize = 180;

/// Longest that one transaction may take; a server that hangs is away.
const INGEST_MAX: Duration = Duration::from_secs(60);

/// Writes everything or nothing.
pub(in crate::store) async fn ingest(writer: &PgPool, all: &Ingest) -> Result<(), StoreError> {
    let written = timeout(INGEST_MAX, write(writer, all)).await;
    written.unwrap_or(Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)))
}

async fn write(writer: &PgPool, all: &Ingest) -> Result<(), StoreError> {
    let mut held = Held::begin(writer).await?;
    let on = held.on()?;
    let mut edge = 0;
    if let Some(journal) = &all.journal {
        edge = narrow(journal.edge, "edge")?;
        move_position(on, edge, journal).await?;
    }
    if let Some(lease) = &all.lease {
        next_turn(on, lease).await?;
    }
    if let Some(rejudged) = &all.rejudged {
        rejudged::hold(on, rejudged).await?;
    }
    insert_texts(on, &all.texts).await?;
    copy_hits(on, &all.hits).await?;
    copy_acts(on, edge, &all.acts).await?;
    copy_shipped(on, &all.shipped).await?;
    revise(on, &all.revisions).await?;
    let (known, new): (Vec<_>, Vec<_>) = all.messages.iter().partition(|(_, it)| it.stored);
    copy_messages(on, &new).await?;
    upsert_messages(on, &known).await?;
    add_sums(on, &all.sums).await?;
    add_uniques(on, &all.uniques).await?;
    add_evidence(on, &all.evidence).await?;
    add_sweeps(on, &all.sweeps).await?;
    if let Some(rejudged) = &all.rejudged {
        rejudged::rejudge(on, rejudged).await?;
    }
    Ok(held.commit().await?)
}

/// First of all: another settler waits here, and finds that it comes too late.
async fn move_position(on: &mut PgConnection, edge: i32, all: &Moved) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE positions SET sequence = $2,
            shipped_to = CASE WHEN $3 = 0 THEN shipped_to ELSE $3 END,
            seen_at = CASE WHEN $5 THEN cupel_now() ELSE 0 END
        WHERE edge = $1 AND sequence = $4";
    let moved = sqlx::query(SQL)
        .bind(edge)
        .bind(signed(all.to.sequence))
        .bind(all.shipped_to.get())
        .bind(signed(all.from.sequence))
        .bind(all.waited_for)
        .execute(on)
        .await?;
    all.moved(moved.rows_affected())
}

async fn insert_texts(on: &mut PgConnection, texts: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
    // In one order everywhere, or two edges that bring the same texts could wait for each other.
    const SQL: &str = "INSERT INTO texts (id, text)
        SELECT DISTINCT ON (id) id, text FROM unnest($1::bigint[], $2::bytea[]) AS new (id, text)
        ORDER BY id ON CONFLICT (id) DO NOTHING";
    if texts.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = texts.iter().map(|(id, _)| signed(*id)).collect();
    let bytes: Vec<_> = texts.iter().map(|(_, text)| text.as_slice()).collect();
    sqlx::query(SQL).bind(ids).bind(bytes).execute(on).await?;
    Ok(())
}

async fn copy_hits(
    on: &mut PgConnection,
    hits: &[(i64, Box<StoredHit>)],
) -> Result<(), StoreError> {
    const SQL: &str = "COPY hits (at, sequence, facts, minted_at, agent, headers, source, campaign,
        link, number, asn, edge, ruleset, lists, lists_version, revision, score, kind, method,
        protocol, answer, level, token, flags, class, prefix, claimed)
        FROM STDIN (FORMAT binary)";
    if hits.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::with_room(hits.len(), HIT_BYTES);
    for (edge, stored) in hits {
        write_hit(&mut rows, narrow(*edge, "edge")?, stored);
    }
    rows.copy(on, SQL).await
}

fn write_hit(rows: &mut Rows, edge: i32, stored: &StoredHit) {
    let hit: &Hit = &stored.hit;
    let (campaign, link) = hit.target.numbers();
    let message = hit.message.map(|(message, _)| message);
    let id = |id: u64| (id != 0).then_some(signed(id));
    let code = i16::from;
    rows.row(27)
        .int8(hit.at.get())
        .int8(signed(stored.sequence))
        .int8(signed(hit.facts.bits()))
        .int8_or_null(message.map(|message| i64::from(message.minted_at)))
        .int8_or_null(id(hit.agent))
        .int8_or_null(id(hit.headers))
        .int8_or_null(stored.source.map(signed))
        .int4(campaign.cast_signed())
        .int4(link.cast_signed())
        .int4_or_null(message.map(|message| message.number.cast_signed()))
        .int4(hit.network.asn.cast_signed())
        .int4(edge)
        .int4(i32::from(hit.ruleset.0))
        .int2(hit.network.lists.bits().cast_signed())
        .int2(hit.network.lists_version.cast_signed())
        .int2(i16::try_from(stored.revision).unwrap_or(i16::MAX))
        .int2(i16::try_from(hit.verdict.score.tenths()).unwrap_or(i16::MAX))
        .int2(code(hit.kind.code()))
        .int2(code(hit.method.code()))
        .int2(code(hit.protocol()))
        .int2(code(hit.answer.code()))
        .int2(code(hit.level.code()))
        .int2(code(hit.token.code()))
        .int2(code(hit.flags()))
        .int2(code(hit.verdict.class.code()))
        .cidr_or_null(stored.prefix)
        .bytes(claimed(hit).as_deref().unwrap_or_default());
}

async fn copy_acts(
    on: &mut PgConnection,
    edge: i32,
    acts: &[(u64, Act)],
) -> Result<(), StoreError> {
    const SQL: &str = "COPY acts (at, sequence, campaign, link, minted_at, number, edge, kind, via,
        recipient) FROM STDIN (FORMAT binary)";
    if acts.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::with_room(acts.len(), ACT_BYTES);
    for (sequence, act) in acts {
        rows.row(10)
            .int8(act.at.get())
            .int8(signed(*sequence))
            .int8(i64::from(act.message.campaign.get()))
            .int8(i64::from(act.link))
            .int8(i64::from(act.message.minted_at))
            .int8(i64::from(act.message.number))
            .int4(edge)
            .int2(i16::from(act.kind.code()));
        match act.via {
            Some(via) => rows.int2(i16::from(via.code())),
            None => rows.bytes_or_null(None),
        };
        rows.bytes_or_null(recipient(act.recipient).as_deref());
    }
    rows.copy(on, SQL).await
}

async fn copy_shipped(on: &mut PgConnection, all: &[Arrival]) -> Result<(), StoreError> {
    const SQL: &str = "COPY inbox (sequence, source, edge, shard, kind, record)
        FROM STDIN (FORMAT binary)";
    if all.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::with_room(all.len(), SHIPPED_BYTES);
    for arrival in all {
        let (kind, source, record) = match &arrival.what {
            Arrived::Hit(stored) => (HIT, stored.source, hit_record(stored)),
            Arrived::Accepted(accepted) => (ACCEPTED, None, write_accepted(accepted)),
        };
        rows.row(6)
            .int8(signed(arrival.sequence))
            .int8_or_null(source.map(signed))
            .int4(narrow(arrival.edge, "edge")?)
            .int2(i16::from(arrival.shard().get()))
            .int2(kind)
            .bytes(&record);
    }
    rows.copy(on, SQL).await
}

/// Moves the judgements in force aside, and puts others in their place. The time names the
/// partition.
async fn revise(on: &mut PgConnection, all: &[Revision]) -> Result<(), StoreError> {
    const KEEP: &str = "INSERT INTO judgements
            (edge, sequence, ruleset, revision, facts, score, class, replaced_at)
        SELECT h.edge, h.sequence, h.ruleset, h.revision, h.facts, h.score, h.class, new.at
        FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS new (edge, sequence, hit_at, at)
        JOIN hits h ON h.edge = new.edge AND h.sequence = new.sequence AND h.at = new.hit_at";
    const REPLACE: &str = "UPDATE hits h SET facts = new.facts, score = new.score,
            class = new.class, ruleset = new.ruleset, revision = h.revision + 1
        FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[],
            $6::smallint[], $7::integer[])
            AS new (edge, sequence, hit_at, facts, score, class, ruleset)
        WHERE h.edge = new.edge AND h.sequence = new.sequence AND h.at = new.hit_at";
    if all.is_empty() {
        return Ok(());
    }
    let edges = all.iter().map(|new| narrow(new.edge, "edge"));
    let edges: Vec<i32> = edges.collect::<Result<_, _>>()?;
    let sequences: Vec<_> = all.iter().map(|new| signed(new.sequence)).collect();
    let hits_at: Vec<_> = all.iter().map(|new| new.hit_at.get()).collect();
    let at: Vec<_> = all.iter().map(|new| new.at.get()).collect();
    let facts: Vec<_> = all.iter().map(|new| signed(new.facts.bits())).collect();
    let score = |new: &Revision| i16::try_from(new.verdict.score.tenths()).unwrap_or(i16::MAX);
    let scores: Vec<_> = all.iter().map(score).collect();
    let class = |new: &Revision| i16::from(new.verdict.class.code());
    let classes: Vec<_> = all.iter().map(class).collect();
    let rulesets: Vec<_> = all.iter().map(|new| i32::from(new.ruleset.0)).collect();
    sqlx::query(KEEP)
        .bind(edges.as_slice())
        .bind(sequences.as_slice())
        .bind(hits_at.as_slice())
        .bind(at)
        .execute(&mut *on)
        .await?;
    sqlx::query(REPLACE)
        .bind(edges)
        .bind(sequences)
        .bind(hits_at)
        .bind(facts)
        .bind(scores)
        .bind(classes)
        .bind(rulesets)
        .execute(on)
        .await?;
    Ok(())
}

async fn add_sums(on: &mut PgConnection, all: &[(SumKey, StoredSums)]) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO sums (ruleset, campaign, cell, kind, link, class, method, counted,
            hits, anonymous)
        SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::smallint[],
            $5::bigint[], $6::smallint[], $7::smallint[], $8::boolean[], $9::bigint[],
            $10::bigint[])
        ON CONFLICT (ruleset, campaign, cell, kind, link, class, method, counted)
        DO UPDATE SET hits = sums.hits + excluded.hits,
            anonymous = sums.anonymous + excluded.anonymous";
    if all.is_empty() {
        return Ok(());
    }
    let numbers =
        |of: fn(&(SumKey, StoredSums)) -> i64| -> Vec<i64> { all.iter().map(of).collect() };
    let codes = |of: fn(&SumKey) -> u8| -> Vec<i16> {
        all.iter().map(|(key, _)| i16::from(of(key))).collect()
    };
    let ledgers: Vec<_> = all
        .iter()
        .map(|(key, _)| key.ledger.0.cast_signed())
        .collect();
    let counted: Vec<_> = all.iter().map(|(key, _)| key.counted).collect();
    sqlx::query(SQL)
        .bind(ledgers)
        .bind(numbers(|(key, _)| i64::from(key.target.0)))
        .bind(numbers(|(key, _)| key.cell.get()))
        .bind(codes(|key| key.kind.code()))
        .bind(numbers(|(key, _)| i64::from(key.target.1)))
        .bind(codes(|key| key.class.code()))
        .bind(codes(|key| key.method.code()))
        .bind(counted)
        .bind(numbers(|(_, sums)| sums.hits))
        .bind(numbers(|(_, sums)| sums.anonymous))
        .execute(on)
        .await?;
    Ok(())
}

async fn add_uniques(
    on: &mut PgConnection,
    all: &[(UniqueKey, (i64, i64))],
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO uniques (ruleset, campaign, kind, link, raw, human)
        SELECT * FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::bigint[],
            $5::bigint[], $6::bigint[])
        ON CONFLICT (ruleset, campaign, kind, link)
        DO UPDATE SET raw = uniques.raw + excluded.raw, human = uniques.human + excluded.human";
    if all.is_empty() {
        return Ok(());
    }
    let ledgers: Vec<_> = all
        .iter()
        .map(|(key, _)| key.ledger.0.cast_signed())
        .collect();
    let campaigns: Vec<_> = all.iter().map(|(key, _)| i64::from(key.campaign)).collect();
    let kinds: Vec<_> = all
        .iter()
        .map(|(key, _)| i16::from(key.kind.code()))
        .collect();
    let links = all.iter().map(|(key, _)| key.link.map_or(-1, i64::from));
    sqlx::query(SQL)
        .bind(ledgers)
        .bind(campaigns)
        .bind(kinds)
        .bind(links.collect::<Vec<_>>())
        .bind(all.iter().map(|(_, (raw, _))| *raw).collect::<Vec<_>>())
        .bind(all.iter().map(|(_, (_, human))| *human).collect::<Vec<_>>())
        .execute(on)
        .await?;
    Ok(())
}
