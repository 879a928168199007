//! What holds of all settled rules.

use proptest::prelude::*;

use super::*;
use crate::judge::judge;

fn facts() -> impl Strategy<Value = Facts> {
    let one = prop::sample::select(vec![
        bits::NET_HOSTING,
        bits::NET_MAIL_PROVIDER,
        bits::NET_EMAIL_SECURITY,
        bits::NET_CERTAIN,
        bits::HINT_PLATFORM,
        bits::HONEYPOT,
        bits::METHOD_HEAD,
        24,
    ]);
    prop::collection::vec(one, 0..3).prop_map(|all| all.into_iter().fold(Facts::NONE, Facts::with))
}

fn neighbour(
    networks: std::ops::Range<u32>,
    agents: std::ops::Range<u32>,
) -> impl Strategy<Value = Neighbour> {
    let kind = prop::sample::select(vec![HitKind::Open, HitKind::Click, HitKind::Page]);
    (0..200_i64, kind, 0..9_u32, networks, agents, facts()).prop_map(
        |(tenths, kind, link, network, agent, facts)| Neighbour {
            at: Micros::new(NOON + tenths * SECOND / 10),
            kind,
            link,
            network,
            agent,
            asn: network / 10,
            facts,
        },
    )
}

fn judged(hit: &Neighbour, company: &[Neighbour]) -> (Facts, f64, bool) {
    let rules = RuleSet::shipped().unwrap();
    let around = Around {
        hit,
        company,
        accepted_at: None,
        minted_at: None,
        links: 8,
        swept_before: false,
        windows: &shipped(),
    };
    let facts = around.settle();
    let verdict = judge(&rules, hit.kind, facts);
    (facts, verdict.score.percent(), verdict.class.is_human())
}

proptest! {
    #[test]
    fn the_order_in_which_hits_came_makes_no_difference(
        company in prop::collection::vec(neighbour(1..40, 1..4), 1..20).prop_shuffle(),
        turn in 0..20_usize,
    ) {
        let mut turned = company.clone();
        let len = turned.len();
        turned.rotate_left(turn % len);
        turned.reverse();
        for hit in &company {
            prop_assert_eq!(judged(hit, &company).0, judged(hit, &turned).0);
        }
    }

    /// A person at home, and a scan with another agent from other networks, wherever those are.
    #[test]
    fn a_scan_from_another_source_never_removes_a_person_s_click(
        own in prop::collection::vec(neighbour(1..2, 1..2), 1..6),
        scan in prop::collection::vec(neighbour(2..60, 2..6), 0..20),
    ) {
        let own: Vec<_> = own
            .into_iter()
            .map(|hit| Neighbour { facts: Facts::NONE, ..hit })
            .collect();
        let all: Vec<_> = own.iter().chain(&scan).copied().collect();
        for hit in &own {
            prop_assert_eq!(judged(hit, &own), judged(hit, &all));
        }
    }

    /// One scan, of which the network or the agent is another, as long as the person is at home.
    #[test]
    fn a_scan_of_one_source_leaves_a_person_a_person(
        click in neighbour(1..2, 1..2),
        scan in (1..60_u32, 1..6_u32)
            .prop_filter("another source", |source| *source != (1, 1))
            .prop_flat_map(|(network, agent)| {
                let hits = neighbour(network..network + 1, agent..agent + 1);
                prop::collection::vec(hits, 0..20)
            }),
    ) {
        let click = Neighbour { kind: HitKind::Click, facts: Facts::NONE, ..click };
        let all: Vec<_> = std::iter::once(click).chain(scan).collect();
        prop_assert!(judged(&click, &all).2);
    }

    /// Scans from many networks with the very agent of a person who had opened the mail before, or
    /// with many agents from the person's network.
    #[test]
    fn who_was_there_before_is_not_one_of_many(
        links in 1..8_u32,
        seconds in -20.0..20.0_f64,
        own in 1..9_u32,
        of_agents in any::<bool>(),
    ) {
        let click = hit(3_600.0, own, HOME);
        let opened = open(3_500.0, HOME);
        let scan = (1..=links).map(|link| {
            let source = if of_agents { (HOME.0, 100 + link) } else { (100 + 10 * link, HOME.1) };
            hit(3_600.0 + seconds + f64::from(link) / 4.0, link, source)
        });
        let all: Vec<_> = [click, opened].into_iter().chain(scan).collect();
        let names = added(&all);
        prop_assert!(names.is_empty(), "{names:?}");
    }

    #[test]
    fn a_mail_client_in_the_same_network_never_raises_a_score(
        company in prop::collection::vec(neighbour(1..40, 1..4), 1..20),
        network in 1..40_u32,
    ) {
        let outlook = open(5.0, (network, 9)).with("ua.mail_client");
        let more: Vec<_> = company.iter().copied().chain([outlook]).collect();
        for hit in &company {
            prop_assert!(judged(hit, &more).1 <= judged(hit, &company).1);
        }
    }
}
