//! History judged again while that is struck in the middle.

use std::collections::BTreeMap;

use super::*;
use crate::domain::judgement::RejudgeMode;
use crate::judge::RuleSets;
use crate::store::RuleSetRow;

/// By which every hit is a machine's, whatever else holds.
pub(super) fn stern() -> RuleSet {
    let shipped = RuleSet::shipped().unwrap();
    let prior = "open = -2.0\nclick = -2.0";
    let stern = shipped.text().replace(prior, "open = 30\nclick = 30");
    RuleSet::parse(&stern.replace("\"default\"", "\"stern\"")).unwrap()
}

/// A rule set as it is stored.
pub(super) fn row_of(rules: &RuleSet, now: Micros) -> RuleSetRow {
    RuleSetRow {
        id: rules.id(),
        name: rules.name().to_owned(),
        version: rules.version(),
        text: rules.text().to_owned(),
        created_at: now,
    }
}

pub(super) async fn keep(store: &Store, row: &RuleSetRow) {
    store.keep_ruleset(row).await.unwrap();
}

/// What is judged again, once everything is settled; struck in the middle or not.
async fn rejudged(strike: Option<Strike>) -> Accounts {
    let mut world = World::new(WINDOW_HITS_MAX).await;
    world.settle(None).await;
    let (now, stern) = (Micros::new(START + 7_200 * SECOND), Arc::new(stern()));
    let row = row_of(&stern, now);
    keep(&world.store, &row).await;
    let used = world.store.use_ruleset(row.id, false, 0, now).await;
    assert!(used.unwrap(), "nothing was live");
    let begun = world
        .store
        .begin_rejudgement(row.id, RejudgeMode::InForce, None, now);
    let id = begun.await.unwrap();
    let known = RuleSets::new(stern, []);
    for turn in 1..TURNS_MAX {
        world.attempt(None, turn, now).await;
        let polls = world.let_happen(strike, turn).await;
        let done = within(polls, world.settler.rejudge(&world.store, &known, 0, now)).await;
        world.befell(strike, done.is_none()).await;
        let now = world.store.rejudgement(id).await.unwrap().unwrap();
        if now.ended_at.is_some() {
            assert_eq!(now.hits, u64::from(HITS), "each is looked at once");
            return world.accounts().await;
        }
    }
    panic!("{strike:?}: it does not come to an end");
}

#[tokio::test]
async fn what_is_judged_again_is_counted_once_whatever_befalls_it() {
    let undisturbed = rejudged(None).await;
    let hits = undisturbed.hits.iter();
    assert!(
        hits.clone()
            .all(|stored| !stored.hit.verdict.class.is_human())
    );
    assert!(
        undisturbed
            .uniques
            .iter()
            .all(|row| row.human == 0 && row.raw > 0)
    );
    let mut classes: BTreeMap<_, i64> = BTreeMap::new();
    for stored in hits {
        *classes.entry(stored.hit.verdict.class.code()).or_default() += 1;
    }
    for row in undisturbed.sums.iter().flatten() {
        *classes.entry(row.class.code()).or_default() -= row.hits;
    }
    assert!(classes.values().all(|left| *left == 0), "{classes:?}");
    for strike in STRIKES {
        assert_eq!(rejudged(Some(strike)).await, undisturbed, "{strike:?}");
    }
}
