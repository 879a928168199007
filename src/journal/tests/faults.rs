//! Crashes, power cuts, full disks and failing syncs in every order: what was answered is stored,
//! once. And the mistakes that these tests must catch.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::world::{Mistake, RINGS, Step, run};
use crate::journal::sabotage::{self, Sabotage};

const CASES: u32 = 2_000;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..RINGS, 1..12_u8).prop_map(|(worker, hits)| Step::Keep(worker, hits)),
        2 => Just(Step::Act),
        6 => Just(Step::Drain),
        6 => Just(Step::Sync),
        3 => Just(Step::Settle),
        1 => Just(Step::Expire),
        1 => any::<u64>().prop_map(Step::WriteBack),
        1 => Just(Step::FailSync),
        1 => any::<bool>().prop_map(Step::Full),
        2 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Cut),
        2 => Just(Step::Deliver),
        1 => any::<u64>().prop_map(Step::KillAtWipe),
        1 => (0..20_u8).prop_map(Step::HardStart),
    ];
    prop::collection::vec(step, 1..60)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        max_shrink_iters: 2_000,
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(cases)
    })
}

fn cases() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "./test --full asks for more")]
    let asked = std::env::var("CUPEL_FAULT_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

#[test]
fn what_was_answered_is_stored_once_whatever_fails() {
    let done = runner(cases()).run(&steps(), |steps| {
        run(&steps, Mistake::None).map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(why, steps)) = done {
        panic!("{why}\n{steps:#?}");
    }
    done.unwrap();
}

#[test]
fn every_mistake_is_caught() {
    let ours = [
        Mistake::SkipSync,
        Mistake::SkipDirectorySync,
        Mistake::AnswerBeforeKeeping,
        Mistake::PositionApart,
        Mistake::ExpireUnsettled,
    ];
    // That sums are looked at is held by damage.rs.
    let inside = [
        Sabotage::SyncAgain,
        Sabotage::NoBodySync,
        Sabotage::NoBodyDirectorySync,
    ];
    let inside = inside.map(|sabotage| (Mistake::None, Some(sabotage)));
    let ours = ours.map(|mistake| (mistake, None));
    for (mistake, sabotage) in ours.into_iter().chain(inside) {
        let mut runner = TestRunner::new(ProptestConfig {
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::with_cases(CASES)
        });
        let caught = runner.run(&steps(), |steps| {
            sabotage::with(sabotage, || run(&steps, mistake)).map_err(TestCaseError::fail)
        });
        assert!(caught.is_err(), "nobody noticed {mistake:?} {sabotage:?}");
    }
}
