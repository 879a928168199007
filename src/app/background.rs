//! What runs beside the listeners for the hits: the journal's threads, settling, and opening the
//! store again.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{rt, web as actix};
use tracing::Instrument as _;

use crate::config::Config;
use crate::domain::time::Micros;
use crate::journal::Journal;
use crate::resolve::{Change, KeyRingError};
use crate::settle::{Progress, SettleError, Settler};
use crate::shutdown::Stop;
use crate::store::{Place, Store, StoreError};
use crate::web::{self, Parts, ShareError};

use super::directory::say_store;
use super::live_ruleset::LiveCopy;
use super::rejudge::Rejudge;
use super::settle_options;
use super::watched::Thread;

/// How often new hits are looked for.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before a store that failed is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How often old segments are deleted.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// Entries of the catalogue that are given back to a store at once.
const GIVE_BACK_MAX: usize = 10_000;
/// What settling may take when the server stops; the rest waits in the journal.
pub(super) const LAST_SETTLE_MAX: Duration = Duration::from_secs(5);
/// How often it may fail then: a node that has not shipped everything keeps others waiting.
const LAST_SETTLE_TRIES: u32 = 5;

/// The threads of the journal.
pub(super) struct JournalThreads {
    drainer: Thread,
    syncer: Thread,
}

impl JournalThreads {
    /// Starts them; the end of one is the end of `all`.
    pub(super) fn start(journal: &Arc<Journal>, all: &Stop) -> std::io::Result<Self> {
        let (drainer, syncer) = (journal.drainer(), journal.syncer());
        Ok(Self {
            drainer: Thread::start("journal-drain", all, |stop| drainer.run(&|| stop.asked()))?,
            syncer: Thread::start("journal-sync", all, |stop| syncer.run(&|| stop.asked()))?,
        })
    }

    /// Drains what is left, then syncs it.
    ///
    /// # Errors
    /// One of them had died.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        let drained = self.drainer.stop();
        // Also after a drainer that died: what it wrote is to be on the disk.
        let synced = self.syncer.stop();
        drained.and(synced)
    }
}

/// Longest that a start waits for a database server.
const STORE_OPEN_MAX: Duration = Duration::from_secs(5);

/// Settles, and opens the store again whenever it has gone.
pub(super) async fn settle_loop(
    parts: actix::Data<Parts>,
    (mut settler, mut live_copy): (Settler, LiveCopy),
    stop: Stop,
) -> Settler {
    let mut settled_to = 0;
    let mut pages_lost = 0;
    let mut expired: Option<Instant> = None;
    let mut rejudging = Rejudge::default();
    while !stop.asked() {
        let now = parts.clock.now();
        settler.turn_day_keys(now);
        live_copy.keep(&parts.config.data, parts.rules.load().live());
        if expired.is_none_or(|at| at.elapsed() >= EXPIRE_EVERY) {
            // Also while the store is away: addresses must not outlive their time.
            expired = Some(Instant::now());
            expire(&parts, settled_to, now);
            until_stopped(&stop, prepare_store(&parts, now)).await;
        }
        let lost = parts.journal.pages_lost();
        if lost > pages_lost && parts.journal.refusing().is_none() {
            pages_lost = lost;
            close_store(&parts).await;
            reopen_store(&parts).await;
        }
        let Some(store) = parts.store.load_full() else {
            stop.wait_for(STORE_RETRY).await;
            until_stopped(&stop, reopen_store(&parts)).await;
            continue;
        };
        if parts.live.load().settle_paused {
            stop.wait_for(STORE_RETRY).await;
            continue;
        }
        judge_by_live(&parts, &mut settler);
        let turn = async {
            let progress = round(&parts, &mut settler, &store, now).await?;
            let more = rejudging
                .turn(&parts, &mut settler, &store, &progress)
                .await;
            let more = progress.more || more;
            Ok(Progress { more, ..progress })
        };
        match until_stopped(&stop, turn).await {
            None => break,
            Some(Ok(progress)) => {
                settled_to = progress.position;
                if !progress.more {
                    stop.wait_for(SETTLE_EVERY).await;
                }
            }
            Some(Err(error)) => {
                metrics::counter!("cupel_settle_errors_total").increment(1);
                tracing::warn!(%error, "app: settling failed; hits wait in the journal");
                if until_stopped(&stop, has_gone(&store, &error)).await == Some(true) {
                    parts.store.store(None);
                    store.close().await;
                }
                stop.wait_for(STORE_RETRY).await;
            }
        }
    }
    live_copy.keep(&parts.config.data, parts.rules.load().live());
    settler
}

