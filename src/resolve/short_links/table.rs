//! One table of short links: all texts in one run of bytes, and an index of where each begins.
//!
//! A record is a head of 8 bytes (id u32, flags u8, length of the code u8, length of the URL u16,
//! little endian), the end in 8 bytes if there is one, the code, the URL.
//!
//! A slot of the index is 8 bytes: its upper half is the tag (32 bits of the hash of the code),
//! its lower half one more than the record's place; 0 is free. The tag says where a search
//! begins, and a free slot ends it. An index is made anew from its tags: no code is hashed twice.
//!
//! A [`Table`] never changes. It is thawed into a [`Draft`], which does, and frozen again.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::campaign::ShortLinkId;
use crate::domain::time::Micros;

use super::ShortLink;

/// What a record takes beside its texts.
pub(super) const HEAD_BYTES: usize = 8;
const END_BYTES: usize = 8;
const DISABLED: u8 = 1;
const ENDS: u8 = 2;
const FREE: u64 = 0;

/// One short link as it lies in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'t> {
    pub(super) id: ShortLinkId,
    pub(super) disabled: bool,
    pub(super) expires_at: Option<Micros>,
    pub(super) code: &'t [u8],
    pub(super) url: &'t [u8],
}

impl<'t> Record<'t> {
    /// `None` if a length does not fit: no code and no destination is that long.
    pub(super) fn of(code: &'t str, link: &'t ShortLink) -> Option<Self> {
        let (code, url) = (code.as_bytes(), link.destination.as_str().as_bytes());
        let fits = u8::try_from(code.len()).is_ok() && u16::try_from(url.len()).is_ok();
        fits.then_some(Self {
            id: link.id,
            disabled: link.disabled,
            expires_at: link.expires_at,
            code,
            url,
        })
    }

    fn read(text: &'t [u8], place: usize) -> Option<Self> {
        let (head, rest) = text.get(place..)?.split_first_chunk::<HEAD_BYTES>()?;
        let [a, b, c, d, flags, code, e, f] = *head;
        let (expires_at, rest) = if flags & ENDS == 0 {
            (None, rest)
        } else {
            let (end, rest) = rest.split_first_chunk::<END_BYTES>()?;
            (Some(Micros::new(i64::from_le_bytes(*end))), rest)
        };
        let (code, rest) = rest.split_at_checked(usize::from(code))?;
        Some(Self {
            id: ShortLinkId::new(u32::from_le_bytes([a, b, c, d]))?,
            disabled: flags & DISABLED != 0,
            expires_at,
            code,
            url: rest.get(..usize::from(u16::from_le_bytes([e, f])))?,
        })
    }

    fn write(&self, text: &mut Vec<u8>) {
        let disabled = if self.disabled { DISABLED } else { 0 };
        let ends = self.expires_at.map_or(0, |_| ENDS);
        let code = u8::try_from(self.code.len()).unwrap_or(u8::MAX);
        let url = u16::try_from(self.url.len()).unwrap_or(u16::MAX);
        text.extend_from_slice(&self.id.get().to_le_bytes());
        text.extend_from_slice(&[disabled | ends, code]);
        text.extend_from_slice(&url.to_le_bytes());
        if let Some(end) = self.expires_at {
            text.extend_from_slice(&end.get().to_le_bytes());
        }
        text.extend_from_slice(self.code);
        text.extend_from_slice(self.url);
    }

    fn bytes(&self) -> usize {
        let end = self.expires_at.map_or(0, |_| END_BYTES);
        HEAD_BYTES + end + self.code.len() + self.url.len()
    }
}

/// A record that was found, and the number of its slot.
pub(super) type Found<'t> = (usize, Record<'t>);

/// A frozen table; copies share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    text: Bytes,
    slots: Arc<Vec<u64>>,
    len: usize,
    /// Bytes of records that others have replaced.
    dead: usize,
}

impl Table {
    pub(super) fn find(&self, tag: u32, code: &[u8]) -> Option<Found<'_>> {
        find(&self.text, &self.slots, tag, code)
    }

    /// Every tag with its record and the number of its slot.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, Found<'_>)> {
        entries(&self.text, &self.slots)
    }

    /// What records are cut from.
    pub(super) const fn text(&self) -> &Bytes {
        &self.text
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.text.len() + size_of_val(self.slots.as_slice())
    }
}

/// A table that can be added to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    text: Vec<u8>,
    slots: Vec<u64>,
    len: usize,
    /// Bytes of records that others have replaced.
    dead: usize,
}

