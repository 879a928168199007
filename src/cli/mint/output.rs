//! The merged CSV: written as the input is, and gone on with where it broke off.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use csv::{ByteRecord, Writer};

use super::super::Failure;
use super::dialect::Dialect;

/// Bytes of an act tag as text. The last column is one, so a row that ends with one is whole.
const ACT_TAG_BYTES: usize = 16;
const BUFFER_BYTES: usize = 256 << 10;

/// Where rows go.
pub(super) struct Output {
    rows: Writer<Box<dyn Write>>,
    shown: String,
    /// Nobody reads it any more.
    left: bool,
}

/// What begins a file: a byte order mark if the input has one, and the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) header: Option<&'a ByteRecord>,
}

/// What is in a file that broke off.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Whole rows, without the header.
    pub(super) rows: u64,
    /// The last of them.
    pub(super) last: ByteRecord,
    /// Bytes up to its end.
    pub(super) bytes: u64,
}

impl Output {
    /// To standard output; without a beginning if rows are out already.
    pub(super) fn standard(begin: Begin<'_>, fresh: bool) -> Result<Self, Failure> {
        let to = Box::new(std::io::stdout());
        Self::new(begin, to, "standard output", fresh)
    }

    /// To a file that must not be there.
    pub(super) fn create(begin: Begin<'_>, path: &Path) -> Result<Self, Failure> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let file = made.map_err(|error| {
            let line = format!("cannot make {}: {error}", path.display());
            let failure = Failure::new(Failure::CANNOT_CREATE, line);
            match error.kind() {
                ErrorKind::AlreadyExists => failure.and("go on with it by --resume, or remove it"),
                _ => failure,
            }
        })?;
        Self::new(begin, Box::new(file), &path.display().to_string(), true)
    }

    /// To the end of a file, cut off behind its last whole row.
    pub(super) fn append(begin: Begin<'_>, path: &Path, to: &Written) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let opened = OpenOptions::new().write(true).open(path);
        let cut = opened.and_then(|mut file| {
            file.set_len(to.bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        let file = cut.map_err(|error| failed(&shown, &error))?;
        Self::new(begin, Box::new(file), &shown, to.bytes == 0)
    }

    fn new(
        begin: Begin<'_>,
        mut to: Box<dyn Write>,
        shown: &str,
        fresh: bool,
    ) -> Result<Self, Failure> {
        let mark = if fresh { begin.dialect.begin() } else { b"" };
        let marked = to.write_all(mark);
        let mut writer = begin.dialect.writer();
        let mut output = Self {
            rows: writer.buffer_capacity(BUFFER_BYTES).from_writer(to),
            shown: shown.to_owned(),
            left: false,
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

    /// Hands over what was written; `false` once nobody reads it.
    pub(super) fn show(&mut self) -> Result<bool, Failure> {
        let written = self.rows.flush();
        self.heard(written)?;
        Ok(!self.left)
    }

    fn heard(&mut self, written: std::io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.left = true;
                Ok(())
            }
            other => other.map_err(|error| failed(&self.shown, &error)),
        }
    }
}

impl Written {
    /// Counts the whole rows of a file that this command wrote; `None` if there is no file.
    ///
    /// # Errors
    /// It has another header, or rows that this command did not write.
    pub(super) fn of(
        begin: Begin<'_>,
        columns: usize,
        path: &Path,
    ) -> Result<Option<Self>, Failure> {
        let shown = path.display().to_string();
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| Failure::no_input(path, &error))?,
        };
        let other = |what: String| {
            let what = format!("{shown}: {what}; it is not what this command made of this input");
            Failure::new(Failure::DATA, what)
        };
        let mut builder = begin.dialect.reader();
        let mut reader = builder.buffer_capacity(BUFFER_BYTES).from_reader(&file);
        let mut written = Self::default();
        let mut row = ByteRecord::new();
        let mut head = begin.header;
        loop {
            let read = reader.read_byte_record(&mut row);
            if !read.map_err(|error| other(error.to_string()))? {
                return Ok(Some(written));
            }
            let end = row_end(&file, reader.position().byte(), begin.dialect);
            let end = end.map_err(|error| Failure::no_input(path, &error))?;
            let tagged = row
                .get(columns - 1)
                .is_some_and(|tag| tag.len() == ACT_TAG_BYTES);
            let torn = match head {
                Some(head) => is_cut_off(&row, head) || (end.is_none() && *head == row),
                None => end.is_none() || row.len() < columns || !tagged,
            };
            if torn {
                // Only the last row can have been cut off.
                let more = reader.read_byte_record(&mut ByteRecord::new());
                return match more {
                    Ok(false) => Ok(Some(written)),
                    _ => Err(other(format!("row {} is not whole", written.rows + 1))),
                };
            }
            match head.take() {
                Some(head) if *head != row => return Err(other("it has another header".into())),
                Some(_) => {}
                None if row.len() != columns => {
                    return Err(other(format!("row {} has other columns", written.rows + 1)));
                }
                None => {
                    written.rows += 1;
                    written.last.clone_from(&row);
                }
            }
            written.bytes = end.unwrap_or(written.bytes);
        }
    }
}

/// Whether a row is the beginning of another.
fn is_cut_off(row: &ByteRecord, whole: &ByteRecord) -> bool {
    let Some((last, before)) = row.len().checked_sub(1).map(|at| (row.get(at), at)) else {
        return true;
    };
    let begins = whole.get(before).zip(last);
    let begins = begins.is_some_and(|(whole, last)| whole.starts_with(last));
    row != whole
        && begins
        && row
            .iter()
            .zip(whole)
            .take(before)
            .all(|(one, two)| one == two)
}

/// Where a row ends whose last byte was read before `position`; `None` if its line end is torn.
fn row_end(file: &File, position: u64, dialect: &Dialect) -> std::io::Result<Option<u64>> {
    // The reader leaves the second half of CRLF for later.
    let begin = position.saturating_sub(2);
    let mut around = [0; 3];
    let read = file.read_at(&mut around, begin)?;
    let around = around.get(..read).unwrap_or_default();
    let line_end: &[u8] = if dialect.crlf { b"\r\n" } else { b"\n" };
    let ends = |end: u64| {
        let length = usize::try_from(end - begin).ok()?;
        around.get(..length)?.ends_with(line_end).then_some(end)
    };
    Ok(ends(position).or_else(|| ends(position + 1)))
}

fn failed(shown: &str, error: &std::io::Error) -> Failure {
    Failure::new(Failure::IO, format!("{shown}: {error}"))
}
