//! Hit record, version 1 (DESIGN 5.2b, docs/data-model.md): what a hit keeps so that a replay
//! judges and counts it as before. This file is the only one that knows its bytes.
//!
//! Every record, of any type, begins with the 32-byte header below, is little-endian, starts on
//! a 64-byte boundary and fills a multiple of 64 bytes.
//!
//! | at | bytes | header |
//! |---|---|---|
//! | 0 | 4 | CRC32C of bytes 4.., seeded with the epoch of the segment or the life of the ring |
//! | 4 | 2 | length in bytes |
//! | 6 | 1 | type: 1 hit, 2 side text, 3 acceptance, 4 act, 5 drained |
//! | 7 | 1 | version of that type: 1 |
//! | 8 | 8 | sequence of the edge, never reused |
//! | 16 | 8 | origin: worker << 56 \| number of its first slot, for recovery |
//! | 24 | 8 | time in microseconds since the epoch |
//!
//! | at | bytes | hit |
//! |---|---|---|
//! | 32 | 24 | payload of the token; without a message all zero but the campaign at +2 |
//! | 56 | 16 | address as IPv6 (IPv4 mapped); zero where the level does not keep it |
//! | 72 | 8 | id of the agent string |
//! | 80 | 8 | id of the header set |
//! | 88 | 8 | id of further text; 0 in version 1 |
//! | 96 | 8 | fact bits |
//! | 104 | 4 | ASN |
//! | 108 | 4 | link number, or id of the short link |
//! | 112 | 2 | network lists |
//! | 114 | 2 | version of the network lists |
//! | 116 | 1 | kind |
//! | 117 | 1 | method |
//! | 118 | 1 | HTTP version \| scheme << 4 |
//! | 119 | 1 | answer |
//! | 120 | 1 | privacy level |
//! | 121 | 1 | state of the token |
//! | 122 | 2 | provisional score in tenths of a per cent |
//! | 124 | 1 | provisional class |
//! | 125 | 1 | flags |
//! | 126 | 2 | rule set |

use std::net::{IpAddr, Ipv6Addr};

use super::campaign::{CampaignId, PrivacyLevel};
use super::hit::{Answer, HitKind, HttpVersion, Method, Scheme, TokenState, Via};
use super::judgement::{Class, Facts, RuleSetId, Score, Verdict};
use super::message::{MessageId, RecipientKey};
use super::network::{Lists, NetworkFacts};
use super::time::Micros;

/// Bytes of a hit record.
pub const HIT_BYTES: usize = 128;
/// Bytes of a hit record behind its header.
pub const BODY_BYTES: usize = HIT_BYTES - 32;

const FLAG_CLAIMED: u8 = 1;
const FLAG_HONEYPOT: u8 = 1 << 1;
const FLAG_VALUES: u8 = 1 << 2;
const FLAG_ONE_CLICK: u8 = 1 << 3;
const FLAG_VIA_PAGE: u8 = 1 << 4;

/// What a hit was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A link of a campaign; 0 for the open pixel and for an unsubscribe function without a link.
    Campaign(CampaignId, u32),
    /// A short link, by its id.
    Short(u32),
}

impl Target {
    /// Campaign and link, as rows and sums name them: campaign 0 for short links.
    #[must_use]
    pub const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Campaign(campaign, link) => (campaign.get(), link),
            Self::Short(id) => (0, id),
        }
    }
}

/// One hit, after the privacy rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When the request was read.
    pub at: Micros,
    /// What was asked for.
    pub target: Target,
    /// The message, if the token stands for one that may be counted, with its recipient.
    pub message: Option<(MessageId, RecipientKey)>,
    /// Address of the client; `None` where the level does not keep it.
    pub address: Option<IpAddr>,
    /// Id of the agent string, 0 if not kept.
    pub agent: u64,
    /// Id of the header set, 0 if not kept.
    pub headers: u64,
    /// Facts that the judgement rests on.
    pub facts: Facts,
    /// Network facts.
    pub network: NetworkFacts,
    /// Kind of hit.
    pub kind: HitKind,
    /// Request method.
    pub method: Method,
    /// Version of the connection.
    pub http: HttpVersion,
    /// Scheme of the client.
    pub scheme: Scheme,
    /// How it was answered.
    pub answer: Answer,
    /// Level it was recorded under.
    pub level: PrivacyLevel,
    /// What the token was worth.
    pub token: TokenState,
    /// Provisional judgement and the rule set that made it.
    pub verdict: Verdict,
    /// The rule set.
    pub ruleset: RuleSetId,
    /// The recipient was claimed in the query, not signed.
    pub claimed: bool,
    /// The link is a honeypot.
    pub honeypot: bool,
    /// Values for a templated destination came with it.
    pub values: bool,
    /// How an unsubscribe came in.
    pub via: Option<Via>,
}

