//! Rounds that are struck in the middle, on a real journal and a real database: each hit is stored
//! and counted once all the same. And the mistake that these tests must catch.

mod news;
mod rejudged;
mod replayed;
mod shadowed;
mod swept;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tempfile::TempDir;

use super::*;
use crate::domain::act::Act;
use crate::domain::campaign::CampaignId;
use crate::domain::hit::{Answer, HitKind, Via};
use crate::domain::message::RecipientKey;
use crate::domain::record::{Hit, Target};
use crate::journal::{Accepted, EdgeId, JournalOptions, SideKind, Source, tests::hit};
use crate::judge::signals::by_name;
use crate::store::sabotage::{Fault, PositionApart};
use crate::store::{EventFilter, Place, StoredHit, SumRow, UniqueRow};

const HITS: u32 = 40;
const MESSAGES: u32 = 7;
/// So many that several transactions are needed.
const RECORDS_MAX: u32 = 25;
/// So few that most hits are read back.
const WINDOW_HITS_MAX: usize = 10;
const START: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;
/// Steps of SQLite's machine from one fault to the next: a prime, so that all places are hit.
const STEPS: u64 = 101;
const TURNS_MAX: u64 = 5_000;

/// What befalls a round: the first time at once, then later each time, until the round is done
/// before it comes.
#[derive(Clone, Copy, Debug)]
enum Strike {
    /// A statement ends in an error.
    Statement,
    /// A commit is refused.
    Commit,
    /// Nobody waits for the round any more, and the next begins.
    Dropped,
    /// So it was, and the process is gone: store and settler are made anew.
    Gone,
}

const STRIKES: [Strike; 4] = [
    Strike::Statement,
    Strike::Commit,
    Strike::Dropped,
    Strike::Gone,
];

fn message(number: u32) -> MessageId {
    MessageId {
        campaign: CampaignId::new(1).unwrap(),
        minted_at: 1_799_999_000,
        number,
    }
}

/// A click on one of three links, or on a short link, or an open; one a second.
fn one(n: u32) -> Hit {
    let (target, of) = match n % 8 {
        7 => (Target::Short(3), None),
        link => (
            Target::Campaign(message(0).campaign, link % 4),
            Some((message(n % MESSAGES), RecipientKey::NONE)),
        ),
    };
    let kind = match target {
        Target::Campaign(_, 0) => HitKind::Open,
        _ => HitKind::Click,
    };
    Hit {
        at: Micros::new(START + i64::from(n) * SECOND),
        target,
        message: of,
        agent: u64::from(n % 3),
        kind,
        ..hit(n)
    }
}

/// What the store says in the end. What differs from one world to the next is taken out.
#[derive(Debug, PartialEq)]
struct Accounts {
    hits: Vec<StoredHit>,
    sums: [Vec<SumRow>; 2],
    uniques: Vec<UniqueRow>,
    states: Vec<Option<MessageState>>,
}

struct World {
    own: TempDir,
    room: usize,
    journal: Arc<Journal>,
    settler: Settler,
    store: Store,
}

impl World {
    /// A journal with hits, an act and an acceptance; nothing is settled.
    async fn new(in_memory: usize) -> Self {
        let own = tempfile::tempdir().unwrap();
        let journal = Journal::open(own.path(), JournalOptions::default()).unwrap();
        let mut keeper = journal.keeper().unwrap();
        let text = |_: SideKind| b"Mozilla/5.0".to_vec();
        for n in 1..HITS {
            keeper.keep(&one(n), &text).unwrap();
        }
        let last = Hit {
            kind: HitKind::Unsubscribe,
            answer: Answer::Acted,
            ..one(HITS)
        };
        let act = Act {
            at: last.at,
            kind: last.kind,
            link: 0,
            message: message(5),
            recipient: RecipientKey::NONE,
            via: Some(Via::Page),
        };
        let accepted = (0..MESSAGES).map(|number| Accepted {
            at: Micros::new(START + i64::from(number) * SECOND),
            message: message(number),
        });
        let accepted: Vec<_> = accepted.collect();
        let room = journal.spool_room(2).unwrap();
        let received = room.spool(&Source::API, act.at, b"{}").unwrap();
        let moved = async {
            journal.drainer().run(&|| true);
            journal.syncer().run(&|| true);
        };
        let (acted, accepted, ()) = tokio::join!(
            journal.append_act(&act, Some(&last), &text),
            journal.append_delivery(&received, &accepted),
            moved
        );
        acted.and(accepted).unwrap();
        Self {
            settler: settler(&own, &journal, in_memory),
            store: store(&own).await,
            journal,
            own,
            room: in_memory,
        }
    }

    /// Settles everything and closes all windows.
    async fn settle(&mut self, strike: Option<Strike>) {
        for seconds in [60, 3_600] {
            let now = Micros::new(START + seconds * SECOND);
            self.settler.turn_day_keys(now);
            while self.round(strike, now).await.more {}
        }
    }

    /// One round, tried until what befalls it comes too late.
    async fn round(&mut self, strike: Option<Strike>, now: Micros) -> Progress {
        for turn in 1..TURNS_MAX {
            if let Some(done) = self.attempt(strike, turn, now).await {
                return done;
            }
        }
        panic!("{strike:?}: no round gets through");
    }

    /// One round with what befalls it, in its `turn`th place; `None` if that came to pass.
    async fn attempt(
        &mut self,
        strike: Option<Strike>,
        turn: u64,
        now: Micros,
    ) -> Option<Progress> {
        let polls = self.let_happen(strike, turn).await;
        let done = within(polls, self.settler.round(&self.store, now)).await;
        self.befell(strike, done.is_none()).await;
        match strike {
            None => done.map(Result::unwrap),
            Some(_) => done.and_then(Result::ok),
        }
    }

