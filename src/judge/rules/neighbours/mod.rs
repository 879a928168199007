//! Rules on what else the message of a hit saw.
//!
//! Evidence moves along the *source* (network and agent), never along time alone. HEAD requests and
//! prefetches say nothing of their neighbours, and only what was observed in a request moves, never
//! what was concluded from it: the order in which hits came makes no difference. How long anything
//! may take stands in the rule set.

pub(in crate::judge) mod links;
pub(in crate::judge) mod networks;
pub(in crate::judge) mod source;

use crate::domain::hit::HitKind;
use crate::domain::judgement::Facts;
use crate::domain::neighbour::Neighbour;
use crate::judge::around::Around;
use crate::judge::signals as bits;

/// Facts that name a machine by themselves, and with it everything else from the same source.
const MARKS: u64 = of(&[
    bits::NET_CERTAIN,
    bits::UA_LIBRARY,
    bits::UA_HEADLESS,
    bits::UA_SECURITY_SCANNER,
    bits::HINT_PLATFORM,
    bits::HINT_VERSION,
    bits::HINT_FOREIGN,
    bits::HINT_HEADLESS,
    bits::DAMAGED_TOKEN,
    bits::HONEYPOT,
]);
/// Facts of networks where machines are common. People's networks have cancelled them.
const MACHINES: u64 = of(&[
    bits::NET_CERTAIN,
    bits::NET_EMAIL_SECURITY,
    bits::NET_HOSTING,
    bits::NET_MAIL_PROVIDER,
]);
/// Facts of networks whose address changes under people.
const PEOPLE: u64 = of(&[bits::NET_PRIVACY_RELAY, bits::NET_HUMAN_EGRESS]);
/// Requests that say nothing of their neighbours.
const QUIET: u64 = of(&[
    bits::SEC_PURPOSE,
    bits::LEGACY_PURPOSE,
    bits::METHOD_HEAD,
    bits::METHOD_OTHER,
]);
/// Bits 24 and 27 to 34: what headers showed of the client, however its navigation began.
const HEADERS: u64 = 1 << 24 | 0xFF << 27;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn of(bits: &[u8]) -> u64 {
    let (mut all, mut at) = (0, 0);
    while at < bits.len() {
        all |= 1 << bits[at];
        at += 1;
    }
    all
}

const fn any(facts: Facts, of: u64) -> bool {
    facts.bits() & of != 0
}

/// Whether the network of a hit is one where machines are common.
pub(super) const fn is_of_machines(facts: Facts) -> bool {
    any(facts, MACHINES)
}

/// Whether a link was followed, or the page of one asked for.
fn follows(hit: &Neighbour) -> bool {
    matches!(hit.kind, HitKind::Click | HitKind::Page) && !any(hit.facts, QUIET)
}

fn apart(one: &Neighbour, other: &Neighbour) -> i64 {
    one.at.get().saturating_sub(other.at.get()).saturating_abs()
}

fn same_network(one: &Neighbour, other: &Neighbour) -> bool {
    one.network != 0 && one.network == other.network
}

fn same_source(one: &Neighbour, other: &Neighbour) -> bool {
    same_network(one, other) && one.agent == other.agent
}

impl Around<'_> {
    /// Hits of the message that are at most so far from this one, itself among them.
    fn near(&self, micros: i64) -> impl Iterator<Item = &Neighbour> {
        let near = move |other: &&Neighbour| apart(other, self.hit) <= micros;
        self.company.iter().filter(near)
    }

    /// Links that the source of this hit followed, at most so far from it.
    fn followed(&self, micros: i64) -> impl Iterator<Item = &Neighbour> {
        let own = |other: &&Neighbour| follows(other) && same_source(other, self.hit);
        self.near(micros).filter(own)
    }

    /// Whether somebody was in the network of this hit before, or comes back later, as people do
    /// who open a mail, and read, and follow a link. Where machines are common only a mail client
    /// says so: scanners load images, and look again.
    fn is_at_home(&self) -> bool {
        self.company.iter().any(|other| self.is_home_of(other))
    }

    /// Whether somebody opened the mail in the network of this hit before, or does later.
    fn is_read_there(&self) -> bool {
        let opened = |other: &Neighbour| other.kind == HitKind::Open && self.is_home_of(other);
        self.company.iter().any(opened)
    }

    fn is_home_of(&self, other: &Neighbour) -> bool {
        let person = !is_of_machines(other.facts) || other.facts.has(bits::UA_MAIL_CLIENT);
        same_network(other, self.hit)
            && apart(other, self.hit) > self.windows.turns
            && person
            && !any(other.facts, QUIET | MARKS)
    }

    /// Whether this hit lies in a stretch of so long in which its source followed so many links.
    fn is_in_burst(&self, micros: i64, links: usize) -> bool {
        let begins = |first: &Neighbour| {
            let since = |hit: &Neighbour| hit.at.get().saturating_sub(first.at.get());
            let within = |hit: &&Neighbour| (0..=micros).contains(&since(hit));
            let stretch = || self.followed(micros).filter(within);
            within(&self.hit) && distinct(stretch().map(|hit| hit.link), links) == links
        };
        // Mostly there are not so many links in all, or even hits.
        self.company.len() >= links
            && follows(self.hit)
            && distinct(self.followed(micros).map(|hit| hit.link), links) == links
            && self.followed(micros).any(begins)
    }

    /// How many links are most of the campaign's: six of ten, and at least three.
    fn most(&self) -> usize {
        self.links.saturating_mul(6).div_ceil(10).max(3) as usize
    }

    /// Whether its source followed so many links around this hit.
    fn is_in_sweep(&self, links: usize) -> bool {
        let shown = |hit: &&Neighbour| !hit.facts.has(bits::HONEYPOT);
        let swept = || self.followed(self.windows.sweep).filter(shown);
        self.company.len() >= links
            && follows(self.hit)
            && distinct(swept().map(|hit| hit.link), links) == links
    }
}

/// How many different ones there are among these, up to `most` and 64, which is more than a message
/// remembers.
fn distinct(all: impl Iterator<Item = u32>, most: usize) -> usize {
    let (mut seen, mut count) = ([0; 64], 0);
    let most = most.min(seen.len());
    for one in all {
        if count == most {
            break;
        }
        let (known, free) = seen.split_at_mut(count);
        if let (false, Some(place)) = (known.contains(&one), free.first_mut()) {
            *place = one;
            count += 1;
        }
    }
    count
}
