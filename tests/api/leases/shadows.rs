//! A rule set in shadow that one settler has begun with and another goes on with.

use std::sync::Arc;

use cupel::domain::judgement::RejudgeMode;
use cupel::judge::{RuleSet, RuleSets};
use cupel::settle::SettleError;
use cupel::store::{RuleSetRow, StoreError};

use super::{Node, World, at, run};

/// By which every click is a machine's.
fn stern() -> RuleSet {
    let shipped = RuleSet::shipped().unwrap();
    let prior = "open = -2.0\nclick = -2.0";
    assert!(shipped.text().contains(prior));
    let stern = shipped.text().replace(prior, "open = 30\nclick = 30");
    RuleSet::parse(&stern.replace("\"default\"", "\"stern\"")).unwrap()
}

/// Hits that are counted for people and for machines, and messages for people, beside what is in
/// force.
fn counted(world: &World) -> String {
    world.sql(
        "SELECT sum(hits) FILTER (WHERE class = 1), sum(hits) FILTER (WHERE class <> 1),
            (SELECT human FROM uniques WHERE ruleset > 0 AND link < 0 AND kind = 2)
        FROM sums WHERE ruleset > 0 AND cell = 0",
    )
}

#[test]
fn what_is_counted_in_shadow_goes_on_with_whoever_takes_over() {
    run(async {
        let world = World::new().await;
        let (mut a, mut b) = (Node::new(true, true), Node::new(true, true));
        a.keep(&[(1, 1), (1, 2), (2, 3), (2, 1)]);
        a.settle(&world.store, 3).await;
        let stern = Arc::new(stern());
        let row = RuleSetRow {
            id: stern.id(),
            name: stern.name().to_owned(),
            version: stern.version(),
            text: stern.text().to_owned(),
            created_at: at(3),
        };
        world.store.keep_ruleset(&row).await.unwrap();
        let id = world.store.begin_shadow(row.id, 2, at(3)).await.unwrap();
        let known = RuleSets::new(stern, []);
        // Two of four hits, one at a time.
        for _ in 0..2 {
            let looked = a.settler.rejudge(&world.store, &known, 31, at(3)).await;
            assert_eq!(looked.unwrap().unwrap().hits, 1);
        }
        assert_eq!(counted(&world), "-2|2|-1", "the first message has another");
        // Another takes over, with hits behind and before where that is.
        world.leases_run_out();
        b.keep(&[(4, 1), (4, 4)]);
        b.settle(&world.store, 4).await;
        assert_eq!(world.counted(), "6|4|6|4|0");
        let late = a.settler.rejudge(&world.store, &known, 31, at(4)).await;
        let lost = matches!(late, Err(SettleError::Store(StoreError::LeaseLost)));
        assert!(lost, "{late:?}");
        while let Some(looked) = b
            .settler
            .rejudge(&world.store, &known, 31, at(4))
            .await
            .unwrap()
        {
            assert!(looked.hits <= 1);
        }
        assert_eq!(counted(&world), "-6|6|-4");
        let now = world.store.rejudgement(id).await.unwrap().unwrap();
        assert_eq!(
            (now.mode, now.done, now.hits),
            (RejudgeMode::Shadow, true, 6)
        );
        // What comes is counted at once, wherever it comes in.
        a.keep(&[(5, 5), (5, 1)]);
        a.settle(&world.store, 5).await;
        b.settle(&world.store, 5).await;
        assert_eq!(counted(&world), "-8|8|-5");
        // Nothing of one that has ended comes back by who has not heard of it.
        world.store.end_rejudgement(id, at(6)).await.unwrap();
        a.keep(&[(6, 6)]);
        a.settle(&world.store, 6).await;
        b.settle(&world.store, 6).await;
        b.settler
            .rejudge(&world.store, &known, 0, at(6))
            .await
            .unwrap();
        assert_eq!(counted(&world), "||");
    });
}
