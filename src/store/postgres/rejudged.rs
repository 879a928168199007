//! How far history is judged again, into PostgreSQL.

use sqlx::PgConnection;

use super::super::ingest::{END_REJUDGEMENT, HOLD_REJUDGEMENT, REJUDGED};
use super::super::rejudgements::{Reclassed, Rejudged};
use super::super::{StoreError, signed};

/// Sees to it that a rejudgement does not end before this is written.
pub(super) async fn hold(on: &mut PgConnection, all: &Rejudged) -> Result<(), StoreError> {
    // Others may write for it at the same time. But of two who found that they are the last, the
    // second is to see what the first did.
    const SHARE: &str = "SELECT 1 FROM rejudgements WHERE id = $1 AND ended_at IS NULL FOR SHARE";
    let sql = match all.is_last() {
        true => HOLD_REJUDGEMENT,
        false => SHARE,
    };
    let held = sqlx::query(sql).bind(all.id).execute(on).await?;
    all.held(held.rows_affected())
}

pub(super) async fn rejudge(on: &mut PgConnection, all: &Rejudged) -> Result<(), StoreError> {
    const CLASSES: &str = "INSERT INTO rejudged_classes
            (rejudgement, part, of, kind, was, class, hits)
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[],
            $6::smallint[], $7::bigint[])
        ON CONFLICT (rejudgement, part, of, kind, was, class)
        DO UPDATE SET hits = rejudged_classes.hits + excluded.hits";
    for shard in &all.shards {
        sqlx::query(REJUDGED)
            .bind(all.id)
            .bind(i16::from(shard.shard.get()))
            .bind(shard.to.0)
            .bind(signed(shard.to.1))
            .bind(shard.hits)
            .bind(shard.changed)
            .bind(shard.done)
            .execute(&mut *on)
            .await?;
    }
    let numbers =
        |of: fn(&(Reclassed, i64)) -> i64| -> Vec<i64> { all.classes.iter().map(of).collect() };
    let codes = |of: fn(&Reclassed) -> i16| -> Vec<i16> {
        all.classes.iter().map(|(key, _)| of(key)).collect()
    };
    if !all.classes.is_empty() {
        sqlx::query(CLASSES)
            .bind(all.id)
            .bind(numbers(|(key, _)| key.part.columns().0))
            .bind(numbers(|(key, _)| key.part.columns().1))
            .bind(codes(|key| i16::from(key.kind.code())))
            .bind(codes(|key| i16::from(key.was.code())))
            .bind(codes(|key| i16::from(key.class.code())))
            .bind(numbers(|(_, hits)| *hits))
            .execute(&mut *on)
            .await?;
    }
    if all.is_last() {
        let end = sqlx::query(END_REJUDGEMENT).bind(all.id).bind(all.at.get());
        end.execute(on).await?;
    }
    Ok(())
}
