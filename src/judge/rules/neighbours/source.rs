//! Rules on what else the source of a hit did.

use super::{HEADERS, MARKS, QUIET, any, distinct, follows, same_network, same_source};
use crate::domain::hit::HitKind;
use crate::domain::neighbour::Neighbour;
use crate::judge::around::Around;
use crate::judge::signals as bits;

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

/// Its source had swept three other messages. One address may be a school's or an office's: that it
/// follows links of many messages says nothing.
pub(crate) fn swept_before(around: &Around<'_>) -> bool {
    around.swept_before
}
