//! Settled rules as tables, and what holds of all of them.

mod properties;

use super::super::RuleSet;
use super::super::signals::{self as bits, by_name};
use super::*;
use crate::domain::hit::HitKind;

const SECOND: i64 = 1_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

#[expect(clippy::cast_possible_truncation, reason = "a test's times are small")]
fn hit(seconds: f64, link: u32, (network, agent): (u32, u32)) -> Neighbour {
    Neighbour {
        at: Micros::new(NOON + (seconds * 1e6) as i64),
        kind: HitKind::Click,
        link,
        network,
        agent,
        asn: network / 10,
        facts: Facts::NONE,
    }
}

fn shipped() -> Windows {
    *RuleSet::shipped().unwrap().windows()
}

fn open(seconds: f64, source: (u32, u32)) -> Neighbour {
    Neighbour {
        kind: HitKind::Open,
        ..hit(seconds, 0, source)
    }
}

impl Neighbour {
    fn with(self, name: &str) -> Self {
        let facts = self.facts.with(by_name(name).unwrap().bit);
        Self { facts, ..self }
    }
}

/// Names of what settling adds to the first of these, of a campaign with eight links, whose mail
/// was accepted at noon.
fn added(company: &[Neighbour]) -> Vec<&'static str> {
    let around = Around {
        hit: &company[0],
        company,
        accepted_at: Some(Micros::new(NOON)),
        minted_at: None,
        links: 8,
        swept_before: false,
        windows: &shipped(),
    };
    let settled = Facts::from_bits(around.settle().bits() & SETTLED);
    super::super::signals(settled).collect()
}

const HOME: (u32, u32) = (10, 1);
const CLOUD: (u32, u32) = (20, 2);

/// Links 1 to `links` followed by one source, so many seconds apart, from an hour after noon.
fn followed(links: u32, apart: f64, source: (u32, u32)) -> Vec<Neighbour> {
    let at = |link: u32| 3_600.0 + f64::from(link) * apart;
    (1..=links)
        .map(|link| hit(at(link), link, source))
        .collect()
}

#[test]
fn time_counts_from_the_acceptance() {
    for (name, since, expected) in [
        (None, -2.0, vec!["time.before_accept"]),
        (Some("net.hosting"), -2.0, vec!["time.before_accept"]),
        (None, -1.0, vec!["time.at_accept"]),
        (None, 2.0, vec!["time.at_accept"]),
        (None, 3.0, vec![]),
        (
            Some("net.hosting"),
            2.0,
            vec!["time.at_accept", "time.cloud_window"],
        ),
        (Some("net.mail_provider"), 60.0, vec!["time.cloud_window"]),
        (Some("net.hosting"), 61.0, vec![]),
        (Some("net.email_security"), 60.0, vec!["time.window"]),
        (Some("net.email_security"), 61.0, vec![]),
    ] {
        let one = hit(since, 1, HOME);
        let one = name.map_or(one, |name| one.with(name));
        assert_eq!(added(&[one]), expected, "{name:?} {since}");
    }
}

#[test]
fn without_an_acceptance_the_token_s_time_is_a_bound() {
    let one = hit(0.0, 1, CLOUD).with("net.hosting");
    let settle = |links, minted: Option<i64>| {
        let minted_at = minted.map(|ago| Micros::new(NOON - ago * SECOND));
        let facts = Around {
            hit: &one,
            company: &[],
            accepted_at: None,
            minted_at,
            links,
            swept_before: false,
            windows: &shipped(),
        };
        facts.settle()
    };
    assert_eq!(settle(4, None), one.facts);
    assert_eq!(settle(4, Some(61)), one.facts);
    let within = one.with("time.cloud_window").facts;
    assert_eq!(settle(4, Some(60)), within);
    // People wait for mails of a few links.
    assert_eq!(settle(3, Some(60)), one.facts);
    assert_eq!(settle(0, Some(60)), one.facts);
}

#[test]
fn settling_again_replaces_what_was_settled() {
    let one = hit(3_600.0, 1, HOME).with("near.rapid").with("hdr.accept");
    assert!(added(&[one]).is_empty());
}

