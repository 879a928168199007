//! The connections of one thread: which are free, which are away, and their opening.
//!
//! Free connections are handed out in turn, so that all of the server's workers get their share.
//! Refuses to know what is sent on them, and what came back.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::connection::Connection;
use crate::load::WhenGone;

/// Between attempts to reach a server that is gone.
const RETRY: Duration = Duration::from_millis(5);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// What a connection is doing.
#[derive(Debug)]
pub(crate) enum State {
    Connecting(Connection),
    Free(Connection, Instant),
    Busy(Connection, Request),
    /// Until it is opened again, if ever.
    Away,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    /// What its latency counts from.
    pub(crate) from: Instant,
    /// Whether a byte of it is out.
    pub(crate) sent: bool,
}

/// The connections; their tokens are their indices.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    when_gone: WhenGone,
    registry: Registry,
    states: Vec<State>,
    /// Free connections, the longest free first.
    free: VecDeque<usize>,
    /// Connections to open again, and when.
    reopen: VecDeque<(Instant, usize)>,
    /// Connections that are not given up.
    alive: usize,
    refused: u64,
}

impl Pool {
    /// Opens `count` connections. Blocking, unlike later: a server that is not there is an error
    /// here.
    pub(crate) fn open_all(
        registry: Registry,
        address: SocketAddr,
        when_gone: WhenGone,
        count: usize,
    ) -> io::Result<Self> {
        let mut pool = Self {
            address,
            when_gone,
            registry,
            states: Vec::new(),
            free: VecDeque::new(),
            reopen: VecDeque::new(),
            alive: count,
            refused: 0,
        };
        for index in 0..count {
            let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
            stream.set_nonblocking(true)?;
            let connection = pool.register(index, TcpStream::from_std(stream))?;
            pool.states.push(State::Away);
            pool.set_free(index, connection, Instant::now());
        }
        Ok(pool)
    }

    fn register(&self, index: usize, mut stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut stream, Token(index), interest)?;
        Ok(Connection::new(stream))
    }

    /// Connections that are not given up.
    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// Attempts to open one again that failed.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// When the next is to be opened again.
    pub(crate) fn reopens_at(&self) -> Option<Instant> {
        self.reopen.front().map(|(at, _)| *at)
    }

    pub(crate) fn take(&mut self, index: usize) -> State {
        let slot = self.states.get_mut(index);
        slot.map_or(State::Away, |slot| std::mem::replace(slot, State::Away))
    }

    pub(crate) fn set(&mut self, index: usize, state: State) {
        if let Some(slot) = self.states.get_mut(index) {
            *slot = state;
        }
    }

    pub(crate) fn set_free(&mut self, index: usize, connection: Connection, now: Instant) {
        self.set(index, State::Free(connection, now));
        self.free.push_back(index);
    }

    /// The connection that has been free for longest, and since when.
    pub(crate) fn take_free(&mut self) -> Option<(usize, Connection, Instant)> {
        while let Some(index) = self.free.pop_front() {
            match self.take(index) {
                State::Free(connection, since) => return Some((index, connection, since)),
                // It ended while it was free, and may be open anew; its place in line is void.
                other => self.set(index, other),
            }
        }
        None
    }

    /// The connection is dropped already; another takes its place in a while.
    pub(crate) fn end(&mut self, index: usize) {
        self.reopen.push_back((Instant::now() + RETRY, index));
    }

    pub(crate) fn reopen_due(&mut self, now: Instant) {
        while let Some((_, index)) = self.reopen.pop_front_if(|(at, _)| *at <= now) {
            self.open(index);
        }
    }

    pub(crate) fn open(&mut self, index: usize) {
        let opened = TcpStream::connect(self.address);
        match opened.and_then(|stream| self.register(index, stream)) {
            Ok(connection) => self.set(index, State::Connecting(connection)),
            Err(_) => self.failed_to_connect(index),
        }
    }

    pub(crate) fn failed_to_connect(&mut self, index: usize) {
        self.refused += 1;
        match self.when_gone {
            WhenGone::End => self.alive -= 1,
            WhenGone::Reconnect => self.end(index),
        }
    }
}
