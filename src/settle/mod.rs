//! Settling: the journal read in order, and rows, sums, message states and position written in
//! one transaction.
//!
//! A round does two things. It writes and counts new hits with their provisional judgement. And
//! it closes windows: a hit older than the correlation window is judged again with what is known
//! around it; a judgement that changed is written beside the old one and moves the sums.
//!
//! A round that fails has changed nothing, in the store or here; the next one begins by asking
//! the store where it is.

mod day_keys;
#[cfg(test)]
mod faults;
mod fold;
mod known;
mod window;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::campaign::PrivacyLevel;
use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::journal::{Entry, Journal, JournalError, Reader};
use crate::judge::RuleSet;
use crate::store::{Ingest, MessageState, Position, Store, StoreError, StoredHit};

use day_keys::DayKeys;
use fold::Fold;
use known::Known;
use window::Window;

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
    /// Records read and hits settled in one transaction, each at most.
    pub records_max: u32,
    /// Hits with an open window that are kept in memory; the others are read back.
    pub window_hits_max: usize,
}

impl Default for SettleOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            records_max: 10_000,
            window_hits_max: 100_000,
        }
    }
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
    /// Whether there is more to do at once.
    pub more: bool,
    /// Last sequence that is written and counted.
    pub position: u64,
    /// Time of the last hit that was read; `None` if there was none.
    pub last_hit: Option<Micros>,
    /// Time up to which windows are closed.
    pub settled_to: Micros,
}

#[derive(Debug)]
struct Connected {
    edge: i64,
    position: Position,
    reader: Reader,
    window: Window,
    known: Known,
}

impl Connected {
    /// The store has this.
    fn took(&mut self, written: Ingest) {
        let (from, to) = (written.from.sequence, written.to.sequence);
        self.position = written.to;
        self.known.learn(written.messages);
        self.window.add(from, to, written.hits);
    }
}

/// Settles the journal of one edge into the store.
#[derive(Debug)]
pub struct Settler {
    journal: Arc<Journal>,
    rules: Arc<RuleSet>,
    options: SettleOptions,
    day_keys: DayKeys,
    /// When it was last said that they cannot be written.
    day_keys_said: Option<Micros>,
    connected: Option<Connected>,
}