/// Lets settling judge by the live rule set.
fn judge_by_live(parts: &Parts, settler: &mut Settler) {
    let rules = parts.rules.load();
    if settler.rules().id() != rules.live().id() {
        let window = settle_options(&parts.config, rules.live()).window;
        settler.judge_by(Arc::clone(rules.live()), window);
    }
}

/// One round, and what is to be known of it.
async fn round(
    parts: &Parts,
    settler: &mut Settler,
    store: &Store,
    now: Micros,
) -> Result<Progress, SettleError> {
    let waiting = parts.settling.waiting(parts.journal.synced_to(), now);
    let span = match waiting {
        Some((waiting @ 1.., _)) => tracing::info_span!("settle", waiting),
        // Ten times a second there is nothing to tell.
        _ => tracing::Span::none(),
    };
    let began = Instant::now();
    let progress = settler.round(store, now).instrument(span).await?;
    if progress.records > 0 || progress.settled > 0 {
        metrics::histogram!("cupel_settle_duration_seconds").record(began.elapsed());
        metrics::counter!("cupel_settle_records_total").increment(progress.records);
        metrics::counter!("cupel_settle_revised_total").increment(progress.revised);
        metrics::counter!("cupel_settle_reopened_total").increment(progress.reopened);
        metrics::counter!("cupel_settle_neighbours_dropped_total").increment(progress.forgotten);
    }
    let missing = progress.missing;
    metrics::gauge!("cupel_settle_silent_edges").set(f64::from(missing.silent_edges));
    metrics::gauge!("cupel_settle_unheld_shards").set(f64::from(missing.unheld_shards));
    metrics::gauge!("cupel_settle_inbox_rows").set(missing.inbox_rows as f64);
    metrics::counter!("cupel_settle_unreadable_total").increment(progress.unreadable);
    let settling = &parts.settling;
    settling.reached(progress.position, progress.settled_to, progress.last_hit);
    if !progress.more {
        settling.current(now);
    }
    Ok(progress)
}

/// Settles what is there, for a while; everything is synced by now.
pub(super) async fn last_settle(parts: &Parts, settler: &mut Settler) {
    let Some(store) = parts.store.load_full() else {
        return;
    };
    if parts.live.load().settle_paused {
        return settler.leave(&store, false).await;
    }
    let rounds = async {
        let mut failed = 0;
        while failed < LAST_SETTLE_TRIES {
            match settler.round(&store, parts.clock.now()).await {
                Ok(Progress { more: true, .. }) => {}
                Ok(progress) => return progress.position >= parts.journal.synced_to(),
                Err(error) => {
                    tracing::warn!(%error, "app: settling failed; hits wait in the journal");
                    failed += 1;
                    rt::time::sleep(SETTLE_EVERY).await;
                }
            }
        }
        false
    };
    let shipped = rt::time::timeout(LAST_SETTLE_MAX, rounds).await;
    if shipped.is_err() {
        tracing::warn!("app: stopped before everything was settled; the rest is in the journal");
    }
    settler.leave(&store, shipped.unwrap_or(false)).await;
}

/// Waits for it; once everything is to stop only for as long as the last settling may take, since a
/// database may hang.
async fn until_stopped<T>(stop: &Stop, asked: impl Future<Output = T>) -> Option<T> {
    let patience = async {
        stop.wait().await;
        rt::time::sleep(LAST_SETTLE_MAX).await;
    };
    tokio::select! {
        answer = asked => Some(answer),
        () = patience => None,
    }
}

/// Whether the store is to be opened anew after this error.
async fn has_gone(store: &Store, error: &SettleError) -> bool {
    match error {
        SettleError::Store(StoreError::Position { .. } | StoreError::LeaseLost) => false,
        // A server may answer who reads, and refuse who writes, as a standby does.
        SettleError::Store(error) if store.is_remote() => !store.is_busy(error),
        _ => {
            let checked = store.check().await;
            checked.is_err_and(|error| !store.is_busy(&error))
        }
    }
}

