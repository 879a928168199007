//! The recipients' CSV, row by row: what may be minted for, and what may not and why.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;

use csv::{ByteRecord, Reader};

use crate::domain::message::RECIPIENT_ID_BYTES_MAX;

use super::super::Failure;
use super::dialect::{Dialect, Known, Sample};
use super::id_column::{self, IdColumn};

/// How much of a file is looked at to tell how it is written.
const SAMPLE_BYTES: u64 = 64 << 10;
/// Longest row; a quote that is never closed makes one of a whole file.
const ROW_BYTES_MAX: usize = 1 << 20;

/// Where rows come from.
pub(super) struct Source {
    pub(super) shown: String,
    /// Bytes, where that is known.
    pub(super) size: Option<u64>,
    read: Box<dyn Read>,
}

impl Source {
    /// A file, or standard input.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let (file, shown) = match path {
            Some(path) => {
                let file = File::open(path).map_err(|error| Failure::no_input(path, &error))?;
                (file, path.display().to_string())
            }
            None => {
                let shown = "standard input";
                let handle = std::io::stdin().as_fd().try_clone_to_owned();
                let failed = |error| Failure::no_input(Path::new(shown), &error);
                (File::from(handle.map_err(failed)?), shown.to_owned())
            }
        };
        let about = file.metadata().ok().filter(std::fs::Metadata::is_file);
        Ok(Self {
            shown,
            size: about.map(|about| about.len()),
            read: Box::new(file),
        })
    }
}

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

/// The CSV, open at its first row.
pub(super) struct Input {
    pub(super) dialect: Dialect,
    pub(super) id: IdColumn,
    pub(super) header: Option<ByteRecord>,
    pub(super) shown: String,
    columns: usize,
    rows: Reader<Bounded>,
}

/// What a row comes to.
pub(super) enum Row {
    /// A recipient: its id, which is one of the row's fields.
    Good(String),
    /// Nobody, and why.
    Bad(String),
}

impl Input {
    /// Looks at the beginning, and stands before the first row of data.
    pub(super) fn open(source: Source, known: Known, id: Option<&str>) -> Result<Self, Failure> {
        let Source {
            shown, mut read, ..
        } = source;
        let wrong = |what: String| Failure::new(Failure::DATA, format!("{shown}: {what}"));
        let mut bytes = Vec::new();
        let begun = read.by_ref().take(SAMPLE_BYTES).read_to_end(&mut bytes);
        begun.map_err(|error| Failure::no_input(Path::new(&shown), &error))?;
        let whole = u64::try_from(bytes.len()).is_ok_and(|read| read < SAMPLE_BYTES);
        let sample = Sample { bytes, whole };
        let (dialect, mut rows) = Dialect::guess(&sample, known).map_err(wrong)?;
        let header = dialect.header.then(|| rows.remove(0));
        let columns = header.as_ref().or(rows.first()).map_or(0, ByteRecord::len);
        let id = match id {
            Some(asked) => id_column::named(asked, header.as_ref(), columns),
            None => id_column::guess(header.as_ref(), &rows),
        };
        let id = id.map_err(wrong)?;
        let bounded = Bounded {
            // The last row has a line end too, so that lines can be told; an empty one is no row.
            read: Box::new(Cursor::new(sample.bytes).chain(read).chain(&b"\n"[..])),
            left: ROW_BYTES_MAX,
            taken: 0,
        };
        let mut input = Self {
            rows: dialect.reader().from_reader(bounded),
            dialect,
            id,
            header,
            columns,
            shown,
        };
        if input.header.is_some() {
            input.read(&mut ByteRecord::new())?;
        }
        Ok(input)
    }

    /// Bytes read so far.
    pub(super) fn taken(&self) -> u64 {
        self.rows.get_ref().taken
    }

    /// The line on which the row begins that was just read. The reader counts line ends, and leaves
    /// the second half of CRLF for later.
    pub(super) fn line(&self, row: &ByteRecord) -> u64 {
        let within = row.iter().flatten().filter(|byte| **byte == b'\n').count();
        let within = u64::try_from(within).unwrap_or_default();
        let ends = within + u64::from(!self.dialect.crlf);
        self.rows.position().line().saturating_sub(ends)
    }

    /// Columns of every row.
    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self, row: &mut ByteRecord) -> Result<Option<Row>, Failure> {
        if !self.read(row)? {
            return Ok(None);
        }
        if row.len() != self.columns {
            let (has, first) = (row.len(), self.columns);
            let what = format!("{has} columns where the first row has {first}");
            return Ok(Some(Row::Bad(what)));
        }
        let id = row.get(self.id.at).unwrap_or_default();
        Ok(Some(match std::str::from_utf8(id) {
            _ if id.is_empty() => Row::Bad("the id is empty".to_owned()),
            _ if id.len() > RECIPIENT_ID_BYTES_MAX => {
                let bytes = id.len();
                let what =
                    format!("the id has {bytes} bytes; at most {RECIPIENT_ID_BYTES_MAX} are taken");
                Row::Bad(what)
            }
            Ok(id) => Row::Good(id.to_owned()),
            Err(_) => Row::Bad(
                "the id is not UTF-8; convert the file first, such as with iconv -t UTF-8"
                    .to_owned(),
            ),
        }))
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Failure> {
        let before = self.rows.position();
        let pending = self.dialect.crlf && before.record() > 0;
        let line = before.line() + u64::from(pending);
        let read = self.rows.read_byte_record(row);
        self.rows.get_mut().left = ROW_BYTES_MAX;
        read.map_err(|error| {
            let what = match error.into_kind() {
                csv::ErrorKind::Io(error) => error.to_string(),
                other => format!("{other:?}"),
            };
            let line = format!(
                "{}: line {line}: {what}; is a quote not closed?",
                self.shown
            );
            Failure::new(Failure::DATA, line)
        })
    }
}
