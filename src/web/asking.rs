//! What a connection's reader is being answered: for whoever closes connections on which nothing
//! happens, and so that one connection cannot ask for everything at once.
//!
//! A connection and the services that answer it are of one thread.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// Answers of one connection that its reader may leave waiting. Over HTTP/2 it says itself when it
/// takes them, and browsers ask for a hundred at once.
const WAITING_MAX: u32 = 128;

/// What one connection asks.
#[derive(Debug, Default)]
pub struct Asking {
    /// Something was asked or answered since it was last looked at.
    stirred: Cell<bool>,
    running: Cell<u32>,
    waiting: Cell<u32>,
    /// Its last request has come.
    over: Cell<bool>,
}

impl Asking {
    /// Whether nothing was asked since the last look, and nothing is being worked on.
    pub fn is_quiet(&self) -> bool {
        !self.stirred.replace(false) && self.running.get() == 0
    }

    /// A request has come whole.
    pub(super) fn stir(&self) {
        self.stirred.set(true);
    }

    /// A request has come that says whether it is the last: what follows such a one, where a proxy
    /// sees a body perhaps, is no request (RFC 9112, 9.6). Whether it may be answered.
    pub(super) fn may_follow(&self, last: bool) -> bool {
        !self.over.replace(self.over.get() || last)
    }
}

/// A request that is being worked on, until this is dropped.
pub struct Running(Rc<Asking>);

impl Running {
    pub(super) fn begin(asking: &Rc<Asking>) -> Self {
        asking.running.set(asking.running.get().saturating_add(1));
        Self(Rc::clone(asking))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
        self.0.stir();
    }
}

/// A place among the answers that may wait, until this is dropped.
pub(super) struct Place(Rc<Asking>);

impl Place {
    /// One more, if there is room.
    pub(super) fn take(asking: Rc<Asking>) -> Option<Self> {
        let waiting = asking.waiting.get();
        (waiting < WAITING_MAX).then(|| {
            asking.waiting.set(waiting.saturating_add(1));
            Self(asking)
        })
    }

    /// Keeps the place until a body has been taken.
    pub(super) fn until_taken(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Waiting { body, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = &self.0.waiting;
        waiting.set(waiting.get().saturating_sub(1));
    }
}

/// An answer's body, which waits until its reader has taken it.
struct Waiting {
    body: BoxBody,
    _place: Place,
}

impl MessageBody for Waiting {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
