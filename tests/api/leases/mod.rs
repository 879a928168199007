//! Settlers of one store that come between each other at the worst moment. Each has a journal of
//! its own; the moments are made by hand, and the database is of the tests' own.

mod shadows;

use std::sync::Arc;

use tempfile::TempDir;

use cupel::domain::campaign::{CampaignId, PrivacyLevel};
use cupel::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use cupel::domain::judgement::Facts;
use cupel::domain::message::{MessageId, RecipientKey};
use cupel::domain::network::NetworkFacts;
use cupel::domain::record::{Hit, Target};
use cupel::domain::seal::Seal;
use cupel::domain::time::Micros;
use cupel::journal::{Accepted, Journal, JournalOptions, Source};
use cupel::judge::{self, RuleSet};
use cupel::settle::{Progress, SettleError, SettleOptions, Settler};
use cupel::store::{EventFilter, Place, Store, StoreError};

use crate::cluster::Cluster;
use crate::harness::postgres;

const START: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// So many seconds after everything began.
fn at(second: i64) -> Micros {
    Micros::new(START + second * SECOND)
}

fn message(number: u32) -> MessageId {
    MessageId {
        campaign: CampaignId::new(1).unwrap(),
        minted_at: 1_799_999_000,
        number,
    }
}

/// A person's click on the first link.
fn click(rules: &RuleSet, second: i64, number: u32) -> Hit {
    Hit {
        at: at(second),
        target: Target::Campaign(message(0).campaign, 1),
        message: Some((message(number), RecipientKey::NONE)),
        address: Some("192.0.2.1".parse().unwrap()),
        agent: 0,
        headers: 0,
        facts: Facts::NONE,
        network: NetworkFacts::default(),
        kind: HitKind::Click,
        method: Method::Get,
        http: HttpVersion::Http11,
        scheme: Scheme::Https,
        answer: Answer::Redirected,
        level: PrivacyLevel::Individual,
        token: TokenState::Valid,
        verdict: judge::judge(rules, HitKind::Click, Facts::NONE),
        ruleset: rules.id(),
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    }
}

/// A journal, and who settles it.
struct Node {
    journal: Arc<Journal>,
    settler: Settler,
    rules: Arc<RuleSet>,
    _own: TempDir,
}

impl Node {
    fn new(waited_for: bool, settles: bool) -> Self {
        let own = tempfile::tempdir().unwrap();
        let journal = Journal::open(&own.path().join("journal"), JournalOptions::default());
        let journal = journal.unwrap();
        let options = SettleOptions {
            settles,
            waited_for,
            ..SettleOptions::default()
        };
        let rules = Arc::new(RuleSet::shipped().unwrap());
        let seal = Seal::new(&[7; 32]);
        let settler = Settler::new(
            Arc::clone(&journal),
            Arc::clone(&rules),
            own.path(),
            seal,
            options,
        );
        Self {
            journal,
            settler: settler.unwrap(),
            rules,
            _own: own,
        }
    }

    /// Keeps hits, of these seconds and messages.
    fn keep(&self, hits: &[(i64, u32)]) {
        let mut keeper = self.journal.keeper().unwrap();
        for (second, number) in hits {
            keeper
                .keep(&click(&self.rules, *second, *number), &|_| Vec::new())
                .unwrap();
        }
        self.sync();
    }

    fn sync(&self) {
        self.journal.drainer().run(&|| true);
        self.journal.syncer().run(&|| true);
    }

    /// A mail system says that this message was accepted.
    async fn accepted(&self, second: i64, number: u32) {
        let room = self.journal.spool_room(2).unwrap();
        let received = room.spool(&Source::API, at(second), b"{}").unwrap();
        let accepted = [Accepted {
            at: at(second),
            message: message(number),
        }];
        let moved = async { self.sync() };
        let (kept, ()) = tokio::join!(self.journal.append_delivery(&received, &accepted), moved);
        kept.unwrap();
    }

    /// Rounds until nothing is left.
    async fn settle(&mut self, store: &Store, second: i64) -> Progress {
        loop {
            let progress = self.round(store, second).await.unwrap();
            if !progress.more {
                return progress;
            }
        }
    }

    async fn round(&mut self, store: &Store, second: i64) -> Result<Progress, SettleError> {
        self.settler.round(store, at(second)).await
    }
}

