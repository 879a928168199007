//! Hits as mailings bring them: each campaign has its days; most messages are opened once, some are
//! read and clicked, every fifth is swept by a scanner, 3.4 hits a message (the simulated mailings
//! that judging is tested with have 3.5). The same seed makes the same hits.

use std::net::{IpAddr, Ipv4Addr};

use cupel::domain::campaign::{CampaignId, PrivacyLevel};
use cupel::domain::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState};
use cupel::domain::message::{MessageId, RecipientKey};
use cupel::domain::record::{Hit, Target};
use cupel::domain::time::Micros;
use cupel::journal::Accepted;
use cupel::judge::{self, AgentFacts, Agents, Headers, Observed, RuleSet};
use cupel::network::Networks;

/// 2026-09-07, a Monday.
pub(crate) const BEGIN: i64 = 1_788_739_200_000_000;
const DAY: i64 = 86_400_000_000;
pub(crate) const LINKS: u32 = 10;
/// Ids of texts, with the agent's place.
const AGENT_IDS: u64 = 0x51 << 40;
const HEADER_IDS: u64 = 0x52 << 40;
const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "python-requests/2.32.3",
    "Mozilla/5.0",
];

/// What is made: so many campaigns of so many messages, over so many days.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) campaigns: u32,
    pub(crate) messages: u32,
    pub(crate) days: u32,
    pub(crate) hits: u64,
}

/// Somebody who looks at a message: what is still to come, and as whom.
#[derive(Clone, Copy, Debug, Default)]
struct Visit {
    campaign: u32,
    number: u32,
    agent: usize,
    address: u32,
    /// Link of the next hit; 0 is the open.
    link: u32,
    left: u32,
}

impl Visit {
    fn message(&self) -> MessageId {
        MessageId {
            campaign: CampaignId::new(1 + self.campaign).unwrap(),
            minted_at: (BEGIN / 1_000_000) as u32,
            number: self.number,
        }
    }
}

pub(crate) struct Maker {
    shape: Shape,
    made: u64,
    random: u64,
    networks: Networks,
    agents: Vec<(&'static str, AgentFacts)>,
    rules: RuleSet,
    /// Acceptances that are known by now: of every fourth message, while it is looked at.
    pub(crate) accepted: Vec<Accepted>,
    /// Those who look at the same time.
    visits: Vec<Visit>,
}

impl Maker {
    pub(crate) fn new(shape: Shape) -> anyhow::Result<Self> {
        let agents = Agents::shipped()?;
        let agents = AGENTS.map(|text| (text, agents.classify(text.as_bytes())));
        Ok(Self {
            shape,
            made: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            networks: Networks::shipped()?,
            agents: agents.to_vec(),
            rules: RuleSet::shipped()?,
            accepted: Vec::new(),
            visits: vec![Visit::default(); 50],
        })
    }

    pub(crate) fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The text behind an agent's or a header set's id.
    pub(crate) fn text(id: u64) -> Vec<u8> {
        let agent = AGENTS.get(usize::try_from(id & 7).unwrap_or(0));
        agent.map_or_else(Vec::new, |text| text.as_bytes().to_vec())
    }

    /// Less than `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Who looks next.
    fn visit(&mut self) -> Visit {
        // Three campaigns are read at a time, the newest most.
        let newest = self.made * u64::from(self.shape.campaigns) / (self.shape.hits + 1);
        let before = [0, 0, 0, 1, 1, 2][self.draw(6) as usize];
        let number = self.draw(u64::from(self.shape.messages)) as u32;
        let (agent, left) = match self.draw(10) {
            0..6 => (self.draw(6), 1),
            6..8 => (self.draw(6), 2 + self.draw(2)),
            _ => (self.draw(8), 1 + u64::from(LINKS)),
        };
        // Of known networks among others.
        let first = [17, 34, 40, 66, 81, 92, 104, 185][self.draw(8) as usize];
        Visit {
            campaign: newest.saturating_sub(before) as u32,
            number,
            agent: agent as usize,
            address: (first << 24) | self.draw(1 << 24) as u32,
            link: 0,
            left: left as u32,
        }
    }

    /// The next hit; times rise.
    pub(crate) fn next(&mut self) -> Hit {
        let span = i128::from(self.shape.days) * i128::from(DAY);
        let passed = i128::from(self.made) * span / i128::from(self.shape.hits);
        let at = Micros::new(BEGIN + passed as i64);
        self.made += 1;
        let place = self.draw(self.visits.len() as u64) as usize;
        if self.visits[place].left == 0 {
            let visit = self.visit();
            self.visits[place] = visit;
            if visit.number.is_multiple_of(4) {
                let message = visit.message();
                self.accepted.push(Accepted { at, message });
            }
        }
        let visit = self.visits[place];
        self.visits[place].link += 1;
        self.visits[place].left -= 1;
        self.hit(at, visit)
    }

    fn hit(&self, at: Micros, visit: Visit) -> Hit {
        let kind = match visit.link {
            0 => HitKind::Open,
            _ => HitKind::Click,
        };
        let address = IpAddr::V4(Ipv4Addr::from_bits(visit.address));
        let network = self.networks.facts(address);
        let (text, agent) = self.agents[visit.agent];
        let mut headers = Headers::default();
        headers.set("user-agent", text.as_bytes());
        headers.set("accept-language", b"en-US,en;q=0.9");
        let facts = judge::observe(&Observed {
            kind,
            method: Method::Get,
            scheme: Scheme::Https,
            http: HttpVersion::Http11,
            agent,
            headers: &headers,
            network,
            token: TokenState::Valid,
            honeypot: false,
            one_click: false,
            passed: false,
        });
        let message = visit.message();
        let recipient = RecipientKey::from_bytes([visit.number as u8 | 1; 10]);
        Hit {
            at,
            target: Target::Campaign(message.campaign, visit.link),
            message: Some((message, recipient)),
            address: Some(address),
            agent: AGENT_IDS | visit.agent as u64,
            headers: HEADER_IDS | visit.agent as u64,
            facts,
            network,
            kind,
            method: Method::Get,
            http: HttpVersion::Http11,
            scheme: Scheme::Https,
            answer: Answer::Redirected,
            level: PrivacyLevel::Individual,
            token: TokenState::Valid,
            verdict: judge::judge(&self.rules, kind, facts),
            ruleset: self.rules.id(),
            claimed: false,
            honeypot: false,
            values: false,
            via: None,
        }
    }
}
