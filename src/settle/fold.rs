//! Hits folded into rows, sums, unique counts and message states. Pure: what it returns is
//! written by somebody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::act::Act;
use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::{Answer, HitKind, Method};
use crate::domain::judgement::{Facts, RuleSetId, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::{Accepted, Side};
use crate::judge::{self, RuleSet};
use crate::store::{
    Ingest, MessageState, Recent, Revision, StoredHit, StoredSums, SumKey, UniqueKey,
};

use super::company::{self, Scene};
use super::{Progress, States};

/// What a round judges by.
pub(super) struct Round<'a> {
    pub(super) rules: &'a RuleSet,
    /// Links of campaigns that a reader can follow.
    pub(super) links: &'a HashMap<u32, u32>,
    /// Whether the window of a hit of this time has closed.
    pub(super) is_due: &'a dyn Fn(Micros) -> bool,
    /// Up to when windows had closed before.
    pub(super) settled_before: Micros,
    pub(super) now: Micros,
}

impl<'a> Round<'a> {
    fn scene(&self, message: MessageId, state: &MessageState) -> Scene<'a> {
        let links = self.links.get(&message.campaign.get());
        Scene {
            rules: self.rules,
            accepted_at: state.accepted_at,
            message,
            links: links.copied().unwrap_or(0),
        }
    }
}

/// One round's hits on their way into the store.
pub(super) struct Fold<'a> {
    round: Round<'a>,
    states: States,
    touched: BTreeSet<MessageId>,
    /// Messages with something new for the judgement of their hits.
    to_judge: BTreeSet<MessageId>,
    sums: BTreeMap<SumKey, StoredSums>,
    uniques: BTreeMap<UniqueKey, (i64, i64)>,
    out: Ingest,
    progress: Progress,
}

/// A hit as sums and uniques see it.
struct Counting {
    at: Micros,
    target: (u32, u32),
    kind: HitKind,
    method: Method,
    counted: bool,
    message: Option<MessageId>,
}

impl Counting {
    fn of(hit: &Hit) -> Self {
        let campaign = match hit.target {
            Target::Campaign(campaign, _) => campaign.get(),
            Target::Short(_) => 0,
        };
        Self {
            at: hit.at,
            target: (campaign, link(hit)),
            kind: hit.kind,
            method: hit.method,
            counted: hit.counts(),
            message: hit.message.map(|(id, _)| id),
        }
    }

    fn of_recent(id: MessageId, recent: &Recent) -> Self {
        Self {
            at: recent.seen.at,
            target: (id.campaign.get(), recent.seen.link),
            kind: recent.seen.kind,
            method: recent.method,
            counted: recent.counted,
            message: Some(id),
        }
    }
}

impl<'a> Fold<'a> {
    pub(super) fn new(round: Round<'a>, states: States) -> Self {
        Self {
            round,
            states,
            touched: BTreeSet::new(),
            to_judge: BTreeSet::new(),
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
            self.to_judge.insert(accepted.message);
        }
    }

    /// A hit that is new to the store, of the edge in this row.
    pub(super) fn write(&mut self, edge: i64, mut stored: StoredHit) {
        if let Some((id, recipient)) = stored.hit.message {
            let hit = &mut stored.hit;
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
            let room = company::remember(state, edge, &stored);
            self.progress.forgotten += u64::from(!room);
            self.touched.insert(id);
        }
        self.count(&Counting::of(&stored.hit), stored.hit.verdict, 1);
        self.progress.written += 1;
        self.out.hits.push((edge, stored));
    }

    /// A stored hit whose window has closed.
    pub(super) fn settle(&mut self, edge: i64, stored: StoredHit) {
        self.progress.settled += 1;
        // An aggregate hit has no facts left: the edge's judgement is the last.
        if stored.hit.level != PrivacyLevel::Individual {
            return;
        }
        let place = (edge, stored.sequence);
        let Some((id, _)) = stored.hit.message else {
            // There is nothing around it; but another rule set may have judged it.
            let hit = stored.hit;
            let verdict = judge::judge(self.round.rules, hit.kind, hit.facts);
            if verdict != hit.verdict {
                self.revise(
                    &Counting::of(&hit),
                    place,
                    hit.verdict,
                    (hit.facts, verdict),
                );
            }
            return;
        };
        let state = self.states.entry(id).or_default();
        let own = |recent: &Recent| (recent.edge, recent.sequence) == place;
        if state.recent.iter().any(own) {
            self.to_judge.insert(id);
            return;
        }
        // One of too many is judged once, among those that there was room for.
        let own = company::seen(&stored);
        let company = state.recent.iter().map(|recent| recent.seen);
        let company: Vec<_> = company.chain([own]).collect();
        let scene = self.round.scene(id, state);
        let now = scene.judge(&own, &company);
        if now.1 != stored.hit.verdict {
            self.revise(&Counting::of(&stored.hit), place, stored.hit.verdict, now);
        }
    }

