//! What a round adds to sums and unique counts. Pure.

use std::collections::BTreeMap;

use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Facts, RuleSetId};
use crate::domain::message::MessageId;
use crate::domain::record::Hit;
use crate::domain::time::Micros;
use crate::judge;
use crate::store::{
    EvidenceKey, Ingest, JudgedHit, MessageState, Recent, StoredSums, SumKey, UniqueKey,
};

/// A hit as sums and uniques see it.
pub(super) struct Counting {
    pub(super) at: Micros,
    target: (u32, u32),
    kind: HitKind,
    method: Method,
    pub(super) counted: bool,
    pub(super) message: Option<MessageId>,
}

impl Counting {
    pub(super) fn of(hit: &Hit) -> Self {
        Self {
            at: hit.at,
            target: hit.target.numbers(),
            kind: hit.kind,
            method: hit.method,
            counted: hit.counts(),
            message: hit.message.map(|(id, _)| id),
        }
    }

    pub(super) fn of_recent(id: MessageId, recent: &Recent) -> Self {
        Self {
            at: recent.seen.at,
            target: (id.campaign.get(), recent.seen.link),
            kind: recent.seen.kind,
            method: recent.method,
            counted: recent.counted,
            message: Some(id),
        }
    }

    pub(super) fn of_judged(hit: &JudgedHit) -> Self {
        Self {
            at: hit.at,
            target: hit.target,
            kind: hit.kind,
            method: hit.method,
            counted: hit.counted,
            message: hit.message,
        }
    }
}

/// Changes of sums and unique counts.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sums: BTreeMap<SumKey, StoredSums>,
    uniques: BTreeMap<UniqueKey, (i64, i64)>,
    evidence: BTreeMap<EvidenceKey, i64>,
}

impl Totals {
    /// Counts a hit in, or (`by` = -1) out, in the sums and, if it has a message that it counts
    /// for, there.
    pub(super) fn count(
        &mut self,
        hit: &Counting,
        class: Class,
        by: i64,
        state: Option<&mut MessageState>,
    ) {
        let (campaign, link) = hit.target;
        // 0 is all time; a clock of 1970 must not count twice there.
        let cell = Some(hit.at.cell()).filter(|cell| *cell != Micros::default());
        for cell in std::iter::once(Micros::default()).chain(cell) {
            let key = SumKey {
                ruleset: RuleSetId::LIVE,
                target: hit.target,
                cell,
                kind: hit.kind,
                class,
                method: hit.method,
                counted: hit.counted,
            };
            let sums = self.sums.entry(key).or_default();
            sums.hits += by;
            sums.anonymous += if hit.message.is_none() { by } else { 0 };
        }
        let Some(state) = state else {
            return;
        };
        let human = if class.is_human() { by } else { 0 };
        let before = seen(state, hit.kind, link);
        let entry = state.entry(hit.kind, link);
        entry.raw = entry.raw.saturating_add_signed(step(by));
        entry.human = entry.human.saturating_add_signed(step(human));
        let after = seen(state, hit.kind, link);
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

    /// Counts a hit in, or (`by` = -1) out, where its facts say whose it is.
    pub(super) fn count_evidence(&mut self, hit: &Counting, facts: Facts, by: i64) {
        if judge::is_evident(facts) {
            let key = EvidenceKey {
                week: hit.at.week(),
                kind: hit.kind,
                facts,
            };
            *self.evidence.entry(key).or_default() += by;
        }
    }

    /// Puts what changed among what is written.
    pub(super) fn write(self, out: &mut Ingest) {
        let moved = |(_, sums): &(SumKey, StoredSums)| *sums != StoredSums::default();
        let changed = |(_, by): &(UniqueKey, (i64, i64))| *by != (0, 0);
        out.sums = self.sums.into_iter().filter(moved).collect();
        out.uniques = self.uniques.into_iter().filter(changed).collect();
        let counted = self.evidence.into_iter();
        out.evidence = counted.filter(|(_, by)| *by != 0).collect();
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
