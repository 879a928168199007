//! What a hit costs, stage by stage and whole, without sockets: `cargo bench --bench hit`.
//!
//! One warm thread; in the server, caches are shared with the kernel and stages cost more. Ratios
//! against other servers are taken by bench/compare.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(
    clippy::unwrap_used,
    reason = "a bench that is surprised should fail there and then"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use actix_http::Request;
use actix_http::test::TestRequest;
use actix_service::{Service, ServiceFactory};
use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group, criterion_main};
use cupel::app::{App, DirectoryLock, open_key_ring};
use cupel::config::{Config, Flags};
use cupel::domain::campaign::{CampaignId, LinkKind, LinkNumber, PrivacyLevel, TenantId};
use cupel::domain::destination::Destination;
use cupel::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use cupel::domain::judgement::{Class, RuleSetId, Score, Verdict};
use cupel::domain::keys::TenantKeys;
use cupel::domain::message::{MessageId, RecipientKey};
use cupel::domain::network::NetworkFacts;
use cupel::domain::record::{Hit, Target};
use cupel::domain::time::Micros;
use cupel::domain::token::{Minted, Token};
use cupel::journal::{Journal, JournalOptions};
use cupel::judge::{self, AgentFacts, Agents, Headers, KnownAgents, Observed, RuleSet, RuleSets};
use cupel::listen::Listeners;
use cupel::network::Networks;
use cupel::resolve::{Campaign, Catalogue, Change, Link};
use siphasher::sip::SipHasher13;

#[path = "../tests/corpora/commonest.rs"]
mod commonest;

/// A click in Chrome on a link in a webmail.
const SENT: [(&str, &str); 13] = [
    ("host", "t.example.com"),
    ("connection", "keep-alive"),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"143\", \"Not A(Brand\";v=\"24\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/143.0.0.0 Safari/537.36",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
         image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("accept-language", "en-US,en;q=0.9"),
];

fn link() -> Link {
    Link {
        number: LinkNumber::new(1).unwrap(),
        kind: LinkKind::Content,
        action: None,
        destination: Destination::parse("https://shop.example/spring?utm_source=mail").unwrap(),
        disabled: false,
    }
}

fn changes() -> Vec<Change> {
    let id = CampaignId::new(1).unwrap();
    let campaign = Campaign {
        id,
        tenant: TenantId::FIRST,
        home: Destination::parse("https://home.example/").unwrap(),
        level: PrivacyLevel::Individual,
        links: Vec::new(),
    };
    vec![Change::Campaign(campaign), Change::Link(id, link())]
}

fn message() -> MessageId {
    MessageId {
        campaign: CampaignId::new(1).unwrap(),
        minted_at: 1_790_000_000,
        number: 1,
    }
}

/// A data directory with one campaign; its keys and a token.
fn directory(data: &Path) -> (Arc<TenantKeys>, String) {
    let ring = open_key_ring(data).unwrap();
    let keys = ring
        .derive(&[TenantId::FIRST])
        .remove(&TenantId::FIRST)
        .unwrap();
    let catalogue = Catalogue::open(&data.join("catalogue")).unwrap();
    catalogue.apply(changes()).unwrap();
    let token = Minted::sign(message(), RecipientKey::NONE, keys.signing().unwrap()).token();
    (keys, token)
}

fn headers() -> Headers<'static> {
    let mut headers = Headers::default();
    for (name, value) in SENT {
        headers.set(name, value.as_bytes());
    }
    headers
}

/// The click, as rules see it.
fn observed<'h>(
    headers: &'h Headers<'h>,
    agent: AgentFacts,
    network: NetworkFacts,
) -> Observed<'h> {
    Observed {
        kind: HitKind::Click,
        method: Method::Get,
        scheme: Scheme::Https,
        http: HttpVersion::Http11,
        agent,
        headers,
        network,
        token: TokenState::Valid,
        honeypot: false,
        one_click: false,
        passed: false,
    }
}

fn stages(bench: &mut Criterion) {
    let own = tempfile::tempdir().unwrap();
    let (keys, token) = directory(own.path());
    let catalogue = Catalogue::open(&own.path().join("catalogue")).unwrap();
    catalogue.set_keys([(TenantId::FIRST, Arc::clone(&keys))].into_iter().collect());
    let networks = Networks::shipped().unwrap();
    let agents = Agents::shipped().unwrap();
    let rules = Arc::new(RuleSet::shipped().unwrap());
    let rules = ArcSwap::from_pointee(RuleSets::new(rules, []));
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let headers = headers();
    let agent = agents.classify(headers.user_agent.unwrap());
    let observed = observed(&headers, agent, networks.facts(address));
    let facts = judge::observe(&observed);
    let mut group = bench.benchmark_group("hit");
    group.bench_function("parse token", |it| {
        it.iter(|| Token::parse(black_box(token.as_bytes())));
    });
    let parsed = Token::parse(token.as_bytes()).unwrap();
    group.bench_function("verify", |it| it.iter(|| black_box(&parsed).verify(&keys)));
    group.bench_function("resolve", |it| {
        it.iter(|| {
            let snapshot = catalogue.load();
            let (campaign, _) = snapshot.campaign(black_box(message().campaign)).unwrap();
            campaign.link(black_box(1)).map(|link| link.disabled)
        });
    });
    group.bench_function("read headers", |it| it.iter(|| black_box(self::headers())));
    group.bench_function("network", |it| {
        it.iter(|| networks.facts(black_box(address)))
    });
    group.bench_function("agent, uncached", |it| {
        it.iter(|| agents.classify(black_box(headers.user_agent.unwrap())));
    });
    let (mut known, hasher) = (KnownAgents::default(), SipHasher13::new());
    let live = Arc::clone(rules.load().live());
    group.bench_function("agent, cached", |it| {
        it.iter(|| {
            let agent = black_box(headers.user_agent.unwrap());
            known.facts(hasher.hash(agent), &agents, &live, agent)
        });
    });
    group.bench_function("observe", |it| {
        it.iter(|| judge::observe(black_box(&observed)))
    });
    group.bench_function("judge", |it| {
        it.iter(|| judge::judge(rules.load().live(), HitKind::Click, black_box(facts)));
    });
    group.finish();
}

