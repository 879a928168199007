//! Sources that go through message after message, and what that says of their other hits.

use super::replayed::{Made, Side, hits, journal_in, keep, made, on_one_thread};
use super::*;
use crate::domain::campaign::{LinkKind, TenantId};
use crate::domain::destination::Destination;
use crate::judge::signals::SWEPT;
use crate::store::NewLink;
use proptest::prelude::*;

const LINKS: u32 = 5;
const MINUTE: i64 = 60 * SECOND;
/// Networks and agents.
const GATE: (u8, u64) = (0, 1);
const OTHERS: [(u8, u64); 2] = [(1, 1), (0, 2)];
/// The place of it in what [`hits`] knows of facts.
const HOSTING: usize = 4;

/// All links of a message behind the first, a second apart.
fn sweep(gap: i64, message: u32) -> impl Iterator<Item = Made> {
    let one = move |link| {
        let gap = if link == 1 { gap } else { SECOND };
        (gap, message + 1, link, GATE.0, GATE.1, 0)
    };
    (1..=LINKS).map(one)
}

/// A link of the first message, from the gateway and from two who share one thing with it.
fn clicks(gap: i64) -> impl Iterator<Item = Made> {
    let sources = [GATE].into_iter().chain(OTHERS);
    (0..).zip(sources).map(move |(at, (network, agent))| {
        let gap = if at == 0 { gap } else { SECOND };
        (gap, 0, 1, network, agent, HOSTING)
    })
}

/// A side of which the campaign has so many links.
async fn side(journal: &Arc<Journal>) -> Side {
    let side = Side::of(journal).await;
    let home = Destination::parse("https://shop.example/").unwrap();
    let now = Micros::new(START);
    let campaign = side.store.create_campaign(TenantId::FIRST, "c", &home, now);
    let campaign = campaign.await.unwrap().id;
    let link = |number: u32| NewLink {
        kind: LinkKind::Content,
        action: None,
        destination: Destination::parse(&format!("https://shop.example/{number}")).unwrap(),
        label: None,
    };
    let links: Vec<_> = (1..=LINKS).map(link).collect();
    let registered = side.store.register_links(campaign, &links, now).await;
    assert_eq!(registered.unwrap().len(), links.len());
    side
}

/// Of each hit, in order, whether its source is said to have swept others, and whether it is a
/// person's.
async fn said(side: &Side) -> Vec<(bool, bool)> {
    let all = EventFilter {
        limit: 1_000,
        ..EventFilter::default()
    };
    let mut stored = side.store.events(&all).await.unwrap();
    stored.sort_by_key(|stored| stored.sequence);
    let said = stored.iter().map(|StoredHit { hit, .. }| {
        let swept = hit.facts.bits() & SWEPT.bits() != 0;
        (swept, hit.verdict.class.is_human())
    });
    said.collect()
}

/// What is said of hits that are read as they come, settled by another process after so many.
async fn one_by_one(made: &[Made], another: Option<usize>) -> Vec<(bool, bool)> {
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = side(&journal).await;
    for (at, hit) in hits(made).iter().enumerate() {
        if another == Some(at) {
            side.settler = settler(&side.own, &journal, WINDOW_HITS_MAX);
            side.store = store(&side.own).await;
        }
        side.settle(hit.at).await;
        keep(&journal, hit);
        side.settle(hit.at.plus(SECOND)).await;
    }
    let last = hits(made).last().unwrap().at;
    side.settle(last.plus(3_600 * SECOND)).await;
    side.accounts().await;
    said(&side).await
}

/// And of hits that are all there when settling begins: so few that one round writes them all. The
/// last windows close with the others, or later.
async fn at_once(made: &[Made], later: bool) -> Vec<(bool, bool)> {
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = side(&journal).await;
    let hits = hits(made);
    let mut keeper = journal.keeper().unwrap();
    for hit in &hits {
        keeper.keep(hit, &|_| b"Mozilla/5.0".to_vec()).unwrap();
    }
    drop(keeper);
    journal.drainer().run(&|| true);
    journal.syncer().run(&|| true);
    let last = hits.last().unwrap().at;
    if later {
        side.settle(last.plus(SECOND)).await;
    }
    side.settle(last.plus(3_600 * SECOND)).await;
    side.accounts().await;
    said(&side).await
}

