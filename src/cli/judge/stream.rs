//! The stream form of mailings and their hits: one JSON object a line, in the order of their times.
//! Plain or gzip, which is told from the first bytes.
//!
//! | `type` | fields |
//! |---|---|
//! | `link` | `campaign`, `link` (number), `kind`: content, action, unsubscribe or honeypot |
//! | `message` | `at` (handed to the mail server), `message`, `campaign` |
//! | `delivery` | `at`, `message`, `event`: delivered, deferred or bounced |
//! | `hit` | `at`, `id`, `message`, `kind`: open or click, `link`, `method`, `scheme`, `http`, |
//! | | `ip`, `headers`: pairs in the order in which they came |

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::domain::hit::{HttpVersion, Method, Scheme};
use crate::domain::time::Micros;

use super::super::Failure;
use super::super::files::Source;

/// Longest line: headers of 8 KiB and what JSON makes of them.
const LINE_BYTES_MAX: usize = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One line. Fields that are not named here are read over.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Record<'l> {
    Link(#[serde(borrow)] Link<'l>),
    Message(#[serde(borrow)] Message<'l>),
    Delivery(#[serde(borrow)] Delivery<'l>),
    Hit(#[serde(borrow)] Hit<'l>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Link<'l> {
    #[serde(borrow)]
    pub(super) campaign: Cow<'l, str>,
    pub(super) link: u32,
    pub(super) kind: LinkKind,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum LinkKind {
    #[default]
    Content,
    Action,
    Unsubscribe,
    Honeypot,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'l> {
    pub(super) at: Micros,
    #[serde(borrow)]
    pub(super) message: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) campaign: Cow<'l, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delivery<'l> {
    pub(super) at: Micros,
    #[serde(borrow)]
    pub(super) message: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) event: Cow<'l, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hit<'l> {
    pub(super) at: Micros,
    #[serde(borrow)]
    pub(super) id: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) message: Option<Cow<'l, str>>,
    pub(super) kind: Endpoint,
    pub(super) link: Option<u32>,
    #[serde(borrow)]
    method: Cow<'l, str>,
    scheme: Written,
    #[serde(borrow, default)]
    http: Cow<'l, str>,
    pub(super) ip: IpAddr,
    #[serde(borrow)]
    pub(super) headers: Vec<(Cow<'l, str>, Cow<'l, str>)>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Endpoint {
    Open,
    Click,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Written {
    Http,
    Https,
}

impl Hit<'_> {
    pub(super) fn method(&self) -> Method {
        match &*self.method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => Method::Other,
        }
    }

    pub(super) const fn scheme(&self) -> Scheme {
        match self.scheme {
            Written::Http => Scheme::Http,
            Written::Https => Scheme::Https,
        }
    }

    pub(super) fn http(&self) -> HttpVersion {
        match &*self.http {
            "1.0" => HttpVersion::Http10,
            "2" => HttpVersion::Http2,
            "3" => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        }
    }
}

/// Lines of a file, one after the other.
pub(in crate::cli) struct LinesOf {
    input: Box<dyn BufRead>,
    shown: String,
    line: Vec<u8>,
    number: usize,
}

impl LinesOf {
    pub(in crate::cli) fn new(source: Source) -> Result<Self, Failure> {
        let Source { shown, file } = source;
        let mut file = BufReader::new(file);
        let failed = |error| Failure::no_input(shown.as_ref(), &error);
        let first = file.fill_buf().map_err(failed)?;
        let input: Box<dyn BufRead> = match first.starts_with(&GZIP) {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        Ok(Self {
            input,
            shown,
            line: Vec::new(),
            number: 0,
        })
    }

    /// The next line that is not empty, without its end.
    pub(in crate::cli) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut limited = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| Failure::no_input(self.shown.as_ref(), &error))?;
            if read > LINE_BYTES_MAX {
                return Err(self.wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
            }
            if read == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(self.line.trim_ascii()))
    }

    /// The failure for the line that was read last.
    pub(in crate::cli) fn wrong(&self, what: impl std::fmt::Display) -> Failure {
        let line = format!("{}, line {}: {what}", self.shown, self.number);
        Failure::new(Failure::DATA, line)
    }
}
