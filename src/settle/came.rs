//! What a round has read of journal and inbox, and who settles it.

use std::collections::BTreeMap;

use crate::domain::act::Act;
use crate::domain::campaign::PrivacyLevel;
use crate::domain::message::MessageId;
use crate::domain::network;
use crate::domain::record::Hit;
use crate::domain::time::Micros;
use crate::journal::{Accepted, EdgeId, Entry, Side};
use crate::store::{Arrival, Arrived, Inbox, StoredHit};

use super::day_keys::DayKeys;
use super::fold::Fold;
use super::held::Held;

/// What a round has read.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// To be settled here.
    pub(super) here: Vec<Arrival>,
    /// To be settled by others.
    pub(super) elsewhere: Vec<Arrival>,
    pub(super) texts: Vec<Side>,
    pub(super) acts: Vec<(u64, Act)>,
    /// Rows of the inbox that are among it.
    pub(super) rows: Vec<i64>,
    /// Nothing more was in the inbox.
    pub(super) emptied: bool,
    /// How many of them cannot be read.
    pub(super) unreadable: u64,
    /// Records, of every kind.
    pub(super) records: u64,
    /// Time of the last hit of the journal.
    pub(super) last_hit: Option<Micros>,
}

impl Came {
    /// Everything that was waiting in the inbox.
    pub(super) fn of_inbox(inbox: Inbox) -> Self {
        Self {
            records: u64::try_from(inbox.rows.len()).unwrap_or(u64::MAX),
            unreadable: u64::try_from(inbox.rows.len() - inbox.arrivals.len()).unwrap_or(0),
            here: inbox.arrivals,
            rows: inbox.rows,
            emptied: inbox.emptied,
            ..Self::default()
        }
    }

    /// And a record of the journal of this process, whose edge has this row and name.
    pub(super) fn add(
        &mut self,
        (sequence, entry): (u64, Entry),
        edge: (i64, EdgeId),
        held: &Held,
        day_keys: &DayKeys,
    ) {
        self.records += 1;
        let what = match entry {
            Entry::Side(side) => return self.texts.push(side),
            Entry::Act(act) => return self.acts.push((sequence, act)),
            // What it says stands in the records behind it.
            Entry::Received(_) => return,
            Entry::Accepted(accepted) => Arrived::Accepted(accepted),
            Entry::Hit(hit) => {
                self.last_hit = Some(hit.at);
                Arrived::Hit(Box::new(without_address(hit, (edge.1, sequence), day_keys)))
            }
        };
        let arrival = Arrival {
            edge: edge.0,
            sequence,
            what,
        };
        match held.has(arrival.shard()) {
            true => self.here.push(arrival),
            false => self.elsewhere.push(arrival),
        }
    }

    /// What is to be known of it, once it is written.
    pub(super) fn written(&self) -> Written {
        let last = self.here.iter().map(|one| (one.edge, one.sequence));
        Written {
            last: last.collect(),
            last_row: self.rows.last().copied(),
            emptied: self.emptied,
        }
    }

    /// What is settled here, in the order in which it came, and before it what is due.
    pub(super) fn fold<'a>(self, mut fold: Fold<'a>, due: Vec<(i64, Box<StoredHit>)>) -> Fold<'a> {
        self.accepted().for_each(|accepted| fold.accept(accepted));
        for (edge, stored) in due {
            fold.settle(edge, &stored);
        }
        self.texts.into_iter().for_each(|side| fold.text(side));
        for (sequence, act) in self.acts {
            fold.act(sequence, act);
        }
        for arrival in self.here {
            if let Arrived::Hit(stored) = arrival.what {
                fold.write(arrival.edge, stored);
            }
        }
        fold.judge();
        fold
    }

    /// Acceptances among what is settled here.
    fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        self.here.iter().filter_map(|arrival| match &arrival.what {
            Arrived::Accepted(accepted) => Some(accepted),
            Arrived::Hit(_) => None,
        })
    }

    /// Messages that are touched here, by this and by what is `due`; each once.
    pub(super) fn messages(&self, due: &[(i64, Box<StoredHit>)]) -> Vec<MessageId> {
        let new = self.here.iter().filter_map(Arrival::message);
        let due = due.iter().filter_map(|(_, stored)| stored.hit.message);
        let mut ids: Vec<_> = new.chain(due.map(|(id, _)| id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Time of the oldest hit that is about to be written and will be settled later: out of a
    /// backlog it may be older than the window. Aggregate hits are never settled.
    pub(super) fn oldest_unsettled(&self) -> Option<Micros> {
        let hits = self.here.iter().filter_map(Arrival::hit);
        let open = hits.filter(|hit| hit.level == PrivacyLevel::Individual);
        open.map(|hit| hit.at).min()
    }
}

/// What is to be known, once it is written, of what a round had read.
#[derive(Debug)]
pub(super) struct Written {
    /// Last sequence of each edge.
    pub(super) last: BTreeMap<i64, u64>,
    /// Last row of the inbox.
    pub(super) last_row: Option<i64>,
    /// Nothing more was in the inbox.
    pub(super) emptied: bool,
}

/// A hit as it leaves the journal, in which alone its address stands.
fn without_address(mut hit: Hit, (edge, sequence): (EdgeId, u64), day_keys: &DayKeys) -> StoredHit {
    let key = day_keys.of(hit.at);
    let source = hit.address.zip(key);
    let source = source.map(|(address, key)| key.source(address, &hit));
    let prefix = hit.address.take().map(network::prefix);
    StoredHit {
        edge,
        sequence,
        hit,
        prefix,
        source,
        revision: 0,
        settled: false,
        agent: None,
    }
}
