//! The hits of a message judged among each other: those that are new, those whose windows close,
//! and those for which something new says something else.

use crate::domain::id_map::IdMap;
use crate::domain::judgement::Facts;
use crate::domain::message::MessageId;
use crate::domain::time::Micros;
use crate::judge;
use crate::judge::signals::SWEPT;
use crate::store::{HitPlace, MessageState, Recent, Revision, StoredHit};

use super::super::company::{self, REMEMBERED_MICROS, Scene};
use super::super::totals::Counting;
use super::{Fold, Judgement, Round};

/// What is new of a message.
#[derive(Default)]
pub(super) struct News {
    /// Hits that are new to the store, by their places among those that are written.
    pub(super) hits: Vec<usize>,
    /// Hits whose windows close now, where they stand.
    pub(super) closing: Vec<HitPlace>,
    /// When it had been accepted, as far as was known before.
    accepted_before: Option<Micros>,
}

impl News {
    /// Whether a hit is among those that are written in this round.
    pub(super) fn is_new(&self, written: &[(i64, Box<StoredHit>)], it: &Recent) -> bool {
        let mut new = self.hits.iter().filter_map(|at| written.get(*at));
        new.any(|(edge, new)| (*edge, new.sequence) == (it.edge, it.sequence))
    }

    /// Whether a hit has these facts because of what is new.
    fn is_why(
        &self,
        written: &[(i64, Box<StoredHit>)],
        scene: &Scene<'_>,
        state: &MessageState,
        (hit, facts): (&Recent, Facts),
    ) -> bool {
        let known = state.recent.iter().filter(|it| !self.is_new(written, it));
        let company: Vec<_> = known.map(|it| it.seen).collect();
        let before = Scene {
            accepted_at: self.accepted_before,
            ..*scene
        };
        before.judge(&hit.seen, &company).0 != facts
    }
}

/// What is new of a message, which had been accepted then before that.
pub(super) fn news(
    all: &mut IdMap<MessageId, News>,
    id: MessageId,
    accepted: Option<Micros>,
) -> &mut News {
    all.entry(id).or_insert_with(|| News {
        accepted_before: accepted,
        ..News::default()
    })
}

/// Whether a judgement of a settled hit says anything else than the one before.
fn matters(before: Judgement, now: Judgement) -> bool {
    before.0 != now.0
        && (before.1.class != now.1.class || judge::evident(before.0) != judge::evident(now.0))
}

impl Fold<'_> {
    /// Judges hits that are new, and those whose windows have closed, of every message that there
    /// is something new of, among all that is known around them.
    pub(in super::super) fn judge(&mut self) {
        let mut to_judge: Vec<_> = std::mem::take(&mut self.to_judge).into_iter().collect();
        to_judge.sort_unstable_by_key(|(id, _)| *id);
        for (id, news) in &to_judge {
            self.judge_message(*id, news);
        }
        // What is read at once may be hours: a source that swept in the beginning is known by the
        // end, as it would be if all had been read as it came.
        if self.out.sweeps.is_empty() {
            return;
        }
        let first = self.out.revisions.len();
        for (id, news) in &to_judge {
            let Some(state) = self.states.get(id) else {
                continue;
            };
            let scene = self.round.scene(*id, state, &self.sweepers);
            if self.round.is_by_sweeper(&scene, state, news) {
                self.judge_message(*id, news);
            }
        }
        // Nothing is said twice of one hit.
        for again in self.out.revisions.split_off(first) {
            let place = |it: &Revision| (it.edge, it.sequence);
            let mut said = self.out.revisions.iter_mut();
            match said.find(|it| place(it) == place(&again)) {
                Some(said) => {
                    *said = again;
                    self.progress.revised -= 1;
                }
                None => self.out.revisions.push(again),
            }
        }
    }

    fn judge_message(&mut self, id: MessageId, news: &News) {
        let Some(state) = self.states.get_mut(&id) else {
            return;
        };
        let scene = self.round.scene(id, state, &self.sweepers);
        let begun = self
            .round
            .judge_new(&mut self.out.hits, &news.hits, &scene, state);
        let closed = self.round.judge_closed(&self.out.hits, news, &scene, state);
        let sweeps = scene.sweeps(state, &news.closing);
        for (counting, before, now) in begun {
            self.count(&counting, Some(before), now);
        }
        for (before, now) in closed {
            let counting = Counting::of_recent(id, &before);
            let again = self.round.had_closed(&before, news);
            self.progress.reopened += u64::from(again);
            self.revise(&counting, (before.seen.facts, before.verdict), now);
            self.touched.insert(id);
        }
        // An edge's clock that is far ahead must not make days of what sweeps now.
        let day_ahead = self.round.now.plus(REMEMBERED_MICROS);
        for sweep in sweeps.into_iter().filter(|it| it.at <= day_ahead) {
            if self.sweepers.note(&sweep) {
                self.out.sweeps.push(sweep);
            }
        }
    }
}

