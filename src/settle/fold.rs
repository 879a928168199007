//! Hits folded into rows, sums, unique counts and message states. Pure: what it returns is
//! written by somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::act::Act;
use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::{Answer, HitKind};
use crate::domain::judgement::{RuleSetId, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::{Accepted, Side};
use crate::judge::{self, Around, RuleSet};
use crate::store::{Ingest, MessageState, Revision, StoredHit, StoredSums, SumKey, UniqueKey};

use super::{Progress, States};

/// One round's hits on their way into the store.
pub(super) struct Fold<'a> {
    rules: &'a RuleSet,
    states: States,
    touched: BTreeSet<MessageId>,
    sums: BTreeMap<SumKey, StoredSums>,
    uniques: BTreeMap<UniqueKey, (i64, i64)>,
    out: Ingest,
    progress: Progress,
}

impl<'a> Fold<'a> {
    pub(super) fn new(rules: &'a RuleSet, states: States) -> Self {
        Self {
            rules,
            states,
            touched: BTreeSet::new(),
            sums: BTreeMap::new(),
            uniques: BTreeMap::new(),
            out: Ingest::default(),
            progress: Progress::default(),
        }
    }

    /// The text behind an id.
    pub(super) fn text(&mut self, side: Side) {
        self.out.texts.push((side.id, side.text));
    }

    /// A press or unsubscribe.
    pub(super) fn act(&mut self, sequence: u64, act: Act) {
        self.out.acts.push((sequence, act));
    }

    /// An acceptance, which anchors the times of its message's hits.
    pub(super) fn accept(&mut self, accepted: &Accepted) {
        let state = self.states.entry(accepted.message).or_default();
        let earlier = state.accepted_at.is_none_or(|known| accepted.at < known);
        if earlier {
            state.accepted_at = Some(accepted.at);
            self.touched.insert(accepted.message);
        }
    }

    /// A hit that is new to the store, of the edge in this row.
    pub(super) fn write(&mut self, edge: i64, mut stored: StoredHit) {
        let hit = &mut stored.hit;
        if let Some((id, recipient)) = hit.message {
            let state = self.states.entry(id).or_default();
            let link = link(hit);
            if hit.answer == Answer::Acted && state.entry(hit.kind, link).raw > 0 {
                hit.answer = Answer::Repeated;
            }
            if recipient != RecipientKey::NONE && !hit.claimed {
                state.recipient = Some(recipient);
            }
            let first = state.first_hit_at.is_none_or(|known| hit.at < known);
            if first {
                state.first_hit_at = Some(hit.at);
            }
            self.touched.insert(id);
        }
        self.count(&stored.hit, stored.hit.verdict, 1);
        self.progress.written += 1;
        self.out.hits.push((edge, stored));
    }

    /// Judges a stored hit again, now that its window has closed.
    pub(super) fn settle(&mut self, edge: i64, stored: StoredHit, now: Micros) {
        let hit = stored.hit;
        self.progress.settled += 1;
        // An aggregate hit has no facts left: the edge's judgement is the last.
        if hit.level != PrivacyLevel::Individual {
            return;
        }
        let state = hit.message.and_then(|(id, _)| self.states.get(&id));
        let accepted_at = state.and_then(|state| state.accepted_at).map(Micros::get);
        let around = Around {
            at_micros: hit.at.get(),
            accepted_at,
        };
        let facts = judge::settle(hit.facts, &around);
        let verdict = judge::judge(self.rules, hit.kind, facts);
        if facts == hit.facts && verdict == hit.verdict {
            return;
        }
        if verdict.class != hit.verdict.class {
            self.count(&hit, hit.verdict, -1);
            self.count(&hit, verdict, 1);
        }
        self.progress.revised += 1;
        self.out.revisions.push(Revision {
            edge,
            sequence: stored.sequence,
            hit_at: hit.at,
            facts,
            verdict,
            ruleset: self.rules.id(),
            at: now,
        });
    }

    /// What was done, besides what `other` says.
    pub(super) fn progress(&self, other: Progress) -> Progress {
        Progress {
            written: self.progress.written,
            settled: self.progress.settled,
            revised: self.progress.revised,
            ..other
        }
    }

    /// Counts a hit in, or (`by` = -1) out.
    fn count(&mut self, hit: &Hit, verdict: Verdict, by: i64) {
        let counted = hit.counts();
        let campaign = match hit.target {
            Target::Campaign(campaign, _) => campaign.get(),
            Target::Short(_) => 0,
        };
        // 0 is all time; a clock of 1970 must not count twice there.
        let cell = Some(hit.at.cell()).filter(|cell| *cell != Micros::default());
        for cell in std::iter::once(Micros::default()).chain(cell) {
            let key = SumKey {
                ruleset: RuleSetId::LIVE,
                target: (campaign, link(hit)),
                cell,
                kind: hit.kind,
                class: verdict.class,
                method: hit.method,
                counted,
            };
            let sums = self.sums.entry(key).or_default();
            sums.hits += by;
            sums.anonymous += if hit.message.is_none() { by } else { 0 };
        }
        let Some((id, _)) = hit.message.filter(|_| counted) else {
            return;
        };
        let human = if verdict.class.is_human() { by } else { 0 };
        let state = self.states.entry(id).or_default();
        let before = seen(state, hit.kind, link(hit));
        let entry = state.entry(hit.kind, link(hit));
        entry.raw = entry.raw.saturating_add_signed(step(by));
        entry.human = entry.human.saturating_add_signed(step(human));
        let after = seen(state, hit.kind, link(hit));
        self.touched.insert(id);
        let keys = [Some(link(hit)), None];
        for ((key, before), after) in keys.into_iter().zip(before).zip(after) {
            let change = (after.0 - before.0, after.1 - before.1);
            if change != (0, 0) {
                let key = UniqueKey {
                    ruleset: RuleSetId::LIVE,
                    campaign,
                    kind: hit.kind,
                    link: key,
                };
                let unique = self.uniques.entry(key).or_default();
                *unique = (unique.0 + change.0, unique.1 + change.1);
            }
        }
    }

    /// Everything to be written, but edge and positions; and the states that stay as they were.
    pub(super) fn finish(mut self) -> (Ingest, States) {
        let states = &mut self.states;
        let touched = self.touched.iter();
        self.out.messages = touched
            .filter_map(|id| Some((*id, states.remove(id)?)))
            .collect();
        let moved = |sums: &StoredSums| *sums != StoredSums::default();
        self.out.sums = self
            .sums
            .into_iter()
            .filter(|(_, sums)| moved(sums))
            .collect();
        self.out.uniques = self
            .uniques
            .into_iter()
            .filter(|(_, by)| *by != (0, 0))
            .collect();
        (self.out, self.states)
    }
}

fn link(hit: &Hit) -> u32 {
    match hit.target {
        Target::Campaign(_, link) | Target::Short(link) => link,
    }
}

fn step(by: i64) -> i32 {
    i32::try_from(by).unwrap_or(0)
}

/// Whether a message counts as unique, raw and human (1 or 0): on one link, and on any.
fn seen(state: &MessageState, kind: HitKind, link: u32) -> [(i64, i64); 2] {
    let of_kind = || state.counts.iter().filter(|entry| entry.kind == kind);
    let on_link = || of_kind().filter(|entry| entry.link == link);
    [
        (
            i64::from(on_link().any(|entry| entry.raw > 0)),
            i64::from(on_link().any(|entry| entry.human > 0)),
        ),
        (
            i64::from(of_kind().any(|entry| entry.raw > 0)),
            i64::from(of_kind().any(|entry| entry.human > 0)),
        ),
    ]
}
