//! Settling without a journal or a store, of hits that come from a file: what is said of them is
//! what the server would say, since the same code says it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ipnet::IpNet;

use crate::domain::judgement::{Facts, Verdict};
use crate::domain::message::MessageId;
use crate::domain::record::Hit;
use crate::domain::time::Micros;
use crate::journal::{Accepted, EdgeId};
use crate::judge::RuleSet;
use crate::store::StoredHit;

use super::States;
use super::company::REMEMBERED_MICROS;
use super::fold::{Fold, Round};
use super::sweepers::Sweepers;

/// How often states that nothing can change any more are let go.
const SWEEP_MICROS: i64 = 3_600 * 1_000_000;

/// A settler in memory.
#[derive(Debug)]
pub struct Offline {
    rules: Arc<RuleSet>,
    states: States,
    sweepers: Sweepers,
    links: HashMap<u32, u32>,
    /// Hits whose windows are open, by time and number.
    open: BTreeMap<(Micros, u64), Box<StoredHit>>,
    fresh: Vec<StoredHit>,
    accepted: Vec<Accepted>,
    settled_to: Micros,
    swept_at: Micros,
    last: u64,
}

/// What is said of a hit from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settled {
    /// Its number, from [`Offline::hit`].
    pub number: u64,
    /// Facts that the judgement rests on.
    pub facts: Facts,
    /// The judgement.
    pub verdict: Verdict,
}

impl Settled {
    fn of(stored: &StoredHit) -> Self {
        Self {
            number: stored.sequence,
            facts: stored.hit.facts,
            verdict: stored.hit.verdict,
        }
    }
}

impl Offline {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            rules,
            states: States::default(),
            sweepers: Sweepers::default(),
            links: HashMap::new(),
            open: BTreeMap::new(),
            fresh: Vec::new(),
            accepted: Vec::new(),
            settled_to: Micros::new(i64::MIN),
            swept_at: Micros::default(),
            last: 0,
        }
    }

    /// A campaign has one more link that a reader can follow.
    pub fn link(&mut self, campaign: u32) {
        *self.links.entry(campaign).or_default() += 1;
    }

    /// The recipient's server took the mail.
    pub fn accepted(&mut self, message: MessageId, at: Micros) {
        self.accepted.push(Accepted { message, at });
    }

    /// A hit came, judged by its request alone; returns its number.
    pub fn hit(&mut self, hit: Hit, prefix: Option<IpNet>) -> u64 {
        self.last += 1;
        let stored = StoredHit {
            edge: EdgeId(0),
            sequence: self.last,
            hit,
            prefix,
            source: None,
            revision: 0,
            settled: false,
            agent: None,
        };
        self.fresh.push(stored);
        self.last
    }

    /// It is `now`: says what it thinks of every hit whose window has closed since, and anew of
    /// those that it thinks otherwise of.
    pub fn settle(&mut self, now: Micros) -> Vec<Settled> {
        let window = i64::from(self.rules.window_seconds()) * 1_000_000;
        let until = now.plus(-window);
        let behind = (until.plus(1), 0);
        let later = self.open.split_off(&behind);
        let due = std::mem::replace(&mut self.open, later);
        if due.is_empty() && self.fresh.is_empty() && self.accepted.is_empty() {
            return Vec::new();
        }
        let is_due = |at: Micros| at <= until;
        let round = Round {
            rules: &self.rules,
            links: &self.links,
            is_due: &is_due,
            settled_before: self.settled_to,
            now,
            shadows: &[],
        };
        let states = std::mem::take(&mut self.states);
        let mut fold = Fold::new(round, states, std::mem::take(&mut self.sweepers));
        for accepted in self.accepted.drain(..) {
            fold.accept(&accepted);
        }
        let mut said: BTreeMap<u64, Settled> = BTreeMap::new();
        for stored in due.into_values() {
            said.insert(stored.sequence, Settled::of(&stored));
            fold.settle(0, &stored);
        }
        for stored in self.fresh.drain(..) {
            fold.write(0, Box::new(stored));
        }
        fold.judge();
        let (changes, untouched, sweepers) = fold.finish();
        for (_, stored) in changes.hits {
            // Out of a gap in the stream, it was judged among all that came by then.
            if is_due(stored.hit.at) {
                said.insert(stored.sequence, Settled::of(&stored));
            } else {
                self.open.insert((stored.hit.at, stored.sequence), stored);
            }
        }
        for revision in changes.revisions {
            let now = Settled {
                number: revision.sequence,
                facts: revision.facts,
                verdict: revision.verdict,
            };
            said.insert(revision.sequence, now);
        }
        self.states = untouched;
        self.sweepers = sweepers;
        self.states.extend(changes.messages);
        self.settled_to = until;
        self.sweep(now);
        said.into_values().collect()
    }

    /// Lets go of messages that had their last hit long ago.
    fn sweep(&mut self, now: Micros) {
        if now < self.swept_at.plus(SWEEP_MICROS) {
            return;
        }
        self.swept_at = now;
        let from = now.plus(-2 * REMEMBERED_MICROS);
        self.states.retain(|_, state| {
            let last = state.recent.last().map(|recent| recent.seen.at);
            last.or(state.accepted_at).is_some_and(|at| at > from)
        });
    }
}