impl Draft {
    /// An empty one with room for so much.
    pub(super) fn with_room(links: usize, text_bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(text_bytes),
            slots: vec![FREE; slots_for(links)],
            ..Self::default()
        }
    }

    pub(super) fn thaw(table: &Table) -> Self {
        Self {
            text: table.text.to_vec(),
            slots: table.slots.to_vec(),
            len: table.len,
            dead: table.dead,
        }
    }

    /// Adds a link, or replaces the one with its code. False if the table is full.
    pub(super) fn insert(&mut self, tag: u32, record: Record<'_>) -> bool {
        self.make_room(record.bytes());
        let Some(place) = u32::try_from(self.text.len() + 1).ok() else {
            return false;
        };
        let slot = u64::from(tag) << 32 | u64::from(place);
        match find(&self.text, &self.slots, tag, record.code) {
            Some((_, old)) if old == record => return true,
            Some((at, old)) => {
                self.dead += old.bytes();
                if let Some(entry) = self.slots.get_mut(at) {
                    *entry = slot;
                }
            }
            None => {
                put(&mut self.slots, slot);
                self.len += 1;
            }
        }
        record.write(&mut self.text);
        true
    }

    pub(super) fn extend(&mut self, table: &Table) -> bool {
        let mut all = true;
        for (tag, (_, record)) in table.entries() {
            all &= self.insert(tag, record);
        }
        all
    }

    /// Buffers grow by a quarter: doubling would double what loading needs at its peak.
    fn make_room(&mut self, bytes: usize) {
        if self.text.capacity() - self.text.len() < bytes {
            let live = self.text.len() - self.dead;
            if self.dead > live / 4 {
                self.compact(live + live / 4 + bytes);
            } else {
                self.text.reserve_exact(live / 4 + bytes);
            }
        }
        if slots_for(self.len + 1) > self.slots.len() {
            self.slots = spread(&self.slots, slots_for(self.len + self.len / 4 + 4));
        }
    }

    /// Leaves replaced records behind.
    fn compact(&mut self, capacity: usize) {
        let mut text = Vec::with_capacity(capacity);
        let mut slots = vec![FREE; self.slots.len()];
        for (tag, (_, record)) in entries(&self.text, &self.slots) {
            let place = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
            put(&mut slots, u64::from(tag) << 32 | u64::from(place));
            record.write(&mut text);
        }
        (self.text, self.slots, self.dead) = (text, slots, 0);
    }

    /// The table, in the memory that it needs and a fifth more at most.
    pub(super) fn freeze(mut self) -> Table {
        if self.dead > self.text.len() / 16 {
            self.compact(self.text.len() - self.dead);
        }
        // Copied, not shrunk: an allocator may keep what is cut off. But where room was made for
        // just so much, a copy would leave a hole as large as the table.
        let text = if fits(self.text.len(), self.text.capacity()) {
            Bytes::from(self.text)
        } else {
            Bytes::copy_from_slice(&self.text)
        };
        let wanted = slots_for(self.len);
        let slots = if fits(wanted, self.slots.len()) {
            self.slots
        } else {
            spread(&self.slots, wanted)
        };
        Table {
            text,
            slots: Arc::new(slots),
            len: self.len,
            dead: self.dead,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn text_bytes(&self) -> usize {
        self.text.len()
    }
}

/// Whether what there is is hardly more than what is needed.
const fn fits(needed: usize, there_is: usize) -> bool {
    there_is <= needed + needed / 8
}

/// Slots of an index: three in four are taken.
const fn slots_for(links: usize) -> usize {
    if links == 0 { 0 } else { links + links / 3 + 1 }
}

/// Numbers of the slots in which a tag may lie, in the order of searching.
fn path(tag: u32, slots: usize) -> impl Iterator<Item = usize> {
    // There are less than 2³² slots, since places have 32 bits; so home is one of them.
    let home = u64::from(tag).wrapping_mul(slots as u64) >> 32;
    let home = usize::try_from(home).unwrap_or(0);
    (home..slots).chain(0..home)
}

const fn tag_of(slot: u64) -> u32 {
    let [a, b, c, d, ..] = slot.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn place_of(slot: u64) -> Option<usize> {
    let [.., a, b, c, d] = slot.to_be_bytes();
    usize::try_from(u32::from_be_bytes([a, b, c, d]))
        .ok()?
        .checked_sub(1)
}

fn find<'t>(text: &'t [u8], slots: &[u64], tag: u32, code: &[u8]) -> Option<Found<'t>> {
    for at in path(tag, slots.len()) {
        let slot = *slots.get(at)?;
        if slot == FREE {
            return None;
        }
        if tag_of(slot) == tag {
            let record = Record::read(text, place_of(slot)?)?;
            if record.code == code {
                return Some((at, record));
            }
        }
    }
    None
}

fn entries<'t>(
    text: &'t [u8],
    slots: &'t [u64],
) -> impl Iterator<Item = (u32, (usize, Record<'t>))> {
    slots.iter().enumerate().filter_map(move |(at, slot)| {
        let record = Record::read(text, place_of(*slot)?)?;
        Some((tag_of(*slot), (at, record)))
    })
}

/// Puts a slot in its first free place; there is one.
fn put(slots: &mut [u64], slot: u64) {
    for at in path(tag_of(slot), slots.len()) {
        if let Some(entry @ &mut FREE) = slots.get_mut(at) {
            *entry = slot;
            return;
        }
    }
    debug_assert!(false, "an index with no free slot");
}

/// The same index in another number of slots.
fn spread(slots: &[u64], wanted: usize) -> Vec<u64> {
    let mut wider = vec![FREE; wanted];
    for slot in slots.iter().filter(|slot| **slot != FREE) {
        put(&mut wider, *slot);
    }
    wider
}
