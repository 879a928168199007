//! One connection and the request that is under way on it.
//!
//! Owns writing in parts and reading to the end of the answer; refuses to know times and counts.

use std::io::{ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::answer::{Head, head};

/// A connection. It is dropped with its socket when it ends.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The request that is being sent, and how much of it is out.
    request: Vec<u8>,
    written: usize,
    /// An answer that came in parts.
    part: Vec<u8>,
    /// What its head says, once it is complete.
    head: Option<Head>,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing more for now.
    Nothing,
    /// Some of the answer.
    Part,
    /// The answer, to its end.
    Answer(Head),
    /// Bytes that are no answer to the request.
    Malformed,
    /// The connection ended.
    End,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// Whether any byte of the request is out.
    pub(crate) begun: bool,
    /// Whether the connection takes no more. What it has received may still be read.
    pub(crate) failed: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            request: Vec::new(),
            written: 0,
            part: Vec::new(),
            head: None,
        }
    }

    /// Whether connecting is over: `Err` if it failed.
    pub(crate) fn is_connected(&self) -> Result<bool, ()> {
        if let Ok(Some(_)) | Err(_) = self.stream.take_error() {
            return Err(());
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(_) => Err(()),
        }
    }

    /// Begins a request, which `fill` writes into an empty buffer.
    pub(crate) fn begin(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Wrote {
        self.request.clear();
        self.written = 0;
        fill(&mut self.request);
        self.write_on()
    }

    /// Writes what the socket takes of the rest.
    pub(crate) fn write_on(&mut self) -> Wrote {
        let mut failed = false;
        while let Some(rest) = self.request.get(self.written..).filter(|it| !it.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => failed = true,
                Ok(count) => {
                    self.written += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => failed = error.kind() != ErrorKind::WouldBlock,
            }
            break;
        }
        let begun = self.written > 0;
        Wrote { begun, failed }
    }

    /// Whether all of the request is out.
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.request.len()
    }

    /// Reads once. A short read has emptied the socket, so that the caller need not ask again
    /// unless the end of the connection was announced.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> (Heard, bool) {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return (Heard::End, true),
                Ok(count) => {
                    let emptied = count < scratch.len();
                    let bytes = scratch.get(..count).unwrap_or_default();
                    return (self.take(bytes), emptied);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return (Heard::Nothing, true);
                }
                Err(_) => return (Heard::End, true),
            }
        }
    }

    /// Most answers come whole and are read where they lie; others are put together in `part`.
    fn take(&mut self, bytes: &[u8]) -> Heard {
        if !self.part.is_empty() {
            self.part.extend_from_slice(bytes);
        }
        let whole = if self.part.is_empty() {
            bytes
        } else {
            &self.part
        };
        let found = match self.head {
            Some(found) => Ok(Some(found)),
            None => head(whole),
        };
        let heard = match found {
            Err(_) => Heard::Malformed,
            Ok(Some(found)) if whole.len() > found.length => Heard::Malformed,
            Ok(Some(found)) if whole.len() == found.length => Heard::Answer(found),
            Ok(found) => {
                self.head = found;
                if self.part.is_empty() {
                    self.part.extend_from_slice(bytes);
                }
                return Heard::Part;
            }
        };
        self.part.clear();
        self.head = None;
        heard
    }
}
