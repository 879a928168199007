//! What is left of a body that is not read to its end.
//!
//! actix reads on behind an answer until a chunked body that nobody has any more is over, which may
//! be never. As long as somebody has it, the connection is closed behind the answer instead.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web;
use bytes::Bytes;

/// The rest of a body.
pub(super) struct Unread(RefCell<Option<web::Payload>>);

impl Unread {
    pub(super) fn new(rest: web::Payload) -> Self {
        Self(RefCell::new(Some(rest)))
    }

    /// An answer that has it until it is sent.
    pub(super) fn behind(&self, answer: String) -> BoxBody {
        BoxBody::new(Answer {
            bytes: Bytes::from(answer),
            _rest: self.0.take(),
        })
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the rest of a body")
    }
}

struct Answer {
    bytes: Bytes,
    _rest: Option<web::Payload>,
}

impl MessageBody for Answer {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
    }
}
