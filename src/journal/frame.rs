//! Records as bytes: the header that all share, side texts, acceptances.

use crate::domain::act::Act;
use crate::domain::campaign::CampaignId;
use crate::domain::hit::{HitKind, Via};
use crate::domain::message::MessageId;
use crate::domain::record::{Hit, take};
use crate::domain::time::Micros;
use crate::domain::token::Payload;

use super::{Accepted, Entry};

/// Records start on boundaries of this many bytes.
pub(super) const ALIGN: usize = 64;
/// Longest side text in bytes; longer ones are cut.
pub(super) const SIDE_TEXT_BYTES_MAX: usize = 8 << 10;
/// Longest record.
pub(super) const RECORD_BYTES_MAX: usize = HEADER + 16 + SIDE_TEXT_BYTES_MAX + ALIGN;

const HEADER: usize = 32;
const VERSION: u8 = 1;
const TYPE_HIT: u8 = 1;
const TYPE_SIDE: u8 = 2;
const TYPE_ACCEPTED: u8 = 3;
const TYPE_ACT: u8 = 4;

/// What a side text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SideKind {
    /// A User-Agent string.
    Agent,
    /// Names of a request's headers, and the values that rules read.
    Headers,
}

/// Text behind a 64-bit id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// What it is.
    pub kind: SideKind,
    /// Its id.
    pub id: u64,
    /// The text, at most 8 KiB.
    pub text: Vec<u8>,
}

/// A frame's place in the journal: what its header says besides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: u32,
    pub(super) sequence: u64,
}

/// Appends a hit's record to `to`.
pub(super) fn write_hit(to: &mut Vec<u8>, place: Place, hit: &Hit) {
    write(to, place, TYPE_HIT, hit.at, |to| hit.write(to));
}

/// Appends a side text's record to `to`.
pub(super) fn write_side(to: &mut Vec<u8>, place: Place, at: Micros, side: &Side) {
    let text = side.text.get(..SIDE_TEXT_BYTES_MAX).unwrap_or(&side.text);
    write(to, place, TYPE_SIDE, at, |to| {
        let kind: u8 = match side.kind {
            SideKind::Agent => 1,
            SideKind::Headers => 2,
        };
        to.extend_from_slice(&side.id.to_le_bytes());
        to.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        to.extend_from_slice(&[kind, 0, 0, 0]);
        to.extend_from_slice(text);
    });
}

/// Appends an acceptance's record to `to`.
pub(super) fn write_accepted(to: &mut Vec<u8>, place: Place, one: &Accepted) {
    write(to, place, TYPE_ACCEPTED, one.at, |to| {
        to.extend_from_slice(&one.message.campaign.get().to_le_bytes());
        to.extend_from_slice(&one.message.minted_at.to_le_bytes());
        to.extend_from_slice(&one.message.number.to_le_bytes());
    });
}

/// Appends an act's record to `to`.
pub(super) fn write_act(to: &mut Vec<u8>, place: Place, act: &Act) {
    write(to, place, TYPE_ACT, act.at, |to| {
        let payload = Payload {
            key: 0,
            message: act.message,
            recipient: act.recipient,
        };
        to.extend_from_slice(&payload.bytes());
        to.extend_from_slice(&act.link.to_le_bytes());
        to.extend_from_slice(&[act.kind.code(), act.via.map_or(0, Via::code)]);
    });
}

fn write(to: &mut Vec<u8>, place: Place, kind: u8, at: Micros, body: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&[0, 0, 0, 0, 0, 0, kind, VERSION]);
    to.extend_from_slice(&place.sequence.to_le_bytes());
    // One writer: the worker is 0 and its own count is the sequence.
    to.extend_from_slice(&place.sequence.to_le_bytes());
    to.extend_from_slice(&at.get().to_le_bytes());
    body(to);
    to.resize(start + (to.len() - start).next_multiple_of(ALIGN), 0);
    let length = u16::try_from(to.len() - start)
        .unwrap_or(u16::MAX)
        .to_le_bytes();
    if let Some(slot) = to.get_mut(start + 4..start + 6) {
        slot.copy_from_slice(&length);
    }
    let crc = to
        .get(start + 4..)
        .map_or(0, |bytes| crc32c::crc32c_append(place.epoch, bytes));
    if let Some(slot) = to.get_mut(start..start + 4) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
}

