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
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::config::HttpLimits;
use crate::web::Asking;

/// Bytes that are read before what they ask is answered: room for a head with the longest query
/// that is looked at and a press's body. The shortest requests that fit are answered with some
/// 200 KiB.
const BURST_BYTES_MAX: usize = 16 << 10;
/// Bytes that are read at once: more than nearly every head has.
const PART_BYTES: usize = 4 << 10;
/// Looks in the time that a connection may be quiet.
const LOOKS: u32 = 4;

/// A connection that is closed when nothing happens on it.
pub(super) struct Paced<IO> {
    io: IO,
    asking: Rc<Asking>,
    limits: Limits,
    look: Pin<Box<Sleep>>,
    /// How long nothing was asked or taken, as of the last look.
    quiet: Duration,
    /// Bytes read since the last that were written.
    burst: usize,
    /// Something was taken since the last look.
    taken: bool,
    /// Answers wait for the reader to take those before.
    full: bool,
    /// Whoever would read on once they are taken.
    reader: Option<Waker>,
}

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// From the last answer to the end of the next head.
    idle: Duration,
    /// From the last byte that the reader took to the next.
    stalled: Duration,
    /// Between two looks.
    look: Duration,
}

impl<IO> Paced<IO> {
    pub(super) fn new(io: IO, limits: &HttpLimits) -> Self {
        let idle = limits.keep_alive.saturating_add(limits.head);
        let limits = Limits {
            idle,
            stalled: limits.stalled,
            look: idle.min(limits.stalled) / LOOKS,
        };
        Self {
            io,
            asking: Rc::default(),
            limits,
            look: Box::pin(sleep(limits.look)),
            quiet: Duration::ZERO,
            burst: 0,
            taken: false,
            full: false,
            reader: None,
        }
    }

    /// What is asked on it.
    pub(super) fn asking(&self) -> Rc<Asking> {
        Rc::clone(&self.asking)
    }

    /// `Pending` until the connection has been quiet for too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.look.as_mut().poll(context).is_ready() {
            let quiet = self.asking.is_quiet() && !self.taken;
            self.taken = false;
            self.quiet = if quiet {
                self.quiet.saturating_add(self.limits.look)
            } else {
                Duration::ZERO
            };
            let most = if self.full {
                self.limits.stalled
            } else {
                self.limits.idle
            };
            if self.quiet >= most {
                return Poll::Ready(ErrorKind::TimedOut.into());
            }
            let look = sleep(self.limits.look);
            self.look.as_mut().set(look);
        }
        Poll::Pending
    }

    /// Notes how writing went, and whether it is time to give up.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.full = true;
            return self.poll_patience(context).map(Err);
        }
        // What is written unasked, such as pings, tells nothing of the reader.
        self.taken |= self.full;
        self.full = false;
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
        if self.full {
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
