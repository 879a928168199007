//! Records of a stream, through the judge and the settler of the server.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::domain::campaign::{CampaignId, PrivacyLevel};
use crate::domain::hit::{Answer, HitKind, Method, TokenState};
use crate::domain::judgement::{Facts, Verdict};
use crate::domain::message::{MessageId, RecipientKey};
use crate::domain::network;
use crate::domain::record::{Hit, Target};
use crate::domain::time::Micros;
use crate::judge::{self, Agents, Headers, Observed, RuleSet};
use crate::network::Networks;
use crate::settle::Offline;

use super::stream::{self, Endpoint, LinkKind, Record};

/// Stream time between two rounds of settling; the server's are oftener.
const ROUND_MICROS: i64 = 1_000_000;
/// How long the id of a hit may be asked for: longer than anything can still change.
const KEPT_MICROS: i64 = 3 * 86_400 * 1_000_000;

/// A hit with its judgement.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Judged {
    /// As the stream names it.
    pub(in crate::cli) id: Arc<str>,
    /// Its place among the hits of the stream, from 1.
    pub(in crate::cli) number: u64,
    pub(in crate::cli) message: Option<MessageId>,
    pub(in crate::cli) kind: HitKind,
    pub(in crate::cli) facts: Facts,
    pub(in crate::cli) verdict: Verdict,
}

/// A hit that may still be spoken of.
struct Taken {
    at: Micros,
    id: Arc<str>,
    message: Option<MessageId>,
    kind: HitKind,
}

/// The judge of a stream.
pub(in crate::cli) struct Replay {
    rules: Arc<RuleSet>,
    agents: Agents,
    networks: Networks,
    settler: Offline,
    campaigns: HashMap<Box<str>, CampaignId>,
    /// The one that was named last, for hits that come before the record of their message.
    campaign: Option<CampaignId>,
    links: HashMap<(CampaignId, u32), LinkKind>,
    messages: HashMap<Box<str>, MessageId>,
    /// Hits by number, the first of which is that of `first`.
    hits: VecDeque<Taken>,
    first: u64,
    now: Micros,
    settled_at: Micros,
}

impl Replay {
    pub(in crate::cli) fn new(rules: Arc<RuleSet>, agents: Agents, networks: Networks) -> Self {
        Self {
            settler: Offline::new(Arc::clone(&rules)),
            rules,
            agents,
            networks,
            campaigns: HashMap::new(),
            campaign: None,
            links: HashMap::new(),
            messages: HashMap::new(),
            hits: VecDeque::new(),
            first: 1,
            now: Micros::default(),
            settled_at: Micros::default(),
        }
    }

    /// Takes a record, and gives what is settled by then.
    pub(super) fn take(&mut self, record: &Record<'_>) -> Vec<Judged> {
        match record {
            Record::Link(link) => {
                let campaign = self.campaign(&link.campaign);
                let known = self.links.insert((campaign, link.link), link.kind);
                if known.is_none() && link.kind != LinkKind::Honeypot {
                    self.settler.link(campaign.get());
                }
                Vec::new()
            }
            Record::Message(message) => {
                let campaign = self.campaign(&message.campaign);
                self.message(&message.message, Some(campaign), Some(message.at));
                self.reach(message.at)
            }
            Record::Delivery(delivery) => {
                let settled = self.reach(delivery.at);
                if delivery.event == "delivered" {
                    let message = self.message(&delivery.message, None, None);
                    self.settler.accepted(message, delivery.at);
                }
                settled
            }
            Record::Hit(hit) => {
                let settled = self.reach(hit.at);
                self.hit(hit);
                settled
            }
        }
    }

    /// Everything that is still open.
    pub(in crate::cli) fn finish(&mut self) -> Vec<Judged> {
        let window = i64::from(self.rules.window_seconds()) * 1_000_000;
        self.settle(self.now.plus(window))
    }

    /// It is this time in the stream.
    fn reach(&mut self, at: Micros) -> Vec<Judged> {
        self.now = self.now.max(at);
        if self.now < self.settled_at.plus(ROUND_MICROS) {
            return Vec::new();
        }
        self.settled_at = self.now;
        self.settle(self.now)
    }