/// A record read back: its sequence, its length in bytes and what it says; `None` inside for a
/// record that validates but is of a newer kind.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    pub(super) length: usize,
    pub(super) entry: Option<Entry>,
}

/// Reads the record at the front of `bytes`; `None` if no valid record begins there.
pub(super) fn read(epoch: u32, bytes: &[u8]) -> Option<Frame> {
    let mut from = bytes;
    let crc = u32::from_le_bytes(take(&mut from)?);
    let length = usize::from(u16::from_le_bytes(take(&mut from)?));
    let [kind, version] = take::<2>(&mut from)?;
    if length < ALIGN || !length.is_multiple_of(ALIGN) {
        return None;
    }
    if crc32c::crc32c_append(epoch, bytes.get(4..length)?) != crc {
        return None;
    }
    let sequence = u64::from_le_bytes(take(&mut from)?);
    let _origin = take::<8>(&mut from)?;
    let at = Micros::new(i64::from_le_bytes(take(&mut from)?));
    let body = bytes.get(HEADER..length)?;
    let entry = match (kind, version) {
        (TYPE_HIT, VERSION) => Hit::read(at, body).map(Entry::Hit),
        (TYPE_SIDE, VERSION) => read_side(body).map(Entry::Side),
        (TYPE_ACT, VERSION) => read_act(at, body).map(Entry::Act),
        (TYPE_ACCEPTED, VERSION) => read_accepted(at, body).map(Entry::Accepted),
        _ => None,
    };
    Some(Frame {
        sequence,
        length,
        entry,
    })
}

fn read_side(mut body: &[u8]) -> Option<Side> {
    let id = u64::from_le_bytes(take(&mut body)?);
    let length = usize::try_from(u32::from_le_bytes(take(&mut body)?)).ok()?;
    let [kind, ..] = take::<4>(&mut body)?;
    let kind = match kind {
        1 => SideKind::Agent,
        2 => SideKind::Headers,
        _ => return None,
    };
    Some(Side {
        kind,
        id,
        text: body.get(..length)?.to_vec(),
    })
}

fn read_act(at: Micros, mut body: &[u8]) -> Option<Act> {
    let payload = Payload::from_bytes(&take(&mut body)?)?;
    let link = u32::from_le_bytes(take(&mut body)?);
    let [kind, via] = take::<2>(&mut body)?;
    Some(Act {
        at,
        kind: HitKind::from_code(kind)?,
        link,
        message: payload.message,
        recipient: payload.recipient,
        via: Via::from_code(via),
    })
}

fn read_accepted(at: Micros, mut body: &[u8]) -> Option<Accepted> {
    let campaign = CampaignId::new(u32::from_le_bytes(take(&mut body)?))?;
    let minted_at = u32::from_le_bytes(take(&mut body)?);
    let number = u32::from_le_bytes(take(&mut body)?);
    Some(Accepted {
        at,
        message: MessageId {
            campaign,
            minted_at,
            number,
        },
    })
}

/// The same records under another segment's epoch.
pub(super) fn reseal(records: &[u8], from: u32, to: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some(frame) = read(from, rest) {
        let Some((record, after)) = rest.split_at_checked(frame.length) else {
            break;
        };
        let body = record.get(4..).unwrap_or_default();
        out.extend_from_slice(&crc32c::crc32c_append(to, body).to_le_bytes());
        out.extend_from_slice(body);
        rest = after;
    }
    out
}
