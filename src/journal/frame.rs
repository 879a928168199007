//! Records as bytes: the header that all share, side texts, acceptances, origins.
//!
//! A record is made *open*: without sequence and sum. Whoever puts it somewhere seals it for that
//! place: a worker for its ring, the drainer for its segment.

use crate::domain::act::Act;
use crate::domain::campaign::CampaignId;
use crate::domain::hit::{HitKind, Via};
use crate::domain::message::MessageId;
use crate::domain::record::{HIT_BYTES, Hit, take};
use crate::domain::time::Micros;
use crate::domain::token::Payload;

use super::{Accepted, Entry, Received};

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
const TYPE_DRAINED: u8 = 5;
const TYPE_RECEIVED: u8 = 6;

/// Worker of an origin: its upper 8 bits.
const WORKER_SHIFT: u32 = 56;

/// What a side text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SideKind {
    /// A User-Agent string.
    Agent,
    /// Names of a request's headers, and the values that rules read.
    Headers,
}

/// Ids of the texts that a hit names; 0 names none.
pub(super) fn texts(hit: &Hit) -> impl Iterator<Item = (SideKind, u64)> + use<> {
    let ids = [
        (SideKind::Agent, hit.agent),
        (SideKind::Headers, hit.headers),
    ];
    ids.into_iter().filter(|(_, id)| *id != 0)
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

/// Who made a record, and the how-manieth slot of theirs it took: says, after a crash, what a
/// ring holds that the log does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) worker: u8,
    pub(super) slot: u64,
}

impl Origin {
    /// What did not come out of a ring.
    pub(super) const NONE: Self = Self {
        worker: u8::MAX,
        slot: 0,
    };

    const fn pack(self) -> u64 {
        (self.worker as u64) << WORKER_SHIFT | self.slot
    }

    pub(super) const fn unpack(packed: u64) -> Self {
        let [.., worker] = packed.to_le_bytes();
        Self {
            worker,
            slot: packed & ((1 << WORKER_SHIFT) - 1),
        }
    }
}

/// A hit's record, open.
pub(super) fn hit(hit: &Hit) -> [u8; HIT_BYTES] {
    let mut record = [0; HIT_BYTES];
    let length = u16::try_from(HIT_BYTES).unwrap_or(u16::MAX);
    let (head, body) = record.split_at_mut(HEADER);
    if let Some(head) = head.first_chunk_mut::<HEADER>() {
        *head = header(TYPE_HIT, length, hit.at);
    }
    body.copy_from_slice(&hit.body());
    record
}

