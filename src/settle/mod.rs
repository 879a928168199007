//! Settling: the journal read in order, and rows, sums, message states and position written in
//! one transaction.
//!
//! A round does two things. It writes and counts new hits as they are judged by then. And it
//! closes windows: a hit older than the correlation window is judged again with what is known
//! around it; a judgement that changed is written beside the old one and moves the sums.
//!
//! A round that fails has changed nothing, in the store or here; the next one begins by asking
//! the store where it is.

mod came;
mod company;
mod connected;
mod connecting;
mod day_keys;
#[cfg(test)]
mod faults;
mod fold;
mod held;
mod known;
mod offline;
mod rejudge;
mod shadows;
mod sweepers;
mod totals;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::id_map::IdMap;
use crate::domain::judgement::{Ledger, RuleSetId};
use crate::domain::message::MessageId;
use crate::domain::seal::Seal;
use crate::domain::time::Micros;
use crate::journal::{Journal, JournalError};
use crate::judge::RuleSet;
use crate::store::{Ingest, MessageState, Store, StoreError};

pub use offline::{Offline, Settled};
pub use rejudge::Rejudging;

use connected::Connected;
use day_keys::DayKeys;
use fold::{Fold, Round};

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The keys of source hashes.
    #[error("day keys: {0}")]
    DayKeys(#[source] std::io::Error),
}

/// Limits and windows of settling.
#[derive(Clone, Debug)]
pub struct SettleOptions {
    /// Correlation window.
    pub window: Duration,
    /// Records read, hits settled and hits judged again in one transaction, each at most.
    pub records_max: u32,
    /// Hits with an open window that are kept in memory; the others are read back.
    pub window_hits_max: usize,
    /// What is read is settled here; otherwise others do it.
    pub settles: bool,
    /// Windows of other edges do not close before this one has shipped what belongs to them.
    pub waited_for: bool,
}

impl Default for SettleOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            records_max: 10_000,
            window_hits_max: 100_000,
            settles: true,
            waited_for: true,
        }
    }
}

/// What is left undone in a store that several share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Edges that were not heard of for a minute, and are not waited for.
    pub silent_edges: u32,
    /// Shards that nobody settles.
    pub unheld_shards: u32,
    /// About how many records are shipped and not settled.
    pub inbox_rows: u64,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records read, of every kind.
    pub records: u64,
    /// Hits written.
    pub written: u64,
    /// Hits whose window closed.
    pub settled: u64,
    /// Judgements that changed.
    pub revised: u64,
    /// Those of them that had been settled before.
    pub reopened: u64,
    /// Hits that their neighbours will not see: their message had too many.
    pub forgotten: u64,
    /// Whether there is more to do at once.
    pub more: bool,
    /// Last sequence that is written and counted.
    pub position: u64,
    /// Time of the last hit that was read; `None` if there was none.
    pub last_hit: Option<Micros>,
    /// Time up to which windows are closed.
    pub settled_to: Micros,
    /// Rows of the inbox that could not be read, and were left out.
    pub unreadable: u64,
    /// What others do not do.
    pub missing: Missing,
}

/// Settles the journal of one edge into the store, and what others have shipped there.
#[derive(Debug)]
pub struct Settler {
    journal: Arc<Journal>,
    rules: Arc<RuleSet>,
    options: SettleOptions,
    day_keys: DayKeys,
    /// When it was last said that they cannot be written.
    day_keys_said: Option<Micros>,
    connected: Option<Connected>,
    /// Since when other edges can be heard of through the store, by its clock.
    hears_since: Option<Micros>,
    /// What is to be judged again by rule sets that are not known here, as was said.
    rejudgements_unknown: BTreeSet<i64>,
    /// Rule sets in shadow, as they are kept in the store.
    shadow_rules: HashMap<RuleSetId, Arc<RuleSet>>,
    /// Those that were counted when it was last looked.
    shadows_known: Vec<Ledger>,
    /// When nothing was left of others.
    forgot_at: Option<Micros>,
}

impl Settler {
    /// A settler. Day keys are kept in `data`, not with the keys that are to be backed up; those of
    /// a store that several share lie there, under `seal`.
    ///
    /// # Errors
    /// The day keys cannot be read.
    pub fn new(
        journal: Arc<Journal>,
        rules: Arc<RuleSet>,
        data: &Path,
        seal: Option<Seal>,
        options: SettleOptions,
    ) -> Result<Self, SettleError> {
        let day_keys = match seal {
            Some(seal) => DayKeys::shared(seal),
            None => DayKeys::open(&data.join("day-keys")).map_err(SettleError::DayKeys)?,
        };
        Ok(Self {
            journal,
            rules,
            options,
            day_keys,
            day_keys_said: None,
            connected: None,
            hears_since: None,
            rejudgements_unknown: BTreeSet::new(),
            shadow_rules: HashMap::new(),
            shadows_known: Vec::new(),
            forgot_at: None,
        })
    }

    /// What it judges by.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Judges by another rule set from the next round on: what is new, and what windows close.
    pub fn judge_by(&mut self, rules: Arc<RuleSet>, window: Duration) {
        self.rules = rules;
        self.options.window = window;
    }

    /// Makes today's key and destroys old ones; also while the store is away.
    pub fn turn_day_keys(&mut self, now: Micros) {
        match self.day_keys.turn(now) {
            Ok(()) => self.day_keys_said = None,
            // Tried again with every round, ten times a second.
            Err(_) if self.day_keys_said.is_some_and(|at| is_near(at, now)) => {}
            Err(error) => {
                self.day_keys_said = Some(now);
                // Hits are counted all the same, without a source.
                tracing::error!(%error, "settle: day keys cannot be written");
            }
        }
    }