/// When the source of the last of these had swept the message, in seconds since its first.
fn swept(links: u32, company: &[Neighbour]) -> Option<i64> {
    let around = Around {
        hit: &company[company.len() - 1],
        company,
        accepted_at: None,
        minted_at: None,
        links,
        swept_before: false,
        windows: &shipped(),
    };
    let since = |at: Micros| (at.get() - company[0].at.get()) / SECOND;
    around.swept_at().map(since)
}

#[test]
fn a_message_is_swept_when_the_last_of_its_links_is_followed() {
    for (links, hits, expected) in [
        (8, followed(8, 100.0, HOME), Some(700)),
        (8, followed(8, 130.0, HOME), None),
        (8, followed(7, 100.0, HOME), None),
        // Most of them, and so fast.
        (8, followed(7, 1.0, HOME), Some(4)),
        (20, followed(11, 1.0, HOME), None),
        (20, followed(13, 1.0, HOME), Some(11)),
        // People do that, with mails of three links.
        (3, followed(3, 1.0, HOME), None),
        (0, followed(8, 1.0, HOME), None),
    ] {
        assert_eq!(swept(links, &hits), expected, "{links}, {hits:?}");
    }
    // Over and over, it is the first time.
    let twice = [followed(8, 1.0, HOME), followed(8, 100.0, HOME)].concat();
    assert_eq!(swept(8, &twice), Some(4));
    // Others do not help, HEAD does not count, and a web gateway is many people's.
    let mut other = followed(8, 1.0, HOME);
    other[3].agent = 9;
    assert_eq!(swept(8, &other), Some(5), "seven, and five at once");
    other[2].network = 77;
    other[4].network = 77;
    assert_eq!(swept(8, &other), None);
    for name in ["method.head", "net.human_egress", "net.privacy_relay"] {
        let quiet: Vec<_> = followed(8, 1.0, HOME)
            .into_iter()
            .map(|hit| hit.with(name))
            .collect();
        assert_eq!(swept(8, &quiet), None, "{name}");
    }
}

#[test]
fn links_that_are_followed_at_once() {
    let machines = |hits: Vec<Neighbour>| -> Vec<Neighbour> {
        hits.into_iter()
            .map(|hit| hit.with("net.hosting"))
            .collect()
    };
    for (hits, expected) in [
        (followed(2, 0.5, HOME), vec![]),
        (followed(3, 1.0, HOME), vec!["near.burst"]),
        (followed(3, 1.1, HOME), vec![]),
        (
            followed(5, 1.0, HOME),
            vec!["near.burst", "near.rapid", "near.most_links"],
        ),
        (followed(5, 100.0, HOME), vec!["near.most_links"]),
        (followed(4, 100.0, HOME), vec![]),
        (followed(8, 100.0, HOME), vec!["near.all_links"]),
        (followed(8, 400.0, HOME), vec![]),
        (machines(followed(2, 0.5, CLOUD)), vec!["near.cloud_pair"]),
        (machines(followed(2, 3.0, CLOUD)), vec![]),
        (machines(followed(3, 2.5, CLOUD)), vec!["near.cloud_pair"]),
        (machines(followed(3, 3.0, CLOUD)), vec![]),
    ] {
        let what = format!("{} links, {hits:?}", hits.len());
        assert_eq!(added(&hits), expected, "{what}");
    }
    // One link again and again is somebody who clicks twice.
    assert!(added(&[hit(3_600.0, 1, HOME); 9]).is_empty());
    // HEAD, prefetches and opens are nobody's clicks.
    for name in ["method.head", "spec.sec_purpose"] {
        let mut quiet = followed(5, 0.1, HOME);
        quiet[1..].iter_mut().for_each(|hit| *hit = hit.with(name));
        assert!(added(&quiet).is_empty(), "{name}");
    }
}

