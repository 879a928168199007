//! The recipients' CSV, row by row: what may be minted for, and what may not and why.

use csv::ByteRecord;

use crate::domain::message::RECIPIENT_ID_BYTES_MAX;

use super::super::Failure;
use super::super::files::{Identity, Source};
use super::dialect::Known;
use super::id_column::{self, IdColumn};
use super::table::Table;

/// The CSV, and who is meant by its rows.
pub(super) struct Input {
    pub(super) table: Table,
    pub(super) id: IdColumn,
    /// The file it is, if it is one.
    pub(super) identity: Option<Identity>,
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
        let Source { shown, file } = source;
        let identity = Identity::of(&file);
        let (table, rows) = Table::open(&shown, Box::new(file), known)?;
        let id = match id {
            Some(asked) => id_column::named(asked, table.header.as_ref(), table.columns),
            None => id_column::guess(table.header.as_ref(), &rows),
        };
        let id = id.map_err(|what| Failure::new(Failure::DATA, format!("{shown}: {what}")))?;
        Ok(Self {
            table,
            id,
            identity,
        })
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self, row: &mut ByteRecord) -> Result<Option<Row>, Failure> {
        if !self.table.read(row)? {
            return Ok(None);
        }
        if let Some(what) = self.table.misshapen(row) {
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
}
