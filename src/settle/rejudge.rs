//! History judged again: settled hits, read in the order in which they stand, some at a time. What
//! another rule set says of their facts is counted, and written where that is in force.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::judgement::{Facts, Ledger, RejudgeMode, Verdict};
use crate::domain::shard::Shard;
use crate::domain::time::Micros;
use crate::judge::{self, RuleSet, RuleSets};
use crate::store::{
    HitPlace, Ingest, JudgedHit, LookedAt, OpenRejudgement, Part, Reclassed, Rejudged,
    RejudgedShard, Rejudgement, Store, StoreError,
};

use super::connected::Connected;
use super::fold::{Fold, Round};
use super::sweepers::Sweepers;
use super::{SettleError, Settler};

/// What was done for a rejudgement.
#[derive(Clone, Copy, Debug)]
pub struct Rejudging {
    /// Hits that were looked at.
    pub hits: u64,
    /// Those of them that got another class.
    pub changed: u64,
    /// The rejudgement, if this was the last of it here.
    pub ended: Option<i64>,
}

impl Settler {
    /// Judges some more of history again, if that is asked for: as much as a round takes, halved
    /// `less` times.
    ///
    /// # Errors
    /// Nothing was written; it goes on behind what was written before.
    pub async fn rejudge(
        &mut self,
        store: &Store,
        known: &RuleSets,
        less: u32,
        now: Micros,
    ) -> Result<Option<Rejudging>, SettleError> {
        let open = store.open_rejudgements().await?;
        let shadows = self.shadows(store, &open, now).await?;
        self.forget(store, now).await?;
        // Put back when all is done, as in a round.
        let Some(mut connected) = self.connected.take() else {
            return Ok(None);
        };
        connected.shadows = shadows;
        let mut done = None;
        let chosen = open
            .into_iter()
            .find_map(|open| connected.chosen(open, known, &mut self.rejudgements_unknown));
        if let Some(chosen) = chosen.filter(|_| !connected.is_behind()) {
            let some = (self.options.records_max >> less.min(31)).max(1);
            let gone_over = self.go_over(&mut connected, store, (&chosen, some), now);
            done = match gone_over.await {
                Ok(done) => Some(done),
                // Stopped meanwhile. What is known of messages was made ready for what is not done.
                Err(SettleError::Store(StoreError::Ended)) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        self.connected = Some(connected);
        Ok(done)
    }

    async fn go_over(
        &self,
        connected: &mut Connected,
        store: &Store,
        (chosen, some): (&Chosen, u32),
        now: Micros,
    ) -> Result<Rejudging, SettleError> {
        let from = chosen.shards.values().min().copied().unwrap_or_default();
        let campaign = chosen.rejudgement.campaign;
        let read = store.judged_hits(from, campaign, some).await?;
        let (last, to) = (!read.more, read.last.unwrap_or(from));
        let mut looked = Looked::default();
        for hit in &read.hits {
            chosen.look_at(hit, |place| connected.windows.is_open(place), &mut looked);
        }
        let mut messages: Vec<_> = looked
            .changes
            .iter()
            .filter_map(|it| it.0.message)
            .collect();
        messages.sort_unstable();
        messages.dedup();
        let states = connected.known.take(store, messages).await?;
        let round = Round {
            rules: &chosen.rules,
            links: &HashMap::new(),
            is_due: &|_| true,
            settled_before: connected.settled_to,
            now,
            shadows: &connected.shadows,
        };
        let mut fold = Fold::new(round, states, Sweepers::default());
        for (hit, facts, verdict) in &looked.changes {
            match chosen.rejudgement.ledger() {
                Some(ledger) => fold.cover(hit, *facts, ledger),
                None => fold.rejudge(hit, *facts, *verdict),
            }
        }
        let (changes, untouched, _) = fold.finish();
        let done = Rejudging {
            hits: looked.sum(|(hits, _)| hits),
            changed: looked.sum(|(_, changed)| changed),
            ended: last.then_some(chosen.rejudgement.id),
        };
        let lease = connected.lease_of(self.journal.edge(), |shard| {
            chosen.shards.contains_key(&shard)
        });
        let changes = Ingest {
            lease,
            rejudged: Some(looked.written(chosen, (to, last), now)),
            ..changes
        };
        store.ingest(&changes).await?;
        connected.looked_at(chosen.rejudgement.ledger(), changes.rejudged.as_ref());
        connected.known.learn(untouched);
        connected.wrote(changes);
        Ok(done)
    }
}

/// What is judged again now, and what of it is settled here.
pub(super) struct Chosen {
    rejudgement: Rejudgement,
    rules: Arc<RuleSet>,
    shards: BTreeMap<Shard, HitPlace>,
}

/// What was found.
#[derive(Default)]
struct Looked {
    /// Of each shard: hits, and those that got another class.
    shards: BTreeMap<Shard, (i64, i64)>,
    classes: BTreeMap<Reclassed, i64>,
    changes: Vec<(JudgedHit, Facts, Verdict)>,
}

impl Connected {
    /// What of a rejudgement is to be done here; `None` if nothing is.
    fn chosen(
        &self,
        (rejudgement, shards): OpenRejudgement,
        known: &RuleSets,
        unknown: &mut BTreeSet<i64>,
    ) -> Option<Chosen> {
        let held = shards
            .into_iter()
            .filter(|(shard, _)| self.held.has(*shard));
        let left = held.filter_map(|(shard, looked_at)| match looked_at {
            LookedAt::To(to) => Some((shard, to)),
            LookedAt::All => None,
        });
        let shards: BTreeMap<_, _> = left.collect();
        // What is in force is what is live: a use that has not ended its jobs yet is heeded here.
        let in_force = rejudgement.mode == RejudgeMode::InForce;
        if shards.is_empty() || (in_force && rejudgement.ruleset != known.live().id()) {
            return None;
        }
        let Some(rules) = known.of(rejudgement.ruleset) else {
            let id = rejudgement.id;
            // Looked at twice a second, and said once.
            if unknown.insert(id) {
                tracing::warn!(
                    id,
                    "settle: cannot judge again by a rule set that is not known here"
                );
            }
            return None;
        };
        Some(Chosen {
            rejudgement,
            rules: Arc::clone(rules),
            shards,
        })
    }

    /// What was looked at is counted from now on, if it is for a rule set in shadow.
    fn looked_at(&mut self, ledger: Option<Ledger>, rejudged: Option<&Rejudged>) {
        let shadow = self.shadows.iter_mut().find(|it| Some(it.ledger) == ledger);
        let Some((shadow, rejudged)) = shadow.zip(rejudged) else {
            return;
        };
        for of in &rejudged.shards {
            let looked_at = match of.done {
                true => LookedAt::All,
                false => LookedAt::To(of.to),
            };
            shadow.look(of.shard, looked_at);
        }
    }
}

impl Chosen {
    fn look_at(&self, hit: &JudgedHit, is_open: impl Fn(HitPlace) -> bool, looked: &mut Looked) {
        let shard = hit.shard();
        let to = self.shards.get(&shard);
        if to.is_none_or(|to| hit.place <= *to) {
            return;
        }
        let (hits, changed) = looked.shards.entry(shard).or_default();
        *hits += 1;
        // What is open is judged when it closes, by what is live then. A shadow counts what is said
        // by now; closing changes that too.
        let mode = self.rejudgement.mode;
        let is_left = |place| mode != RejudgeMode::Shadow && is_open(place);
        let Some(facts) = hit.facts.filter(|_| !is_left(hit.place)) else {
            return;
        };
        let verdict = judge::judge(&self.rules, hit.kind, facts);
        if verdict.class == hit.class {
            return;
        }
        *changed += 1;
        let holding = judge::holding(facts).map(|signal| Part::Signal(signal.bit));
        for part in holding.chain([Part::Campaign(hit.target.0)]) {
            let reclassed = Reclassed {
                part,
                kind: hit.kind,
                was: hit.class,
                class: verdict.class,
            };
            *looked.classes.entry(reclassed).or_default() += 1;
        }
        if mode != RejudgeMode::DryRun {
            looked.changes.push((*hit, facts, verdict));
        }
    }
}

impl Looked {
    fn sum(&self, of: fn((i64, i64)) -> i64) -> u64 {
        let sum: i64 = self.shards.values().copied().map(of).sum();
        sum.unsigned_abs()
    }

    /// What is to be written of it, once everything up to there has been looked at.
    fn written(self, chosen: &Chosen, (to, done): (HitPlace, bool), now: Micros) -> Rejudged {
        let shards = chosen.shards.iter().map(|(shard, before)| {
            let (hits, changed) = self.shards.get(shard).copied().unwrap_or_default();
            RejudgedShard {
                shard: *shard,
                to: to.max(*before),
                hits,
                changed,
                done,
            }
        });
        Rejudged {
            id: chosen.rejudgement.id,
            shards: shards.collect(),
            classes: self.classes.into_iter().collect(),
            at: now,
        }
    }
}
