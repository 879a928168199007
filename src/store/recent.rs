//! The hits of a message that its next ones are judged with, kept in the message's row: they need
//! not be looked for among all hits.
//!
//! `recent` is a list of entries in the order of their times, each: edge, sequence, time since the
//! entry before in µs, link and ASN as LEB128 numbers; network u32, agent u32, facts u64, score
//! u16, little-endian; class u8, kind u8, method u8; flags u8: 1 counted.

use crate::domain::hit::{HitKind, Method};
use crate::domain::judgement::{Class, Facts, Score, Verdict};
use crate::domain::neighbour::Neighbour;
use crate::domain::record::take;
use crate::domain::time::Micros;

/// Most entries of a message. More than most scanners leave in a mail; what a message costs stays
/// bounded whatever is done to it.
pub const RECENT_MAX: usize = 48;

const COUNTED: u8 = 1;

/// A stored hit of a message, as far as it takes to judge it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Row of the edge that it came in at.
    pub edge: i64,
    /// Its sequence there.
    pub sequence: u64,
    /// What its neighbours see of it; `facts` are those that its judgement rests on.
    pub seen: Neighbour,
    /// Its method.
    pub method: Method,
    /// Whether it counts in totals.
    pub counted: bool,
    /// The judgement in force.
    pub verdict: Verdict,
}

impl Recent {
    /// What they are in the order of: ties in time are broken by the event.
    #[must_use]
    pub const fn order(&self) -> (Micros, i64, u64) {
        (self.seen.at, self.edge, self.sequence)
    }
}

pub(super) fn write(recent: &[Recent]) -> Option<Vec<u8>> {
    if recent.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(recent.len() * 36);
    let mut before = 0;
    for entry in recent {
        let seen = &entry.seen;
        number(&mut out, entry.edge.cast_unsigned());
        number(&mut out, entry.sequence);
        let since = seen.at.get().wrapping_sub(before);
        number(&mut out, since.cast_unsigned());
        before = seen.at.get();
        number(&mut out, u64::from(seen.link));
        number(&mut out, u64::from(seen.asn));
        out.extend_from_slice(&seen.network.to_le_bytes());
        out.extend_from_slice(&seen.agent.to_le_bytes());
        out.extend_from_slice(&seen.facts.bits().to_le_bytes());
        out.extend_from_slice(&entry.verdict.score.tenths().to_le_bytes());
        out.extend_from_slice(&[
            entry.verdict.class.code(),
            seen.kind.code(),
            entry.method.code(),
            if entry.counted { COUNTED } else { 0 },
        ]);
    }
    Some(out)
}

/// `None` where the bytes are not of this form.
pub(super) fn read(mut from: &[u8]) -> Option<Vec<Recent>> {
    let mut recent = Vec::new();
    let mut before = 0_i64;
    while !from.is_empty() {
        let edge = take_number(&mut from)?.cast_signed();
        let sequence = take_number(&mut from)?;
        before = before.wrapping_add(take_number(&mut from)?.cast_signed());
        let link = u32::try_from(take_number(&mut from)?).ok()?;
        let asn = u32::try_from(take_number(&mut from)?).ok()?;
        let network = u32::from_le_bytes(take(&mut from)?);
        let agent = u32::from_le_bytes(take(&mut from)?);
        let facts = Facts::from_bits(u64::from_le_bytes(take(&mut from)?));
        let score = Score::from_tenths(u16::from_le_bytes(take(&mut from)?));
        let [class, kind, method, flags] = take(&mut from)?;
        recent.push(Recent {
            edge,
            sequence,
            seen: Neighbour {
                at: Micros::new(before),
                kind: HitKind::from_code(kind)?,
                link,
                network,
                agent,
                asn,
                facts,
            },
            method: Method::from_code(method)?,
            counted: flags & COUNTED != 0,
            verdict: Verdict {
                score,
                class: Class::from_code(class)?,
            },
        });
    }
    Some(recent)
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let [byte] = take(from)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Recent> {
        let hit = (any::<i64>(), 0..6_usize, any::<[u32; 4]>(), any::<u64>());
        let rest = (any::<i64>(), any::<u64>(), 0..=1000_u16, any::<bool>());
        (hit, rest).prop_map(
            |((at, class, numbers, facts), (edge, sequence, score, counted))| {
                let [link, network, agent, asn] = numbers;
                let (at, facts) = (Micros::new(at), Facts::from_bits(facts));
                Recent {
                    edge,
                    sequence,
                    seen: Neighbour {
                        at,
                        kind: HitKind::ALL[class % 5],
                        link,
                        network,
                        agent,
                        asn,
                        facts,
                    },
                    method: Method::ALL[class % 4],
                    counted,
                    verdict: Verdict {
                        score: Score::from_tenths(score),
                        class: Class::ALL[class],
                    },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(recent in prop::collection::vec(entry(), 0..5)) {
            let bytes = write(&recent).unwrap_or_default();
            prop_assert_eq!(read(&bytes), Some(recent));
        }

        #[test]
        fn other_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }
}
