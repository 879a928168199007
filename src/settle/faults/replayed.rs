//! A journal that is settled as its hits come, and once more as a whole into an empty store; and
//! one whose clock jumps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::hit::Method;
use crate::domain::judgement::{Class, Facts};
use crate::domain::network::NetworkFacts;
use crate::judge;
use crate::store::EvidenceKey;

/// What a hit is made of: the time since the one before, message, link, network, agent, and what
/// was observed.
pub(super) type Made = (i64, u32, u32, u8, u64, usize);

/// Some that come together, some an hour later.
pub(super) fn made() -> impl Strategy<Value = Vec<Made>> {
    let gap = prop_oneof![
        0..3 * SECOND,
        20 * SECOND..90 * SECOND,
        Just(3_600 * SECOND)
    ];
    let one = (gap, 0..4_u32, 0..6_u32, 0..3_u8, 1..4_u64, 0..7_usize);
    prop::collection::vec(one, 1..40)
}

pub(super) fn hits(made: &[Made]) -> Vec<Hit> {
    let rules = RuleSet::shipped().unwrap();
    let observed = [
        Facts::NONE,
        by_name("hdr.hint_version").unwrap().fact(),
        by_name("ua.mail_client").unwrap().fact(),
        by_name("token.honeypot").unwrap().fact(),
        by_name("net.hosting").unwrap().fact(),
        by_name("method.head").unwrap().fact(),
        by_name("press.passed").unwrap().fact(),
    ];
    let mut at = Micros::new(START);
    let hit = |(n, (gap, of, link, network, agent, facts)): (usize, &Made)| {
        at = at.plus(*gap);
        let facts = observed[*facts];
        let kind = if *link == 0 {
            HitKind::Open
        } else {
            HitKind::Click
        };
        Hit {
            at,
            target: Target::Campaign(message(0).campaign, *link),
            message: Some((message(*of), RecipientKey::NONE)),
            address: Some(format!("198.51.{network}.7").parse().unwrap()),
            agent: *agent,
            facts,
            network: NetworkFacts::default(),
            kind,
            method: Method::Get,
            honeypot: facts.has(by_name("token.honeypot").unwrap().bit),
            verdict: judge::judge(&rules, kind, facts),
            ruleset: rules.id(),
            ..hit(u32::try_from(n).unwrap())
        }
    };
    made.iter().enumerate().map(hit).collect()
}

/// A store, and who settles a journal into it.
pub(super) struct Side {
    pub(super) own: TempDir,
    pub(super) settler: Settler,
    pub(super) store: Store,
}

impl Side {
    pub(super) async fn of(journal: &Arc<Journal>) -> Self {
        let own = tempfile::tempdir().unwrap();
        Self {
            settler: settler(&own, journal, WINDOW_HITS_MAX),
            store: store(&own).await,
            own,
        }
    }

    pub(super) async fn settle(&mut self, now: Micros) {
        self.settler.turn_day_keys(now);
        loop {
            let done = self.settler.round(&self.store, now).await.unwrap();
            // The round that writes a hit does not close its window, however old.
            if !done.more && done.records == 0 && done.settled == 0 {
                return;
            }
        }
    }

    /// Class of each hit in the end, sums and unique counts. What is counted as evidence is in the
    /// rows.
    pub(super) async fn accounts(&self) -> (Vec<Class>, Vec<SumRow>, Vec<UniqueRow>) {
        let store = &store(&self.own).await;
        let all = EventFilter {
            limit: 1_000,
            ..EventFilter::default()
        };
        let events = store.events(&all).await.unwrap();
        assert!(events.iter().all(|stored| stored.settled));
        let mut evident: BTreeMap<_, u64> = BTreeMap::new();
        let in_rows = events.iter().filter(|it| judge::is_evident(it.hit.facts));
        for StoredHit { hit, .. } in in_rows {
            let key = EvidenceKey {
                week: hit.at.week(),
                kind: hit.kind,
                facts: hit.facts,
            };
            *evident.entry(key).or_default() += 1;
        }
        let counted = store.evidence(Micros::default()).await.unwrap();
        assert_eq!(counted.into_iter().collect::<BTreeMap<_, _>>(), evident);
        let classes = events.iter().map(|stored| stored.hit.verdict.class);
        let counts = store.counts(Ledger::IN_FORCE, 1).await.unwrap();
        let (mut sums, mut uniques) = (counts.sums, counts.uniques);
        sums.retain(|row| row.hits != 0);
        uniques.retain(|row| row.raw != 0);
        (classes.collect(), sums, uniques)
    }
}

