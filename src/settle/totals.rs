//! What a round adds to sums and unique counts. Pure.

use std::collections::BTreeMap;

use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::{HitKind, Method};
use crate::domain::id_map::IdMap;
use crate::domain::judgement::{Class, Facts, Ledger};
use crate::domain::message::MessageId;
use crate::domain::record::Hit;
use crate::domain::time::Micros;
use crate::judge;
use crate::store::{
    EvidenceKey, HitPlace, Ingest, JudgedHit, LinkCounts, MessageState, Recent, StoredSums, SumKey,
    UniqueKey,
};

use super::shadows::Shadow;

/// Facts of a hit, and the class that it has by them.
pub(super) type Classed = (Facts, Class);

/// A hit as sums and uniques see it.
pub(super) struct Counting {
    pub(super) at: Micros,
    /// Where it stands.
    pub(super) place: HitPlace,
    target: (u32, u32),
    kind: HitKind,
    method: Method,
    pub(super) counted: bool,
    pub(super) message: Option<MessageId>,
    /// It has facts: any rule set can judge it.
    has_facts: bool,
}

impl Counting {
    pub(super) fn of(hit: &Hit, place: HitPlace) -> Self {
        Self {
            at: hit.at,
            place,
            target: hit.target.numbers(),
            kind: hit.kind,
            method: hit.method,
            counted: hit.counts(),
            message: hit.message.map(|(id, _)| id),
            has_facts: hit.level == PrivacyLevel::Individual,
        }
    }

    pub(super) fn of_recent(id: MessageId, recent: &Recent) -> Self {
        Self {
            at: recent.seen.at,
            place: (recent.edge, recent.sequence),
            target: (id.campaign.get(), recent.seen.link),
            kind: recent.seen.kind,
            method: recent.method,
            counted: recent.counted,
            message: Some(id),
            has_facts: true,
        }
    }

    pub(super) fn of_judged(hit: &JudgedHit) -> Self {
        Self {
            at: hit.at,
            place: hit.place,
            target: hit.target,
            kind: hit.kind,
            method: hit.method,
            counted: hit.counted,
            message: hit.message,
            has_facts: hit.facts.is_some(),
        }
    }
}

/// Changes of sums and unique counts.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sums: IdMap<SumKey, StoredSums>,
    uniques: IdMap<UniqueKey, (i64, i64)>,
    evidence: BTreeMap<EvidenceKey, i64>,
}

impl Totals {
    /// Counts a hit out as it was, if it was counted, and in as it is now; in the sums and, if it
    /// has a message that it counts for, there.
    pub(super) fn change(
        &mut self,
        hit: &Counting,
        before: Option<Classed>,
        now: Classed,
        shadows: &[Shadow],
        mut state: Option<&mut MessageState>,
    ) {
        if before.map(|(facts, _)| facts) != Some(now.0) {
            if let Some((facts, _)) = before {
                self.count_evidence(hit, facts, -1);
            }
            self.count_evidence(hit, now.0, 1);
        }
        let class_before = before.map(|(_, class)| class);
        if class_before != Some(now.1) {
            if let Some(class) = class_before {
                self.count_sums(hit, Ledger::IN_FORCE, class, -1);
            }
            self.count_sums(hit, Ledger::IN_FORCE, now.1, 1);
            if let Some(state) = state.as_deref_mut() {
                let raw = i64::from(before.is_none());
                let human = people(now.1) - class_before.map_or(0, people);
                self.count_message(hit, state, shadows, |state| {
                    let entry = state.entry(hit.kind, hit.target.1);
                    entry.raw = entry.raw.saturating_add_signed(step(raw));
                    entry.human = entry.human.saturating_add_signed(step(human));
                });
            }
        }
        for shadow in shadows.iter().filter(|shadow| shadow.covers(hit)) {
            self.differ(hit, before, now, shadow, shadows, state.as_deref_mut());
        }
    }

    /// Counts a hit for a rule set in shadow by what its class differs from the one in force, now
    /// and, if it was counted for it, before.
    pub(super) fn differ(
        &mut self,
        hit: &Counting,
        before: Option<Classed>,
        now: Classed,
        shadow: &Shadow,
        shadows: &[Shadow],
        state: Option<&mut MessageState>,
    ) {
        if !hit.has_facts {
            return;
        }
        let mut human = 0;
        let terms = before
            .map(|before| (before, -1))
            .into_iter()
            .chain([(now, 1)]);
        for ((facts, in_force), by) in terms {
            let class = shadow.class(hit.kind, facts);
            if class != in_force {
                self.count_sums(hit, shadow.ledger, in_force, -by);
                self.count_sums(hit, shadow.ledger, class, by);
                human += by * (people(class) - people(in_force));
            }
        }
        if let Some(state) = state.filter(|_| human != 0) {
            self.count_message(hit, state, shadows, |state| {
                let entry = state.shadow(shadow.ledger, hit.kind, hit.target.1);
                entry.human = entry.human.saturating_add(step(human));
            });
        }
    }