impl Settler {
    /// A settler; day keys are kept in `data`, not with the keys that are to be backed up.
    ///
    /// # Errors
    /// The day keys cannot be read.
    pub fn new(
        journal: Arc<Journal>,
        rules: Arc<RuleSet>,
        data: &Path,
        options: SettleOptions,
    ) -> Result<Self, SettleError> {
        let day_keys = DayKeys::open(&data.join("day-keys")).map_err(SettleError::DayKeys)?;
        Ok(Self {
            journal,
            rules,
            options,
            day_keys,
            day_keys_said: None,
            connected: None,
        })
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
        // Put back when all is done: a round that is not may have read what it did not write.
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.connect(store, now).await?,
        };
        let progress = self.go_on(&mut connected, store, now).await?;
        self.connected = Some(connected);
        Ok(progress)
    }

    async fn go_on(
        &self,
        connected: &mut Connected,
        store: &Store,
        now: Micros,
    ) -> Result<Progress, SettleError> {
        let records_max = usize::try_from(self.options.records_max).unwrap_or(usize::MAX);
        let entries = connected.reader.read(records_max)?;
        let from = connected.position;
        let window = micros(self.options.window);
        let mut until = now.plus(-window);
        if connected.reader.has_more() {
            let read_to = last_hit(&entries).map_or(from.settled_to, |at| at.plus(-window));
            // Out of a backlog, windows close by what has been read, not by the clock: what
            // belongs to a hit may still be to come.
            until = until.min(read_to);
        }
        // A clock that was set back must not make hits of its future wait for it.
        let is_due = |at: Micros| at <= until || at > now.plus(window);
        let open = &mut connected.window;
        let due = open.due(store, from.sequence, is_due, records_max);
        let due = due.await?;
        let states = connected
            .known
            .take(store, messages(&entries, &due))
            .await?;

        let more = connected.reader.has_more() || due.len() == records_max;
        let mut fold = Fold::new(&self.rules, &self.day_keys, states, self.journal.edge());
        for (_, entry) in &entries {
            if let Entry::Accepted(accepted) = entry {
                fold.accept(accepted);
            }
        }
        for stored in due {
            fold.settle(stored, now);
        }
        let settled = fold.settled();
        let last_hit = last_hit(&entries);
        let mut settled_to = oldest_unsettled(&entries).map_or(until, |at| at.min(until));
        if more {
            settled_to = settled.map_or(from.settled_to, |(_, at)| at.min(settled_to));
        }
        if from.settled_to <= now {
            settled_to = settled_to.max(from.settled_to);
        }
        for (sequence, entry) in entries {
            fold.add(sequence, entry);
        }
        let to = Position {
            sequence: connected.reader.position(),
            settled_sequence: settled.map_or(from.settled_sequence, |(sequence, _)| sequence),
            settled_to,
        };
        let progress = Progress {
            more,
            position: to.sequence,
            last_hit,
            settled_to,
            ..fold.progress()
        };
        let idle = to.sequence == from.sequence && settled.is_none();
        if idle && !worth_saying(&self.options, from, to) {
            return Ok(progress);
        }
        let (changes, untouched) = fold.finish();
        let written = Ingest {
            edge: connected.edge,
            from,
            to,
            ..changes
        };
        store.ingest(&written).await?;
        connected.known.learn(untouched);
        connected.took(written);
        Ok(progress)
    }

    /// Asks the store where it is, and begins to read there.
    async fn connect(&self, store: &Store, now: Micros) -> Result<Connected, SettleError> {
        let (edge, position) = store.edge(self.journal.edge(), now).await?;
        self.journal.skip_to(position.sequence);
        Ok(Connected {
            edge,
            position,
            reader: self.journal.reader(position.sequence),
            window: Window::new(edge, position, self.options.window_hits_max),
            known: Known::default(),
        })
    }
}

/// Messages that a round touches, each once.
fn messages(entries: &[(u64, Entry)], due: &[StoredHit]) -> Vec<MessageId> {
    let new = entries.iter().filter_map(|(_, entry)| message(entry));
    let due = due.iter().filter_map(|stored| stored.hit.message);
    let mut ids: Vec<_> = new.chain(due.map(|(id, _)| id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Time of the last hit of what was read.
fn last_hit(entries: &[(u64, Entry)]) -> Option<Micros> {
    entries.iter().rev().find_map(|(_, entry)| match entry {
        Entry::Hit(hit) => Some(hit.at),
        _ => None,
    })
}

/// Time of the oldest hit that is about to be written and will be settled later: out of a backlog
/// it may be older than the window. Aggregate hits are never settled.
fn oldest_unsettled(entries: &[(u64, Entry)]) -> Option<Micros> {
    let hits = entries.iter().filter_map(|(_, entry)| match entry {
        Entry::Hit(hit) if hit.level == PrivacyLevel::Individual => Some(hit.at),
        _ => None,
    });
    hits.min()
}

/// Whether the time alone is worth a transaction on an idle server.
fn worth_saying(options: &SettleOptions, from: Position, to: Position) -> bool {
    let often = micros(options.window / 4).clamp(1_000_000, 15_000_000);
    to.settled_to.get().saturating_sub(from.settled_to.get()) >= often
}

/// Whether less than a minute lies between.
const fn is_near(one: Micros, other: Micros) -> bool {
    one.get().abs_diff(other.get()) < 60_000_000
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn message(entry: &Entry) -> Option<MessageId> {
    match entry {
        Entry::Hit(hit) => hit.message.map(|(id, _)| id),
        Entry::Accepted(accepted) => Some(accepted.message),
        Entry::Side(_) | Entry::Act(_) | Entry::Received(_) => None,
    }
}

type States = HashMap<MessageId, MessageState>;
