//! Lines on standard output and standard error. Whoever reads them may leave: that ends a command
//! that has nothing else to do, and is no error.

use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, StdoutLock, Write};

use super::Failure;
use super::sheet::harmless;

/// Standard output, buffered.
pub(super) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    failed: Option<std::io::Error>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(std::io::stdout().lock()),
            failed: None,
        }
    }

    /// Writes a line; `false` once nobody takes them any more.
    pub(super) fn say(&mut self, line: impl Display) -> bool {
        if self.failed.is_none() {
            self.failed = writeln!(self.out, "{line}").err();
        }
        self.failed.is_none()
    }

    /// Writes text as it is, to its last byte; `false` once nobody takes it any more.
    pub(super) fn put(&mut self, text: &[u8]) -> bool {
        if self.failed.is_none() {
            self.failed = self.out.write_all(text).err();
        }
        self.failed.is_none()
    }

    /// Shows what was written so far: something slow comes next. `false` as above.
    pub(super) fn show(&mut self) -> bool {
        if self.failed.is_none() {
            self.failed = self.out.flush().err();
        }
        self.failed.is_none()
    }

    /// The last of it.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.show();
        match self.failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
                Failure::IO,
                format!("standard output: {error}"),
            )),
            _ => Ok(()),
        }
    }
}

/// Says a line on standard error, its control characters spelled out; that nobody may hear it ends
/// nothing.
pub(super) fn tell(line: impl Display) {
    let line = harmless(&line.to_string());
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// A number of things: `1 hit`, `2 hits`.
pub(super) fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}
