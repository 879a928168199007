//! Hits folded into rows, sums, unique counts and message states. Pure: what it returns is
//! written by somebody else.

use std::collections::HashMap;

use crate::domain::act::Act;
use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::Answer;
use crate::domain::id_map::{IdMap, IdSet};
use crate::domain::judgement::{Facts, Ledger, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::time::Micros;
use crate::journal::{Accepted, Side};
use crate::judge::{self, RuleSet};
use crate::store::{Ingest, JudgedHit, MessageState, Recent, Revision, StoredHit};

mod neighbours;

use super::company::{self, Scene};
use super::shadows::Shadow;
use super::sweepers::Sweepers;
use super::totals::{Counting, Totals};
use super::{Progress, States};
use neighbours::{News, news};

/// Facts of a hit, and what is said on them.
type Judgement = (Facts, Verdict);

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
    /// Rule sets that are counted beside what is in force.
    pub(super) shadows: &'a [Shadow],
}

impl Round<'_> {
    fn scene<'s>(
        &'s self,
        message: MessageId,
        state: &MessageState,
        sweepers: &'s Sweepers,
    ) -> Scene<'s> {
        let links = self.links.get(&message.campaign.get());
        Scene {
            rules: self.rules,
            accepted_at: state.accepted_at,
            message,
            links: links.copied().unwrap_or(0),
            sweepers,
        }
    }
}

/// One round's hits on their way into the store.
pub(super) struct Fold<'a> {
    round: Round<'a>,
    states: States,
    sweepers: Sweepers,
    touched: IdSet<MessageId>,
    /// Messages with something new for the judgement of their hits.
    to_judge: IdMap<MessageId, News>,
    totals: Totals,
    out: Ingest,
    progress: Progress,
}