/// What decides whether a hit counts.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What was asked for.
    pub kind: HitKind,
    /// Request method.
    pub method: Method,
    /// How it was answered.
    pub answer: Answer,
    /// What the token was worth.
    pub token: TokenState,
    /// The link is a honeypot.
    pub honeypot: bool,
}

impl Asked {
    /// With what a flags byte says of the link.
    #[must_use]
    pub const fn with_flags(self, flags: u8) -> Self {
        Self {
            honeypot: flags & FLAG_HONEYPOT != 0,
            ..self
        }
    }

    /// Whether the hit counts in a total (DESIGN 1): HEAD, refused speculation, damaged tokens,
    /// honeypots and refused presses do not.
    #[must_use]
    pub fn counts(self) -> bool {
        let answered = match self.answer {
            Answer::Redirected | Answer::Pixel | Answer::Page => true,
            Answer::Acted | Answer::Repeated => true,
            Answer::AskedAgain => self.kind == HitKind::Page,
            Answer::Refused | Answer::Speculation | Answer::Gone | Answer::NotFound => false,
        };
        let method = match self.kind {
            HitKind::Press | HitKind::Unsubscribe => self.method == Method::Post,
            HitKind::Open | HitKind::Click | HitKind::Page => self.method == Method::Get,
        };
        answered && method && self.token != TokenState::Damaged && !self.honeypot
    }
}

impl Hit {
    /// Whether the hit counts in a total.
    #[must_use]
    pub fn counts(&self) -> bool {
        let asked = Asked {
            kind: self.kind,
            method: self.method,
            answer: self.answer,
            token: self.token,
            honeypot: self.honeypot,
        };
        asked.counts()
    }

    /// This hit with what its level does not keep taken out (DESIGN 5.5).
    #[must_use]
    pub fn stripped(self) -> Self {
        if self.level == PrivacyLevel::Individual {
            return self;
        }
        Self {
            at: self.at.cell(),
            message: None,
            address: None,
            agent: 0,
            headers: 0,
            facts: Facts::NONE,
            network: NetworkFacts::default(),
            http: HttpVersion::Http11,
            scheme: Scheme::Https,
            // A score tells the signals apart that it is the sum of; the class stays.
            verdict: Verdict {
                score: Score::from_tenths(0),
                ..self.verdict
            },
            claimed: false,
            values: false,
            via: None,
            ..self
        }
    }

    /// The flags byte, as journal and store keep it.
    #[must_use]
    pub fn flags(&self) -> u8 {
        let via = match self.via {
            Some(Via::OneClick) => FLAG_ONE_CLICK,
            Some(Via::Page) => FLAG_VIA_PAGE,
            None => 0,
        };
        let set = |on: bool, flag: u8| if on { flag } else { 0 };
        via | set(self.claimed, FLAG_CLAIMED)
            | set(self.honeypot, FLAG_HONEYPOT)
            | set(self.values, FLAG_VALUES)
    }

    fn payload(&self) -> [u8; 24] {
        if let Some((message, recipient)) = self.message {
            return super::token::Payload {
                key: 0,
                message,
                recipient,
            }
            .bytes();
        }
        let mut payload = [0; 24];
        if let (Target::Campaign(campaign, _), Some(slot)) = (self.target, payload.get_mut(2..6)) {
            slot.copy_from_slice(&campaign.get().to_be_bytes());
        }
        payload
    }

