//! From a request to a kept hit: what was seen, how it is judged, what may be recorded.

use std::fmt::Write;

use actix_http::RequestHead;
use actix_web::http::{Method as HttpMethod, Version};

use crate::domain::campaign::PrivacyLevel;
use crate::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState, Via};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::journal::{Kept, SideKind};
use crate::judge::{self, AgentFacts, Headers, Observed, RuleSet};

use super::Parts;
use super::client::Client;
use super::worker::Worker;

/// What a request shows, before anything is known of its link.
pub(super) struct Seen<'r> {
    head: &'r RequestHead,
    pub(super) headers: Headers<'r>,
    pub(super) at: Micros,
    pub(super) method: Method,
    client: Client,
    /// Levels of the installation: of every hit, and of one whose browser asks for privacy.
    recorded: (PrivacyLevel, PrivacyLevel),
    http: HttpVersion,
    /// Sum of the hashes of the names that no rule reads.
    other_names: u64,
}

impl<'r> Seen<'r> {
    /// Reads a request that came over `scheme`.
    pub(super) fn new(worker: &Worker, head: &'r RequestHead, scheme: Scheme) -> Self {
        let mut headers = Headers::default();
        let mut other_names = 0_u64;
        for (name, value) in &head.headers {
            if !headers.set(name.as_str(), value.as_bytes()) {
                other_names = other_names.wrapping_add(worker.ids.of_name(name));
            }
        }
        let peer = head.peer_addr.map(|peer| peer.ip());
        let (client, recorded) = worker.with_live(|live| {
            let client = Client::of(peer, scheme, &head.headers, &live.trusted_proxies);
            (client, (live.level, live.privacy_signals.level()))
        });
        Self {
            head,
            headers,
            other_names,
            at: worker.clock.now(),
            method: match head.method {
                HttpMethod::GET => Method::Get,
                HttpMethod::HEAD => Method::Head,
                HttpMethod::POST => Method::Post,
                _ => Method::Other,
            },
            client,
            recorded,
            http: match head.version {
                Version::HTTP_09 | Version::HTTP_10 => HttpVersion::Http10,
                Version::HTTP_2 => HttpVersion::Http2,
                Version::HTTP_3 => HttpVersion::Http3,
                _ => HttpVersion::Http11,
            },
        }
    }

    /// The strictest level that configuration, campaign and the browser's signals ask for.
    fn level(&self, campaign: PrivacyLevel) -> PrivacyLevel {
        let (all, asked) = self.recorded;
        let level = all.strictest(campaign);
        let said = |value: Option<&[u8]>| value == Some(b"1".as_slice());
        if said(self.headers.sec_gpc) || said(self.headers.dnt) {
            return level.strictest(asked);
        }
        level
    }

    /// Values that rules read, but the agent string, which has an id of its own.
    fn fingerprint(&self) -> impl Iterator<Item = (&'static str, &'r [u8])> {
        self.headers
            .sent()
            .filter(|(name, _)| *name != "user-agent")
    }

    fn text(&self, kind: SideKind) -> Vec<u8> {
        match kind {
            SideKind::Agent => self.headers.user_agent.unwrap_or_default().to_vec(),
            SideKind::Headers => {
                let mut names: Vec<_> =
                    self.head.headers.keys().map(|name| name.as_str()).collect();
                names.sort_unstable();
                let mut text = String::new();
                for name in names {
                    let value = self.fingerprint().find(|(read, _)| *read == name);
                    let value = value.map(|(_, value)| String::from_utf8_lossy(value));
                    let written = match value {
                        Some(value) => writeln!(text, "{name}: {value}"),
                        None => writeln!(text, "{name}"),
                    };
                    debug_assert!(written.is_ok(), "writing to a string does not fail");
                }
                text.into_bytes()
            }
        }
    }

    fn agent_facts(&self, worker: &Worker, rules: &RuleSet, id: u64) -> AgentFacts {
        let agent = self.headers.user_agent.unwrap_or_default();
        worker.agent(id, rules, agent)
    }
}

/// What was asked for and how it is answered: everything of a hit but who asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) kind: HitKind,
    pub(super) target: Target,
    pub(super) message: Option<(MessageId, RecipientKey)>,
    pub(super) token: TokenState,
    pub(super) answer: Answer,
    pub(super) level: PrivacyLevel,
    pub(super) claimed: bool,
    pub(super) honeypot: bool,
    pub(super) values: bool,
    pub(super) via: Option<Via>,
}

impl Asked {
    /// With another answer.
    pub(super) fn answered(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
}

/// Judges a hit; `None` where its level is `none`.
pub(super) fn judged(worker: &Worker, seen: &Seen<'_>, asked: &Asked) -> Option<Hit> {
    let parts: &Parts = worker;
    let level = seen.level(asked.level);
    if level == PrivacyLevel::None {
        return None;
    }
    let rules = parts.rules.load();
    let rules = rules.live();
    let agent = worker.ids.of_agent(&seen.headers);
    let address = seen.client.address;
    let network = rules.own().network(address, parts.networks.facts(address));
    let observed = Observed {
        kind: asked.kind,
        method: seen.method,
        scheme: seen.client.scheme,
        http: seen.http,
        agent: seen.agent_facts(worker, rules, agent),
        headers: &seen.headers,
        network,
        token: asked.token,
        honeypot: asked.honeypot,
        one_click: asked.via == Some(Via::OneClick) && asked.answer == Answer::Acted,
        passed: asked.kind == HitKind::Press && asked.answer == Answer::Acted,
    };
    let facts = judge::observe(&observed);
    let verdict = judge::judge(rules, asked.kind, facts);
    let hit = Hit {
        at: seen.at,
        target: asked.target,
        message: asked.message,
        address: Some(address),
        agent,
        headers: worker.ids.of_headers(&seen.headers, seen.other_names),
        facts,
        network,
        kind: asked.kind,
        method: seen.method,
        http: seen.http,
        scheme: seen.client.scheme,
        answer: asked.answer,
        level,
        token: asked.token,
        verdict,
        ruleset: rules.id(),
        claimed: asked.claimed,
        honeypot: asked.honeypot,
        values: asked.values,
        via: asked.via,
    };
    Some(hit.stripped())
}

/// Keeps a hit before it is answered, and says what to wait for until then, if anything. A hit
/// that cannot be kept is counted by the journal, and answered all the same: readers come first.
pub(super) fn keep(worker: &Worker, seen: &Seen<'_>, asked: &Asked) -> Option<Kept> {
    let Some(hit) = judged(worker, seen, asked) else {
        worker.counters.unrecorded();
        return None;
    };
    worker.keep(&hit, &|kind| seen.text(kind))
}

/// Keeps an act, with its hit; only then may it be answered.
pub(super) async fn keep_act(
    worker: &Worker,
    seen: &Seen<'_>,
    asked: &Asked,
    act: &crate::domain::act::Act,
) -> Result<(), crate::journal::JournalError> {
    let hit = judged(worker, seen, asked);
    worker
        .journal
        .append_act(act, hit.as_ref(), &|kind| seen.text(kind))
        .await
}