#[test]
fn what_marks_one_hit_marks_its_source() {
    let one = hit(3_600.0, 1, HOME);
    let other = |source| hit(70_000.0, 2, source);
    for (other, marked) in [
        (other(HOME).with("token.honeypot"), true),
        (other(HOME).with("hdr.hint_platform"), true),
        (other(HOME).with("hdr.accept"), false),
        (
            other(HOME).with("token.honeypot").with("method.head"),
            false,
        ),
        (other((10, 2)).with("token.honeypot"), false),
        (other((11, 1)).with("token.honeypot"), false),
        (other((0, 1)).with("token.honeypot"), false),
        (hit(-2.0, 2, HOME), true),
        (open(-2.0, HOME), true),
    ] {
        let expected: &[_] = if marked { &["near.marked_source"] } else { &[] };
        assert_eq!(added(&[one, other]), expected, "{other:?}");
    }
    let flips = hit(3_650.0, 2, HOME).with("hdr.missing_fetch");
    assert_eq!(added(&[one, flips]), ["near.changing_headers"]);
    assert!(added(&[one, hit(3_661.0, 2, HOME).with("hdr.missing_fetch")]).is_empty());
}

#[test]
fn several_networks_at_a_time() {
    let spread: Vec<_> = (1..=3)
        .map(|at| hit(3_600.0 + f64::from(at), at, (at * 10, 1)))
        .collect();
    assert_eq!(added(&spread), ["near.many_networks"]);
    // Whose address changes under them, who names another agent, and a link that was followed
    // twice.
    let relayed: Vec<_> = spread
        .iter()
        .map(|hit| hit.with("net.privacy_relay"))
        .collect();
    assert!(added(&relayed).is_empty());
    let phone = Neighbour {
        agent: 9,
        ..spread[0]
    };
    assert!(added(&[phone, spread[1], spread[2]]).is_empty());
    let person = hit(3_605.0, 1, (77, 1));
    let beside = [person, spread[0], spread[1], spread[2]];
    assert!(added(&beside).is_empty());
    // One link from four providers, and from three.
    let on_one_link: Vec<_> = (1..=4)
        .map(|at| hit(3_600.0 + f64::from(at), 1, (at * 10, 1)))
        .collect();
    assert_eq!(added(&on_one_link), ["near.many_networks"]);
    assert!(added(&on_one_link[1..]).is_empty());
    // Five of eight links, minutes apart, from three providers, or from one that changes addresses.
    let minutes = |provider: u32| -> Vec<_> {
        let network = |at: u32| 200 + at % 3 * provider;
        (1..=5)
            .map(|at| hit(3_600.0 + f64::from(at) * 100.0, at, (network(at), 1)))
            .collect()
    };
    assert_eq!(added(&minutes(10)[1..]), [""; 0]);
    assert_eq!(added(&minutes(1)), [""; 0]);
    assert_eq!(added(&minutes(10)), [""; 0], "came back to its network");
    let mut apart = minutes(10);
    apart[3].network = 300;
    assert_eq!(added(&apart), ["near.many_networks"]);

    let cloud = |seconds, link, network| hit(seconds, link, (network, network)).with("net.hosting");
    let turns = [cloud(9_000.0, 1, 21), cloud(9_002.0, 2, 22)];
    assert_eq!(added(&turns), ["near.taking_turns"]);
    let elsewhere = [turns[0], cloud(9_002.0, 2, 39)];
    assert!(added(&elsewhere).is_empty());
    let on_one_link = [turns[0], cloud(9_002.0, 1, 39), cloud(9_004.0, 1, 59)];
    assert_eq!(added(&on_one_link), ["near.taking_turns"]);
    assert!(added(&on_one_link[..2]).is_empty());
    // A scan from one network beside a person on a desktop of the same cloud.
    let scan = (2..=5).map(|link| cloud(9_001.0, link, 22));
    let beside: Vec<_> = std::iter::once(turns[0]).chain(scan).collect();
    assert!(added(&beside).is_empty());

    let at_click = [cloud(9_000.0, 1, 21), hit(9_002.0, 1, HOME)];
    assert_eq!(added(&at_click), ["near.beside_person"]);
    assert!(added(&[at_click[1], at_click[0]]).is_empty(), "the person");
}

#[test]
fn several_agents_in_one_network() {
    let agents: Vec<_> = (1..=5)
        .map(|at| hit(3_600.0 + f64::from(at) * 12.0, at, (10, at)))
        .collect();
    assert_eq!(added(&agents), ["near.many_agents"]);
    // Four of them, a link followed twice, a gateway of many people, a mail read there.
    assert!(added(&agents[..4]).is_empty());
    let person = hit(3_620.0, 1, (10, 9));
    assert!(added(&[&agents[..], &[person]].concat()).is_empty());
    let gateway = agents.iter().map(|hit| hit.with("net.human_egress"));
    assert!(added(&gateway.collect::<Vec<_>>()).is_empty());
    let opened = open(3_500.0, (10, 7));
    assert!(added(&[&agents[..], &[opened]].concat()).is_empty());
}

