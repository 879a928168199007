//! The signals: every piece of evidence that a judgement can rest on, each one line here and one
//! function in `rules/` (or, for what needs time, in `around`). This list is the documentation;
//! docs/judging.md adds evidence and known victims, and a test holds both together.
//!
//! A signal is a fact, not an opinion: it holds or it does not, whatever the rule set and, as a
//! rule, whatever the kind of hit. What it is worth, on opens and on clicks apart, is the rule
//! set's business.
//!
//! **Bits are for ever.** They are stored in the journal and the database. A signal that is
//! given up keeps its bit, which is never given to another; one whose meaning changes gets a new
//! bit and a new name. Bits 0 to 47 are observed in the request, 48 to 63 are settled.

use super::agent::AgentFacts;
use super::headers::Headers;
use super::rules::{agent, browser, network, request};
use crate::domain::hit::{HitKind, HttpVersion, Method, Scheme, TokenState};
use crate::domain::judgement::{Class, Facts};
use crate::domain::network::NetworkFacts;

/// What a signal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Where the request came from.
    Network,
    /// What the client calls itself.
    Agent,
    /// Whether the request looks as that client's requests look.
    Headers,
    /// Whether the client says that nobody has asked for it yet.
    Speculation,
    /// The request method.
    Method,
    /// The token, and links that nobody can see.
    Token,
    /// When it came, against the acceptance of the mail.
    Timing,
    /// What else the same message or source did.
    Neighbours,
    /// Evidence of a person: its weights are negative.
    Person,
}

impl Family {
    /// The class of a machine that is mainly known by this family.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Speculation => Class::Prefetch,
            Self::Network | Self::Token | Self::Timing | Self::Neighbours => Class::Scanner,
            Self::Agent | Self::Headers | Self::Method => Class::Bot,
            Self::Person => Class::Suspect,
        }
    }

    /// The name in the API and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Agent => "agent",
            Self::Headers => "headers",
            Self::Speculation => "speculation",
            Self::Method => "method",
            Self::Token => "token",
            Self::Timing => "timing",
            Self::Neighbours => "neighbours",
            Self::Person => "person",
        }
    }
}

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
    /// How it is observed in a request; `None` if it is settled later.
    pub rule: Option<fn(&Observed) -> bool>,
}

impl Signal {
    /// Its fact.
    #[must_use]
    pub const fn fact(self) -> Facts {
        Facts::NONE.with(self.bit)
    }

    const fn says(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

const fn seen(bit: u8, name: &'static str, family: Family, rule: fn(&Observed) -> bool) -> Signal {
    Signal {
        bit,
        name,
        family,
        class: family.class(),
        rule: Some(rule),
    }
}

const fn settled(bit: u8, name: &'static str, family: Family) -> Signal {
    Signal {
        bit,
        name,
        family,
        class: family.class(),
        rule: None,
    }
}

/// `net.certain_scanner`, which other rules read.
pub(super) const NET_CERTAIN: u8 = 0;
/// `net.email_security`.
pub(super) const NET_EMAIL_SECURITY: u8 = 1;
/// `net.hosting`.
pub(super) const NET_HOSTING: u8 = 2;
/// `net.mail_provider`.
pub(super) const NET_MAIL_PROVIDER: u8 = 3;
/// `net.image_proxy`.
pub(super) const NET_IMAGE_PROXY: u8 = 4;
/// `ua.image_proxy`.
pub(super) const UA_IMAGE_PROXY: u8 = 8;
/// `unsubscribe.one_click`.
pub(super) const ONE_CLICK: u8 = 40;
/// `time.before_accept`.
pub(super) const TIME_BEFORE_ACCEPT: u8 = 48;
/// `time.at_accept`.
pub(super) const TIME_AT_ACCEPT: u8 = 49;
/// `time.window`.
pub(super) const TIME_WINDOW: u8 = 50;
/// `time.cloud_window`.
pub(super) const TIME_CLOUD_WINDOW: u8 = 51;

/// Every signal, in order of its bit. The bits left out are free.
pub const SIGNALS: &[Signal] = {
    use Family::{Agent, Headers, Method, Network, Person, Speculation, Timing, Token};
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
        seen(5, "net.privacy_relay", Person, network::privacy_relay),
        seen(6, "net.human_egress", Person, network::human_egress),
        seen(UA_IMAGE_PROXY, "ua.image_proxy", Agent, agent::image_proxy),
        seen(9, "ua.apple_prefetch", Agent, agent::apple_prefetch).says(Class::Prefetch),
        seen(10, "ua.gmail_prefetch", Agent, agent::gmail_prefetch).says(Class::Prefetch),
        seen(11, "ua.previewer", Agent, agent::previewer),
        seen(12, "ua.declared_bot", Agent, agent::declared_bot),
        seen(13, "ua.library", Agent, agent::library),
        seen(14, "ua.headless", Agent, agent::headless),
        seen(15, "ua.security_scanner", Agent, agent::security_scanner).says(Class::Scanner),
        seen(16, "ua.empty", Agent, agent::empty),
        seen(17, "ua.odd_shape", Agent, agent::odd_shape),
        seen(18, "ua.mail_client", Person, agent::mail_client),
        seen(19, "ua.stale_chrome", Agent, agent::stale_chrome).says(Class::Scanner),
        seen(20, "ua.full_version", Agent, agent::full_version).says(Class::Scanner),
        seen(24, "hdr.missing_fetch", Headers, browser::missing_fetch),
        seen(25, "hdr.not_navigation", Headers, browser::not_navigation),
        seen(26, "hdr.accept", Headers, browser::accept),
        seen(27, "hdr.no_language", Headers, browser::no_language),
        seen(28, "hdr.hint_platform", Headers, browser::hint_platform),
        seen(29, "hdr.hint_mobile", Headers, browser::hint_mobile),
        seen(30, "hdr.hint_version", Headers, browser::hint_version),
        seen(31, "hdr.hint_brands", Headers, browser::hint_brands),
        seen(32, "hdr.hint_foreign", Headers, browser::hint_foreign),
        seen(33, "hdr.hint_headless", Headers, browser::hint_headless),
        seen(34, "hdr.hint_missing", Headers, browser::hint_missing),
        seen(36, "spec.sec_purpose", Speculation, request::sec_purpose),
        seen(
            37,
            "spec.legacy_purpose",
            Speculation,
            request::legacy_purpose,
        ),
        seen(38, "method.head", Method, request::head),
        seen(39, "method.other", Method, request::other_method),
        seen(
            ONE_CLICK,
            "unsubscribe.one_click",
            Person,
            request::one_click,
        ),
        seen(41, "token.damaged", Token, request::damaged_token),
        seen(42, "token.honeypot", Token, request::honeypot),
        settled(TIME_BEFORE_ACCEPT, "time.before_accept", Timing),
        settled(TIME_AT_ACCEPT, "time.at_accept", Timing),
        settled(TIME_WINDOW, "time.window", Timing),
        settled(TIME_CLOUD_WINDOW, "time.cloud_window", Timing),
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
        .filter(|signal| signal.rule.is_some_and(|holds| holds(observed)))
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
            assert_eq!(signal.rule.is_none(), signal.bit >= 48, "{}", signal.name);
        }
    }
}
