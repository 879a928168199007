//! Rows on their way out: written as the input is.

use std::fs::File;
use std::io::{ErrorKind, Write};

use csv::{ByteRecord, Writer};

use super::super::Failure;
use super::super::files::cannot_write;
use super::dialect::Dialect;

const BUFFER_BYTES: usize = 256 << 10;

/// Where rows go.
pub(super) struct Output {
    rows: Writer<File>,
    shown: String,
    /// Writing failed: nobody knows how much of what was handed over has arrived.
    pub(super) broken: bool,
}

/// What begins a file: a byte order mark if the input has one, and the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) header: Option<&'a ByteRecord>,
}

impl Output {
    /// To where a file stands; with its beginning if nothing is there yet.
    pub(super) fn new(
        begin: Begin<'_>,
        mut to: File,
        shown: &str,
        fresh: bool,
    ) -> Result<Self, Failure> {
        let mark = if fresh { begin.dialect.begin() } else { b"" };
        let marked = to.write_all(mark);
        let mut writer = begin.dialect.writer();
        let mut output = Self {
            rows: writer.buffer_capacity(BUFFER_BYTES).from_writer(to),
            shown: shown.to_owned(),
            broken: false,
        };
        output.heard(marked)?;
        if let Some(header) = begin.header.filter(|_| fresh) {
            output.row(header)?;
        }
        Ok(output)
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &ByteRecord) -> Result<(), Failure> {
        let written = self.rows.write_byte_record(row);
        self.heard(written.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => std::io::Error::other(format!("{other:?}")),
        }))
    }

    /// Hands over what was written.
    pub(super) fn show(&mut self) -> Result<(), Failure> {
        let written = self.rows.flush();
        self.heard(written)
    }

    fn heard(&mut self, written: std::io::Result<()>) -> Result<(), Failure> {
        written.map_err(|error| {
            self.broken = true;
            match error.kind() {
                ErrorKind::BrokenPipe => {
                    let line = format!("{}: its reader has left", self.shown);
                    Failure::new(Failure::IO, line)
                }
                _ => cannot_write(&self.shown, &error),
            }
        })
    }
}