    fn settle(&mut self, now: Micros) -> Vec<Judged> {
        let settled = self.settler.settle(now);
        let judged = settled.into_iter().filter_map(|settled| {
            let place = settled.number.checked_sub(self.first)?;
            let taken = self.hits.get(usize::try_from(place).ok()?)?;
            Some(Judged {
                id: Arc::clone(&taken.id),
                number: settled.number,
                message: taken.message,
                kind: taken.kind,
                facts: settled.facts,
                verdict: settled.verdict,
            })
        });
        let judged = judged.collect();
        let from = now.plus(-KEPT_MICROS);
        while self.hits.front().is_some_and(|taken| taken.at < from) {
            self.hits.pop_front();
            self.first += 1;
        }
        judged
    }

    fn campaign(&mut self, name: &str) -> CampaignId {
        let next = u32::try_from(self.campaigns.len() + 1).unwrap_or(u32::MAX);
        let campaign = match self.campaigns.get(name) {
            Some(campaign) => *campaign,
            None => {
                let campaign = CampaignId::new(next).unwrap_or(CampaignId::FIRST);
                self.campaigns.insert(name.into(), campaign);
                campaign
            }
        };
        self.campaign = Some(campaign);
        campaign
    }

    /// A message; where its own record has not come, when it was made is not known.
    fn message(
        &mut self,
        name: &str,
        campaign: Option<CampaignId>,
        made_at: Option<Micros>,
    ) -> MessageId {
        if let Some(known) = self.messages.get(name) {
            return *known;
        }
        let campaign = campaign.or(self.campaign);
        let id = MessageId {
            campaign: campaign.unwrap_or(CampaignId::FIRST),
            minted_at: made_at.map_or(0, Micros::seconds),
            number: u32::try_from(self.messages.len()).unwrap_or(u32::MAX),
        };
        self.messages.insert(name.into(), id);
        id
    }

    fn hit(&mut self, hit: &stream::Hit<'_>) {
        let message = hit.message.as_deref();
        let message = message.map(|name| self.message(name, None, None));
        let campaign = message.map_or(CampaignId::FIRST, |id| id.campaign);
        let number = hit.link.unwrap_or(0);
        let link = self.links.get(&(campaign, number)).copied();
        let link = link.unwrap_or_default();
        let (kind, answer) = asked(hit.kind, link, hit.method());
        let mut headers = Headers::default();
        for (name, value) in &hit.headers {
            headers.set(name, value.as_bytes());
        }
        let agent = headers.user_agent.unwrap_or_default();
        let honeypot = link == LinkKind::Honeypot;
        let network = self
            .rules
            .own()
            .network(hit.ip, self.networks.facts(hit.ip));
        let (method, scheme, http) = (hit.method(), hit.scheme(), hit.http());
        let token = match message {
            Some(_) => TokenState::Valid,
            None => TokenState::None,
        };
        let facts = judge::observe(&Observed {
            kind,
            method,
            scheme,
            http,
            agent: self.agents.classify_for(&self.rules, agent),
            headers: &headers,
            network,
            token,
            honeypot,
            one_click: false,
            // What a stream says of a form that was sent, nobody has checked.
            passed: false,
        });
        let judged = Hit {
            at: hit.at,
            target: Target::Campaign(campaign, number),
            message: message.map(|id| (id, RecipientKey::NONE)),
            address: None,
            agent: hash(&agent),
            headers: hash(&hit.headers),
            facts,
            network,
            kind,
            method,
            http,
            scheme,
            answer,
            level: PrivacyLevel::Individual,
            token,
            verdict: judge::judge(&self.rules, kind, facts),
            ruleset: self.rules.id(),
            claimed: false,
            honeypot,
            values: false,
            via: None,
        };
        self.settler.hit(judged, Some(network::prefix(hit.ip)));
        self.hits.push_back(Taken {
            at: hit.at,
            id: Arc::from(&*hit.id),
            message,
            kind,
        });
    }
}

/// What a request for such a link is, and how it is answered.
const fn asked(endpoint: Endpoint, link: LinkKind, method: Method) -> (HitKind, Answer) {
    match (endpoint, link, method) {
        (Endpoint::Open, _, _) => (HitKind::Open, Answer::Pixel),
        (_, LinkKind::Content | LinkKind::Honeypot, _) => (HitKind::Click, Answer::Redirected),
        (_, LinkKind::Action, Method::Post) => (HitKind::Press, Answer::Acted),
        (_, LinkKind::Unsubscribe, Method::Post) => (HitKind::Unsubscribe, Answer::Acted),
        _ => (HitKind::Page, Answer::Page),
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