impl<'a> Fold<'a> {
    pub(super) fn new(round: Round<'a>, states: States, sweepers: Sweepers) -> Self {
        Self {
            round,
            states,
            sweepers,
            touched: IdSet::default(),
            to_judge: IdMap::default(),
            totals: Totals::default(),
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
        let before = state.accepted_at;
        if before.is_none_or(|known| accepted.at < known) {
            state.accepted_at = Some(accepted.at);
            state.judged_by = None;
            self.touched.insert(accepted.message);
            news(&mut self.to_judge, accepted.message, before);
        }
    }

    /// A hit that is new to the store, of the edge in this row. It is counted as the edge judged
    /// it, until [`Fold::judge`] has looked around it.
    pub(super) fn write(&mut self, edge: i64, mut stored: Box<StoredHit>) {
        if let Some((id, recipient)) = stored.hit.message {
            let hit = &mut stored.hit;
            let state = self.states.entry(id).or_default();
            let (_, link) = hit.target.numbers();
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
            if stored.hit.level == PrivacyLevel::Individual {
                let news = news(&mut self.to_judge, id, state.accepted_at);
                let (written, round) = (&self.out.hits, &self.round);
                let is_open = |it: &Recent| news.is_new(written, it) || !round.had_closed(it, news);
                let room = company::remember(state, (edge, &stored), is_open);
                self.progress.forgotten += u64::from(!room);
                news.hits.push(self.out.hits.len());
            }
        }
        let counting = Counting::of(&stored.hit, (edge, stored.sequence));
        self.count(&counting, None, (stored.hit.facts, stored.hit.verdict));
        self.progress.written += 1;
        self.out.hits.push((edge, stored));
    }

    /// A stored hit whose window has closed.
    pub(super) fn settle(&mut self, edge: i64, stored: &StoredHit) {
        self.progress.settled += 1;
        // An aggregate hit has no facts left: the edge's judgement is the last.
        if stored.hit.level != PrivacyLevel::Individual {
            return;
        }
        let place = (edge, stored.sequence);
        let Some((id, _)) = stored.hit.message else {
            // There is nothing around it; but another rule set may have judged it.
            let hit = &stored.hit;
            let verdict = judge::judge(self.round.rules, hit.kind, hit.facts);
            if verdict != hit.verdict {
                let before = (hit.facts, hit.verdict);
                self.revise(&Counting::of(hit, place), before, (hit.facts, verdict));
            }
            return;
        };
        let state = self.states.entry(id).or_default();
        let own = |recent: &Recent| (recent.edge, recent.sequence) == place;
        if state.recent.iter().any(own) {
            let news = news(&mut self.to_judge, id, state.accepted_at);
            news.closing.push(place);
            return;
        }
        // One of too many is judged once more, among those that there was room for.
        let scene = self.round.scene(id, state, &self.sweepers);
        let now = scene.judge_left_out(stored, &company::of(state));
        if now != (stored.hit.facts, stored.hit.verdict) {
            let before = (stored.hit.facts, stored.hit.verdict);
            self.revise(&Counting::of(&stored.hit, place), before, now);
        }
    }

    /// A stored hit of which another rule set says something else, on these facts of it.
    pub(super) fn rejudge(&mut self, hit: &JudgedHit, facts: Facts, verdict: Verdict) {
        if let Some(id) = hit.message {
            let state = self.states.entry(id).or_default();
            let mut recent = state.recent.iter_mut();
            if let Some(recent) = recent.find(|it| (it.edge, it.sequence) == hit.place) {
                recent.verdict = verdict;
                state.judged_by = None;
                self.touched.insert(id);
            }
        }
        let counting = Counting::of_judged(hit);
        let before = Verdict {
            class: hit.class,
            ..verdict
        };
        self.revise(&counting, (facts, before), (facts, verdict));
    }

    /// A stored hit with these facts that a rule set in shadow had not been asked about.
    pub(super) fn cover(&mut self, hit: &JudgedHit, facts: Facts, ledger: Ledger) {
        let shadows = self.round.shadows;
        let Some(shadow) = shadows.iter().find(|shadow| shadow.ledger == ledger) else {
            return;
        };
        let counting = Counting::of_judged(hit);
        let state = state_of(&mut self.states, &mut self.touched, &counting);
        let now = (facts, hit.class);
        self.totals
            .differ(&counting, None, now, shadow, shadows, state);
    }

    /// Puts a judgement in the place of another.
    fn revise(&mut self, hit: &Counting, before: Judgement, now: Judgement) {
        self.count(hit, Some(before), now);
        let (edge, sequence) = hit.place;
        let (facts, verdict) = now;
        self.progress.revised += 1;
        self.out.revisions.push(Revision {
            edge,
            sequence,
            hit_at: hit.at,
            facts,
            verdict,
            ruleset: self.round.rules.id(),
            at: self.round.now,
        });
    }

    /// Counts a hit as it is judged now, and no longer as it was.
    fn count(&mut self, hit: &Counting, before: Option<Judgement>, now: Judgement) {
        let classed = |(facts, verdict): Judgement| (facts, verdict.class);
        let (before, now) = (before.map(classed), classed(now));
        if before == Some(now) {
            return;
        }
        let shadows = self.round.shadows;
        let state = state_of(&mut self.states, &mut self.touched, hit);
        self.totals.change(hit, before, now, shadows, state);
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

    /// Everything to be written, but edge and positions; the states that stay as they were, and
    /// the sources that sweep as they are known then.
    pub(super) fn finish(mut self) -> (Ingest, States, Sweepers) {
        let states = &mut self.states;
        // In one order everywhere, or two settlers could wait for each other.
        let mut touched: Vec<_> = self.touched.into_iter().collect();
        touched.sort_unstable();
        self.out.messages = touched
            .into_iter()
            .filter_map(|id| Some((id, states.remove(&id)?)))
            .collect();
        for (_, state) in &mut self.out.messages {
            let counted = |ledger| self.round.shadows.iter().any(|it| it.ledger == ledger);
            state
                .shadows
                .retain(|own| own.human != 0 && counted(own.ledger));
        }
        self.totals.write(&mut self.out);
        (self.out, self.states, self.sweepers)
    }
}

/// What is known of the message that a hit counts for, to be written.
fn state_of<'s>(
    states: &'s mut States,
    touched: &mut IdSet<MessageId>,
    hit: &Counting,
) -> Option<&'s mut MessageState> {
    let id = hit.message.filter(|_| hit.counted)?;
    touched.insert(id);
    Some(states.entry(id).or_default())
}
