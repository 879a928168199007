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
mod fold;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::journal::{Entry, Journal, JournalError, Reader};
use crate::judge::RuleSet;
use crate::store::{Ingest, MessageState, Position, Store, StoreError};

use day_keys::DayKeys;
use fold::Fold;

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
}

impl Default for SettleOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            records_max: 10_000,
        }
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
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
}

#[derive(Debug)]
struct Connected {
    edge: i64,
    position: Position,
    reader: Reader,
}

/// Settles the journal of one edge into the store.
#[derive(Debug)]
pub struct Settler {
    journal: Arc<Journal>,
    rules: Arc<RuleSet>,
    options: SettleOptions,
    day_keys: DayKeys,
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
            connected: None,
        })
    }

    /// Makes today's key and destroys old ones; also while the store is away.
    pub fn turn_day_keys(&mut self, now: Micros) {
        if let Err(error) = self.day_keys.turn(now) {
            // Hits are counted all the same, without a source.
            tracing::error!(%error, "settle: day keys cannot be written");
        }
    }

    /// Forgets the store: the next round asks it for its position.
    pub fn disconnect(&mut self) {
        self.connected = None;
    }

    /// One transaction's worth of settling.
    ///
    /// # Errors
    /// Nothing was written; the next round begins at the store's position.
    pub async fn round(&mut self, store: &Store, now: Micros) -> Result<Progress, SettleError> {
        let done = self.try_round(store, now).await;
        if done.is_err() {
            self.disconnect();
        }
        done
    }

    async fn try_round(&mut self, store: &Store, now: Micros) -> Result<Progress, SettleError> {
        let connected = match self.connected.take() {
            Some(connected) => self.connected.insert(connected),
            None => {
                let (edge, position) = store.edge(self.journal.edge(), now).await?;
                self.journal.skip_to(position.sequence);
                let reader = self.journal.reader(position.sequence);
                self.connected.insert(Connected {
                    edge,
                    position,
                    reader,
                })
            }
        };
        let records_max = usize::try_from(self.options.records_max).unwrap_or(usize::MAX);
        let entries = connected.reader.read(records_max)?;
        let from = connected.position;
        let window = micros(self.options.window);
        let until = now.plus(-window);
        // A clock that was set back must not make hits of its future wait for it.
        let is_due = |at: Micros| at <= until || at > now.plus(window);
        let (edge, after) = (connected.edge, from.settled_sequence);
        let limit = self.options.records_max;
        let to_settle = store.hits_to_settle(edge, after, is_due, limit).await?;

        let ids = entries.iter().filter_map(|(_, entry)| message(entry));
        let settled_ids = to_settle.iter().filter_map(|stored| stored.hit.message);
        let mut ids: Vec<_> = ids.chain(settled_ids.map(|(id, _)| id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let states: HashMap<_, _> = store.message_states(&ids).await?.into_iter().collect();

        let more_to_read = connected.reader.has_more();
        let more_to_settle = to_settle.len() == records_max;
        let mut fold = Fold::new(&self.rules, &self.day_keys, states, self.journal.edge());
        for stored in to_settle {
            fold.settle(stored, now);
        }
        let settled = fold.settled();
        // Hits that come out of a backlog are older than the window and not settled yet.
        let mut settled_to = until;
        for (sequence, entry) in entries {
            if let Entry::Hit(hit) = &entry {
                settled_to = settled_to.min(hit.at);
            }
            fold.add(sequence, entry);
        }
        if more_to_read || more_to_settle {
            settled_to = settled.map_or(from.settled_to, |(_, at)| at.min(settled_to));
        }
        let earlier = if from.settled_to <= now {
            from.settled_to
        } else {
            settled_to
        };
        let to = Position {
            sequence: connected.reader.position(),
            settled_sequence: settled.map_or(from.settled_sequence, |(sequence, _)| sequence),
            settled_to: settled_to.max(earlier),
        };
        let mut progress = fold.progress();
        progress.more = more_to_read || more_to_settle;
        progress.position = to.sequence;
        if to.sequence == from.sequence
            && settled.is_none()
            && !worth_saying(&self.options, from, to)
        {
            return Ok(progress);
        }
        store
            .ingest(&Ingest {
                edge: connected.edge,
                from,
                to,
                ..fold.finish()
            })
            .await?;
        connected.position = to;
        Ok(progress)
    }
}

/// Whether the time alone is worth a transaction on an idle server.
fn worth_saying(options: &SettleOptions, from: Position, to: Position) -> bool {
    let often = micros(options.window / 4).clamp(1_000_000, 15_000_000);
    to.settled_to.get().saturating_sub(from.settled_to.get()) >= often
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn message(entry: &Entry) -> Option<MessageId> {
    match entry {
        Entry::Hit(hit) => hit.message.map(|(id, _)| id),
        Entry::Accepted(accepted) => Some(accepted.message),
        Entry::Side(_) | Entry::Act(_) => None,
    }
}

type States = HashMap<MessageId, MessageState>;
