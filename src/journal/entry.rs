//! What stands in the journal, as it is read back.

use crate::domain::act::Act;
use crate::domain::message::MessageId;
use crate::domain::record::Hit;
use crate::domain::time::Micros;

use super::frame::Side;

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
}
