//! Rules on what else the message of a hit saw.
//!
//! Evidence moves along the *source* (network and agent), never along time alone. The rules
//! that look across networks say what they ask for besides. HEAD requests and prefetches say
//! nothing of their neighbours, and only what was observed in a request moves, never what was
//! concluded from it: the order in which hits came makes no difference. How long anything may take
//! stands in the rule set.

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

/// Three links of the message at once. Alone it is a person who opens tabs.
pub(crate) fn burst(around: &Around<'_>) -> bool {
    around.is_in_burst(around.windows.at_once, 3)
}

/// Five links of the message: faster than people open tabs.
pub(crate) fn rapid(around: &Around<'_>) -> bool {
    around.is_in_burst(around.windows.rapid, 5)
}

/// Twenty links of the message in a minute, or one of them twenty times. What comes later from that
/// source is the robot's too: only the first hits of a message are remembered.
pub(crate) fn flood(around: &Around<'_>) -> bool {
    const HITS: usize = 20;
    if around.company.len() < HITS || !follows(around.hit) {
        return false;
    }
    let own = |other: &&Neighbour| follows(other) && same_source(other, around.hit);
    let mut times = [0; 64];
    let mut count = 0;
    for (hit, place) in around.company.iter().filter(own).zip(&mut times) {
        *place = hit.at.get();
        count += 1;
    }
    let times = times.get_mut(..count).unwrap_or_default();
    times.sort_unstable();
    let quick = |stretch: &[i64]| match stretch {
        [first, .., last] => last.saturating_sub(*first) <= around.windows.flood,
        _ => false,
    };
    times.windows(HITS).any(quick)
}

/// Two links at once, or three soon after each other, from a network where machines are common.
pub(crate) fn cloud_pair(around: &Around<'_>) -> bool {
    is_of_machines(around.hit.facts)
        && (around.is_in_burst(around.windows.at_once, 2)
            || around.is_in_burst(around.windows.rapid, 3))
}

/// Most of the campaign's links in one sweep.
pub(crate) fn most_links(around: &Around<'_>) -> bool {
    around.links > 0 && around.is_in_sweep(around.most()) && !all_links(around)
}

/// All of the campaign's links in one sweep, the unsubscribe link among them, where
/// there are four and more.
pub(crate) fn all_links(around: &Around<'_>) -> bool {
    around.links >= 4 && around.is_in_sweep(around.links as usize)
}

/// One client whose headers are of this browser now and of that one then, within a minute.
pub(crate) fn changing_headers(around: &Around<'_>) -> bool {
    let seen = |hit: &Neighbour| hit.facts.bits() & HEADERS;
    let other = |other: &Neighbour| seen(other) != seen(around.hit);
    follows(around.hit) && around.followed(around.windows.same_client).any(other)
}

/// Another hit from the same source names a machine by itself: a scanner's range, a honeypot,
/// headers that contradict each other, a request before the acceptance.
pub(crate) fn marked_source(around: &Around<'_>) -> bool {
    let early = |hit: &Neighbour| {
        let before = around
            .accepted_at
            .map(|at| at.plus(-around.windows.clock_skew));
        before.is_some_and(|before| hit.at < before)
    };
    let marks = |hit: &Neighbour| (any(hit.facts, MARKS) || early(hit)) && !any(hit.facts, QUIET);
    let mut own = around.company.iter();
    own.any(|other| other != around.hit && same_source(other, around.hit) && marks(other))
}

/// One agent from three networks within half a minute, or on most of the campaign's links in one
/// sweep, on different links, and on this one only once; or from four providers on this one. People
/// whose address changes under them are left out, and so are a link that a person may have followed
/// beside the scan, and a network where somebody was before or comes back.
pub(crate) fn many_networks(around: &Around<'_>) -> bool {
    let counts = |hit: &&Neighbour| {
        follows(hit) && hit.agent == around.hit.agent && hit.network != 0 && !any(hit.facts, PEOPLE)
    };
    let longest = around.windows.turns.max(around.windows.sweep);
    let networks = || around.near(longest).filter(counts).map(|hit| hit.network);
    // Mostly there is only one.
    let may = counts(&around.hit) && distinct(networks(), 3) == 3;
    if !may || around.is_at_home() {
        return false;
    }
    let spread = |micros: i64, links: usize, of: fn(&Neighbour) -> u32| {
        let all = || around.near(micros).filter(counts);
        let on_this = all().filter(|hit| hit.link == around.hit.link);
        on_this.take(2).count() == 1
            && distinct(all().map(|hit| hit.link), links) == links
            && distinct(all().map(of), 3) == 3
    };
    // A carrier gives one phone address after address of its own.
    let wide: fn(&Neighbour) -> u32 = if is_of_machines(around.hit.facts) {
        |hit| hit.network
    } else {
        |hit| hit.asn
    };
    let crowds = || {
        let all = around.near(around.windows.turns).filter(counts);
        let on_this = all.filter(|hit| hit.link == around.hit.link);
        distinct(on_this.map(wide), 4) == 4
    };
    let most = around.most().max(4);
    spread(around.windows.turns, 3, |hit| hit.network)
        || crowds()
        || around.links > 0
            && around.company.len() >= most
            && spread(around.windows.sweep, most, wide)
}