    /// Prepares what is to befall the next work in its `turn`th place; how often that is polled.
    async fn let_happen(&mut self, strike: Option<Strike>, turn: u64) -> u64 {
        let fault = match strike {
            Some(Strike::Statement) => Some(Fault::Step(turn * STEPS)),
            Some(Strike::Commit) => Some(Fault::Commit(turn)),
            _ => None,
        };
        if let Some(fault) = fault {
            self.store.let_fail(fault).await.unwrap();
        }
        match strike {
            Some(Strike::Dropped | Strike::Gone) => turn,
            _ => u64::MAX,
        }
    }

    /// After work that was dropped or not: what has not come does not come any more.
    async fn befell(&mut self, strike: Option<Strike>, dropped: bool) {
        for never in [Fault::Step(u64::MAX), Fault::Commit(u64::MAX)] {
            self.store.let_fail(never).await.unwrap();
        }
        if dropped && matches!(strike, Some(Strike::Gone)) {
            self.store.close().await;
            self.store = store(&self.own).await;
            self.settler = settler(&self.own, &self.journal, self.room);
        }
    }

    /// Read by a store of its own, which nothing befalls.
    async fn accounts(&self) -> Accounts {
        let store = &store(&self.own).await;
        let all = EventFilter {
            limit: 10 * HITS,
            ..EventFilter::default()
        };
        let mut hits = store.events(&all).await.unwrap();
        for stored in &mut hits {
            (stored.edge, stored.source) = (EdgeId(0), None);
        }
        let counts = async |campaign| store.counts(Ledger::IN_FORCE, campaign).await.unwrap();
        let (short_links, campaign) = (counts(0).await, counts(1).await);
        let ids: Vec<_> = (0..MESSAGES).map(message).collect();
        let states: States = store
            .message_states(&ids)
            .await
            .unwrap()
            .into_iter()
            .collect();
        Accounts {
            hits,
            sums: [short_links.sums, campaign.sums],
            uniques: campaign.uniques,
            states: ids.iter().map(|id| states.get(id).cloned()).collect(),
        }
    }
}

fn settler(own: &TempDir, journal: &Arc<Journal>, room: usize) -> Settler {
    let options = SettleOptions {
        records_max: RECORDS_MAX,
        window_hits_max: room,
        ..SettleOptions::default()
    };
    let rules = Arc::new(RuleSet::shipped().unwrap());
    Settler::new(Arc::clone(journal), rules, own.path(), None, options).unwrap()
}

async fn store(own: &TempDir) -> Store {
    Store::open(&Place::Directory(own.path().to_owned()), Micros::new(START))
        .await
        .unwrap()
}

/// What `work` comes to, unless it is to be polled more often than this.
async fn within<T>(polls: u64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

async fn accounts(strike: Option<Strike>) -> Accounts {
    accounts_with(WINDOW_HITS_MAX, strike).await
}

async fn accounts_with(room: usize, strike: Option<Strike>) -> Accounts {
    let mut world = World::new(room).await;
    world.settle(strike).await;
    world.accounts().await
}

#[tokio::test]
async fn what_is_struck_in_the_middle_is_stored_and_counted_once() {
    let undisturbed = accounts(None).await;
    assert_eq!(undisturbed.hits.len(), HITS as usize);
    let sums = undisturbed.sums.iter().flatten().map(|row| row.hits);
    assert_eq!(sums.sum::<i64>(), i64::from(HITS));
    assert!(undisturbed.hits.iter().any(|stored| stored.revision > 0));
    assert!(undisturbed.hits.iter().all(|stored| stored.settled));
    for strike in STRIKES {
        assert_eq!(accounts(Some(strike)).await, undisturbed, "{strike:?}");
    }
}

/// Whether hits wait for their windows to close in memory or in the store, all are judged again.
#[tokio::test]
async fn what_has_no_room_in_memory_is_settled_like_the_rest() {
    let in_memory = accounts_with(HITS as usize * 2, None).await;
    let revised = in_memory.hits.iter().filter(|stored| stored.revision > 0);
    // The others were right from the start.
    assert!(revised.count() > HITS as usize / 4);
    for room in [0, 1, WINDOW_HITS_MAX, HITS as usize - 1] {
        assert_eq!(
            accounts_with(room, None).await,
            in_memory,
            "room for {room}"
        );
    }
}

#[tokio::test]
async fn a_position_in_a_transaction_of_its_own_is_caught() {
    let undisturbed = accounts(None).await;
    let _made = PositionApart::made();
    assert_eq!(accounts(None).await, undisturbed, "it shows in faults only");
    for strike in STRIKES {
        assert_ne!(accounts(Some(strike)).await, undisturbed, "{strike:?}");
    }
}

/// What is new and due in one round is judged once, as what had waited for its window to close.
#[test]
fn a_lone_hit_that_comes_late_is_no_neighbour_of_its_own() {
    let marked = by_name("hdr.hint_version").unwrap().fact();
    let hit = Hit {
        facts: marked,
        ..one(1)
    };
    let (id, _) = hit.message.unwrap();
    let facts_after = |waits: i64| {
        let mut offline = Offline::new(Arc::new(RuleSet::shipped().unwrap()));
        offline.accepted(id, hit.at.plus(SECOND));
        offline.hit(hit, "84.160.1.0/24".parse().ok());
        let mut said = offline.settle(hit.at.plus(waits * SECOND));
        said.extend(offline.settle(hit.at.plus(7_200 * SECOND)));
        said.last().unwrap().facts
    };
    let settled = facts_after(3_600);
    assert_eq!(settled, facts_after(1));
    assert_ne!(settled, marked, "the time of acceptance adds something");
    assert!(!settled.has(by_name("near.marked_source").unwrap().bit));
}