    fn count_sums(&mut self, hit: &Counting, ledger: Ledger, class: Class, by: i64) {
        // 0 is all time; a clock of 1970 must not count twice there.
        let cell = Some(hit.at.cell()).filter(|cell| *cell != Micros::default());
        for cell in std::iter::once(Micros::default()).chain(cell) {
            let key = SumKey {
                ledger,
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
    }

    /// Changes the counts of a message, and with them how many there are.
    fn count_message(
        &mut self,
        hit: &Counting,
        state: &mut MessageState,
        shadows: &[Shadow],
        change: impl FnOnce(&mut MessageState),
    ) {
        let (campaign, link) = hit.target;
        let lacks = |state: &MessageState| -> Vec<_> {
            let ledgers = shadows.iter().map(|shadow| shadow.ledger);
            ledgers
                .map(|ledger| (ledger, lacks(state, ledger, hit.kind, link)))
                .collect()
        };
        let (before, lacked) = (seen(state, hit.kind, link), lacks(state));
        change(state);
        let (after, lacking) = (seen(state, hit.kind, link), lacks(state));
        let mut add = |ledger, before: [(i64, i64); 2], after: [(i64, i64); 2]| {
            let keys = [Some(link), None];
            for ((link, before), after) in keys.into_iter().zip(before).zip(after) {
                let change = (after.0 - before.0, after.1 - before.1);
                if change != (0, 0) {
                    let key = UniqueKey {
                        ledger,
                        campaign,
                        kind: hit.kind,
                        link,
                    };
                    let unique = self.uniques.entry(key).or_default();
                    *unique = (unique.0 + change.0, unique.1 + change.1);
                }
            }
        };
        add(Ledger::IN_FORCE, before, after);
        for ((ledger, before), (_, after)) in lacked.into_iter().zip(lacking) {
            add(ledger, before, after);
        }
    }

    /// Counts a hit in, or (`by` = -1) out, where its facts say whose it is.
    fn count_evidence(&mut self, hit: &Counting, facts: Facts, by: i64) {
        if judge::is_evident(facts) {
            let key = EvidenceKey {
                week: hit.at.week(),
                kind: hit.kind,
                facts,
            };
            *self.evidence.entry(key).or_default() += by;
        }
    }

    /// Puts what changed among what is written; in one order everywhere, or two settlers could wait
    /// for each other.
    pub(super) fn write(self, out: &mut Ingest) {
        let moved = |(_, sums): &(SumKey, StoredSums)| *sums != StoredSums::default();
        let changed = |(_, by): &(UniqueKey, (i64, i64))| *by != (0, 0);
        out.sums = self.sums.into_iter().filter(moved).collect();
        out.sums.sort_unstable_by_key(|(key, _)| *key);
        out.uniques = self.uniques.into_iter().filter(changed).collect();
        out.uniques.sort_unstable_by_key(|(key, _)| *key);
        let counted = self.evidence.into_iter();
        out.evidence = counted.filter(|(_, by)| *by != 0).collect();
    }
}

fn people(class: Class) -> i64 {
    i64::from(class.is_human())
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

/// What unique counts of a ledger are to have added, to be its own: on one link, and on any.
fn lacks(state: &MessageState, ledger: Ledger, kind: HitKind, link: u32) -> [(i64, i64); 2] {
    let own: Vec<_> = state
        .shadows
        .iter()
        .filter(|own| own.ledger == ledger)
        .collect();
    if own.is_empty() {
        return [(0, 0); 2];
    }
    let human = |entry: &LinkCounts| {
        let own = own
            .iter()
            .find(|own| (own.kind, own.link) == (kind, entry.link));
        i64::from(entry.human) + own.map_or(0, |own| i64::from(own.human))
    };
    let of_kind = || state.counts.iter().filter(|entry| entry.kind == kind);
    let on_link = of_kind().any(|entry| entry.link == link && human(entry) > 0);
    let on_any = of_kind().any(|entry| human(entry) > 0);
    let [(_, in_force_on_link), (_, in_force_on_any)] = seen(state, kind, link);
    [
        (0, i64::from(on_link) - in_force_on_link),
        (0, i64::from(on_any) - in_force_on_any),
    ]
}
