//! Rules that look across networks. They say what they ask for besides.

use super::{MARKS, PEOPLE, QUIET, any, distinct, follows, is_of_machines, same_network};
use crate::domain::hit::HitKind;
use crate::domain::neighbour::Neighbour;
use crate::judge::around::Around;
use crate::judge::signals as bits;

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
