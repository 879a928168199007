//! PostgreSQL: a few connections that write and a few that read, and hits in partitions by week,
//! made ahead.

mod copy;
mod held;
mod ingest;
mod insert;
mod leases;
mod messages;
mod nodes;
mod rejudged;
mod shared;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use tokio::time::timeout;

use crate::domain::time::Micros;

use super::connections::Pool;
use super::follow::Following;
use super::schema::{migrations, refused};
use super::sql::{Query, Sql, within};
use super::{Store, StoreError};

pub(super) use held::{Held, ask};
pub(super) use ingest::ingest;
pub(super) use insert::insert;
pub(super) use messages::message_states;
pub use nodes::Node;
pub use shared::{EdgeState, Shared};

const READERS_MAX: u32 = 4;
const WRITERS_MAX: u32 = 4;
/// Longest wait for a connection.
const ACQUIRE_WAIT: Duration = Duration::from_secs(2);
/// Longest that bringing the schema up to date may take; others may do so at the same time.
const MIGRATE_MAX: Duration = Duration::from_secs(600);
/// The oldest server whose dialect is spoken: 13.
const VERSION_MIN: i32 = 130_000;
const WEEK: i64 = 7 * 86_400_000_000;
/// 1970-01-05, a Monday: weeks begin there.
const MONDAY: i64 = 4 * 86_400_000_000;
/// Weeks that are made ahead of the present one; those before it are made for hits that come late.
const WEEKS_AHEAD: i64 = 2;
const WEEKS_BEFORE: i64 = 1;

/// The table that says which migrations were made.
const MIGRATED: &str = "_sqlx_migrations";

pub(super) static MIGRATIONS: LazyLock<Migrator> = migrations!(
    "postgres",
    "0001_first",
    "0002_edges",
    "0003_recent",
    "0004_rule_sets",
    "0005_evidence",
    "0006_shadows",
    "0007_sweeps",
);

/// Connects to the database of this URL, and brings its schema up to date; with what the days
/// around `now` need.
pub(super) async fn open(url: &str, now: Option<Micros>) -> Result<Store, StoreError> {
    let options = options(url)?;
    // A pool goes on trying, and says in the end that it took too long: this says why.
    let mut first = within(options.connect()).await?;
    check_version(&mut first).await?;
    if let Some(what) = within(foreign(&mut first)).await? {
        return Err(StoreError::Foreign { what });
    }
    within(first.close()).await?;
    let writer = pool(WRITERS_MAX)
        .connect_with(mortal(options.clone()))
        .await?;
    let migrated = timeout(MIGRATE_MAX, MIGRATIONS.run(&writer)).await;
    let migrated = migrated.map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))?;
    migrated.map_err(|error| refused(error, &MIGRATIONS))?;
    if let Some(now) = now
        && let Err(error) = make_partitions(&writer, now).await
    {
        // Hits have a place all the same.
        tracing::warn!(%error, "store: a partition could not be made");
    }
    // Nobody waits longer for an answer, so that none is worked on for longer.
    let following = Following::begin(&writer, pool(1).connect_lazy_with(options.clone())).await?;
    let readers = options.options([("statement_timeout", "5000")]);
    let readers = pool(READERS_MAX).connect_lazy_with(readers);
    Ok(Store {
        readers: Pool::Postgres(readers),
        writer: Pool::Postgres(writer),
        file: None,
        following: Some(following),
    })
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options
        .application_name("cupel")
        // What a commit answered survives a power cut, whatever the server's default.
        .options([("synchronous_commit", "on")])
        // What is asked for in an order is along an index. Without statistics of a campaign that is
        // new, PostgreSQL would rather read all of it and sort, for every page.
        .options([("enable_sort", "off"), ("enable_incremental_sort", "off")])
        .options([("jit", "off")]))
}

/// Whoever vanishes in the middle of a transaction, with its machine or its network, keeps nobody
/// from what it has locked.
fn mortal(options: PgConnectOptions) -> PgConnectOptions {
    options
        .options([("idle_in_transaction_session_timeout", "10000")])
        .options([
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
        ])
        .options([("tcp_keepalives_count", "3"), ("tcp_user_timeout", "10000")])
}

