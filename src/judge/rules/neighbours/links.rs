//! Rules on how many links of the message one source follows, and how fast.

use super::{follows, is_of_machines, same_source};
use crate::domain::neighbour::Neighbour;
use crate::judge::around::Around;

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