    /// One transaction's worth of settling.
    ///
    /// # Errors
    /// Nothing was written; the next round begins at the store's position. So it does after a
    /// round that was dropped.
    pub async fn round(&mut self, store: &Store, now: Micros) -> Result<Progress, SettleError> {
        let done = self.try_round(store, now).await;
        if let Err(SettleError::Store(StoreError::Unavailable(_))) = &done {
            self.hears_since = None;
        }
        done
    }

    async fn try_round(&mut self, store: &Store, now: Micros) -> Result<Progress, SettleError> {
        if let Some(shared) = store.shared() {
            self.day_keys.fetch(shared, now).await?;
            if self.hears_since.is_none() {
                self.hears_since = Some(shared.now().await?);
            }
        }
        // Put back when all is done: a round that is not may have read what it did not write.
        let mut connected = match self.connected.take() {
            Some(connected) => self.renew(connected, store, now).await?,
            None => self.connect(store, now).await?,
        };
        let progress = self.go_on(&mut connected, store, now).await?;
        self.connected = Some(connected);
        Ok(progress)
    }

    /// Lets others go on with what was settled here, at once; and does not let them wait for more,
    /// if everything is shipped.
    pub async fn leave(&mut self, store: &Store, shipped: bool) {
        self.connected = None;
        let Some(shared) = store.shared() else {
            return;
        };
        if let Err(error) = shared.leave(self.journal.edge(), shipped).await {
            tracing::warn!(%error, "settle: others will wait for what was settled here");
        }
    }

    async fn go_on(
        &self,
        connected: &mut Connected,
        store: &Store,
        now: Micros,
    ) -> Result<Progress, SettleError> {
        let records_max = usize::try_from(self.options.records_max).unwrap_or(usize::MAX);
        let (mut came, unread) = connected.read(store, &self.day_keys, records_max).await?;
        let behind = connected.is_behind();
        let shipped_to = match unread {
            _ if behind => None,
            true => came.last_hit,
            // What is in the rings, or not synced, is not read yet.
            false => Some(now.plus(-micros(self.journal.window()))),
        };
        let until = self.until(connected, (unread, shipped_to), now);
        let window = micros(self.options.window);
        // A clock that was set back must not make hits of its future wait for it.
        let is_due = |at: Micros| at <= until || at > now.plus(window);
        let due = connected.due(store, is_due, records_max).await?;
        let messages = came.messages(&due.hits);
        let links = connected.known.links(store, &messages, now).await?;
        let states = connected.known.take(store, messages).await?;

        let open = [due.settled_to, came.oldest_unsettled()];
        let settled_to = open.into_iter().flatten().fold(until, Micros::min);
        let settled_to = connected.settles_to(settled_to, now);
        let settled = due.hits.last().map(|(_, stored)| stored.sequence);
        let times = (settled_to, shipped_to);
        let moved = connected.moved(settled, times, self.options.waited_for);
        let moves = moved.from.sequence != moved.to.sequence;
        let say = connected.is_to_say(&self.options, settled_to, now);
        let progress = Progress {
            records: came.records,
            more: unread || due.more || !came.emptied,
            position: moved.to.sequence,
            last_hit: came.last_hit,
            settled_to,
            unreadable: came.unreadable,
            missing: connected.missing(),
            ..Progress::default()
        };
        if !moves && settled.is_none() && came.rows.is_empty() && !say {
            return Ok(progress);
        }
        let lease = connected.lease(self.journal.edge(), &came, &due, say.then_some(settled_to));
        let written = came.written();
        let round = Round {
            rules: &self.rules,
            links: &links,
            is_due: &is_due,
            settled_before: connected.settled_to,
            now,
            shadows: &connected.shadows,
        };
        let elsewhere = std::mem::take(&mut came.elsewhere);
        let sweepers = std::mem::take(&mut connected.known.sweepers);
        let fold = came.fold(Fold::new(round, states, sweepers), due.hits);
        let progress = fold.progress(progress);
        let (changes, untouched, sweepers) = fold.finish();
        let changes = Ingest {
            journal: Some(moved),
            lease,
            shipped: elsewhere,
            ..changes
        };
        store.ingest(&changes).await?;
        connected.known.put_back(untouched, sweepers);
        connected.settled_to = settled_to;
        connected.took(changes, &written);
        if say {
            connected.said(store, now).await?;
        }
        Ok(Progress {
            more: progress.more || connected.is_behind(),
            ..progress
        })
    }

    /// Hits up to this time are due. What belongs to them may still be to come, from a backlog or
    /// from another edge: windows close by what has been read, not by the clock.
    fn until(
        &self,
        connected: &Connected,
        (unread, shipped_to): (bool, Option<Micros>),
        now: Micros,
    ) -> Micros {
        let window = -micros(self.options.window);
        let until = connected.shipped_to(shipped_to, now).plus(window);
        match shipped_to {
            None if unread => until.min(connected.settled_to),
            _ => until,
        }
    }
}

/// Whether less than a minute lies between.
const fn is_near(one: Micros, other: Micros) -> bool {
    one.get().abs_diff(other.get()) < 60_000_000
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

type States = IdMap<MessageId, MessageState>;
