//! Short links in memory: ten million of them in less than a gibibyte.
//!
//! Codes are spread over shards by a hash whose key is drawn anew for every process, so that
//! nobody can choose codes that meet. A shard is a frozen table and a small one, also frozen, of
//! what was edited since; the small one is looked at first. An edit writes the small one anew,
//! and merges both when it has grown: it copies kilobytes mostly, one shard at worst.
//!
//! Copies share every shard that has not changed since. Looking a link up takes no lock and
//! allocates nothing. Only texts of a [`Destination`] get in; nothing is ever removed.

mod draft;
mod table;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::campaign::ShortLinkId;
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use table::{Draft, Found, Record, Table};

pub(super) use draft::ShortLinksDraft;

const SHARDS: usize = 256;
/// Edits of a shard that wait to be merged: as many links,
const FRESH_LINKS_MAX: usize = 64;
/// or as many bytes of records.
const FRESH_BYTES_MAX: usize = 64 << 10;

/// A short link, to be put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortLink {
    /// Its id in hits and sums.
    pub id: ShortLinkId,
    /// Where it leads.
    pub destination: Destination,
    /// When it stops.
    pub expires_at: Option<Micros>,
    /// Disabled: answered 410.
    pub disabled: bool,
}

/// A short link, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct ShortLinkRef<'s> {
    /// Its id in hits and sums.
    pub id: ShortLinkId,
    /// When it stops.
    pub expires_at: Option<Micros>,
    /// Disabled: answered 410.
    pub disabled: bool,
    url: &'s [u8],
    text: &'s Bytes,
}

impl<'s> ShortLinkRef<'s> {
    const fn new(record: &Record<'s>, text: &'s Bytes) -> Self {
        Self {
            id: record.id,
            expires_at: record.expires_at,
            disabled: record.disabled,
            url: record.url,
            text,
        }
    }

    /// Where it leads.
    #[must_use]
    pub fn destination(&self) -> &'s str {
        // Only texts get in.
        std::str::from_utf8(self.url).unwrap_or_default()
    }

    /// Where it leads, for a header: shares the bytes, and keeps their whole shard while it lives.
    #[must_use]
    pub fn location(&self) -> Bytes {
        self.text.slice_ref(self.url)
    }
}

impl From<&Record<'_>> for ShortLink {
    fn from(record: &Record<'_>) -> Self {
        Self {
            id: record.id,
            destination: Destination::stored(text(record.url)),
            expires_at: record.expires_at,
            disabled: record.disabled,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where a code belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: usize,
    tag: u32,
}

/// How codes are spread over shards.
#[derive(Clone, Debug, Default)]
struct Spread(RandomState);

impl Spread {
    fn place(&self, code: &str, shards: usize) -> Place {
        let [a, b, c, d, e, f, g, h] = self.0.hash_one(code.as_bytes()).to_be_bytes();
        let high = u64::from(u32::from_be_bytes([a, b, c, d]));
        let shard = high.wrapping_mul(shards as u64) >> 32;
        Place {
            shard: usize::try_from(shard).unwrap_or(0),
            tag: u32::from_be_bytes([e, f, g, h]),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Shard {
    base: Table,
    fresh: Table,
    /// Links in `fresh` that are not in `base`.
    new: usize,
}

impl Shard {
    /// A link, the number of its slot (those of `fresh` follow those of `base`), and what its
    /// texts are cut from.
    fn find(&self, tag: u32, code: &[u8]) -> Option<(Found<'_>, &Bytes)> {
        if self.fresh.len() > 0
            && let Some((at, record)) = self.fresh.find(tag, code)
        {
            return Some(((self.base.slots() + at, record), self.fresh.text()));
        }
        let found = self.base.find(tag, code)?;
        Some((found, self.base.text()))
    }

    fn entries(&self) -> impl Iterator<Item = Found<'_>> {
        let is_old = |tag, code| self.fresh.len() > 0 && self.fresh.find(tag, code).is_some();
        let base = self
            .base
            .entries()
            .filter(move |(tag, (_, record))| !is_old(*tag, record.code));
        let fresh = self.fresh.entries().map(|(tag, (at, record))| {
            let at = self.base.slots() + at;
            (tag, (at, record))
        });
        base.chain(fresh).map(|(_, found)| found)
    }

    const fn len(&self) -> usize {
        self.base.len() + self.new
    }

    /// Everything in one table that can be added to.
    fn thaw(&self) -> Draft {
        let mut draft = Draft::thaw(&self.base);
        draft.extend(&self.fresh);
        draft
    }

    fn insert(&mut self, tag: u32, record: Record<'_>) -> bool {
        let mut fresh = Draft::thaw(&self.fresh);
        let done = fresh.insert(tag, record);
        let new = fresh.len() > self.fresh.len() && self.base.find(tag, record.code).is_none();
        self.new += usize::from(new);
        let full = fresh.len() > FRESH_LINKS_MAX || fresh.text_bytes() > FRESH_BYTES_MAX;
        self.fresh = fresh.freeze();
        if full {
            *self = Self::from(self.thaw());
        }
        done
    }
}

impl From<Draft> for Shard {
    fn from(draft: Draft) -> Self {
        Self {
            base: draft.freeze(),
            ..Self::default()
        }
    }
}

/// All short links of one moment.
#[derive(Clone, Debug)]
pub(super) struct ShortLinks {
    spread: Spread,
    shards: Arc<[Arc<Shard>]>,
}

impl Default for ShortLinks {
    fn default() -> Self {
        Self::with_shards(SHARDS)
    }
}

impl ShortLinks {
    fn with_shards(shards: usize) -> Self {
        Self {
            spread: Spread::default(),
            shards: std::iter::repeat_n(Arc::default(), shards).collect(),
        }
    }

    /// A link by its code; case matters.
    pub(super) fn get(&self, code: &str) -> Option<ShortLinkRef<'_>> {
        let place = self.spread.place(code, self.shards.len());
        let shard = self.shards.get(place.shard)?;
        let ((_, record), text) = shard.find(place.tag, code.as_bytes())?;
        Some(ShortLinkRef::new(&record, text))
    }

    /// Whether `code` stands for exactly this link.
    pub(super) fn holds(&self, code: &str, link: &ShortLink) -> bool {
        self.get(code).is_some_and(|known| {
            let url = link.destination.as_str().as_bytes();
            (known.id, known.expires_at, known.disabled, known.url)
                == (link.id, link.expires_at, link.disabled, url)
        })
    }

    /// Puts one link in force. Many at once: [`ShortLinksDraft`].
    pub(super) fn insert(&mut self, code: &str, link: &ShortLink) {
        let place = self.spread.place(code, self.shards.len());
        let shard = Arc::make_mut(&mut self.shards).get_mut(place.shard);
        let record = Record::of(code, link);
        let done = shard.zip(record).is_some_and(|(shard, record)| {
            let shard = Arc::make_mut(shard);
            shard.insert(place.tag, record)
        });
        if !done {
            left_out();
        }
    }

    /// Codes and links, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, ShortLink)> {
        let records = self.shards.iter().flat_map(|shard| shard.entries());
        records.map(|(_, record)| (text(record.code), ShortLink::from(&record)))
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }
}

/// Nothing that was parsed can come here: codes and URLs are shorter, and ids run out before.
fn left_out() {
    tracing::error!("catalogue: left out a short link that no table can hold");
}
