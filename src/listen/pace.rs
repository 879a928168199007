//! How long a connection may take to ask, and how much it may ask without taking the answers.
//!
//! actix's own timers see a connection's first head and one that is wholly idle. They do not see a
//! later head that comes byte by byte, an HTTP/2 connection that answers pings and asks nothing, or
//! a reader that asks and takes nothing: that one would be answered into memory without end.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::web::Asking;

use super::patience::{Connections, Held};

/// Bytes that are read before what they ask is answered: room for a head with the longest query
/// that is looked at and a press's body. The shortest requests that fit are answered with some
/// 200 KiB.
const BURST_BYTES_MAX: usize = 16 << 10;
/// Bytes that are read at once: more than nearly every head has.
const PART_BYTES: usize = 4 << 10;
/// A connection that is closed when nothing happens on it.
pub(super) struct Paced<IO> {
    io: IO,
    held: Held,
    /// Bytes read since the last that were written.
    burst: usize,
    /// Whoever would read on once the answers before are taken.
    reader: Option<Waker>,
}

impl<IO> Paced<IO> {
    pub(super) fn new(io: IO, of: &Rc<Connections>) -> Self {
        Self {
            io,
            held: of.take(),
            burst: 0,
            reader: None,
        }
    }

    /// What is asked on it.
    pub(super) fn asking(&self) -> Rc<Asking> {
        Rc::clone(&self.held.asking)
    }

    /// `Pending` until the connection has been quiet for too long.
    fn poll_patience(&self, context: &Context<'_>) -> Poll<io::Error> {
        let over = self.held.poll(context);
        over.map(|()| ErrorKind::TimedOut.into())
    }

    /// Notes how writing went, and whether it is time to give up.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.held.full.set(true);
            return self.poll_patience(context).map(Err);
        }
        // What is written unasked, such as pings, tells nothing of the reader.
        if self.held.full.replace(false) {
            self.held.taken.set(true);
        }
        self.burst = 0;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        written
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Paced<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.full.get() {
            self.reader = Some(context.waker().clone());
            return self.poll_patience(context).map(Err);
        }
        if self.burst >= BURST_BYTES_MAX {
            // What was read is answered first; then more is read.
            self.burst = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // A part of `into` would have to be filled with zeroes first, at every read.
        let mut part = [const { MaybeUninit::uninit() }; PART_BYTES];
        let room = into.remaining().min(BURST_BYTES_MAX - self.burst);
        let room = room.min(PART_BYTES);
        let mut part = ReadBuf::uninit(part.get_mut(..room).unwrap_or_default());
        let read = Pin::new(&mut self.io).poll_read(context, &mut part);
        if read.is_pending() {
            self.burst = 0;
            return self.poll_patience(context).map(Err);
        }
        into.put_slice(part.filled());
        self.burst += part.filled().len();
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Paced<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        if shut.is_pending() {
            return self.poll_patience(context).map(Err);
        }
        shut
    }
}
