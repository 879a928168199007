//! What is news of a hit that has settled, and what is none.

use super::rejudged::stern;
use super::replayed::{Made, Side, hits, journal_in, keep};
use super::*;
use crate::domain::judgement::Class;

/// Places in what [`hits`] knows of facts.
const NOTHING: usize = 0;
const HONEYPOT: usize = 3;
const PRESSED: usize = 6;

/// A hit on a link of the first message, from one source or another, so many seconds after the one
/// before.
fn after(seconds: i64, link: u32, source: u8, facts: usize) -> Made {
    (
        seconds * SECOND,
        0,
        link,
        source,
        u64::from(source) + 1,
        facts,
    )
}

/// Each in turn is kept, and settled some minutes later.
async fn come(side: &mut Side, journal: &Arc<Journal>, made: &[Made], behind: usize) {
    for hit in &hits(made)[behind..] {
        keep(journal, hit);
        side.settle(hit.at.plus(SECOND)).await;
        side.settle(hit.at.plus(300 * SECOND)).await;
    }
}

async fn stored(side: &Side) -> Vec<StoredHit> {
    let all = EventFilter {
        limit: 100,
        ..EventFilter::default()
    };
    side.store.events(&all).await.unwrap()
}

fn people(stored: &[StoredHit]) -> usize {
    let classes = stored.iter().map(|it| it.hit.verdict.class);
    classes.filter(|class| *class == Class::Human).count()
}

#[tokio::test]
async fn other_windows_change_nothing_that_has_settled_until_something_new_comes() {
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = Side::of(&journal).await;
    let mut made: Vec<_> = (1..6).map(|link| after(400, link, 0, NOTHING)).collect();
    come(&mut side, &journal, &made, 0).await;
    assert_eq!(people(&stored(&side).await), 5);
    // By this one it is as if they had come at once.
    let rules = RuleSet::shipped().unwrap();
    let wide = rules
        .text()
        .replace("rapid_seconds = 5", "rapid_seconds = 3600");
    let wide = Arc::new(RuleSet::parse(&wide.replace("\"default\"", "\"wide\"")).unwrap());
    side.settler.judge_by(wide, SettleOptions::default().window);
    made.push(after(400, 0, 1, NOTHING));
    come(&mut side, &journal, &made, 5).await;
    assert_eq!(
        people(&stored(&side).await),
        6,
        "another's open says nothing of them"
    );
    made.push(after(400, 5, 0, HONEYPOT));
    come(&mut side, &journal, &made, 6).await;
    let now = stored(&side).await;
    assert_eq!(
        people(&now),
        1,
        "their source followed a link that nobody sees"
    );
    side.accounts().await;
}

#[tokio::test]
async fn evidence_that_comes_late_is_counted_though_the_class_stays() {
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = Side::of(&journal).await;
    let made = [after(400, 1, 0, NOTHING), after(3_600, 1, 0, PRESSED)];
    come(&mut side, &journal, &made, 0).await;
    let pressed = by_name("near.pressed").unwrap().bit;
    let stored = stored(&side).await;
    assert_eq!((stored.len(), people(&stored)), (2, 2));
    assert!(stored.iter().all(|it| it.hit.facts.has(pressed)));
    // Those of the rows are those that are counted.
    side.accounts().await;
}

#[tokio::test]
async fn what_comes_late_is_judged_by_what_is_live_when_it_closes() {
    let own = tempfile::tempdir().unwrap();
    let journal = journal_in(&own);
    let mut side = Side::of(&journal).await;
    let made = [after(4_000, 1, 0, NOTHING), after(10, 1, 1, NOTHING)];
    let [late, first] = hits(&made).try_into().unwrap();
    keep(&journal, &first);
    let now = first.at.plus(3_600 * SECOND);
    side.settle(now).await;
    // Older than what has closed, and written in a round that does not close it.
    keep(&journal, &late);
    let written = side.settler.round(&side.store, now).await.unwrap();
    assert_eq!((written.written, written.settled), (1, 0));
    side.settler
        .judge_by(Arc::new(stern()), SettleOptions::default().window);
    side.settle(now.plus(3_600 * SECOND)).await;
    let stored = stored(&side).await;
    let classes = stored
        .iter()
        .map(|it| (it.hit.at, it.hit.verdict.class.is_human()));
    let classes: Vec<_> = classes.collect();
    assert!(classes.contains(&(first.at, true)), "{classes:?}");
    assert!(classes.contains(&(late.at, false)), "{classes:?}");
}