impl Round<'_> {
    /// Judges the hits of a message whose windows have closed; returns those of which something
    /// else is to be said now, as they were.
    fn judge_closed(
        &self,
        written: &[(i64, Box<StoredHit>)],
        news: &News,
        scene: &Scene<'_>,
        state: &mut MessageState,
    ) -> Vec<(Recent, Judgement)> {
        // What was said of each among all of them stands.
        let by = Some((self.rules.id(), scene.links));
        if state.judged_by == by && !self.is_by_sweeper(scene, state, news) {
            return Vec::new();
        }
        let company = company::of(state);
        let mut changed = Vec::new();
        let is_news = !news.hits.is_empty() || news.accepted_before != scene.accepted_at;
        let day_before = self.settled_before.plus(-REMEMBERED_MICROS);
        // Windows that close are no news to hits whose windows had closed, and an acceptance is
        // none to those of long ago.
        let may_change = |it: &Recent| match self.had_closed(it, news) {
            true => !news.hits.is_empty() || is_news && it.seen.at >= day_before,
            false => (self.is_due)(it.seen.at),
        };
        let mut left_as_it_was = false;
        for recent in state.recent.iter().filter(|it| may_change(it)) {
            let now = scene.judge(&recent.seen, &company);
            let own = (recent.seen.facts, recent.verdict);
            let changes = match self.had_closed(recent, news) {
                // Once settled, what is only a little likelier than before is left as it is. And so
                // is what another rule set says, or its windows, of what was known before.
                true => matters(own, now) && news.is_why(written, scene, state, (recent, now.0)),
                false => own != now,
            };
            if changes {
                changed.push((*recent, now));
            }
            left_as_it_was |= !changes && own != now;
        }
        for recent in &mut state.recent {
            let now = changed
                .iter()
                .find(|(before, _)| before.order() == recent.order());
            if let Some((_, now)) = now {
                (recent.seen.facts, recent.verdict) = *now;
            }
        }
        let was_judged = |it: &Recent| news.is_new(written, it) || may_change(it);
        if is_news && !left_as_it_was && state.recent.iter().all(was_judged) {
            state.judged_by = by;
        }
        changed
    }

    /// Whether it is known by now of a hit of the message that its source sweeps, and was not when
    /// it was judged.
    fn is_by_sweeper(&self, scene: &Scene<'_>, state: &MessageState, news: &News) -> bool {
        let unsaid = |it: &&Recent| it.seen.facts.bits() & SWEPT.bits() == 0;
        let open = |it: &&Recent| unsaid(it) && !self.had_closed(it, news);
        let mut open = state.recent.iter().filter(open);
        open.any(|it| scene.is_of_sweeper(&it.seen))
    }

    /// Whether the window of a hit had closed before this round. Time alone does not say it: what
    /// comes late, or out of order, is older than what has closed.
    pub(super) fn had_closed(&self, recent: &Recent, news: &News) -> bool {
        let place = (recent.edge, recent.sequence);
        recent.seen.at <= self.settled_before && !news.closing.contains(&place)
    }

    /// Judges hits of a message that are about to be written, before their windows close: most of
    /// a sweep comes at once, and what is right from the start need not be changed. Returns what
    /// was counted otherwise.
    fn judge_new(
        &self,
        written: &mut [(i64, Box<StoredHit>)],
        new: &[usize],
        scene: &Scene<'_>,
        state: &mut MessageState,
    ) -> Vec<(Counting, Judgement, Judgement)> {
        let company = company::of(state);
        let mut recounted = Vec::new();
        for place in new {
            let Some((edge, stored)) = written.get_mut(*place) else {
                continue;
            };
            let order = (stored.hit.at, *edge, stored.sequence);
            let found = state.recent.binary_search_by_key(&order, Recent::order);
            let remembered = found.ok().and_then(|at| state.recent.get_mut(at));
            let (facts, verdict) = match &remembered {
                Some(recent) => scene.judge(&recent.seen, &company),
                None => scene.judge_left_out(stored, &company),
            };
            if let Some(recent) = remembered {
                (recent.seen.facts, recent.verdict) = (facts, verdict);
            }
            let before = (stored.hit.facts, stored.hit.verdict);
            (stored.hit.facts, stored.hit.verdict) = (facts, verdict);
            stored.hit.ruleset = self.rules.id();
            if before != (facts, verdict) {
                let counting = Counting::of(&stored.hit, (*edge, stored.sequence));
                recounted.push((counting, before, (facts, verdict)));
            }
        }
        recounted
    }
}
