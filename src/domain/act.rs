//! Acts: what somebody asked the sender to do.

use super::hit::{HitKind, Via};
use super::message::{MessageId, RecipientKey};
use super::time::Micros;

/// A press or unsubscribe that was answered with success. It is kept whatever the privacy level
/// says of hits: somebody asked for something, and the sender has to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// When the request was read.
    pub at: Micros,
    /// `press` or `unsubscribe`.
    pub kind: HitKind,
    /// The link; 0 for an unsubscribe function without one.
    pub link: u32,
    /// Whose act it is.
    pub message: MessageId,
    /// Recipient of that message.
    pub recipient: RecipientKey,
    /// How an unsubscribe came in.
    pub via: Option<Via>,
}
