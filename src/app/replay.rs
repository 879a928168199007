//! Settling without serving: what a server would do with its journal first, and nothing else.
//!
//! A replay begins where the store says that it is, and nowhere else: what stands before is
//! counted, and what would be left out would never be.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{EdgeId, Journal, Kinds, Survey};
use crate::judge::RuleSet;
use crate::settle::{Progress, Settler};
use crate::store::Store;
use crate::web::{check_owner, known_rulesets, offer_rulesets};

use super::background::place;
use super::directory::check_store;
use super::live_ruleset::LiveCopy;
use super::{DirectoryLock, open_key_ring, seal, settle_options};

/// What a replay would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Where the store is: the last sequence that it has counted.
    pub position: u64,
    /// Last sequence of the log; what is in the rings comes behind.
    pub last: u64,
    /// Records after the position, in the log.
    pub records: Kinds,
    /// Records in the rings.
    pub unlogged: Kinds,
    /// Records after the position that the journal no longer has.
    pub expired: u64,
}

impl Outlook {
    /// Looks, and changes nothing; also beside a running server. `None` if there is no store.
    ///
    /// # Errors
    /// Store or journal cannot be read.
    pub async fn of(config: &Config, survey: &Survey) -> anyhow::Result<Option<Self>> {
        let edge = survey.edge().unwrap_or(EdgeId(0));
        let Some(position) = Store::peek(&place(config), edge).await? else {
            return Ok(None);
        };
        let mut outlook = Self {
            position: position.sequence,
            last: position.sequence,
            unlogged: survey.unlogged()?,
            ..Self::default()
        };
        let next = outlook.position + 1;
        let first = survey.first()?.unwrap_or(next);
        outlook.expired = first.saturating_sub(next);
        let mut records = survey.records(next, u64::MAX)?;
        while let Some(record) = records.read(&mut |_, _, _| ())? {
            outlook.records.add(record.entry.as_ref());
            outlook.last = record.sequence;
        }
        Ok(Some(outlook))
    }
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records, of every kind.
    pub records: u64,
    /// Hits among them.
    pub hits: u64,
    /// Hits whose window closed.
    pub settled: u64,
    /// Last sequence that is written and counted.
    pub position: u64,
    /// Spans of the journal that were damaged.
    pub damaged: u64,
}

impl Replayed {
    fn add(&mut self, progress: Progress) {
        self.records += progress.records;
        self.hits += progress.written;
        self.settled += progress.settled;
        self.position = progress.position;
    }
}

/// Settles everything that the journal has and the store has not. Windows that have not closed
/// stay open. `see` is told after each transaction. `[settle] paused` is not heeded: it is asked
/// for now.
///
/// # Errors
/// Journal, store or day keys cannot be used. What was settled before stays so, and the next
/// attempt goes on there.
pub async fn replay(
    config: &Config,
    _lock: &DirectoryLock,
    see: &mut dyn FnMut(&Replayed),
) -> anyhow::Result<Replayed> {
    check_store(config)?;
    let shipped = Arc::new(RuleSet::shipped()?);
    // Opened, the journal has in its log what a crash left in the rings.
    let journal = Journal::open(&config.data.join("journal"), config.journal.clone())?;
    let options = settle_options(config, &shipped);
    let ring = open_key_ring(&config.data)?;
    let seal = seal(config, &ring);
    let mut settler = Settler::new(
        Arc::clone(&journal),
        Arc::clone(&shipped),
        &config.data,
        seal,
        options,
    )?;
    let store = Store::open(&place(config), Clock.now()).await?;
    check_owner(&store, &ring, journal.edge()).await?;
    let (_, known_here) = LiveCopy::read(&config.data, &shipped);
    offer_rulesets(&store, &shipped, known_here.live(), Clock.now()).await?;
    let rules = known_rulesets(&store, &shipped).await?;
    if let Some(unread) = rules.unread() {
        anyhow::bail!("{unread} is live and cannot be read; make another live first");
    }
    let window = settle_options(config, rules.live()).window;
    settler.judge_by(Arc::clone(rules.live()), window);
    let done = rounds(&store, &mut settler, see).await;
    settler.leave(&store, done.is_ok()).await;
    store.close().await;
    let damaged = &journal.counts().damaged;
    Ok(Replayed {
        damaged: damaged.load(std::sync::atomic::Ordering::Relaxed),
        ..done?
    })
}

async fn rounds(
    store: &Store,
    settler: &mut Settler,
    see: &mut dyn FnMut(&Replayed),
) -> anyhow::Result<Replayed> {
    let mut replayed = Replayed::default();
    loop {
        let now = Clock.now();
        settler.turn_day_keys(now);
        let progress = settler.round(store, now).await?;
        replayed.add(progress);
        see(&replayed);
        // The round that writes a hit does not close its window, however old: the next one does.
        let idle = progress.records == 0 && progress.settled == 0;
        if idle && !progress.more {
            return Ok(replayed);
        }
    }
}
