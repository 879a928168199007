//! What the store knows of messages, asked for and written many at a time.

use sqlx::{PgConnection, PgPool};

use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::time::Micros;

use super::super::StoreError;
use super::super::messages::MessageState;
use super::super::shadows;
use super::super::sql::Row;
use super::copy::Rows;
use super::held::ask;

/// Bytes of a message in COPY, about.
const MESSAGE_BYTES: usize = 400;

/// Columns of [`MessageState`] for those of `ids` that have one.
pub(in crate::store) async fn message_states(
    writer: &PgPool,
    ids: &[MessageId],
) -> Result<Vec<Row>, StoreError> {
    const SQL: &str = "SELECT campaign, minted_at, number, recipient, accepted_at, first_hit_at,
            counts, recent, shadows
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS asked (campaign, minted_at, number)
        JOIN messages USING (campaign, minted_at, number)";
    let numbers = |of: fn(&MessageId) -> u32| -> Vec<i64> {
        ids.iter().map(|id| i64::from(of(id))).collect()
    };
    let query = sqlx::query(SQL)
        .bind(numbers(|id| id.campaign.get()))
        .bind(numbers(|id| id.minted_at))
        .bind(numbers(|id| id.number));
    let rows = ask(writer, async |on| query.fetch_all(on).await).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// Those that the store has no row of; nobody else settles them. One that it has all the same fails
/// the round, and the next asks for it.
pub(super) async fn copy_messages(
    on: &mut PgConnection,
    all: &[&(MessageId, MessageState)],
) -> Result<(), StoreError> {
    const SQL: &str = "COPY messages (campaign, minted_at, number, recipient, accepted_at,
        first_hit_at, counts, recent, shadows) FROM STDIN (FORMAT binary)";
    if all.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::with_room(all.len(), MESSAGE_BYTES);
    for (id, state) in all {
        let recipient = state.recipient.map(RecipientKey::bytes);
        rows.row(9)
            .int8(i64::from(id.campaign.get()))
            .int8(i64::from(id.minted_at))
            .int8(i64::from(id.number))
            .bytes_or_null(recipient.as_ref().map(|key| key.as_slice()))
            .int8_or_null(state.accepted_at.map(Micros::get))
            .int8_or_null(state.first_hit_at.map(Micros::get))
            .bytes(&state.write_counts())
            .bytes_or_null(state.write_recent().as_deref())
            .bytes_or_null(shadows::write(&state.shadows).as_deref());
    }
    rows.copy(on, SQL).await
}

pub(super) async fn upsert_messages(
    on: &mut PgConnection,
    all: &[&(MessageId, MessageState)],
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO messages
            (campaign, minted_at, number, recipient, accepted_at, first_hit_at, counts, recent,
                shadows)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[],
            $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[])
        ON CONFLICT (campaign, minted_at, number) DO UPDATE SET
            recipient = excluded.recipient, accepted_at = excluded.accepted_at,
            first_hit_at = excluded.first_hit_at, counts = excluded.counts,
            recent = excluded.recent, shadows = excluded.shadows";
    if all.is_empty() {
        return Ok(());
    }
    let ids = |number: fn(&MessageId) -> u32| -> Vec<i64> {
        all.iter().map(|(id, _)| i64::from(number(id))).collect()
    };
    let times = |time: fn(&MessageState) -> Option<Micros>| -> Vec<Option<i64>> {
        all.iter()
            .map(|(_, it)| time(it).map(Micros::get))
            .collect()
    };
    let recipients = all.iter().map(|(_, state)| {
        let key = state.recipient?;
        Some(key.bytes().to_vec())
    });
    let counts = all.iter().map(|(_, state)| state.write_counts());
    let recent = all.iter().map(|(_, state)| state.write_recent());
    let shadows = all.iter().map(|(_, state)| shadows::write(&state.shadows));
    sqlx::query(SQL)
        .bind(ids(|id| id.campaign.get()))
        .bind(ids(|id| id.minted_at))
        .bind(ids(|id| id.number))
        .bind(recipients.collect::<Vec<_>>())
        .bind(times(|state| state.accepted_at))
        .bind(times(|state| state.first_hit_at))
        .bind(counts.collect::<Vec<_>>())
        .bind(recent.collect::<Vec<_>>())
        .bind(shadows.collect::<Vec<_>>())
        .execute(on)
        .await?;
    Ok(())
}
