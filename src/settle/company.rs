//! The hits of a message together: who is remembered, and what all say of each. Pure.

use crate::domain::judgement::{Facts, Verdict};
use crate::domain::message::MessageId;
use crate::domain::neighbour::Neighbour;
use crate::domain::sweep::{Source, Sweep};
use crate::domain::time::Micros;
use crate::judge::{self, Around, RuleSet};
use crate::store::{HitPlace, MessageState, RECENT_MAX, Recent, StoredHit};

use super::sweepers::Sweepers;

/// How long a hit can still change what is said of another.
pub(super) const REMEMBERED_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// How long ago the sweeps of a source must be, at least.
const SWEPT_AGO_MICROS: i64 = 600 * 1_000_000;

/// Keeps a hit for those that come after it, in order; `false` if there is no room. Room is made by
/// hits that came a day before the newest, unless they are open: those see each other, however much
/// there is to catch up with, and whatever an edge's clock says.
pub(super) fn remember(
    state: &mut MessageState,
    (edge, stored): (i64, &StoredHit),
    is_open: impl Fn(&Recent) -> bool,
) -> bool {
    let entry = Recent {
        edge,
        sequence: stored.sequence,
        seen: stored.as_neighbour(),
        method: stored.hit.method,
        counted: stored.hit.counts(),
        verdict: stored.hit.verdict,
    };
    state.judged_by = None;
    let recent = &mut state.recent;
    let newest = recent.last().map(|last| last.seen.at);
    let newest = newest.map_or(entry.seen.at, |newest| newest.max(entry.seen.at));
    let from = newest.plus(-REMEMBERED_MICROS);
    recent.retain(|entry| entry.seen.at >= from || is_open(entry));
    // The first of many have shown what they are.
    if recent.len() >= RECENT_MAX {
        return false;
    }
    let place = recent.partition_point(|other| other.order() < entry.order());
    recent.insert(place, entry);
    true
}

/// The hits of a message that are remembered.
pub(super) fn of(state: &MessageState) -> Vec<Neighbour> {
    state.recent.iter().map(|recent| recent.seen).collect()
}

/// What is around every hit of a message.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) accepted_at: Option<Micros>,
    pub(super) message: MessageId,
    /// Links of its campaign that a reader can follow.
    pub(super) links: u32,
    /// Sources that sweep.
    pub(super) sweepers: &'a Sweepers,
}

impl Scene<'_> {
    /// What is to be said of a hit among these.
    pub(super) fn judge(&self, hit: &Neighbour, company: &[Neighbour]) -> (Facts, Verdict) {
        let facts = self.around(hit, company).settle();
        (facts, judge::judge(self.rules, hit.kind, facts))
    }

    fn around<'s>(&'s self, hit: &'s Neighbour, company: &'s [Neighbour]) -> Around<'s> {
        let minted_at = i64::from(self.message.minted_at).saturating_mul(1_000_000);
        Around {
            hit,
            company,
            accepted_at: self.accepted_at,
            minted_at: Some(Micros::new(minted_at)),
            links: self.links,
            swept_before: self.is_of_sweeper(hit),
            windows: self.rules.windows(),
        }
    }

    /// Whether the source of a hit had swept other messages, so long before it that the windows of
    /// those had closed: in whatever order what came is read.
    pub(super) fn is_of_sweeper(&self, hit: &Neighbour) -> bool {
        let ago = i64::from(self.rules.window_seconds()) * 2_000_000;
        let before = (hit.at, ago.max(SWEPT_AGO_MICROS));
        // Hardly any does.
        let swept = Source::of(hit).and_then(|source| self.sweepers.of(source));
        swept.is_some_and(|swept| swept.has_others(Sweep::message(self.message), before))
    }

    /// Sweeps of the message by the sources of those of its hits whose windows close now.
    pub(super) fn sweeps(&self, state: &MessageState, closing: &[HitPlace]) -> Vec<Sweep> {
        let mut sweeps: Vec<Sweep> = Vec::new();
        let closes = |it: &&Recent| {
            it.seen.facts.bits() & judge::SWEEPS.bits() != 0
                && closing.contains(&(it.edge, it.sequence))
        };
        let mut company = Vec::new();
        for closed in state.recent.iter().filter(closes) {
            let Some(source) = Source::of(&closed.seen) else {
                continue;
            };
            if sweeps.iter().any(|known| known.source == source) {
                continue;
            }
            if company.is_empty() {
                company = of(state);
            }
            let swept_at = self.around(&closed.seen, &company).swept_at();
            sweeps.extend(swept_at.map(|at| Sweep {
                at,
                source,
                message: Sweep::message(self.message),
            }));
        }
        sweeps
    }

    /// What is to be said of one of too many hits, for which there was no room among these.
    pub(super) fn judge_left_out(
        &self,
        stored: &StoredHit,
        company: &[Neighbour],
    ) -> (Facts, Verdict) {
        let own = stored.as_neighbour();
        let company: Vec<_> = company.iter().copied().chain([own]).collect();
        self.judge(&own, &company)
    }
}
