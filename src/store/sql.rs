//! One way to ask either database: a text for each, values that both take, rows that are read the
//! same way.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use sqlx::error::UnexpectedNullError;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query as Prepared;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, ColumnIndex, Row as _, TypeInfo as _};

use tokio::time::timeout;

use super::{StoreError, narrow};

/// Longest wait for an answer of a server.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A statement in both dialects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    /// The same text for both; `$1` is the first value.
    pub(super) const fn same(text: &'static str) -> Self {
        Self {
            sqlite: text,
            postgres: text,
        }
    }

    /// A text for each.
    pub(super) const fn of(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

/// A value that a statement is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $made:expr;)*) => {$(
        impl<'a> From<$from> for Value<'a> {
            fn from($value: $from) -> Self {
                $made
            }
        }
    )*};
}

value_from! {
    i64 => |value| Self::Int(Some(value));
    u32 => |value| Self::Int(Some(i64::from(value)));
    u16 => |value| Self::Int(Some(i64::from(value)));
    u8 => |value| Self::Int(Some(i64::from(value)));
    Option<i64> => |value| Self::Int(value);
    bool => |value| Self::Bool(value);
    &'a str => |value| Self::Text(Some(Cow::Borrowed(value)));
    Option<&'a str> => |value| Self::Text(value.map(Cow::Borrowed));
    &'a [u8] => |value| Self::Bytes(Some(Cow::Borrowed(value)));
    Vec<u8> => |value| Self::Bytes(Some(Cow::Owned(value)));
    Option<Vec<u8>> => |value| Self::Bytes(value.map(Cow::Owned));
}

/// A statement with its values.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    text: Text,
    values: Vec<Value<'a>>,
    /// Whether the connection keeps it prepared.
    kept: bool,
}

#[derive(Clone, Debug)]
enum Text {
    Fixed(Sql),
    /// Put together here, from texts of ours.
    Made {
        sqlite: String,
        postgres: String,
    },
}

impl<'a> Query<'a> {
    pub(super) const fn new(sql: Sql) -> Self {
        Self {
            text: Text::Fixed(sql),
            values: Vec::new(),
            kept: true,
        }
    }

    /// One that more is added to; many such texts would fill a cache with plans of one use.
    pub(super) fn begin(sql: Sql) -> Self {
        Self {
            text: Text::Made {
                sqlite: sql.sqlite.to_owned(),
                postgres: sql.postgres.to_owned(),
            },
            values: Vec::new(),
            kept: false,
        }
    }

    /// One whose text is put together elsewhere, from texts of ours.
    pub(super) const fn made(sqlite: String, postgres: String) -> Self {
        Self {
            text: Text::Made { sqlite, postgres },
            values: Vec::new(),
            kept: false,
        }
    }

    /// Whether the connection is to keep it prepared.
    pub(super) fn keep(self, kept: bool) -> Self {
        Self { kept, ..self }
    }

    /// The next value.
    pub(super) fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text, the same for both.
    pub(super) fn push(self, more: &'static str) -> Self {
        self.push_each(more, more)
    }

    /// More text, one for each.
    pub(super) fn push_each(mut self, more_sqlite: &str, more_postgres: &str) -> Self {
        if let Text::Fixed(sql) = self.text {
            self.text = Self::begin(sql).text;
        }
        if let Text::Made { sqlite, postgres } = &mut self.text {
            sqlite.push_str(more_sqlite);
            postgres.push_str(more_postgres);
        }
        self
    }

    /// The next value, where the text is now.
    pub(super) fn push_bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push_each(&place, &place)
    }

    pub(super) fn sqlite(self) -> Prepared<'a, Sqlite, SqliteArguments> {
        let query = match self.text {
            Text::Fixed(sql) => sqlx::query(sql.sqlite),
            Text::Made { sqlite, .. } => sqlx::query(AssertSqlSafe(sqlite)),
        };
        let mut query = query.persistent(self.kept);
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(Cow::into_owned)),
                Value::Bytes(value) => query.bind(value.map(Cow::into_owned)),
            };
        }
        query
    }

    pub(super) fn postgres(self) -> Prepared<'a, Postgres, PgArguments> {
        let query = match self.text {
            Text::Fixed(sql) => sqlx::query(sql.postgres),
            Text::Made { postgres, .. } => sqlx::query(AssertSqlSafe(postgres)),
        };
        let mut query = query.persistent(self.kept);
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(Cow::into_owned)),
                Value::Bytes(value) => query.bind(value.map(Cow::into_owned)),
            };
        }
        query
    }
}