/// Five agents in one network within a minute, on five links, and on this one only once: a phone
/// and a desktop are two. Left out are networks that many people share, and one where the mail was
/// opened before or is later.
pub(crate) fn many_agents(around: &Around<'_>) -> bool {
    const AGENTS: usize = 5;
    let counts =
        |hit: &&Neighbour| follows(hit) && same_network(hit, around.hit) && !any(hit.facts, PEOPLE);
    if around.company.len() < AGENTS || !counts(&around.hit) {
        return false;
    }
    let all = || around.near(around.windows.same_client).filter(counts);
    let on_this = all().filter(|hit| hit.link == around.hit.link);
    distinct(all().map(|hit| hit.agent), AGENTS) == AGENTS
        && on_this.take(2).count() == 1
        && distinct(all().map(|hit| hit.link), AGENTS) == AGENTS
        && !around.is_read_there()
}

/// Two networks of one provider follow different links within half a minute, where machines are
/// common, and neither follows more than two: they take turns. A scan from one network beside a
/// person on a cloud desktop does not, nor does one from ranges where nobody is. Or three such
/// networks follow this link.
pub(crate) fn taking_turns(around: &Around<'_>) -> bool {
    let hit = around.hit;
    let all = || {
        around
            .near(around.windows.turns)
            .filter(|other| follows(other))
    };
    let few = |one: &Neighbour| {
        let own = all().filter(|other| same_network(other, one));
        distinct(own.map(|other| other.link), 3) < 3
    };
    let of_cloud =
        |other: &Neighbour| is_of_machines(other.facts) && !other.facts.has(bits::NET_CERTAIN);
    let turn = |other: &Neighbour| {
        other.network != hit.network
            && other.asn == hit.asn
            && other.link != hit.link
            && of_cloud(other)
            && few(other)
    };
    let in_turn = || hit.asn != 0 && few(hit) && all().any(turn);
    let in_turn_on_this = || {
        let on_this = all().filter(|other| other.link == hit.link && of_cloud(other));
        distinct(on_this.map(|other| other.network), 3) == 3
    };
    follows(hit)
        && is_of_machines(hit.facts)
        && (in_turn() || in_turn_on_this())
        && !around.is_at_home()
}

/// From a network where machines are common, seconds from somebody at home on the same link: the
/// scanner that looks at what is clicked.
pub(crate) fn beside_person(around: &Around<'_>) -> bool {
    let hit = around.hit;
    let person = |other: &Neighbour| {
        follows(other)
            && other.network != hit.network
            && other.link == hit.link
            && !is_of_machines(other.facts)
            && !any(other.facts, MARKS)
    };
    let may = follows(hit) && is_of_machines(hit.facts);
    may && around.near(around.windows.turns).any(person) && !around.is_at_home()
}

/// An open from a network where machines are common, within a minute of a machine of the same
/// provider with the same agent.
pub(crate) fn open_of_scan(around: &Around<'_>) -> bool {
    let hit = around.hit;
    let scan = |other: &Neighbour| {
        other.kind != HitKind::Open
            && other.asn == hit.asn
            && other.agent == hit.agent
            && any(other.facts, MARKS)
            && !any(other.facts, QUIET)
    };
    hit.kind == HitKind::Open
        && hit.asn != 0
        && is_of_machines(hit.facts)
        && around.near(around.windows.same_client).any(scan)
}

/// The source of this hit pressed a button of the message, passing every check, and neither swept
/// its links nor hurried through them, and nothing marks it as a machine's.
pub(crate) fn pressed(around: &Around<'_>) -> bool {
    let own = |hit: &&Neighbour| same_source(hit, around.hit);
    let calm = |press: &Neighbour| {
        let there = Around {
            hit: press,
            ..*around
        };
        let links = |micros| there.followed(micros).map(|hit| hit.link);
        let sweep = there.most();
        distinct(links(around.windows.at_once), 3) < 3
            && (around.links == 0 || distinct(links(around.windows.sweep), sweep) < sweep)
    };
    let presses = |hit: &Neighbour| hit.facts.has(bits::PRESS_PASSED) && calm(hit);
    let mut all = around.company.iter().filter(own);
    // The hit may be its own source where it is not among those that are remembered.
    (presses(around.hit) || all.any(presses))
        && !any(around.hit.facts, MARKS)
        && !around
            .company
            .iter()
            .filter(own)
            .any(|hit| any(hit.facts, MARKS))
}

/// The message was opened in a mail client in the same network. Scanners load images with the agent
/// that they follow links with.
pub(crate) fn mail_client_there(around: &Around<'_>) -> bool {
    let hit = around.hit;
    let opened = |other: &Neighbour| {
        other.kind == HitKind::Open
            && same_network(other, hit)
            && other.agent != hit.agent
            && other.facts.has(bits::UA_MAIL_CLIENT)
    };
    hit.kind != HitKind::Open && around.company.iter().any(opened)
}
