//! What a hit keeps, what a level strips, and what counts.

use super::*;

fn hit() -> Hit {
    let campaign = CampaignId::new(7).unwrap();
    Hit {
        at: Micros::new(1_700_000_000_123_456),
        target: Target::Campaign(campaign, 3),
        message: Some((
            MessageId {
                campaign,
                minted_at: 1_700_000_000,
                number: 9,
            },
            RecipientKey::from_bytes(*b"0123456789"),
        )),
        address: Some("203.0.113.9".parse().unwrap()),
        agent: 1,
        headers: u64::MAX,
        facts: Facts::from_bits(1 << 63 | 5),
        network: NetworkFacts {
            asn: 64_500,
            lists: Lists::HOSTING,
            lists_version: 2,
        },
        kind: HitKind::Click,
        method: Method::Get,
        http: HttpVersion::Http2,
        scheme: Scheme::Https,
        answer: Answer::Redirected,
        level: PrivacyLevel::Individual,
        token: TokenState::Aged,
        verdict: Verdict {
            score: Score::from_tenths(974),
            class: Class::Scanner,
        },
        ruleset: RuleSetId(3),
        claimed: true,
        honeypot: true,
        values: false,
        via: Some(Via::Page),
    }
}

#[test]
fn a_hit_reads_back_as_it_was_written() {
    for one in [
        hit(),
        hit().stripped(),
        Hit {
            level: PrivacyLevel::Aggregate,
            ..hit()
        },
    ] {
        let one = one.stripped();
        let mut bytes = Vec::new();
        bytes.extend(one.body());
        assert_eq!(bytes.len(), HIT_BYTES - 32);
        assert_eq!(Hit::read(one.at, &bytes), Some(one));
    }
    let short = Hit {
        target: Target::Short(12),
        message: None,
        ..hit()
    };
    let mut bytes = Vec::new();
    bytes.extend(short.body());
    assert_eq!(Hit::read(short.at, &bytes), Some(short));
}

#[test]
fn an_aggregate_hit_keeps_nothing_that_leads_to_a_person() {
    let kept = Hit {
        level: PrivacyLevel::Aggregate,
        ..hit()
    }
    .stripped();
    assert_eq!(kept.at, kept.at.cell());
    assert_eq!(
        (kept.message, kept.address, kept.agent, kept.headers),
        (None, None, 0, 0)
    );
    assert_eq!(
        (kept.facts, kept.network),
        (Facts::NONE, NetworkFacts::default())
    );
    assert_eq!(
        (kept.target, kept.verdict.class),
        (hit().target, hit().verdict.class)
    );
    assert_eq!(
        (kept.verdict.score, kept.via),
        (Score::from_tenths(0), None)
    );
}

#[test]
fn what_counts_in_a_total() {
    let plain = Hit {
        honeypot: false,
        ..hit()
    };
    assert!(plain.counts());
    assert!(
        !Hit {
            method: Method::Head,
            ..plain
        }
        .counts()
    );
    assert!(
        !Hit {
            answer: Answer::Speculation,
            ..plain
        }
        .counts()
    );
    assert!(
        !Hit {
            token: TokenState::Damaged,
            ..plain
        }
        .counts()
    );
    assert!(!hit().counts(), "a honeypot");
    let press = Hit {
        kind: HitKind::Press,
        method: Method::Post,
        ..plain
    };
    assert!(
        Hit {
            answer: Answer::Acted,
            ..press
        }
        .counts()
    );
    assert!(
        !Hit {
            answer: Answer::AskedAgain,
            ..press
        }
        .counts()
    );
    assert!(
        !Hit {
            answer: Answer::Refused,
            ..press
        }
        .counts()
    );
}
