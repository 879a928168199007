//! What is in a backup, behind encryption and gzip: lines of JSON. First what it is, then the key
//! ring, then each table with its columns before its rows, one a line, and in the end how many
//! there were of each: a backup without that is none.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::domain::time::Micros;
use crate::store::Page;

/// The form that is written, and the newest that is read.
const FORM: u32 = 1;

/// What a backup is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    cupel_backup: u32,
    /// The version that made it.
    pub(super) cupel: String,
    pub(super) created_at: Micros,
}

impl Head {
    pub(super) fn now(now: Micros) -> Self {
        Self {
            cupel_backup: FORM,
            cupel: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: now,
        }
    }
}

/// Rows of each table.
pub(super) type Rows = BTreeMap<String, u64>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Keys(String),
    Table { name: String, columns: Vec<String> },
    End(Rows),
}

/// Lines on their way out.
pub(super) struct Out<W: Write> {
    to: W,
    table: String,
    rows: Rows,
}

impl<W: Write> Out<W> {
    pub(super) fn begin(to: W, head: &Head, keys: String) -> std::io::Result<Self> {
        let (table, rows) = (String::new(), Rows::new());
        let mut out = Self { to, table, rows };
        out.line(head)?;
        out.line(&Line::Keys(keys))?;
        Ok(out)
    }

    fn line(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.to, line)?;
        self.to.write_all(b"\n")
    }

    /// Rows of a table, which come together; how many there are by now.
    pub(super) fn page(&mut self, page: &Page) -> std::io::Result<u64> {
        if self.table != page.table {
            page.table.clone_into(&mut self.table);
            self.line(&Line::Table {
                name: page.table.to_owned(),
                columns: page.columns.iter().map(|name| (*name).to_owned()).collect(),
            })?;
        }
        for row in &page.rows {
            self.line(row)?;
        }
        let rows = self.rows.entry(page.table.to_owned()).or_default();
        *rows += u64::try_from(page.rows.len()).unwrap_or(0);
        Ok(self.rows.values().sum())
    }

    pub(super) fn end(mut self) -> std::io::Result<(W, Rows)> {
        let rows = self.rows.clone();
        self.line(&Line::End(self.rows.clone()))?;
        Ok((self.to, rows))
    }
}

/// What is read of a backup, piece by piece.
#[derive(Debug)]
pub(super) enum Piece {
    /// Rows of a table with these columns.
    Rows(String, Vec<String>, Vec<Vec<Value>>),
    /// All of it was read.
    End(Rows),
}

/// Rows of one piece.
const PIECE_ROWS: usize = 5_000;

/// Lines on their way in.
pub(super) struct In<R> {
    from: R,
    shown: String,
    line: u64,
    text: String,
    table: Option<(String, Vec<String>)>,
    rows: Rows,
    next: Option<Line>,
}

impl<R: BufRead> In<R> {
    /// What it is, and its key ring.
    pub(super) fn begin(from: R, shown: &str) -> Result<(Self, Head, String), Failure> {
        let mut lines = Self {
            from,
            shown: shown.to_owned(),
            line: 0,
            text: String::new(),
            table: None,
            rows: Rows::new(),
            next: None,
        };
        let head: Head = lines.read()?;
        if head.cupel_backup > FORM {
            let line = format!("{shown}: is of a newer cupel ({})", head.cupel);
            return Err(Failure::new(Failure::DATA, line));
        }
        let Line::Keys(keys) = lines.read()? else {
            return Err(lines.wrong("has no keys"));
        };
        Ok((lines, head, keys))
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        let line = format!("{}: line {}: {why}", self.shown, self.line);
        Failure::new(Failure::DATA, line)
    }

    fn fill(&mut self) -> Result<(), Failure> {
        self.text.clear();
        self.line += 1;
        match self.from.read_line(&mut self.text) {
            Ok(0) => Err(self.wrong("it ends too early")),
            Ok(_) => Ok(()),
            // What was changed or cut off shows in decrypting.
            Err(error) => Err(self.wrong(format!("is damaged or cut off: {error}"))),
        }
    }