#[tokio::test]
async fn who_swept_three_messages_is_known_on_the_next_by_its_network_and_agent() {
    let swept = (0..3).flat_map(|message| sweep(20 * MINUTE, message));
    let made: Vec<_> = swept.chain(clicks(11 * MINUTE)).collect();
    let all = one_by_one(&made, None).await;
    // In a cloud: it is not a person's any more.
    assert_eq!(all[15..], [(true, false), (false, true), (false, true)]);
    for later in [false, true] {
        assert_eq!(at_once(&made, later).await, all, "later {later}");
    }
    assert_eq!(one_by_one(&made, Some(15)).await, all, "another process");
}

#[tokio::test]
async fn two_messages_or_sweeps_of_a_moment_ago_or_links_that_are_left_out_say_nothing() {
    let sweeps = |messages, gap| (0..messages).flat_map(move |message| sweep(gap, message));
    let two: Vec<_> = sweeps(2, MINUTE).chain(clicks(60 * MINUTE)).collect();
    let just_now: Vec<_> = sweeps(3, MINUTE).chain(clicks(9 * MINUTE)).collect();
    let of_days_before: Vec<_> = sweeps(3, MINUTE).chain(clicks(48 * 60 * MINUTE)).collect();
    // A reader of an office follows four of five links.
    let readers = sweeps(3, 20 * MINUTE).filter(|(_, _, link, ..)| *link < LINKS);
    let readers: Vec<_> = readers.chain(clicks(60 * MINUTE)).collect();
    for made in [two, just_now, of_days_before, readers] {
        let all = one_by_one(&made, None).await;
        assert!(all.iter().all(|(swept, _)| !swept), "{made:?}");
        assert_eq!(at_once(&made, false).await, all);
    }
}

/// An edge whose clock is a year ahead says nothing of what its source sweeps now.
#[tokio::test]
async fn a_sweep_of_a_year_ahead_is_not_the_last_day() {
    let year = 365 * 24 * 60 * MINUTE;
    let swept = (0..3).flat_map(|message| sweep(20 * MINUTE, message));
    let made: Vec<_> = swept
        .chain(sweep(year, 5))
        .chain(clicks(20 * MINUTE - year))
        .collect();
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = side(&journal).await;
    let mut now = Micros::new(START);
    for hit in &hits(&made) {
        if hit.at < now.plus(year / 2) {
            now = hit.at.plus(SECOND);
        }
        keep(&journal, hit);
        side.settle(now).await;
    }
    side.settle(now.plus(3_600 * SECOND)).await;
    side.accounts().await;
    assert_eq!(
        said(&side).await[20..],
        [(true, false), (false, true), (false, true)]
    );
}

/// Sweeps among whatever else comes, an hour apart.
fn with_sweeps() -> impl Strategy<Value = Vec<Made>> {
    let swept = prop_oneof![Just(None), (0..3_u32).prop_map(Some)];
    prop::collection::vec((swept, made()), 2..6).prop_map(|parts| {
        let parts = parts.into_iter().flat_map(|(swept, made)| {
            let sweep = swept.into_iter().flat_map(|it| sweep(60 * MINUTE, it));
            sweep.chain(made.into_iter().take(6)).collect::<Vec<_>>()
        });
        parts.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_known_of_sources_does_not_depend_on_how_much_is_read_at_once(
        made in with_sweeps(),
        another in 0..40_usize,
        later in any::<bool>(),
    ) {
        on_one_thread(async {
            let all = one_by_one(&made, None).await;
            prop_assert_eq!(&at_once(&made, later).await, &all);
            prop_assert_eq!(&one_by_one(&made, Some(another)).await, &all);
            Ok(())
        })?;
    }
}