/// A connection to the database of this URL that makes and migrates nothing; `None` if nothing of
/// ours is there.
pub(super) async fn peek(url: &str) -> Result<Option<Pool>, StoreError> {
    const THERE: &str = "SELECT to_regclass('positions') IS NOT NULL";
    let options = options(url)?;
    within(within(options.connect()).await?.close()).await?;
    let pool = pool(1).connect_with(options).await?;
    let there: bool = within(sqlx::query_scalar(THERE).fetch_one(&pool)).await?;
    Ok(there.then_some(Pool::Postgres(pool)))
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WAIT)
}

async fn check_version(on: &mut PgConnection) -> Result<(), StoreError> {
    const SQL: &str = "SELECT current_setting('server_version_num')::integer";
    let version: i32 = within(sqlx::query_scalar(SQL).fetch_one(on)).await?;
    if version >= VERSION_MIN {
        return Ok(());
    }
    Err(StoreError::TooOld {
        version,
        needed: VERSION_MIN,
    })
}

/// What another program has in the schema: tables with our names, or migrations in another form.
async fn foreign(on: &mut PgConnection) -> Result<Option<&'static str>, sqlx::Error> {
    const SQL: &str = "SELECT table_name::text, count(column_name) FILTER (
            WHERE column_name IN ('version', 'checksum'))
        FROM information_schema.columns WHERE table_schema = current_schema()
            AND table_name IN ('_sqlx_migrations', 'tenants', 'campaigns', 'links', 'hits')
        GROUP BY 1";
    let tables: Vec<(String, i64)> = sqlx::query_as(SQL).fetch_all(on).await?;
    let migrations = tables.iter().find(|(name, _)| name == MIGRATED);
    Ok(match migrations {
        Some((_, 2)) => None,
        Some(_) => Some("migrations"),
        None if tables.is_empty() => None,
        None => Some("tables"),
    })
}

/// Makes the partitions around `now` that are not there. A week whose hits are in the partition for
/// all others already stays there.
pub(super) async fn make_partitions(pool: &PgPool, now: Micros) -> Result<(), StoreError> {
    let this = week(now.get());
    for week in this - WEEKS_BEFORE..=this + WEEKS_AHEAD {
        make_week(pool, week).await?;
    }
    Ok(())
}

/// The week that a time lies in.
fn week(at: i64) -> i64 {
    at.saturating_sub(MONDAY).div_euclid(WEEK)
}

async fn make_week(pool: &PgPool, week: i64) -> Result<(), StoreError> {
    const MISSING: &str = "SELECT to_regclass($1) IS NULL AND NOT EXISTS (
            SELECT 1 FROM hits_other WHERE at >= $2 AND at < $3)";
    let begin = MONDAY.saturating_add(week.saturating_mul(WEEK));
    let end = begin.saturating_add(WEEK);
    let day = Micros::new(begin).to_string();
    let day: String = day.chars().take(10).filter(char::is_ascii_digit).collect();
    let name = format!("hits_{day}");
    let query = sqlx::query_scalar(MISSING)
        .bind(&name)
        .bind(begin)
        .bind(end);
    let missing: bool = ask(pool, async |on| query.fetch_one(on).await).await?;
    match missing {
        true => make_partition(pool, &name, (begin, end)).await,
        false => Ok(()),
    }
}

/// Everybody waits for it while it waits for a lock, so it gives up soon, and is tried again.
async fn make_partition(
    pool: &PgPool,
    name: &str,
    (begin, end): (i64, i64),
) -> Result<(), StoreError> {
    const PATIENCE: &str = "SET LOCAL lock_timeout = '1s'";
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {name} PARTITION OF hits FOR VALUES FROM ({begin}) TO ({end})"
    );
    let mut held = Held::begin(pool).await?;
    within(sqlx::query(PATIENCE).execute(held.on()?)).await?;
    within(sqlx::query(AssertSqlSafe(sql)).execute(held.on()?)).await?;
    Ok(held.commit().await?)
}

/// Bytes of everything in the database.
pub(super) fn bytes() -> Query<'static> {
    Query::new(Sql::same("SELECT pg_database_size(current_database())"))
}

/// Whether the server ended a transaction because another waited for it, and it for that, or for a
/// key that is there already. Who tries again asks what there is first.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const DEADLOCK_DETECTED: &str = "40P01";
    const UNIQUE_VIOLATION: &str = "23505";
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some(DEADLOCK_DETECTED | UNIQUE_VIOLATION))
}
