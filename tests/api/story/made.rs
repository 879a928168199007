//! What the story is of.

use cupel::domain::act::Act;
use cupel::domain::campaign::{CampaignId, PrivacyLevel};
use cupel::domain::destination::Destination;
use cupel::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState, Via};
use cupel::domain::judgement::{Class, Facts, Ledger, RuleSetId, Score, Verdict};
use cupel::domain::message::{MessageId, RecipientKey};
use cupel::domain::network::NetworkFacts;
use cupel::domain::record::{Hit, Target};
use cupel::domain::sweep::{Source, Sweep};
use cupel::domain::time::Micros;
use cupel::journal::EdgeId;
use cupel::store::{EvidenceKey, StoredHit, StoredSums, SumKey, UniqueKey};

pub(super) const EDGE: EdgeId = EdgeId(0xC0FF_EE01);
pub(super) const RULES: [RuleSetId; 2] = [RuleSetId(7), RuleSetId(9)];
pub(super) const RECIPIENT: RecipientKey = RecipientKey::from_bytes(*b"0123456789");

pub(super) fn at(seconds: i64) -> Micros {
    Micros::new(1_800_000_000_000_000 + seconds * 1_000_000)
}

pub(super) fn to(path: &str) -> Destination {
    Destination::parse(&format!("https://shop.example/{path}")).unwrap()
}

pub(super) fn campaign() -> CampaignId {
    CampaignId::new(1).unwrap()
}

pub(super) fn message() -> MessageId {
    MessageId {
        campaign: campaign(),
        minted_at: 1_799_999_000,
        number: 3,
    }
}

pub(super) fn verdict(class: Class) -> Verdict {
    Verdict {
        score: Score::from_tenths(119),
        class,
    }
}

/// A click of the message, or of a short link.
pub(super) fn hit(sequence: u64) -> StoredHit {
    let of_message = sequence < 3;
    let target = match of_message {
        true => Target::Campaign(campaign(), 1),
        false => Target::Short(1),
    };
    StoredHit {
        edge: EDGE,
        sequence,
        hit: Hit {
            at: at(sequence.cast_signed()),
            target,
            message: of_message.then(|| (message(), RECIPIENT)),
            address: None,
            agent: u64::MAX,
            headers: 5,
            facts: Facts::from_bits(1 << 63 | sequence),
            network: NetworkFacts {
                asn: u32::MAX,
                ..NetworkFacts::default()
            },
            kind: HitKind::Click,
            method: Method::Get,
            http: HttpVersion::Http2,
            scheme: Scheme::Https,
            answer: Answer::Redirected,
            level: PrivacyLevel::Individual,
            token: TokenState::Valid,
            verdict: verdict(Class::Human),
            ruleset: RULES[0],
            claimed: sequence == 2,
            honeypot: false,
            values: true,
            via: None,
        },
        prefix: Some("192.0.2.0/24".parse().unwrap()),
        source: Some(u64::MAX - sequence),
        revision: 0,
        settled: false,
        agent: None,
    }
}

pub(super) fn act() -> Act {
    Act {
        at: at(2),
        kind: HitKind::Unsubscribe,
        link: 2,
        message: message(),
        recipient: RECIPIENT,
        via: Some(Via::OneClick),
    }
}

pub(super) fn sum(class: Class, hits: i64) -> (SumKey, StoredSums) {
    let key = SumKey {
        ledger: Ledger::IN_FORCE,
        target: (1, 1),
        cell: at(0),
        kind: HitKind::Click,
        class,
        method: Method::Get,
        counted: true,
    };
    (key, StoredSums { hits, anonymous: 0 })
}

pub(super) fn unique(raw: i64, human: i64) -> (UniqueKey, (i64, i64)) {
    let key = UniqueKey {
        ledger: Ledger::IN_FORCE,
        campaign: 1,
        kind: HitKind::Click,
        link: None,
    };
    (key, (raw, human))
}

pub(super) fn evidence() -> EvidenceKey {
    EvidenceKey {
        week: at(0).week(),
        kind: HitKind::Click,
        facts: Facts::from_bits(1 << 63),
    }
}

pub(super) fn sweep(second: u32) -> Sweep {
    Sweep {
        at: at(i64::from(second)),
        source: Source {
            network: u32::MAX - second,
            agent: u32::MAX,
        },
        message: u32::MAX,
    }
}
