//! The signals: every piece of evidence that a judgement can rest on, each one line here and one
//! function in `rules/`. This list is the documentation;
//! `about.toml` adds evidence and known victims; docs/judging.md is made of both.
//!
//! A signal is a fact, not an opinion: it holds or it does not, whatever the rule set and, as a
//! rule, whatever the kind of hit. What it is worth, on opens and on clicks apart, is the rule
//! set's business.
//!
//! **Bits are for ever.** They are stored in the journal and the database. A signal that is
//! given up keeps its bit, which is never given to another; one whose meaning changes gets a new
//! bit and a new name. Bits 0 to 43 are observed in the request, 44 to 63 are settled.

use super::agent::AgentFacts;
use super::around::Around;
pub use super::family::Family;
use super::headers::Headers;
use super::rules::neighbours::{links, networks, source};
use super::rules::{agent, browser, network, request, timing};
use crate::domain::hit::{HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts};
use crate::domain::network::NetworkFacts;

/// Everything that a request shows at the edge.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Kind of hit.
    pub kind: HitKind,
    /// Request method.
    pub method: Method,
    /// Scheme of the reader's connection.
    pub scheme: Scheme,
    /// HTTP version of the connection.
    pub http: HttpVersion,
    /// What the agent lists say of the user agent.
    pub agent: AgentFacts,
    /// The headers that rules read.
    pub headers: &'a Headers<'a>,
    /// What the network tables say of the address.
    pub network: NetworkFacts,
    /// What the token was worth.
    pub token: TokenState,
    /// Whether the link is a honeypot.
    pub honeypot: bool,
    /// Whether this is an RFC 8058 one-click unsubscribe.
    pub one_click: bool,
    /// Whether this is a press that passed every check.
    pub passed: bool,
}

/// One piece of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Its bit in [`Facts`], for ever.
    pub bit: u8,
    /// Its name in rule sets, API and docs.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// Class of a machine for which this is the strongest evidence: the family's, mostly.
    pub class: Class,
    /// How it is found out.
    pub rule: Rule,
}