    /// Bytes 32 to 128 of the record.
    #[must_use]
    pub fn body(&self) -> [u8; BODY_BYTES] {
        let address = match self.address {
            Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(v6)) => v6.octets(),
            None => [0; 16],
        };
        let link = match self.target {
            Target::Campaign(_, link) | Target::Short(link) => link,
        };
        let mut body = [0; BODY_BYTES];
        let to = &mut body.as_mut_slice();
        put(to, self.payload());
        put(to, address);
        put(to, self.agent.to_le_bytes());
        put(to, self.headers.to_le_bytes());
        put(to, 0_u64.to_le_bytes());
        put(to, self.facts.bits().to_le_bytes());
        put(to, self.network.asn.to_le_bytes());
        put(to, link.to_le_bytes());
        put(to, self.network.lists.bits().to_le_bytes());
        put(to, self.network.lists_version.to_le_bytes());
        put(
            to,
            [
                self.kind.code(),
                self.method.code(),
                self.protocol(),
                self.answer.code(),
                self.level.code(),
                self.token.code(),
            ],
        );
        put(to, self.verdict.score.tenths().to_le_bytes());
        put(to, [self.verdict.class.code(), self.flags()]);
        put(to, self.ruleset.0.to_le_bytes());
        body
    }

    /// Reads bytes 32 to 128 of a record; `None` where a code is of a newer version.
    #[must_use]
    pub fn read(at: Micros, mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let payload = take::<24>(from)?;
        let address = Ipv6Addr::from(take::<16>(from)?);
        let agent = u64::from_le_bytes(take(from)?);
        let headers = u64::from_le_bytes(take(from)?);
        let _further = take::<8>(from)?;
        let facts = Facts::from_bits(u64::from_le_bytes(take(from)?));
        let asn = u32::from_le_bytes(take(from)?);
        let link = u32::from_le_bytes(take(from)?);
        let lists = Lists::from_bits(u16::from_le_bytes(take(from)?));
        let lists_version = u16::from_le_bytes(take(from)?);
        let [kind, method, protocol, answer, level, token] = take::<6>(from)?;
        let score = Score::from_tenths(u16::from_le_bytes(take(from)?));
        let [class, flags] = take::<2>(from)?;
        let ruleset = RuleSetId(u16::from_le_bytes(take(from)?));
        let message = super::token::Payload::from_bytes(&payload)
            .map(|payload| (payload.message, payload.recipient));
        let [_, _, c0, c1, c2, c3, ..] = payload;
        let target = match CampaignId::new(u32::from_be_bytes([c0, c1, c2, c3])) {
            Some(campaign) => Target::Campaign(campaign, link),
            None => Target::Short(link),
        };
        Some(
            Self {
                at,
                target,
                message,
                address: (!address.is_unspecified()).then(|| IpAddr::V6(address).to_canonical()),
                agent,
                headers,
                facts,
                network: NetworkFacts {
                    asn,
                    lists,
                    lists_version,
                },
                kind: HitKind::from_code(kind)?,
                method: Method::from_code(method)?,
                http: HttpVersion::from_code(protocol & 15)?,
                scheme: Scheme::from_code(protocol >> 4)?,
                answer: Answer::from_code(answer)?,
                level: PrivacyLevel::from_code(level)?,
                token: TokenState::from_code(token)?,
                verdict: Verdict {
                    score,
                    class: Class::from_code(class)?,
                },
                ruleset,
                claimed: false,
                honeypot: false,
                values: false,
                via: None,
            }
            .with_flags(flags),
        )
    }

    /// This hit with what a flags byte says.
    #[must_use]
    pub fn with_flags(self, flags: u8) -> Self {
        Self {
            claimed: flags & FLAG_CLAIMED != 0,
            honeypot: flags & FLAG_HONEYPOT != 0,
            values: flags & FLAG_VALUES != 0,
            via: match (flags & FLAG_ONE_CLICK != 0, flags & FLAG_VIA_PAGE != 0) {
                (true, _) => Some(Via::OneClick),
                (_, true) => Some(Via::Page),
                _ => None,
            },
            ..self
        }
    }

    /// HTTP version and scheme in one byte, as journal and store keep them.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.http.code() | self.scheme.code() << 4
    }
}

/// Writes the next `N` bytes; what does not fit is left out, which the sizes here rule out.
fn put<const N: usize>(to: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((head, rest)) = std::mem::take(to).split_first_chunk_mut::<N>() {
        *head = bytes;
        *to = rest;
    }
}

/// Takes the next `N` bytes off the front.
pub(crate) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