    fn read<T: for<'d> Deserialize<'d>>(&mut self) -> Result<T, Failure> {
        self.fill()?;
        serde_json::from_str(&self.text).map_err(|error| self.wrong(error))
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Result<Piece, Failure> {
        loop {
            let mut rows = Vec::new();
            while self.next.is_none() && rows.len() < PIECE_ROWS {
                self.fill()?;
                if self.text.starts_with('[') {
                    let row = serde_json::from_str(&self.text);
                    rows.push(row.map_err(|error| self.wrong(error))?);
                } else {
                    let line = serde_json::from_str(&self.text);
                    self.next = Some(line.map_err(|error| self.wrong(error))?);
                }
            }
            if !rows.is_empty() {
                let Some((table, columns)) = self.table.clone() else {
                    return Err(self.wrong("a row of no table"));
                };
                *self.rows.entry(table.clone()).or_default() +=
                    u64::try_from(rows.len()).unwrap_or(0);
                return Ok(Piece::Rows(table, columns, rows));
            }
            match self.next.take() {
                Some(Line::Table { name, columns }) => {
                    self.rows.entry(name.clone()).or_default();
                    self.table = Some((name, columns));
                }
                Some(Line::End(rows)) if rows == self.rows => return self.last(rows),
                Some(Line::End(rows)) => {
                    let why = format!(
                        "it has {}, and {} were written",
                        json!(self.rows),
                        json!(rows)
                    );
                    return Err(self.wrong(why));
                }
                Some(Line::Keys(_)) | None => return Err(self.wrong("keys in the middle")),
            }
        }
    }

    /// Only the end of the file shows that nothing of it was changed.
    fn last(&mut self, rows: Rows) -> Result<Piece, Failure> {
        self.text.clear();
        match self.from.read_line(&mut self.text) {
            Ok(0) => Ok(Piece::End(rows)),
            Ok(_) => Err(self.wrong("something stands behind the end")),
            Err(error) => Err(self.wrong(format!("is damaged or cut off: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let head = Head::now(Micros::new(7));
        let mut out = Out::begin(Vec::new(), &head, "the ring".to_owned()).unwrap();
        for (table, rows) in [("a", 2), ("a", 1), ("b", 0)] {
            let columns = vec!["x", "y"];
            let rows = (0..rows).map(|n| vec![json!(n), json!("text")]).collect();
            out.page(&Page {
                table,
                columns,
                rows,
            })
            .unwrap();
        }
        out.end().unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<(usize, Rows), String> {
        let failed = |failure: Failure| failure.line;
        let (mut lines, _, keys) = In::begin(bytes, "it").map_err(failed)?;
        assert_eq!(keys, "the ring");
        let mut all = 0;
        loop {
            match lines.next().map_err(failed)? {
                Piece::Rows(table, columns, rows) => {
                    assert_eq!((table.as_str(), columns.len()), ("a", 2));
                    all += rows.len();
                }
                Piece::End(rows) => return Ok((all, rows)),
            }
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_less() {
        let whole = written();
        let rows = Rows::from([("a".to_owned(), 3), ("b".to_owned(), 0)]);
        assert_eq!(read(&whole), Ok((3, rows)));
        let text = String::from_utf8(whole).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for without in 0..lines.len() {
            let rest = lines.iter().enumerate().filter(|(n, _)| *n != without);
            let rest: Vec<_> = rest.map(|(_, line)| *line).collect();
            // The line that names table b is the one that nothing hangs on but the count.
            assert!(
                read((rest.join("\n") + "\n").as_bytes()).is_err(),
                "line {without}"
            );
        }
        assert!(read((text + "[1]\n").as_bytes()).is_err());
    }
}