/// Judging at the edge, from headers to verdict, of the commonest header sets of real clients.
fn commonest_sets(bench: &mut Criterion) {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/headers");
    if !captures.is_dir() {
        println!("no captures at {}", captures.display());
        return;
    }
    let networks = Networks::shipped().unwrap();
    let (agents, hasher) = (Agents::shipped().unwrap(), SipHasher13::new());
    let rules = RuleSet::shipped().unwrap();
    let address: IpAddr = "5.161.10.10".parse().unwrap();
    for (number, set) in commonest::commonest(&captures, 4).iter().enumerate() {
        let mut known = KnownAgents::default();
        let mut judged = || {
            let mut headers = Headers::default();
            for (name, value) in black_box(set) {
                headers.set(name, value);
            }
            let agent = headers.user_agent.unwrap_or_default();
            let agent = known.facts(hasher.hash(agent), &agents, &rules, agent);
            let address = black_box(address);
            let network = rules.own().network(address, networks.facts(address));
            let observed = observed(&headers, agent, network);
            judge::judge(&rules, HitKind::Click, judge::observe(&observed))
        };
        println!("{number}: {:?}", judged());
        bench.bench_function(&format!("hit/judged at the edge, {number}"), |it| {
            it.iter(&mut judged);
        });
    }
}

fn hit() -> Hit {
    let agent = Agents::shipped().unwrap().classify(b"x");
    let network = NetworkFacts::default();
    Hit {
        at: Micros::new(1_790_000_000_000_000),
        target: Target::Campaign(message().campaign, 1),
        message: Some((message(), RecipientKey::NONE)),
        address: Some("198.51.100.7".parse().unwrap()),
        agent: 1,
        headers: 2,
        facts: judge::observe(&observed(&headers(), agent, network)),
        network,
        kind: HitKind::Click,
        method: Method::Get,
        http: HttpVersion::Http11,
        scheme: Scheme::Https,
        answer: Answer::Redirected,
        level: PrivacyLevel::Individual,
        token: TokenState::Valid,
        verdict: Verdict {
            score: Score::from_tenths(10),
            class: Class::Human,
        },
        ruleset: RuleSetId(1),
        claimed: false,
        honeypot: false,
        values: false,
        via: None,
    }
}

/// Runs `work` while the journal moves.
fn while_it_moves(journal: &Arc<Journal>, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let (drainer, syncer) = (journal.drainer(), journal.syncer());
    std::thread::scope(|scope| {
        scope.spawn(|| drainer.run(&|| stop.load(Ordering::Relaxed)));
        scope.spawn(|| syncer.run(&|| stop.load(Ordering::Relaxed)));
        work();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Keeping alone. A warm loop fills the ring faster than it can be drained: this much of it is
/// the price of a full ring, where `dropped` says so.
fn journal(bench: &mut Criterion) {
    let own = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        ring_slots: 1 << 20,
        ..JournalOptions::default()
    };
    let journal = Journal::open(own.path(), options).unwrap();
    let hit = hit();
    while_it_moves(&journal, || {
        let mut keeper = journal.keeper().unwrap();
        bench.bench_function("hit/keep", |it| {
            it.iter(|| keeper.keep(black_box(&hit), &|_| Vec::new()).is_ok());
        });
    });
    let dropped: u64 = journal.dropped().iter().map(|(_, count)| count).sum();
    let hits = |class: &Class| journal.hits(HitKind::Click, *class);
    let kept: u64 = Class::ALL.iter().map(hits).sum();
    println!("kept {kept}, dropped {dropped}");
}

fn request(token: &str) -> Request {
    let mut request = TestRequest::with_uri(&format!("/c/{token}/1"));
    for header in SENT {
        request.insert_header(header);
    }
    let mut request = request.finish();
    request.head_mut().peer_addr = Some("198.51.100.7:40000".parse().unwrap());
    request
}

/// From a parsed request to an answer that is ready to be written: everything but HTTP.
fn whole(bench: &mut Criterion) {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let lock = DirectoryLock::take(&data).unwrap();
    let (_, token) = directory(&data);
    std::fs::write(data.join("cupel.toml"), "[journal]\nring_slots = 1048576\n").unwrap();
    let flags = Flags {
        data: Some(data),
        ..Flags::default()
    };
    actix_web::rt::System::new().block_on(async {
        let config = Config::load(&flags).unwrap();
        let app = App::build(config, lock, Listeners::default(), None)
            .await
            .unwrap();
        let front = app.public_service().new_service(()).await.unwrap();
        let journal = Arc::clone(app.journal());
        while_it_moves(&journal, || {
            bench.bench_function("hit/whole", |it| {
                it.iter_batched(
                    || request(&token),
                    |request| {
                        let mut context = Context::from_waker(Waker::noop());
                        match pin!(front.call(request)).poll(&mut context) {
                            Poll::Ready(answer) => answer.unwrap(),
                            Poll::Pending => unreachable!("a hit does not wait"),
                        }
                    },
                    criterion::BatchSize::SmallInput,
                );
            });
        });
    });
}

criterion_group!(benches, stages, commonest_sets, journal, whole);
criterion_main!(benches);
