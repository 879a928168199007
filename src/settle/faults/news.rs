//! What is news of a hit that has settled, and what is none.

use ipnet::IpNet;

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

fn network() -> Option<IpNet> {
    Some("192.0.2.0/24".parse().unwrap())
}

/// Numbers of the hits that something is said of now, and whether they are a person's.
fn said(offline: &mut Offline, now: Micros) -> Vec<(u64, bool)> {
    let said = offline.settle(now).into_iter();
    said.map(|it| (it.number, it.verdict.class.is_human()))
        .collect()
}

/// A scanner's five links, and an open by somebody else a day and an hour later.
fn sweep_and_open() -> Vec<Hit> {
    let mut made: Vec<_> = (1..6).map(|link| after(1, link, 0, NOTHING)).collect();
    made.push(after(25 * 3_600, 0, 1, NOTHING));
    hits(&made)
}

#[tokio::test]
async fn a_sweep_is_one_however_late_it_is_read_and_however_long_the_round_is() {
    for late in [false, true] {
        let own = tempfile::tempdir().unwrap();
        let journal = journal_in(&own);
        let mut side = Side::of(&journal).await;
        let hits = sweep_and_open();
        let (sweep, open) = hits.split_at(5);
        let end = open[0].at.plus(3_600 * SECOND);
        let (first, then) = if late { (open, sweep) } else { (sweep, open) };
        first.iter().for_each(|hit| keep(&journal, hit));
        if late {
            side.settle(end).await;
        }
        then.iter().for_each(|hit| keep(&journal, hit));
        side.settle(end).await;
        let stored = stored(&side).await;
        assert_eq!((stored.len(), people(&stored)), (6, 1), "late {late}");
        side.accounts().await;
    }
}

#[test]
fn what_has_settled_is_judged_anew_while_other_windows_are_held_open() {
    let made = [after(400, 1, 0, NOTHING), after(400, 2, 0, HONEYPOT)];
    let [click, honeypot] = hits(&made).try_into().unwrap();
    let mut offline = Offline::new(Arc::new(RuleSet::shipped().unwrap()));
    let number = offline.hit(click, network());
    assert_eq!(said(&mut offline, click.at), []);
    let settled = click.at.plus(300 * SECOND);
    assert_eq!(said(&mut offline, settled), [(number, true)]);
    offline.hit(honeypot, network());
    // An edge is heard that lags behind: nothing is due.
    assert_eq!(said(&mut offline, click.at), [(number, false)]);
}

#[test]
fn an_acceptance_that_is_heard_of_days_later_changes_nothing() {
    let other = (30 * 3_600 * SECOND, 1, 1, 0, 1, NOTHING);
    let [click, other] = hits(&[after(400, 1, 0, NOTHING), other])
        .try_into()
        .unwrap();
    for (late, expected) in [(false, vec![(1, false)]), (true, vec![])] {
        let mut offline = Offline::new(Arc::new(RuleSet::shipped().unwrap()));
        offline.hit(click, network());
        said(&mut offline, click.at);
        let mut now = click.at.plus(300 * SECOND);
        assert_eq!(said(&mut offline, now), [(1, true)]);
        if late {
            now = other.at.plus(300 * SECOND);
            offline.hit(other, network());
            said(&mut offline, other.at);
            assert_eq!(said(&mut offline, now), [(2, true)]);
        }
        // It had been followed before that.
        let (message, _) = click.message.unwrap();
        offline.accepted(message, click.at.plus(60 * SECOND));
        assert_eq!(said(&mut offline, now), expected, "late {late}");
    }
}