struct World {
    cluster: Cluster,
    store: Store,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::new();
        let place = Place::Postgres(cluster.url("postgres"));
        let store = Store::open(&place, at(0)).await.unwrap();
        Self { cluster, store }
    }

    fn sql(&self, text: &str) -> String {
        self.cluster.sql("postgres", text)
    }

    /// As after a while in which nobody renewed a lease.
    fn leases_run_out(&self) {
        self.sql("UPDATE shards SET held_until = 0");
        self.sql("UPDATE settlers SET seen_at = 0");
    }

    /// The server's clock is so many seconds ahead from now on.
    fn clock_goes(&self, seconds: u32) {
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION cupel_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
             $$ SELECT ((extract(epoch FROM clock_timestamp()) + {seconds}) * 1000000)::BIGINT $$"
        ));
    }

    /// Rows, distinct messages by the rows, and what is counted of both.
    fn counted(&self) -> String {
        self.sql(
            "SELECT (SELECT count(*) FROM hits), (SELECT count(DISTINCT number) FROM hits),
                (SELECT sum(hits) FROM sums WHERE ruleset = 0 AND cell = 0),
                (SELECT raw FROM uniques WHERE ruleset = 0 AND link < 0 AND kind = 2),
                (SELECT count(*) FROM inbox)",
        )
    }

    /// How many settled events were revised.
    async fn revised(&self) -> usize {
        let filter = EventFilter {
            limit: 1_000,
            ..EventFilter::default()
        };
        let events = self.store.events(&filter).await.unwrap();
        let revised = events.iter().filter(|event| event.revision > 0);
        revised.count()
    }
}

