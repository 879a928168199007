//! What a merged CSV has that broke off: its whole rows, and whether they are of this merge.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use csv::ByteRecord;

use crate::domain::message::MessageId;
use crate::domain::token::ACT_CHARS;

use super::super::Failure;
use super::super::files::cannot_write;
use super::dialect::Dialect;
use super::output::Begin;

const BUFFER_BYTES: usize = 256 << 10;

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

impl Written {
    /// Counts the whole rows of a file that this command wrote.
    ///
    /// # Errors
    /// It has another header, or rows that this command did not write.
    pub(super) fn of(
        begin: Begin<'_>,
        columns: usize,
        file: &File,
        path: &Path,
    ) -> Result<Self, Failure> {
        let other = |what: String| foreign(path, &what);
        let mut builder = begin.dialect.reader();
        let mut reader = builder.buffer_capacity(BUFFER_BYTES).from_reader(file);
        let mut written = Self::default();
        let mut row = ByteRecord::new();
        let mut head = begin.header;
        loop {
            let read = reader.read_byte_record(&mut row);
            if !read.map_err(|error| other(error.to_string()))? {
                return Ok(written);
            }
            let end = row_end(file, reader.position().byte(), begin.dialect);
            let end = end.map_err(|error| Failure::no_input(path, &error))?;
            let tagged = row
                .get(columns - 1)
                .is_some_and(|tag| tag.len() == ACT_CHARS);
            let torn = match head {
                Some(head) => is_cut_off(&row, head) || (end.is_none() && *head == row),
                None => end.is_none() || row.len() < columns || !tagged,
            };
            if torn {
                // Only the last row can have been cut off.
                let more = reader.read_byte_record(&mut ByteRecord::new());
                return match more {
                    // Without a header any file of one line would look so.
                    Ok(false) if begin.header.is_none() && written.rows == 0 => {
                        Err(other("its only row is not whole".to_owned()))
                    }
                    Ok(false) => Ok(written),
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

    /// Refuses rows of another campaign: their links are those of another mailing.
    ///
    /// # Errors
    /// Exit code 65.
    pub(super) fn be_of(
        &self,
        campaign: u32,
        message_at: usize,
        path: &Path,
    ) -> Result<(), Failure> {
        if self.rows == 0 {
            return Ok(());
        }
        let message = self.last.get(message_at).map(str::from_utf8);
        let message = message.and_then(Result::ok).and_then(MessageId::parse);
        let Some(message) = message else {
            return Err(foreign(path, "its last row has no message"));
        };
        let theirs = message.campaign.get();
        if theirs == campaign {
            return Ok(());
        }
        let what = format!("its rows are of campaign {theirs}, not {campaign}");
        let line = format!("{}: {what}; name another file with --out", path.display());
        Err(Failure::new(Failure::DATA, line))
    }

    /// Cuts off what stands behind the last whole row, and stands there.
    pub(super) fn cut(&self, mut file: &File, path: &Path) -> Result<(), Failure> {
        let cut = file.set_len(self.bytes);
        let cut = cut.and_then(|()| file.seek(SeekFrom::End(0)));
        let cut = cut.map_err(|error| cannot_write(&path.display().to_string(), &error));
        cut.map(|_| ())
    }
}

fn foreign(path: &Path, what: &str) -> Failure {
    let shown = path.display();
    let line = format!("{shown}: {what}; it is not what this command made of this input");
    Failure::new(Failure::DATA, line)
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