/// How a signal is found out.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// In the request, at the edge.
    Observed(fn(&Observed<'_>) -> bool),
    /// From what came around it, at settling.
    Settled(fn(&Around<'_>) -> bool),
}

impl Signal {
    /// Its rule, if it is settled.
    pub(super) fn around(&self) -> Option<fn(&Around<'_>) -> bool> {
        match self.rule {
            Rule::Settled(holds) => Some(holds),
            Rule::Observed(_) => None,
        }
    }

    /// Its fact.
    #[must_use]
    pub const fn fact(self) -> Facts {
        Facts::NONE.with(self.bit)
    }

    const fn says(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

const fn signal(bit: u8, name: &'static str, family: Family, rule: Rule) -> Signal {
    Signal {
        bit,
        name,
        family,
        class: family.class(),
        rule,
    }
}

const fn seen(
    bit: u8,
    name: &'static str,
    family: Family,
    rule: fn(&Observed<'_>) -> bool,
) -> Signal {
    signal(bit, name, family, Rule::Observed(rule))
}

const fn settled(
    bit: u8,
    name: &'static str,
    family: Family,
    rule: fn(&Around<'_>) -> bool,
) -> Signal {
    signal(bit, name, family, Rule::Settled(rule))
}

/// Bits that other rules read, by the names of their signals.
pub(super) const NET_CERTAIN: u8 = 0;
pub(super) const NET_EMAIL_SECURITY: u8 = 1;
pub(super) const NET_HOSTING: u8 = 2;
pub(super) const NET_MAIL_PROVIDER: u8 = 3;
pub(super) const NET_IMAGE_PROXY: u8 = 4;
pub(super) const NET_PRIVACY_RELAY: u8 = 5;
pub(super) const NET_HUMAN_EGRESS: u8 = 6;
pub(super) const UA_IMAGE_PROXY: u8 = 8;
pub(super) const UA_LIBRARY: u8 = 13;
pub(super) const UA_HEADLESS: u8 = 14;
pub(super) const UA_SECURITY_SCANNER: u8 = 15;
pub(super) const UA_MAIL_CLIENT: u8 = 18;
pub(super) const HINT_PLATFORM: u8 = 28;
pub(super) const HINT_VERSION: u8 = 30;
pub(super) const HINT_FOREIGN: u8 = 32;
pub(super) const HINT_HEADLESS: u8 = 33;
pub(super) const SEC_PURPOSE: u8 = 36;
pub(super) const LEGACY_PURPOSE: u8 = 37;
pub(super) const METHOD_HEAD: u8 = 38;
pub(super) const METHOD_OTHER: u8 = 39;
pub(super) const ONE_CLICK: u8 = 40;
pub(super) const DAMAGED_TOKEN: u8 = 41;
pub(super) const HONEYPOT: u8 = 42;
pub(super) const PRESS_PASSED: u8 = 43;
pub(super) const PRESSED: u8 = 44;
pub(super) const SWEPT_BEFORE: u8 = 47;
pub(super) const RAPID: u8 = 53;
pub(super) const ALL_LINKS: u8 = 56;
pub(super) const MARKED_SOURCE: u8 = 58;

/// That the source of a hit had swept other messages.
pub const SWEPT: Facts = Facts::NONE.with(SWEPT_BEFORE);

/// Bits of the settled signals: what a new settling decides afresh.
pub(super) const SETTLED: u64 = !0 << PRESSED;

/// Every signal, in order of its bit. The bits left out are free.
pub const SIGNALS: &[Signal] = {
    use Family::{Agent, Headers, Method, Neighbours, Network, Person, Speculation, Timing, Token};
    &[
        seen(
            NET_CERTAIN,
            "net.certain_scanner",
            Network,
            network::certain_scanner,
        ),
        seen(
            NET_EMAIL_SECURITY,
            "net.email_security",
            Network,
            network::email_security,
        ),
        seen(NET_HOSTING, "net.hosting", Network, network::hosting),
        seen(
            NET_MAIL_PROVIDER,
            "net.mail_provider",
            Network,
            network::mail_provider,
        ),
        seen(
            NET_IMAGE_PROXY,
            "net.image_proxy",
            Network,
            network::image_proxy,
        ),
        seen(
            NET_PRIVACY_RELAY,
            "net.privacy_relay",
            Person,
            network::privacy_relay,
        ),
        seen(
            NET_HUMAN_EGRESS,
            "net.human_egress",
            Person,
            network::human_egress,
        ),
        seen(UA_IMAGE_PROXY, "ua.image_proxy", Agent, agent::image_proxy),
        seen(9, "ua.apple_prefetch", Agent, agent::apple_prefetch).says(Class::Prefetch),
        seen(10, "ua.gmail_prefetch", Agent, agent::gmail_prefetch).says(Class::Prefetch),
        seen(11, "ua.previewer", Agent, agent::previewer),
        seen(12, "ua.declared_bot", Agent, agent::declared_bot),
        seen(UA_LIBRARY, "ua.library", Agent, agent::library),
        seen(UA_HEADLESS, "ua.headless", Agent, agent::headless),
        seen(
            UA_SECURITY_SCANNER,
            "ua.security_scanner",
            Agent,
            agent::security_scanner,
        )
        .says(Class::Scanner),
        seen(16, "ua.empty", Agent, agent::empty),
        seen(17, "ua.odd_shape", Agent, agent::odd_shape),
        seen(UA_MAIL_CLIENT, "ua.mail_client", Person, agent::mail_client),
        seen(19, "ua.stale_chrome", Agent, agent::stale_chrome).says(Class::Scanner),
        seen(20, "ua.full_version", Agent, agent::full_version).says(Class::Scanner),
        seen(24, "hdr.missing_fetch", Headers, browser::missing_fetch),
        seen(25, "hdr.not_navigation", Headers, browser::not_navigation),
        seen(26, "hdr.accept", Headers, browser::accept),
        seen(27, "hdr.no_language", Headers, browser::no_language),
        seen(
            HINT_PLATFORM,
            "hdr.hint_platform",
            Headers,
            browser::hint_platform,
        ),
        seen(29, "hdr.hint_mobile", Headers, browser::hint_mobile),
        seen(
            HINT_VERSION,
            "hdr.hint_version",
            Headers,
            browser::hint_version,
        ),
        seen(31, "hdr.hint_brands", Headers, browser::hint_brands),
        seen(
            HINT_FOREIGN,
            "hdr.hint_foreign",
            Headers,
            browser::hint_foreign,
        ),
        seen(
            HINT_HEADLESS,
            "hdr.hint_headless",
            Headers,
            browser::hint_headless,
        ),
        seen(34, "hdr.hint_missing", Headers, browser::hint_missing),
        seen(35, "hdr.no_activation", Headers, browser::no_activation),
        seen(
            SEC_PURPOSE,
            "spec.sec_purpose",
            Speculation,
            request::sec_purpose,
        ),
        seen(
            LEGACY_PURPOSE,
            "spec.legacy_purpose",
            Speculation,
            request::legacy_purpose,
        ),
        seen(METHOD_HEAD, "method.head", Method, request::head),
        seen(METHOD_OTHER, "method.other", Method, request::other_method),
        seen(
            ONE_CLICK,
            "unsubscribe.one_click",
            Person,
            request::one_click,
        ),
        seen(
            DAMAGED_TOKEN,
            "token.damaged",
            Token,
            request::damaged_token,
        ),
        seen(HONEYPOT, "token.honeypot", Token, request::honeypot),
        seen(PRESS_PASSED, "press.passed", Person, request::press_passed),
        settled(PRESSED, "near.pressed", Person, source::pressed),
        settled(45, "near.flood", Neighbours, links::flood),
        settled(46, "near.many_agents", Neighbours, networks::many_agents),
        settled(
            SWEPT_BEFORE,
            "near.swept_before",
            Neighbours,
            source::swept_before,
        ),
        settled(48, "time.before_accept", Timing, timing::before_accept),
        settled(49, "time.at_accept", Timing, timing::at_accept),
        settled(50, "time.window", Timing, timing::window),
        settled(51, "time.cloud_window", Timing, timing::cloud_window),
        settled(52, "near.burst", Neighbours, links::burst),
        settled(RAPID, "near.rapid", Neighbours, links::rapid),
        settled(54, "near.cloud_pair", Neighbours, links::cloud_pair),
        settled(55, "near.most_links", Neighbours, links::most_links),
        settled(ALL_LINKS, "near.all_links", Neighbours, links::all_links),
        settled(
            57,
            "near.changing_headers",
            Neighbours,
            source::changing_headers,
        ),
        settled(
            MARKED_SOURCE,
            "near.marked_source",
            Neighbours,
            source::marked_source,
        ),
        settled(
            59,
            "near.many_networks",
            Neighbours,
            networks::many_networks,
        ),
        settled(60, "near.taking_turns", Neighbours, networks::taking_turns),
        settled(
            61,
            "near.beside_person",
            Neighbours,
            networks::beside_person,
        ),
        settled(62, "near.open_of_scan", Neighbours, networks::open_of_scan),
        settled(
            63,
            "near.mail_client_there",
            Person,
            source::mail_client_there,
        ),
    ]
};

/// The signal of a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Signal> {
    SIGNALS.iter().find(|signal| signal.name == name)
}

/// The facts that a request shows.
#[must_use]
pub fn observe(observed: &Observed) -> Facts {
    SIGNALS
        .iter()
        .filter(|signal| matches!(signal.rule, Rule::Observed(holds) if holds(observed)))
        .fold(Facts::NONE, |facts, signal| facts.with(signal.bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_names_are_unique_and_in_order() {
        for pair in SIGNALS.windows(2) {
            assert!(pair[0].bit < pair[1].bit, "{}", pair[1].name);
        }
        for signal in SIGNALS {
            assert_eq!(by_name(signal.name).unwrap().bit, signal.bit);
            let settled = SETTLED & signal.fact().bits() != 0;
            assert_eq!(signal.around().is_some(), settled, "{}", signal.name);
        }
    }
}
