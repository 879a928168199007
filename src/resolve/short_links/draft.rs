//! Many short links at once: loading, and comparing with what the store holds.
//!
//! A shard is thawed by the first link that changes it, and frozen again at the end, one after
//! the other. Every link that comes is marked; what was there before and has not come is what the
//! store lacks. The marks are bits, one for each slot.

use std::sync::Arc;

use super::table::{Draft, HEAD_BYTES, Record};
use super::{Shard, ShortLink, ShortLinks, left_out, text};

#[derive(Debug)]
struct ShardDraft {
    began: Arc<Shard>,
    seen: Vec<u64>,
    changed: Option<Draft>,
}

impl ShardDraft {
    fn mark(&mut self, slot: usize) {
        if self.seen.is_empty() {
            let slots = self.began.base.slots() + self.began.fresh.slots();
            self.seen = vec![0; slots.div_ceil(64)];
        }
        if let Some(bits) = self.seen.get_mut(slot / 64) {
            *bits |= 1 << (slot % 64);
        }
    }

    fn is_marked(&self, slot: usize) -> bool {
        let bits = self.seen.get(slot / 64);
        bits.is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }
}

/// Short links that are being loaded.
#[derive(Debug)]
pub(in super::super) struct ShortLinksDraft {
    began: ShortLinks,
    shards: Vec<ShardDraft>,
    /// Links and bytes that a shard without any is made for.
    room: (usize, usize),
}

impl ShortLinksDraft {
    pub(in super::super) fn new(began: ShortLinks) -> Self {
        let draft = |shard: &Arc<Shard>| ShardDraft {
            began: Arc::clone(shard),
            seen: Vec::new(),
            changed: None,
        };
        let shards = began.shards.iter().map(draft).collect();
        Self {
            began,
            shards,
            room: (0, 0),
        }
    }

    /// Says how many links are about to come, and how long their codes and URLs are in sum.
    /// Buffers that grow leave holes; with this they need not.
    pub(in super::super) fn expect(&mut self, links: usize, text_bytes: usize) {
        // Some shards get a little more than others.
        let each = |all: usize| all / self.shards.len().max(1) * 103 / 100;
        self.room = (each(links), each(text_bytes + links * HEAD_BYTES));
    }

    /// Takes a link in. False if it was known before, exactly like this.
    pub(in super::super) fn take(&mut self, code: &str, link: &ShortLink) -> bool {
        let place = self.began.spread.place(code, self.shards.len());
        let shard = self.shards.get_mut(place.shard);
        let Some((shard, record)) = shard.zip(Record::of(code, link)) else {
            left_out();
            return false;
        };
        let known = shard.began.find(place.tag, record.code);
        let known = known.map(|((slot, known), _)| (slot, known == record));
        if let Some((slot, _)) = known {
            shard.mark(slot);
        }
        if shard.changed.is_none() && known.is_some_and(|(_, same)| same) {
            return false;
        }
        let (began, (links, bytes)) = (&shard.began, self.room);
        let changed = shard.changed.get_or_insert_with(|| match began.len() {
            0 => Draft::with_room(links, bytes),
            _ => began.thaw(),
        });
        if !changed.insert(place.tag, record) {
            left_out();
        }
        known.is_none_or(|(_, same)| !same)
    }

    /// Links that were there before and have not been taken in.
    pub(in super::super) fn missing(&self) -> impl Iterator<Item = (String, ShortLink)> {
        self.shards.iter().flat_map(|shard| {
            let entries = shard.began.entries();
            let missing = entries.filter(|(slot, _)| !shard.is_marked(*slot));
            missing.map(|(_, record)| (text(record.code), ShortLink::from(&record)))
        })
    }

    /// Everything, what was there before included.
    pub(in super::super) fn freeze(self) -> ShortLinks {
        let frozen = self.shards.into_iter().map(|shard| match shard.changed {
            Some(draft) => Arc::new(Shard::from(draft)),
            None => shard.began,
        });
        ShortLinks {
            spread: self.began.spread,
            shards: frozen.collect(),
        }
    }
}