pub(super) fn journal_in(own: &TempDir) -> Arc<Journal> {
    Journal::open(own.path(), JournalOptions::default()).unwrap()
}

pub(super) fn keep(journal: &Arc<Journal>, hit: &Hit) {
    let mut keeper = journal.keeper().unwrap();
    keeper.keep(hit, &|_| b"Mozilla/5.0".to_vec()).unwrap();
    drop(keeper);
    journal.drainer().run(&|| true);
    journal.syncer().run(&|| true);
}

pub(super) fn on_one_thread(
    work: impl Future<Output = Result<(), TestCaseError>>,
) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Within a day nothing is forgotten: judged again from the journal, every hit comes to the
    /// class that it has.
    #[test]
    fn a_replay_comes_to_the_same_classes_and_sums(made in made()) {
        on_one_thread(async {
            let own = tempfile::tempdir().unwrap();
            let journal = journal_in(&own);
            let mut at_once = Side::of(&journal).await;
            let hits = hits(&made);
            for hit in &hits {
                at_once.settle(hit.at).await;
                keep(&journal, hit);
                at_once.settle(hit.at.plus(SECOND)).await;
            }
            let end = hits.last().unwrap().at.plus(7_200 * SECOND);
            at_once.settle(end).await;
            let mut replayed = Side::of(&journal).await;
            replayed.settle(end).await;
            prop_assert_eq!(replayed.accounts().await, at_once.accounts().await);
            Ok(())
        })?;
    }

    /// A clock that is set back or forward by up to a day, between two hits or two rounds.
    #[test]
    fn a_clock_that_jumps_loses_nothing_and_counts_nothing_twice(
        made in made(),
        jumps in prop::collection::vec(-86_400..86_400_i64, 40),
    ) {
        on_one_thread(async {
            let own = tempfile::tempdir().unwrap();
            let journal = journal_in(&own);
            let mut side = Side::of(&journal).await;
            let mut hits = hits(&made);
            for (hit, jump) in hits.iter_mut().zip(&jumps) {
                // Every third.
                if jump % 3 == 0 {
                    hit.at = hit.at.plus(jump * SECOND);
                }
                keep(&journal, hit);
                side.settle(hit.at.plus(jump * SECOND / 2)).await;
            }
            let end = hits.iter().map(|hit| hit.at).max().unwrap();
            side.settle(end.plus(4 * 86_400 * SECOND)).await;
            let (classes, sums, uniques) = side.accounts().await;
            prop_assert_eq!(classes.len(), hits.len());
            let mut left: BTreeMap<_, i64> = BTreeMap::new();
            for class in &classes {
                *left.entry(class.code()).or_default() += 1;
            }
            for row in &sums {
                *left.entry(row.class.code()).or_default() -= row.hits;
            }
            prop_assert!(left.values().all(|hits| *hits == 0), "{:?}", left);
            let counted = hits.iter().filter(|hit| hit.counts());
            let counted = counted.filter_map(|hit| Some((hit.kind.code(), hit.message?.0)));
            let counted: BTreeSet<_> = counted.collect();
            let opens_and_clicks = uniques.iter().filter(|row| row.link.is_none());
            let raw: i64 = opens_and_clicks.map(|row| row.raw).sum();
            prop_assert_eq!(raw, i64::try_from(counted.len()).unwrap());
            Ok(())
        })?;
    }
}
