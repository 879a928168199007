//! A CSV, row by row: rows of any bytes, none longer than a bound, each with its line.

use std::io::{Cursor, Read};
use std::path::Path;

use csv::{ByteRecord, Reader};

use super::super::Failure;
use super::super::lines::count;
use super::dialect::{Dialect, Known, Sample};

/// How much of a file is looked at to tell how it is written.
const SAMPLE_BYTES: u64 = 64 << 10;
/// Longest row; a quote that is never closed makes one of a whole file.
const ROW_BYTES_MAX: usize = 1 << 20;
/// A row behind the last: a quote that is still open there swallows it, which nothing else tells.
/// NUL stands in no CSV.
const END: &[u8] = b"\n\0end\n";
/// What is read of it.
const END_FIELD: &[u8] = b"\0end";

/// Bytes that are read, so many for a row at most.
struct Bounded {
    read: Box<dyn Read>,
    left: usize,
    taken: u64,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other("a row of more than 1 MiB"));
        }
        let read = self.read.read(into)?;
        self.left = self.left.saturating_sub(read);
        self.taken += u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

/// The CSV, open at its first row of data.
pub(in crate::cli) struct Table {
    pub(super) dialect: Dialect,
    pub(in crate::cli) header: Option<ByteRecord>,
    pub(super) shown: String,
    pub(super) columns: usize,
    rows: Reader<Bounded>,
}

impl Table {
    /// Looks at the beginning; also returns the rows of data that it saw there.
    pub(in crate::cli) fn open(
        shown: &str,
        mut read: Box<dyn Read>,
        known: Known,
    ) -> Result<(Self, Vec<ByteRecord>), Failure> {
        let mut bytes = Vec::new();
        let begun = read.by_ref().take(SAMPLE_BYTES).read_to_end(&mut bytes);
        begun.map_err(|error| Failure::no_input(Path::new(shown), &error))?;
        let whole = u64::try_from(bytes.len()).is_ok_and(|read| read < SAMPLE_BYTES);
        let sample = Sample::of(bytes, whole);
        let guessed = Dialect::guess(&sample, known);
        let wrong = |what: String| Failure::new(Failure::DATA, format!("{shown}: {what}"));
        let (dialect, mut rows) = guessed.map_err(wrong)?;
        let header = dialect.header.then(|| rows.remove(0));
        // A terminal that was told its end would be asked for another.
        let rest = if whole {
            Box::new(std::io::empty())
        } else {
            read
        };
        let bounded = Bounded {
            // The last row gets a line end, so that lines can be told; an empty one is no row.
            read: Box::new(Cursor::new(sample.bytes).chain(rest).chain(END)),
            left: ROW_BYTES_MAX,
            taken: 0,
        };
        let mut table = Self {
            columns: header.as_ref().or(rows.first()).map_or(0, ByteRecord::len),
            rows: dialect.reader().from_reader(bounded),
            dialect,
            header,
            shown: shown.to_owned(),
        };
        if table.header.is_some() {
            table.read(&mut ByteRecord::new())?;
        }
        Ok((table, rows))
    }

    /// Bytes read so far.
    pub(super) fn taken(&self) -> u64 {
        self.rows.get_ref().taken
    }

    /// The line on which the row begins that was just read. The reader counts line ends, and leaves
    /// the second half of CRLF for later.
    pub(in crate::cli) fn line(&self, row: &ByteRecord) -> u64 {
        let within = row.iter().flatten().filter(|byte| **byte == b'\n').count();
        let within = u64::try_from(within).unwrap_or_default();
        let ends = within + u64::from(!self.dialect.crlf);
        let line = self.rows.position().line().saturating_sub(ends);
        line + self.dialect.lines_before()
    }

    /// What is wrong with the number of a row's columns.
    pub(in crate::cli) fn misshapen(&self, row: &ByteRecord) -> Option<String> {
        let columns = |number: usize| count(u64::try_from(number).unwrap_or(u64::MAX), "column");
        (row.len() != self.columns).then(|| {
            let (has, first) = (columns(row.len()), self.columns);
            format!("{has} where the first row has {first}")
        })
    }

    /// Reads the next row; `false` at the end.
    pub(in crate::cli) fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Failure> {
        let before = self.rows.position();
        let pending = self.dialect.crlf && before.record() > 0;
        let line = before.line() + u64::from(pending) + self.dialect.lines_before();
        let wrong = |what: &str| {
            let line = format!("{}: line {line}: {what}", self.shown);
            Failure::new(Failure::DATA, line)
        };
        let read = self.rows.read_byte_record(row);
        self.rows.get_mut().left = ROW_BYTES_MAX;
        let read = read.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => wrong(&format!("{error}; is a quote not closed?")),
            other => wrong(&format!("{other:?}")),
        })?;
        let last = row.get(row.len().saturating_sub(1)).unwrap_or_default();
        match (last == END_FIELD && row.len() == 1, last.ends_with(END)) {
            (true, _) => Ok(false),
            (false, true) => Err(wrong("a quote is opened in this row and never closed")),
            (false, false) => Ok(read),
        }
    }
}