/// Appends a side text's record to `to`, open.
pub(super) fn write_side(to: &mut Vec<u8>, at: Micros, side: &Side) {
    let text = side.text.get(..SIDE_TEXT_BYTES_MAX).unwrap_or(&side.text);
    write(to, TYPE_SIDE, at, |to| {
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

/// Appends an acceptance's record to `to`, open.
pub(super) fn write_accepted(to: &mut Vec<u8>, one: &Accepted) {
    write(to, TYPE_ACCEPTED, one.at, |to| {
        to.extend_from_slice(&one.message.campaign.get().to_le_bytes());
        to.extend_from_slice(&one.message.minted_at.to_le_bytes());
        to.extend_from_slice(&one.message.number.to_le_bytes());
    });
}

/// Appends an act's record to `to`, open.
pub(super) fn write_act(to: &mut Vec<u8>, act: &Act) {
    write(to, TYPE_ACT, act.at, |to| {
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

/// Appends the record of a body in the spool to `to`, open.
pub(super) fn write_received(to: &mut Vec<u8>, received: &Received) {
    write(to, TYPE_RECEIVED, received.at, |to| received.write(to));
}

/// Appends to `to`, open, up to which slot each worker had been drained when a segment began.
pub(super) fn write_drained(to: &mut Vec<u8>, slots: &[u64]) {
    write(to, TYPE_DRAINED, Micros::default(), |to| {
        to.extend_from_slice(&u64::try_from(slots.len()).unwrap_or(0).to_le_bytes());
        for slot in slots {
            to.extend_from_slice(&slot.to_le_bytes());
        }
    });
}

fn header(kind: u8, length: u16, at: Micros) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let origin = Origin::NONE.pack().to_le_bytes();
    for (place, bytes) in [
        (4..6, length.to_le_bytes().as_slice()),
        (6..8, &[kind, VERSION]),
        (16..24, &origin),
        (24..32, &at.get().to_le_bytes()),
    ] {
        if let Some(place) = header.get_mut(place) {
            place.copy_from_slice(bytes);
        }
    }
    header
}

fn write(to: &mut Vec<u8>, kind: u8, at: Micros, body: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&[0; HEADER]);
    body(to);
    to.resize(start + (to.len() - start).next_multiple_of(ALIGN), 0);
    let length = u16::try_from(to.len() - start).unwrap_or(u16::MAX);
    let head = to.get_mut(start..).and_then(<[u8]>::first_chunk_mut);
    if let Some(head) = head {
        *head = header(kind, length, at);
    }
}

/// Seals a record for a ring: origin, no sequence yet, sum under the ring's life.
pub(super) fn seal_for_ring(record: &mut [u8], life: u32, origin: Origin) {
    set(record, 8, 0_u64.to_le_bytes());
    set(record, 16, origin.pack().to_le_bytes());
    sum(record, life);
}

/// Seals a record for a segment: sequence, sum under the segment's epoch.
pub(super) fn seal(record: &mut [u8], epoch: u32, sequence: u64) {
    set(record, 8, sequence.to_le_bytes());
    sum(record, epoch);
}

/// Seals records that stand one behind the other with sequences from `first` on; the sequence
/// after the last one's.
pub(super) fn seal_all(mut records: &mut [u8], epoch: u32, first: u64) -> u64 {
    let mut sequence = first;
    while let Some(length) = length(records) {
        let Some((record, rest)) = records.split_at_mut_checked(length) else {
            break;
        };
        seal(record, epoch, sequence);
        sequence += 1;
        records = rest;
    }
    sequence
}

fn sum(record: &mut [u8], seed: u32) {
    let crc = crc32c::crc32c_append(seed, record.get(4..).unwrap_or_default());
    set(record, 0, crc.to_le_bytes());
}

fn set<const N: usize>(record: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = record.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = bytes;
    }
}

/// Length that the record at the front of `bytes` claims; `None` if no record has it.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(4..6)?.first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    (length >= ALIGN && length.is_multiple_of(ALIGN) && length <= RECORD_BYTES_MAX)
        .then_some(length)
}

/// Where a valid record stands and came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) sequence: u64,
    pub(super) origin: Origin,
}

/// Checks the record at the front of `bytes`; `None` if no valid one begins there.
pub(super) fn check(seed: u32, bytes: &[u8]) -> Option<Head> {
    let length = length(bytes)?;
    let mut from = bytes;
    let crc = u32::from_le_bytes(take(&mut from)?);
    let _length_and_type = take::<4>(&mut from)?;
    let sum = crc32c::crc32c_append(seed, bytes.get(4..length)?);
    if sum != crc && checks_sums() {
        return None;
    }
    Some(Head {
        length,
        sequence: u64::from_le_bytes(take(&mut from)?),
        origin: Origin::unpack(u64::from_le_bytes(take(&mut from)?)),
    })
}

#[cfg(not(test))]
const fn checks_sums() -> bool {
    true
}

#[cfg(test)]
fn checks_sums() -> bool {
    !super::sabotage::is(super::sabotage::Sabotage::NoSums)
}

/// A record read back: where it stood, of when it is, and what it says; `None` inside for a
/// record that validates but is of a newer kind, or speaks of the journal itself.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) head: Head,
    pub(super) at: Micros,
    pub(super) entry: Option<Entry>,
}

/// Reads the record at the front of `bytes`; `None` if no valid record begins there.
pub(super) fn read(epoch: u32, bytes: &[u8]) -> Option<Frame> {
    let head = check(epoch, bytes)?;
    let [kind, version] = *bytes.get(6..8)?.first_chunk::<2>()?;
    let at = *bytes.get(24..32)?.first_chunk::<8>()?;
    let at = Micros::new(i64::from_le_bytes(at));
    let body = bytes.get(HEADER..head.length)?;
    let entry = match (kind, version) {
        (TYPE_HIT, VERSION) => Hit::read(at, body).map(Entry::Hit),
        (TYPE_SIDE, VERSION) => read_side(body).map(Entry::Side),
        (TYPE_ACT, VERSION) => read_act(at, body).map(Entry::Act),
        (TYPE_ACCEPTED, VERSION) => read_accepted(at, body).map(Entry::Accepted),
        (TYPE_RECEIVED, VERSION) => Received::read(at, body).map(Entry::Received),
        _ => None,
    };
    Some(Frame { head, at, entry })
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

/// What [`write_drained`] wrote, if the record at the front of `bytes` is such a one.
pub(super) fn read_drained(epoch: u32, bytes: &[u8]) -> Option<Vec<u64>> {
    let head = check(epoch, bytes)?;
    if bytes.get(6..8)? != [TYPE_DRAINED, VERSION] {
        return None;
    }
    let mut body = bytes.get(HEADER..head.length)?;
    let count = usize::try_from(u64::from_le_bytes(take(&mut body)?)).ok()?;
    let mut slots = Vec::with_capacity(count.min(usize::from(u8::MAX)));
    for _ in 0..count {
        slots.push(u64::from_le_bytes(take(&mut body)?));
    }
    Some(slots)
}

/// The same records under another segment's epoch.
pub(super) fn reseal(records: &[u8], from: u32, to: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some(head) = check(from, rest) {
        let Some((record, after)) = rest.split_at_checked(head.length) else {
            break;
        };
        let start = out.len();
        out.extend_from_slice(record);
        if let Some(record) = out.get_mut(start..) {
            sum(record, to);
        }
        rest = after;
    }
    out
}

/// Heads of records that stand one behind the other.
pub(super) fn heads(epoch: u32, mut records: &[u8]) -> impl Iterator<Item = Head> {
    std::iter::from_fn(move || {
        let head = check(epoch, records)?;
        records = records.get(head.length..)?;
        Some(head)
    })
}
