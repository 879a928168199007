//! A rule set in shadow, begun at any moment and struck in the middle: what is counted for it is
//! what its judgements of the rows come to.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rejudged::{keep, row_of, stern};
use super::replayed::{Side, hits, journal_in, keep as append, made, on_one_thread};
use super::*;
use crate::domain::hit::Method;
use crate::domain::judgement::{Class, RejudgeMode};
use crate::judge::{self, RuleSets};
use crate::store::{StoredSums, SumKey};

/// A hit that is counted for this ledger.
fn late(ledger: Ledger) -> Ingest {
    let key = SumKey {
        ledger,
        target: (1, 1),
        cell: Micros::default(),
        kind: HitKind::Click,
        class: Class::Human,
        method: Method::Head,
        counted: true,
    };
    let sums = StoredSums {
        hits: 1,
        anonymous: 0,
    };
    Ingest {
        sums: vec![(key, sums)],
        ..Ingest::default()
    }
}

/// Says of some machines that they are people, and of some people that they are machines.
fn other() -> RuleSet {
    let mut text = RuleSet::shipped().unwrap().text().to_owned();
    for (of, by) in [
        (
            "\"net.hosting\" = { open = 0.0, click = 1.2 }",
            "\"net.hosting\" = 9.0",
        ),
        ("\"hdr.hint_version\" = 3.0", "\"hdr.hint_version\" = -3.0"),
        ("\"method.head\" = 6.0", "\"method.head\" = 0.0"),
    ] {
        text = text.replace(of, by);
    }
    RuleSet::parse(&text.replace("\"default\"", "\"other\"")).unwrap()
}

/// Sums and unique counts that there are.
type Counts = (
    BTreeMap<(u8, u32, u8, bool), i64>,
    BTreeMap<(u8, Option<u32>), (i64, i64)>,
);

/// What is counted for a ledger, over all campaigns of the test.
async fn counted(store: &Store, ledger: Ledger) -> Counts {
    let mut sums = BTreeMap::new();
    for campaign in [0, 1] {
        for row in store.counts(ledger, campaign).await.unwrap().sums {
            let key = (row.kind.code(), row.link, row.class.code(), row.counted);
            *sums.entry(key).or_default() += row.hits;
        }
    }
    sums.retain(|_, hits| *hits != 0);
    let uniques = store.counts(ledger, 1).await.unwrap().uniques.into_iter();
    let mut uniques: BTreeMap<_, _> = uniques
        .map(|row| ((row.kind.code(), row.link), (row.raw, row.human)))
        .collect();
    uniques.retain(|_, counts| *counts != (0, 0));
    (sums, uniques)
}

/// What a rule set's judgements of the rows come to.
async fn of_rows(store: &Store, rules: &RuleSet) -> Counts {
    let all = EventFilter {
        limit: 10_000,
        ..EventFilter::default()
    };
    let (mut sums, mut seen) = (BTreeMap::new(), BTreeMap::new());
    for StoredHit { hit, .. } in store.events(&all).await.unwrap() {
        let class = judge::judge(rules, hit.kind, hit.facts).class;
        let (_, link) = hit.target.numbers();
        let kind = hit.kind.code();
        *sums
            .entry((kind, link, class.code(), hit.counts()))
            .or_default() += 1;
        if let Some((id, _)) = hit.message.filter(|_| hit.counts()) {
            for link in [Some(link), None] {
                let human: &mut bool = seen.entry((kind, link, id)).or_default();
                *human |= class.is_human();
            }
        }
    }
    let mut uniques: BTreeMap<_, (i64, i64)> = BTreeMap::new();
    for ((kind, link, _), human) in seen {
        let counts = uniques.entry((kind, link)).or_default();
        *counts = (counts.0 + 1, counts.1 + i64::from(human));
    }
    (sums, uniques)
}

async fn put_in_shadow(store: &Store, rules: &RuleSet, now: Micros) -> Ledger {
    keep(store, &row_of(rules, now)).await;
    let id = store.begin_shadow(rules.id(), 2, now).await.unwrap();
    Ledger(u32::try_from(id).unwrap())
}