/// What the store needs now and then.
async fn prepare_store(parts: &Parts, now: Micros) {
    let Some(store) = parts.store.load_full() else {
        return;
    };
    match store.bytes().await {
        Ok(bytes) => parts.settling.set_store_bytes(bytes),
        Err(error) => tracing::debug!(%error, "app: the store's size is not known"),
    }
    if let Err(error) = store.look_ahead(now).await {
        tracing::warn!(%error, "app: the store is not ready for the next days");
    }
}

fn expire(parts: &Parts, settled_to: u64, now: Micros) {
    if let Err(error) = parts.journal.expire(settled_to, now) {
        tracing::warn!(%error, "app: old segments could not be deleted");
    }
}

/// Closes the store, to be opened anew: pages of its shared memory may have become private to this
/// process, and other processes would be shown an old state of it.
async fn close_store(parts: &Parts) {
    let Some(store) = parts.store.swap(None) else {
        return;
    };
    store.close().await;
    if !store.is_remote() && Store::is_held(&parts.config.data) {
        tracing::error!(
            "app: the disk had refused pages, and another process has the database open; close it, \
             and start cupel again, or what that process reads or copies may be wrong"
        );
    }
}

async fn reopen_store(parts: &Parts) {
    match open_store(parts).await {
        Ok(()) => tracing::info!("app: the store is back"),
        Err(error) => tracing::warn!(%error, "app: the store is still away"),
    }
}

/// Where the configuration has the store.
#[must_use]
pub fn place(config: &Config) -> Place {
    match &config.store {
        Some(url) => Place::Postgres(url.clone()),
        None => Place::Directory(config.data.clone()),
    }
}

/// Opens the store before anybody is answered; one that is a server may not keep readers waiting.
/// One that is away is opened later.
///
/// # Errors
/// It is away or refuses, and no link is known here: whoever set this node up is still there, and
/// readers would be told that their links do not exist.
pub(super) async fn open_store_at_start(parts: &Parts) -> Result<(), ShareError> {
    let opened = match parts.config.store {
        None => open_store(parts).await,
        Some(_) => match rt::time::timeout(STORE_OPEN_MAX, open_store(parts)).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::timed_out().into()),
        },
    };
    let Err(error) = opened else {
        return Ok(());
    };
    let (campaigns, short_links) = parts.catalogue.load().sizes();
    if parts.config.store.is_some() && campaigns + short_links == 0 {
        return Err(error);
    }
    tracing::error!(%error, "app: no store yet; links come from the local copy");
    Ok(())
}

/// Opens the store and takes over what it knows.
async fn open_store(parts: &Parts) -> Result<(), ShareError> {
    let now = parts.clock.now();
    let store = Store::open(&place(&parts.config), now).await?;
    match web::exchange_ring(parts, &store).await {
        // It is in force, and tried again.
        Err(ShareError::Ring(error @ KeyRingError::Io { .. })) => {
            tracing::error!(%error, "app: the key ring cannot be written");
        }
        exchanged => exchanged?,
    }
    web::exchange_rulesets(parts, &store).await?;
    let mut taking = parts.catalogue.take_over();
    web::stored_catalogue(&store, &mut taking).await?;
    let entries = give_back(&store, taking.missing(), now).await?;
    if entries > 0 {
        tracing::warn!(
            entries,
            "app: gave the store back what it had lost of links already mailed"
        );
    }
    if let Err(error) = taking.finish() {
        tracing::error!(%error, "app: the catalogue's local copy could not be written");
    }
    let (_, position) = store.edge(parts.journal.edge(), now).await?;
    parts.journal.skip_to(position.sequence);
    let settling = &parts.settling;
    settling.reached(position.sequence, position.settled_to, None);
    say_store(&parts.config);
    parts.store.store(Some(Arc::new(store)));
    Ok(())
}

/// Gives the store what it lacks, and says how much that was.
async fn give_back(
    store: &Store,
    mut missing: impl Iterator<Item = Change>,
    now: Micros,
) -> Result<usize, StoreError> {
    let mut entries = 0;
    loop {
        let some: Vec<_> = missing.by_ref().take(GIVE_BACK_MAX).collect();
        if some.is_empty() {
            return Ok(entries);
        }
        entries += some.len();
        web::adopt(store, &some, now).await?;
    }
}