/// A row of either.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column can be read as, from either.
pub(super) trait Read: Sized {
    fn sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, column: I) -> sqlx::Result<Self>;
    fn postgres<I: ColumnIndex<PgRow>>(row: &PgRow, column: I) -> sqlx::Result<Self>;
}

macro_rules! read_as_it_is {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, column: I) -> sqlx::Result<Self> {
                row.try_get(column)
            }

            fn postgres<I: ColumnIndex<PgRow>>(row: &PgRow, column: I) -> sqlx::Result<Self> {
                row.try_get(column)
            }
        }
    )*};
}

read_as_it_is!(bool, String, Option<String>, Vec<u8>, Option<Vec<u8>>);

impl Read for Option<i64> {
    fn sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, column: I) -> sqlx::Result<Self> {
        row.try_get(column)
    }

    /// Columns are as narrow as what they hold.
    fn postgres<I: ColumnIndex<PgRow>>(row: &PgRow, column: I) -> sqlx::Result<Self> {
        let column = column.index(row)?;
        match row.column(column).type_info().name() {
            "INT2" => Ok(row.try_get::<Option<i16>, _>(column)?.map(i64::from)),
            "INT4" => Ok(row.try_get::<Option<i32>, _>(column)?.map(i64::from)),
            _ => row.try_get(column),
        }
    }
}

impl Read for i64 {
    fn sqlite<I: ColumnIndex<SqliteRow>>(row: &SqliteRow, column: I) -> sqlx::Result<Self> {
        row.try_get(column)
    }

    fn postgres<I: ColumnIndex<PgRow>>(row: &PgRow, column: I) -> sqlx::Result<Self> {
        let null = || sqlx::Error::Decode(UnexpectedNullError.into());
        <Option<Self> as Read>::postgres(row, column)?.ok_or_else(null)
    }
}

impl Row {
    /// A column by its name.
    pub(super) fn get<T: Read>(&self, column: &str) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => T::sqlite(row, column)?,
            Self::Postgres(row) => T::postgres(row, column)?,
        })
    }

    /// Its columns, one after the other.
    pub(super) const fn columns(&self) -> Columns<'_> {
        Columns { row: self, next: 0 }
    }

    /// A column by its place, from 0.
    pub(super) fn at<T: Read>(&self, place: usize) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => T::sqlite(row, place)?,
            Self::Postgres(row) => T::postgres(row, place)?,
        })
    }
}

/// What is left to read of a row.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl Columns<'_> {
    pub(super) fn next<T: Read>(&mut self) -> Result<T, StoreError> {
        self.next += 1;
        self.row.at(self.next - 1)
    }

    /// See [`low32`].
    pub(super) fn bits32(&mut self) -> Result<u32, StoreError> {
        self.next().map(low32)
    }

    /// See [`low16`].
    pub(super) fn bits16(&mut self) -> Result<u16, StoreError> {
        self.next().map(low16)
    }

    /// A number that the domain keeps in a smaller or unsigned type.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, what: &'static str) -> Result<T, StoreError> {
        narrow(self.next()?, what)
    }
}

/// A number of 32 bits, which its column may have read with a sign.
pub(super) fn low32(value: i64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()
}

/// A number of 16 bits, likewise.
pub(super) fn low16(value: i64) -> u16 {
    u16::try_from(value & 0xFFFF).unwrap_or_default()
}

/// A server may take a question and never answer: that is to be away.
pub(super) async fn within<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match timeout(ANSWER_MAX, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}