fn run(test: impl Future<Output = ()>) {
    if postgres().is_none() {
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(test);
}

#[test]
fn whoever_has_lost_its_leases_writes_nothing() {
    run(async {
        let world = World::new().await;
        let (mut a, mut b) = (Node::new(true, true), Node::new(true, true));
        a.keep(&[(1, 1), (1, 2), (2, 3)]);
        a.settle(&world.store, 3).await;
        assert_eq!(world.counted(), "3|3|3|3|0");
        // While A was held up, B took over, and saw messages that A knows of.
        world.leases_run_out();
        b.keep(&[(4, 1), (4, 4), (4, 5)]);
        b.settle(&world.store, 4).await;
        assert_eq!(world.counted(), "6|5|6|5|0");
        a.keep(&[(4, 4), (4, 6), (4, 1)]);
        let refused = a.round(&world.store, 4).await;
        let lost = matches!(refused, Err(SettleError::Store(StoreError::LeaseLost)));
        assert!(lost, "{refused:?}");
        assert_eq!(world.counted(), "6|5|6|5|0");
        // It ships to whoever settles now.
        a.settle(&world.store, 4).await;
        assert_eq!(world.counted(), "6|5|6|5|3");
        b.settle(&world.store, 5).await;
        assert_eq!(world.counted(), "9|6|9|6|0");
    });
}

#[test]
fn a_settler_whose_database_has_forgotten_begins_anew() {
    run(async {
        let world = World::new().await;
        let (mut edge, mut settler) = (Node::new(true, false), Node::new(false, true));
        edge.keep(&[(1, 1), (1, 2)]);
        edge.settle(&world.store, 1).await;
        settler.settle(&world.store, 1).await;
        world.sql("CREATE TABLE before AS SELECT * FROM shards");
        edge.keep(&[(2, 1), (2, 3)]);
        edge.settle(&world.store, 2).await;
        settler.settle(&world.store, 2).await;
        assert_eq!(world.counted(), "4|3|4|3|0");
        // As a standby that was promoted without the last commits: the edge ships them again.
        world.sql(
            "UPDATE shards SET turn = before.turn FROM before WHERE before.id = shards.id;
             DELETE FROM hits WHERE at > (SELECT min(at) FROM hits);
             UPDATE sums SET hits = 2; UPDATE uniques SET raw = 2, human = 2;
             DELETE FROM messages WHERE number = 3;
             UPDATE messages SET counts = set_byte(set_byte(counts, 5, 1), 9, 1);
             UPDATE positions SET sequence = 2",
        );
        assert!(edge.round(&world.store, 3).await.is_err());
        edge.settle(&world.store, 3).await;
        assert!(settler.round(&world.store, 2).await.is_err());
        settler.settle(&world.store, 3).await;
        assert_eq!(world.counted(), "4|3|4|3|0");
    });
}

#[test]
fn what_one_edge_is_told_is_heeded_for_hits_of_another() {
    run(async {
        let world = World::new().await;
        let (mut a, mut b) = (Node::new(true, false), Node::new(true, true));
        a.settle(&world.store, 0).await;
        b.keep(&[(1, 1), (2, 2)]);
        b.settle(&world.store, 2).await;
        // Nothing is judged again before A has said what it has.
        b.settle(&world.store, 100).await;
        assert_eq!(world.revised().await, 0);
        a.accepted(90, 1).await;
        a.keep(&[(91, 2)]);
        a.settle(&world.store, 100).await;
        let progress = b.settle(&world.store, 101).await;
        assert_eq!(world.counted(), "3|2|3|2|0");
        assert_eq!(world.revised().await, 1);
        let forty = at(39)..=at(40);
        assert!(
            forty.contains(&progress.settled_to),
            "a minute before what A shipped"
        );
    });
}

#[test]
fn an_edge_that_is_silent_is_named_and_not_waited_for_and_what_it_kept_is_counted_later() {
    run(async {
        let world = World::new().await;
        let (mut a, mut b) = (Node::new(true, false), Node::new(true, true));
        a.settle(&world.store, 1).await;
        a.keep(&[(2, 1)]);
        b.keep(&[(2, 2)]);
        let progress = b.settle(&world.store, 200).await;
        assert!(progress.settled_to < at(0), "A may have more");
        // As after a while in which the database was away: nobody could be heard of.
        world.clock_goes(61);
        let mut c = Node::new(false, true);
        let progress = c.settle(&world.store, 200).await;
        assert!(progress.settled_to < at(0), "A may come back as well");
        world.clock_goes(122);
        for second in 201..206 {
            drop(b.round(&world.store, second).await);
            drop(c.round(&world.store, second).await);
        }
        let settled_to = world.store.settled_to().await.unwrap().unwrap();
        assert!((at(140)..=at(145)).contains(&settled_to), "{settled_to}");
        let silent = world.store.silent_edges().await.unwrap();
        assert_eq!(silent, [a.journal.edge()]);
        // It is back, and its hit has a window of its own.
        a.settle(&world.store, 210).await;
        c.settle(&world.store, 211).await;
        b.settle(&world.store, 211).await;
        assert_eq!(world.counted(), "2|2|2|2|0");
        assert_eq!(world.revised().await, 0);
        a.accepted(209, 1).await;
        a.settle(&world.store, 212).await;
        c.settle(&world.store, 212).await;
        b.settle(&world.store, 212).await;
        c.settle(&world.store, 213).await;
        b.settle(&world.store, 213).await;
        assert_eq!(world.revised().await, 1);
    });
}

#[test]
fn shards_are_shared_out_and_one_that_stops_is_not_waited_for() {
    run(async {
        let world = World::new().await;
        let (mut a, mut b) = (Node::new(true, true), Node::new(false, true));
        let holders = || {
            world.sql(
                "SELECT string_agg(n::text, '|' ORDER BY n)
                 FROM (SELECT count(*) AS n FROM shards WHERE holder IS NOT NULL
                    GROUP BY holder) s",
            )
        };
        a.settle(&world.store, 1).await;
        assert_eq!(holders(), "16");
        b.settle(&world.store, 1).await;
        a.settle(&world.store, 4).await;
        b.settle(&world.store, 4).await;
        assert_eq!(holders(), "8|8");
        a.keep(&(0..50).map(|n| (4, n)).collect::<Vec<_>>());
        a.settle(&world.store, 5).await;
        b.settle(&world.store, 5).await;
        assert_eq!(world.counted(), "50|50|50|50|0");
        a.settler.leave(&world.store, true).await;
        b.settle(&world.store, 8).await;
        assert_eq!(holders(), "16");
        let progress = b.settle(&world.store, 100).await;
        let forty = at(39)..=at(40);
        assert!(forty.contains(&progress.settled_to), "A has left");
    });
}
