//! Leases of shards: who takes, keeps and gives up which, and what a transaction shows of its own.

use std::time::Duration;

use sqlx::PgConnection;

use crate::domain::shard::Shard;
use crate::domain::time::Micros;

use super::super::ingest::{Lease, Turns};
use super::super::{StoreError, narrow, unsigned};

/// How long a lease holds without being renewed; it is renewed with every transaction too.
const LEASE: Duration = Duration::from_secs(6);

pub(super) type LeaseRow = (i16, i64);

/// Renews, then takes what is free or gives up what is too much, so that all have as many.
pub(super) async fn share(
    on: &mut PgConnection,
    holder: i64,
) -> Result<Vec<LeaseRow>, sqlx::Error> {
    const SEEN: &str = "INSERT INTO settlers (id, seen_at) VALUES ($1, cupel_now())
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
    // Whoever looks is to see for a day that it is gone.
    const FORGET: &str = "DELETE FROM settlers WHERE id IN (SELECT id FROM settlers
        WHERE seen_at < cupel_now() - 86400000000 FOR UPDATE SKIP LOCKED)";
    const RENEW: &str = "UPDATE shards SET held_until = cupel_now() + $2 WHERE holder = $1
        RETURNING id, turn";
    const SETTLERS: &str = "SELECT count(*) FROM settlers WHERE seen_at > cupel_now() - $1";
    // A database that was failed over gives no turn a second time.
    const TAKE: &str = "UPDATE shards SET holder = $1, turn = greatest(turn + 1, cupel_now()),
            held_until = cupel_now() + $2
        WHERE id IN (SELECT id FROM shards
            WHERE held_until < cupel_now() AND holder IS DISTINCT FROM $1
            ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id, turn";
    const GIVE_UP: &str = "UPDATE shards SET holder = NULL, held_until = 0, turn = turn + 1
        WHERE holder = $1 AND id = ANY($2)";
    let lease = micros(LEASE);
    sqlx::query(SEEN).bind(holder).execute(&mut *on).await?;
    sqlx::query(FORGET).execute(&mut *on).await?;
    let renew = sqlx::query_as(RENEW).bind(holder).bind(lease);
    let mut held: Vec<LeaseRow> = renew.fetch_all(&mut *on).await?;
    held.sort_unstable();
    let settlers = sqlx::query_scalar(SETTLERS).bind(lease);
    let settlers: i64 = settlers.fetch_one(&mut *on).await?;
    let settlers = usize::try_from(settlers).unwrap_or(1).max(1);
    let share = usize::from(Shard::COUNT).div_ceil(settlers);
    if held.len() > share {
        let too_many: Vec<_> = held.drain(share..).map(|(id, _)| id).collect();
        let give_up = sqlx::query(GIVE_UP).bind(holder).bind(too_many);
        give_up.execute(on).await?;
    } else if held.len() < share {
        let room = i64::try_from(share - held.len()).unwrap_or(0);
        let take = sqlx::query_as(TAKE).bind(holder).bind(lease).bind(room);
        let taken: Vec<LeaseRow> = take.fetch_all(on).await?;
        held.extend(taken);
        held.sort_unstable();
    }
    Ok(held)
}

pub(super) fn turns(leases: &[LeaseRow]) -> Result<Turns, StoreError> {
    let turn = |(id, turn): &LeaseRow| {
        let shard = u8::try_from(*id).ok().and_then(Shard::new);
        let shard = shard.ok_or(StoreError::Unreadable("shard"))?;
        Ok((shard, unsigned(*turn)))
    };
    leases.iter().map(turn).collect()
}

/// First of all after the position: whoever was a holder before waits here, and finds that it comes
/// too late.
pub(super) async fn next_turn(on: &mut PgConnection, lease: &Lease) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE shards SET turn = shards.turn + 1, held_until = cupel_now() + $4,
            settled_to = coalesce($5, settled_to)
        FROM unnest($1::smallint[], $2::bigint[]) AS mine (id, turn)
        WHERE shards.id = mine.id AND shards.turn = mine.turn AND shards.holder = $3";
    const LANES: &str = "INSERT INTO lanes (shard, edge, settled_sequence)
        SELECT shard, edge, settled_sequence FROM unnest($1::smallint[]) AS shard,
            unnest($2::integer[], $3::bigint[]) AS lane (edge, settled_sequence)
        ON CONFLICT (shard, edge) DO UPDATE SET settled_sequence = excluded.settled_sequence
        WHERE lanes.settled_sequence < excluded.settled_sequence";
    const TAKE_OUT: &str = "DELETE FROM inbox WHERE id = ANY($1)";
    if lease.turns.is_empty() && lease.taken.is_empty() {
        return Ok(());
    }
    let shards = lease.turns.keys().map(|shard| i16::from(shard.get()));
    let shards: Vec<_> = shards.collect();
    let turns: Vec<_> = lease
        .turns
        .values()
        .map(|turn| turn.cast_signed())
        .collect();
    let moved = sqlx::query(SQL)
        .bind(shards.as_slice())
        .bind(turns)
        .bind(i64::from(lease.holder.0))
        .bind(micros(LEASE))
        .bind(lease.settled_to.map(Micros::get))
        .execute(&mut *on)
        .await?;
    let all = |rows: u64, of: usize| usize::try_from(rows) == Ok(of);
    if !all(moved.rows_affected(), shards.len()) {
        return Err(StoreError::LeaseLost);
    }
    if !lease.taken.is_empty() {
        let taken = sqlx::query(TAKE_OUT).bind(lease.taken.as_slice());
        let taken = taken.execute(&mut *on).await?;
        if !all(taken.rows_affected(), lease.taken.len()) {
            return Err(StoreError::LeaseLost);
        }
    }
    if !lease.lanes.is_empty() {
        let edges = lease.lanes.iter().map(|(edge, _)| narrow(*edge, "edge"));
        let edges: Vec<i32> = edges.collect::<Result<_, _>>()?;
        let to: Vec<_> = lease.lanes.iter().map(|(_, to)| to.cast_signed()).collect();
        let lanes = sqlx::query(LANES).bind(shards).bind(edges).bind(to);
        lanes.execute(on).await?;
    }
    Ok(())
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