    /// Judges hits whose windows have closed, of every message that there is something new of,
    /// among all that is known around them.
    pub(super) fn judge(&mut self) {
        for id in std::mem::take(&mut self.to_judge) {
            let Some(mut state) = self.states.remove(&id) else {
                continue;
            };
            let company: Vec<_> = state.recent.iter().map(|recent| recent.seen).collect();
            let scene = self.round.scene(id, &state);
            let mut changed = Vec::new();
            for recent in &mut state.recent {
                if !(self.round.is_due)(recent.seen.at) {
                    continue;
                }
                let (facts, verdict) = scene.judge(&recent.seen, &company);
                // Once settled, what is only a little likelier than before is left as it is.
                let again = recent.seen.at <= self.round.settled_before;
                let changed_to = match again {
                    true => verdict.class != recent.verdict.class,
                    false => verdict != recent.verdict,
                };
                if changed_to {
                    changed.push((*recent, (facts, verdict)));
                    (recent.seen.facts, recent.verdict) = (facts, verdict);
                }
            }
            self.states.insert(id, state);
            for (before, now) in changed {
                let counting = Counting::of_recent(id, &before);
                self.progress.reopened += u64::from(before.seen.at <= self.round.settled_before);
                let place = (before.edge, before.sequence);
                self.revise(&counting, place, before.verdict, now);
                self.touched.insert(id);
            }
        }
    }

    /// Puts a judgement in the place of another, of the hit of this edge and sequence.
    fn revise(
        &mut self,
        counting: &Counting,
        (edge, sequence): (i64, u64),
        before: Verdict,
        (facts, verdict): (Facts, Verdict),
    ) {
        if verdict.class != before.class {
            self.count(counting, before, -1);
            self.count(counting, verdict, 1);
        }
        self.progress.revised += 1;
        self.out.revisions.push(Revision {
            edge,
            sequence,
            hit_at: counting.at,
            facts,
            verdict,
            ruleset: self.round.rules.id(),
            at: self.round.now,
        });
    }

    /// What was done, besides what `other` says.
    pub(super) fn progress(&self, other: Progress) -> Progress {
        Progress {
            written: self.progress.written,
            settled: self.progress.settled,
            revised: self.progress.revised,
            reopened: self.progress.reopened,
            forgotten: self.progress.forgotten,
            ..other
        }
    }

    /// Counts a hit in, or (`by` = -1) out.
    fn count(&mut self, hit: &Counting, verdict: Verdict, by: i64) {
        let (campaign, link) = hit.target;
        // 0 is all time; a clock of 1970 must not count twice there.
        let cell = Some(hit.at.cell()).filter(|cell| *cell != Micros::default());
        for cell in std::iter::once(Micros::default()).chain(cell) {
            let key = SumKey {
                ruleset: RuleSetId::LIVE,
                target: hit.target,
                cell,
                kind: hit.kind,
                class: verdict.class,
                method: hit.method,
                counted: hit.counted,
            };
            let sums = self.sums.entry(key).or_default();
            sums.hits += by;
            sums.anonymous += if hit.message.is_none() { by } else { 0 };
        }
        let Some(id) = hit.message.filter(|_| hit.counted) else {
            return;
        };
        let human = if verdict.class.is_human() { by } else { 0 };
        let state = self.states.entry(id).or_default();
        let before = seen(state, hit.kind, link);
        let entry = state.entry(hit.kind, link);
        entry.raw = entry.raw.saturating_add_signed(step(by));
        entry.human = entry.human.saturating_add_signed(step(human));
        let after = seen(state, hit.kind, link);
        self.touched.insert(id);
        let keys = [Some(link), None];
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

pub(super) fn link(hit: &Hit) -> u32 {
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
