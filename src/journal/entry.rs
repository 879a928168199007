//! What stands in the journal, as it is read back.

use std::borrow::Cow;

use crate::domain::act::Act;
use crate::domain::message::MessageId;
use crate::domain::record::{Hit, take};
use crate::domain::time::Micros;

use super::frame::Side;
use super::spool_file;

/// Random number of an edge's life: part of every event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeId(pub u32);

impl EdgeId {
    /// Parses the eight hexadecimal digits of its display.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if plain {
            u32::from_str_radix(text, 16).ok().map(Self)
        } else {
            None
        }
    }
}

impl std::fmt::Display for EdgeId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// What a mail system reported of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When the recipient's system accepted it.
    pub at: Micros,
    /// The message.
    pub message: MessageId,
}

/// Who sent a body: a short name that stands in records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source(Cow<'static, str>);

impl Source {
    /// Longest name in bytes.
    pub const BYTES_MAX: usize = 64;
    /// The sender's own system, over the API.
    pub const API: Self = Self(Cow::Borrowed("api"));

    /// Takes 1 to 64 visible characters of ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        (plain && fits).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A body that lies in the spool, synced: what it was, and where to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When it came.
    pub at: Micros,
    /// Who sent it.
    pub source: Source,
    /// Number of its file.
    pub spool: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
    /// SHA-256 of them.
    pub digest: [u8; 32],
}

impl Received {
    /// Name of the file that it lies in.
    #[must_use]
    pub fn file(&self) -> String {
        spool_file::name(self.spool)
    }

    /// What a record says of it behind its header.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let source = self.source.as_str().as_bytes();
        to.extend_from_slice(&self.spool.to_le_bytes());
        to.extend_from_slice(&self.offset.to_le_bytes());
        to.extend_from_slice(&self.length.to_le_bytes());
        to.extend_from_slice(&[u8::try_from(source.len()).unwrap_or(0), 0, 0, 0]);
        to.extend_from_slice(&self.digest);
        to.extend_from_slice(source);
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(at: Micros, mut body: &[u8]) -> Option<Self> {
        let spool = u64::from_le_bytes(take(&mut body)?);
        let offset = u64::from_le_bytes(take(&mut body)?);
        let length = u32::from_le_bytes(take(&mut body)?);
        let [source, ..] = take::<4>(&mut body)?;
        let digest = take(&mut body)?;
        let source = str::from_utf8(body.get(..usize::from(source))?).ok()?;
        Some(Self {
            at,
            source: Source::parse(source)?,
            spool,
            offset,
            length,
            digest,
        })
    }
}

/// A record as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A hit.
    Hit(Hit),
    /// The text behind an id.
    Side(Side),
    /// Acceptance by the recipient's system, from a delivery event.
    Accepted(Accepted),
    /// A press or unsubscribe.
    Act(Act),
    /// A delivery event's body, which lies in the spool.
    Received(Received),
}
