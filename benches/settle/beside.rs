//! What the rows of hits alone cost by statements of many rows, as most programs write them: without
//! judging, sums, uniques and states.

use std::time::Instant;

use cupel::domain::record::{Hit, Target};
use sqlx::{Executor as _, PgConnection, Postgres, QueryBuilder};

use crate::cost::Cost;
use crate::made::Maker;

/// A statement of PostgreSQL takes 65,535 values, a row is 27.
const ROWS_MAX: usize = 1_000;
const TRANSACTION_ROWS: usize = 10_000;

/// Writes so many hits into a table like `hits`, with its indexes. Seconds and processor time.
pub(crate) async fn insert(
    on: &mut PgConnection,
    maker: &mut Maker,
    count: usize,
) -> anyhow::Result<(f64, Cost)> {
    on.execute("CREATE TABLE beside (LIKE hits)").await?;
    on.execute("CREATE INDEX ON beside (edge, sequence)")
        .await?;
    on.execute("CREATE INDEX ON beside (campaign, edge, sequence)")
        .await?;
    let hits: Vec<_> = (0..count).map(|_| maker.next()).collect();
    let (began, before) = (Instant::now(), Cost::now(true));
    let mut sequence = 0;
    for transaction in hits.chunks(TRANSACTION_ROWS) {
        on.execute("BEGIN").await?;
        for rows in transaction.chunks(ROWS_MAX) {
            statement(rows, sequence).build().execute(&mut *on).await?;
            sequence += rows.len() as i64;
        }
        on.execute("COMMIT").await?;
    }
    let took = (began.elapsed().as_secs_f64(), Cost::now(true).since(before));
    on.execute("DROP TABLE beside").await?;
    Ok(took)
}

fn statement(rows: &[Hit], after: i64) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new(
        "INSERT INTO beside (at, sequence, facts, minted_at, agent, headers, source, campaign, link,
            number, asn, edge, ruleset, lists, lists_version, revision, score, kind, method,
            protocol, answer, level, token, flags, class, claimed, prefix) ",
    );
    query.push_values(rows.iter().enumerate(), |mut row, (n, hit)| {
        let Target::Campaign(campaign, link) = hit.target else {
            unreachable!("none is on a short link")
        };
        let (message, _) = hit.message.unwrap();
        row.push_bind(hit.at.get())
            .push_bind(after + n as i64)
            .push_bind(hit.facts.bits().cast_signed())
            .push_bind(i64::from(message.minted_at))
            .push_bind(hit.agent.cast_signed())
            .push_bind(hit.headers.cast_signed())
            .push_bind(hit.at.get())
            .push_bind(campaign.get().cast_signed())
            .push_bind(link.cast_signed())
            .push_bind(message.number.cast_signed())
            .push_bind(hit.network.asn.cast_signed())
            .push_bind(1_i32)
            .push_bind(i32::from(hit.ruleset.0))
            .push_bind(hit.network.lists.bits().cast_signed())
            .push_bind(hit.network.lists_version.cast_signed())
            .push_bind(0_i16)
            .push_bind(hit.verdict.score.tenths().cast_signed())
            .push_bind(i16::from(hit.kind.code()))
            .push_bind(i16::from(hit.method.code()))
            .push_bind(i16::from(hit.protocol()))
            .push_bind(i16::from(hit.answer.code()))
            .push_bind(i16::from(hit.level.code()))
            .push_bind(i16::from(hit.token.code()))
            .push_bind(i16::from(hit.flags()))
            .push_bind(i16::from(hit.verdict.class.code()))
            .push_bind(Vec::<u8>::new());
        let prefix = hit.address.map(cupel::domain::network::prefix).unwrap();
        row.push_bind(prefix.to_string()).push_unseparated("::cidr");
    });
    query
}
