//! Rules on how many links of the message one source follows, and how fast.

use super::{PEOPLE, any, distinct, follows, is_of_machines, same_source};
use crate::domain::neighbour::Neighbour;
use crate::domain::time::Micros;
use crate::judge::around::Around;
use crate::judge::signals as bits;

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

/// When the source of this hit had first swept the message. Behind an address that many people
/// share nobody can say who it was.
pub(in crate::judge) fn swept_at(around: &Around<'_>) -> Option<Micros> {
    if any(around.hit.facts, PEOPLE) {
        return None;
    }
    let windows = around.windows;
    let own = || {
        let own = |other: &&Neighbour| follows(other) && same_source(other, around.hit);
        around.company.iter().filter(own)
    };
    // Counted back from each: what came later is not known yet when its window closes.
    let sweeps = |last: &&Neighbour| {
        let links = |micros: i64, most: usize| {
            let since = move |hit: &Neighbour| last.at.get().saturating_sub(hit.at.get());
            let within = own().filter(move |hit| (0..=micros).contains(&since(hit)));
            let shown = within.filter(|hit| !hit.facts.has(bits::HONEYPOT));
            distinct(shown.map(|hit| hit.link), most) == most
        };
        let all = around.links as usize;
        all >= 4 && links(windows.sweep, all)
            || all > 0 && links(windows.rapid, 5) && links(windows.sweep, around.most())
    };
    own().filter(sweeps).map(|hit| hit.at).min()
}
