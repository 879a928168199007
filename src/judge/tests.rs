//! Judgements as a table.

use super::*;
use crate::domain::hit::{HttpVersion, Method, Scheme, TokenState};
use crate::domain::network::{Lists, NetworkFacts};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                      Gecko) Chrome/153.0.0.0 Safari/537.36";
const BROWSER: &[(&str, &str)] = &[
    ("user-agent", CHROME),
    ("accept", "text/html,*/*;q=0.8"),
    ("accept-language", "en"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    (
        "sec-ch-ua",
        r#""Chromium";v="153", "Not:A-Brand";v="8", "Google Chrome";v="153""#,
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", r#""Windows""#),
];

/// A hit under test: a Windows Chrome at home, changed where the test says so.
struct Hit {
    kind: HitKind,
    method: Method,
    scheme: Scheme,
    lists: Lists,
    changed: &'static [(&'static str, &'static str)],
    one_click: bool,
}

const AT_HOME: Hit = Hit {
    kind: HitKind::Click,
    method: Method::Get,
    scheme: Scheme::Https,
    lists: Lists::NONE,
    changed: &[],
    one_click: false,
};

impl Hit {
    fn of(kind: HitKind) -> Self {
        Self { kind, ..AT_HOME }
    }

    fn by(method: Method) -> Self {
        Self { method, ..AT_HOME }
    }

    fn from(lists: Lists) -> Self {
        Self { lists, ..AT_HOME }
    }

    fn sends(self, changed: &'static [(&'static str, &'static str)]) -> Self {
        Self { changed, ..self }
    }

    fn facts(&self) -> Facts {
        let agents = Agents::shipped().unwrap();
        let mut headers = Headers::default();
        // The first value wins, so changes go first; an empty one stands for no header.
        for (name, value) in self.changed.iter().chain(BROWSER) {
            headers.set(name, value.as_bytes());
        }
        for slot in [
            &mut headers.accept_language,
            &mut headers.sec_fetch_mode,
            &mut headers.sec_ch_ua,
            &mut headers.sec_ch_ua_mobile,
            &mut headers.sec_ch_ua_platform,
        ] {
            *slot = slot.filter(|value| !value.is_empty());
        }
        observe(&Observed {
            kind: self.kind,
            method: self.method,
            scheme: self.scheme,
            http: HttpVersion::Http2,
            agent: agents.classify(headers.user_agent.unwrap_or_default()),
            headers: &headers,
            network: NetworkFacts {
                asn: 64500,
                lists: self.lists,
                lists_version: 1,
            },
            token: TokenState::Valid,
            honeypot: false,
            one_click: self.one_click,
            passed: false,
        })
    }

    fn class(&self) -> Class {
        judge(&RuleSet::shipped().unwrap(), self.kind, self.facts()).class
    }
}

const BARE: &[(&str, &str)] = &[
    ("sec-fetch-mode", ""),
    ("sec-ch-ua", ""),
    ("sec-ch-ua-mobile", ""),
    ("sec-ch-ua-platform", ""),
];

#[test]
fn people_are_people() {
    let press = Hit {
        method: Method::Post,
        ..Hit::of(HitKind::Press)
    };
    let clear_text = Hit {
        scheme: Scheme::Http,
        ..AT_HOME
    };
    let cloud = Lists::HOSTING;
    for (what, hit) in [
        ("at home", AT_HOME),
        ("an action's page", Hit::of(HitKind::Page)),
        ("a press", press),
        ("behind an inspecting proxy", AT_HOME.sends(BARE)),
        ("over clear text", clear_text.sends(BARE)),
        ("on a cloud desktop", Hit::from(cloud)),
        (
            "on the provider's desktop",
            Hit::from(cloud.and(Lists::MAIL_PROVIDER)),
        ),
        ("in browser isolation", Hit::from(Lists::EMAIL_SECURITY)),
        (
            "behind a web gateway",
            Hit::from(cloud.and(Lists::HUMAN_EGRESS)).sends(BARE),
        ),
        (
            "on a privacy relay",
            Hit::from(cloud.and(Lists::PRIVACY_RELAY)),
        ),
    ] {
        assert_eq!(hit.class(), Class::Human, "{what}");
    }
}

const CURL: &[(&str, &str)] = &[("user-agent", "curl/8.5.0")];
const APPLE: &[(&str, &str)] = &[("user-agent", "Mozilla/5.0")];
const GOOGLE: &[(&str, &str)] = &[("user-agent", "Mozilla/5.0 (via ggpht.com GoogleImageProxy)")];
const PRERENDER: &[(&str, &str)] = &[("sec-purpose", "prefetch;prerender")];
const OLD_PREFETCH: &[(&str, &str)] = &[("x-moz", "prefetch")];
const LINUX: &[(&str, &str)] = &[
    ("sec-ch-ua-platform", r#""Linux""#),
    ("sec-ch-ua", r#""Chromium";v="153", "Not:A-Brand";v="8""#),
];

#[test]
fn machines_are_machines() {
    let open = || Hit::of(HitKind::Open);
    for (what, hit, class) in [
        ("EOP", Hit::from(Lists::CERTAIN_SCANNER), Class::Scanner),
        (
            "a cloud, bare",
            Hit::from(Lists::HOSTING).sends(BARE),
            Class::Suspect,
        ),
        ("curl", AT_HOME.sends(CURL), Class::Bot),
        ("HEAD", Hit::by(Method::Head), Class::Bot),
        ("POST on a link", Hit::by(Method::Post), Class::Bot),
        ("prerender", AT_HOME.sends(PRERENDER), Class::Prefetch),
        ("old prefetch", AT_HOME.sends(OLD_PREFETCH), Class::Prefetch),
        ("Linux that says Windows", AT_HOME.sends(LINUX), Class::Bot),
        ("Apple's prefetch", open().sends(APPLE), Class::Prefetch),
        ("Gmail's proxy on a link", AT_HOME.sends(GOOGLE), Class::Bot),
    ] {
        assert_eq!(hit.class(), class, "{what}");
    }
}

#[test]
fn people_behind_a_provider_are_proxied() {
    let one_click = Hit {
        method: Method::Post,
        lists: Lists::HOSTING,
        one_click: true,
        ..Hit::of(HitKind::Unsubscribe)
    };
    let open = || Hit::of(HitKind::Open);
    let google_network = Hit {
        lists: Lists::IMAGE_PROXY,
        ..open()
    };
    for hit in [open().sends(GOOGLE), google_network, one_click.sends(CURL)] {
        assert_eq!(hit.class(), Class::Proxied);
    }
}

/// Random facts: judge and explain agree, the listed sum gives the score, and nothing but the
/// listed weights counts.
#[test]
fn what_is_explained_is_what_was_judged() {
    let rules = RuleSet::shipped().unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..20_000_u32 {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // Sparse facts are what hits have; every eighth round takes any bits at all.
        let facts = Facts::from_bits(match round % 8 {
            0 => next(),
            _ => next() & next() & next() & next(),
        });
        for kind in HitKind::ALL {
            let explained = explain(&rules, *kind, facts);
            assert_eq!(explained.verdict, judge(&rules, *kind, facts));
            let sum = explained.signals.iter().map(|(_, weight)| weight);
            let log_odds = sum.fold(explained.prior, |sum, weight| sum + weight);
            let percent = 100.0 / (1.0 + (-log_odds).exp());
            assert_eq!(
                explained.verdict.score.percent(),
                (percent * 10.0).round() / 10.0
            );
        }
    }
}

#[test]
fn a_fact_of_a_newer_version_weighs_nothing() {
    let rules = RuleSet::shipped().unwrap();
    let unknown = Facts::NONE.with(23);
    assert!(explain(&rules, HitKind::Click, unknown).signals.is_empty());
    assert_eq!(
        judge(&rules, HitKind::Click, unknown),
        judge(&rules, HitKind::Click, Facts::NONE)
    );
}