#[test]
fn opens_beside_clicks() {
    let pixel = open(3_600.0, CLOUD).with("net.mail_provider");
    let scan = hit(3_610.0, 1, (21, 2)).with("net.certain_scanner");
    assert_eq!(added(&[pixel, scan]), ["near.open_of_scan"]);
    assert!(added(&[open(3_600.0, HOME), scan]).is_empty());
    let click = hit(3_600.0, 1, HOME);
    let outlook = open(9_000.0, (10, 7)).with("ua.mail_client");
    assert_eq!(added(&[click, outlook]), ["near.mail_client_there"]);
    assert!(added(&[click, open(9_000.0, (11, 7)).with("ua.mail_client")]).is_empty());
}

#[test]
fn how_fast_is_too_fast_stands_in_the_rule_set() {
    let company = followed(5, 2.0, HOME);
    let added = |text: &str| {
        let rules = RuleSet::parse(text).unwrap();
        let around = Around {
            hit: &company[2],
            company: &company,
            accepted_at: None,
            minted_at: None,
            links: 20,
            swept_before: false,
            windows: rules.windows(),
        };
        super::super::signals(around.settle()).collect::<Vec<_>>()
    };
    let text = RuleSet::shipped().unwrap().text().to_owned();
    assert_eq!(added(&text), [""; 0]);
    let slower = text.replace("rapid_seconds = 5", "rapid_seconds = 9");
    assert_eq!(added(&slower), ["near.rapid"]);
}

#[test]
fn whoever_presses_and_does_not_hurry_is_taken_for_a_person() {
    let press = |seconds, source| Neighbour {
        kind: HitKind::Press,
        ..hit(seconds, 1, source).with("press.passed")
    };
    let pressed = |company: &[Neighbour]| added(company).contains(&"near.pressed");
    let (page, button) = (hit(3_600.0, 1, HOME), press(3_605.0, HOME));
    assert!(pressed(&[page, button]) && pressed(&[button, page]));
    assert!(pressed(&[open(3_000.0, HOME), page, button]));
    assert!(!pressed(&[page, press(3_605.0, CLOUD)]), "somebody else");
    let refused = Neighbour {
        kind: HitKind::Press,
        ..hit(3_605.0, 1, HOME)
    };
    assert!(!pressed(&[page, refused]));
    let marked = hit(3_590.0, 2, HOME).with("ua.library");
    assert!(!pressed(&[page, button, marked]), "a machine is there");
    let hurries: Vec<_> = (1..=3).map(|link| hit(3_604.0, link, HOME)).collect();
    assert!(!pressed(&[&[page, button][..], &hurries].concat()));
    let sweep = |links: u32| {
        let slow = (1..=links).map(|link| hit(3_300.0 + 40.0 * f64::from(link), link, HOME));
        [page, button].into_iter().chain(slow).collect::<Vec<_>>()
    };
    assert!(pressed(&sweep(4)), "of eight");
    assert!(!pressed(&sweep(5)), "most of eight");
}

#[test]
fn nobody_follows_twenty_times_in_a_minute() {
    let many = |hits: u32, apart: f64| {
        let at = |n: u32| hit(3_600.0 + f64::from(n) * apart, 1, HOME);
        (0..hits).map(at).collect::<Vec<_>>()
    };
    let floods = |company: &[Neighbour]| added(company).contains(&"near.flood");
    assert!(floods(&many(20, 3.0)) && !floods(&many(19, 3.0)));
    assert!(!floods(&many(48, 3.5)), "slowly");
    let mut first = many(48, 1.0);
    first.insert(0, hit(40_000.0, 1, HOME));
    assert!(floods(&first), "what comes hours later, too");
    first[0] = hit(40_000.0, 1, CLOUD);
    assert!(!floods(&first), "somebody else");
    assert!(!floods(
        &(0..40)
            .map(|n| open(f64::from(n), HOME))
            .collect::<Vec<_>>()
    ));
}