/// Begun over a history, a part of which is still open; struck in the middle or not.
async fn shadowed(strike: Option<Strike>) -> (Counts, Counts) {
    let mut world = World::new(WINDOW_HITS_MAX).await;
    let (first, rules) = (Micros::new(START + 60 * SECOND), Arc::new(stern()));
    world.settler.turn_day_keys(first);
    world.round(None, first).await;
    let ledger = put_in_shadow(&world.store, &rules, first).await;
    let known = RuleSets::new(Arc::clone(&rules), []);
    let last = Micros::new(START + 7_200 * SECOND);
    for turn in 1..TURNS_MAX {
        let settled = world.attempt(strike, turn, last).await;
        let polls = world.let_happen(strike, turn).await;
        let looked = world.settler.rejudge(&world.store, &known, 0, last);
        let looked = within(polls, looked).await;
        world.befell(strike, looked.is_none()).await;
        let idle = settled.is_some_and(|it| !it.more && it.settled == 0 && it.records == 0);
        if idle && matches!(looked, Some(Ok(None))) {
            let store = store(&world.own).await;
            let counts = counted(&store, ledger).await;
            assert_ne!(
                counts,
                counted(&store, Ledger::IN_FORCE).await,
                "it says the same"
            );
            return (counts, of_rows(&store, &rules).await);
        }
    }
    panic!("{strike:?}: it does not come to an end");
}

#[tokio::test]
async fn what_a_shadow_counts_is_counted_once_whatever_befalls_it() {
    for strike in std::iter::once(None).chain(STRIKES.map(Some)) {
        let (counted, of_rows) = shadowed(strike).await;
        assert_eq!(counted, of_rows, "{strike:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whenever it is begun, with hits and windows between its pages, two at once, and what is in
    /// force judged again beside it.
    #[test]
    fn a_shadow_counts_what_its_judgements_of_the_rows_come_to(
        made in made(),
        begins in 0..40_usize,
        turns in prop::collection::vec(0..5_u8, 40),
    ) {
        on_one_thread(async {
            let own = tempfile::tempdir().unwrap();
            let journal = journal_in(&own);
            let mut side = Side::of(&journal).await;
            let both = [Arc::new(other()), Arc::new(stern())];
            let mut known = RuleSets::new(Arc::clone(&both[1]), [Arc::clone(&both[0])]);
            let mut ledgers = Vec::new();
            let hits = hits(&made);
            for (n, hit) in hits.iter().enumerate() {
                if n == begins.min(hits.len() - 1) {
                    for rules in &both {
                        ledgers.push(put_in_shadow(&side.store, rules, hit.at).await);
                    }
                }
                append(&journal, hit);
                match turns[n] {
                    0 => {}
                    1 => side.settle(hit.at.plus(90 * SECOND)).await,
                    2 => drop(side.settler.rejudge(&side.store, &known, 3, hit.at).await.unwrap()),
                    3 => side.settler = settler(&side.own, &journal, WINDOW_HITS_MAX),
                    _ => drop(side.settler.round(&side.store, hit.at).await.unwrap()),
                }
            }
            let end = hits.last().unwrap().at.plus(7_200 * SECOND);
            side.settle(end).await;
            while side.settler.rejudge(&side.store, &known, 2, end).await.unwrap().is_some() {}
            for (ledger, rules) in ledgers.iter().zip(&both) {
                let counted = counted(&side.store, *ledger).await;
                prop_assert_eq!(counted, of_rows(&side.store, rules).await);
            }
            // What is in force is judged again beside it: no difference is left to the one.
            let used = side.store.use_ruleset(both[0].id(), false, 0, end).await.unwrap();
            prop_assert!(used);
            known = RuleSets::new(Arc::clone(&both[0]), [Arc::clone(&both[1])]);
            let mode = RejudgeMode::InForce;
            side.store.begin_rejudgement(both[0].id(), mode, None, end).await.unwrap();
            while side.settler.rejudge(&side.store, &known, 2, end).await.unwrap().is_some() {}
            for (ledger, rules) in ledgers.iter().zip(&both) {
                let counted = counted(&side.store, *ledger).await;
                prop_assert_eq!(counted, of_rows(&side.store, rules).await);
            }
            prop_assert_eq!(
                counted(&side.store, Ledger::IN_FORCE).await,
                counted(&side.store, ledgers[0]).await
            );
            // Nothing is left of one that is ended.
            let ended = i64::from(ledgers[1].0);
            side.store.end_rejudgement(ended, end).await.unwrap();
            side.settler.rejudge(&side.store, &known, 0, end).await.unwrap();
            let in_force = counted(&side.store, Ledger::IN_FORCE).await;
            prop_assert_eq!(&counted(&side.store, ledgers[1]).await, &in_force);
            // And of what somebody counted who had not heard of that, not for long.
            side.store.ingest(&late(ledgers[1])).await.unwrap();
            prop_assert_ne!(&counted(&side.store, ledgers[1]).await, &in_force);
            let later = end.plus(61 * SECOND);
            for now in [end, end, later] {
                side.settler.rejudge(&side.store, &known, 0, now).await.unwrap();
            }
            prop_assert_eq!(&counted(&side.store, ledgers[1]).await, &in_force);
            Ok(())
        })?;
    }
}
