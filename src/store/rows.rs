//! Rows of any table: page by page in the order of its key, into another, and as JSON.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde_json::Value as Json;

use super::connections::{Pool, Transaction};
use super::sql::{Query, Row, Value, low16, low32};
use super::tables::{Kind, Table};
use super::{StoreError, postgres, sqlite};

/// Rows of one page.
const ROWS: usize = 5_000;

/// A row's values, in the order of its table's columns.
pub(super) type Values = Vec<Value<'static>>;

impl Table {
    pub(super) async fn count(&self, on: &Pool) -> Result<u64, StoreError> {
        let text = format!("SELECT count(*) FROM {}", self.name);
        let rows = on.all_in_the_end(Query::made(text.clone(), text)).await?;
        let row = rows.first().ok_or(StoreError::Unreadable("count"))?;
        super::narrow(row.at(0)?, "count")
    }

    /// The key of its last row.
    pub(super) async fn last(&self, on: &Pool) -> Result<Option<Values>, StoreError> {
        let columns: Vec<_> = self.key_columns().collect();
        let order: Vec<_> = columns
            .iter()
            .map(|(name, _)| format!("{name} DESC"))
            .collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let text = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            names.join(", "),
            self.name,
            order.join(", ")
        );
        let row = on.optional(Query::made(text.clone(), text)).await?;
        row.map(|row| read(&row, columns.into_iter())).transpose()
    }

    /// Rows behind this key, in order.
    pub(super) async fn page(
        &self,
        on: &Pool,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, StoreError> {
        self.read(&on.all_in_the_end(self.page_query(after)).await?)
    }

    /// The same as a transaction sees them.
    pub(super) async fn page_in(
        &self,
        on: &mut Transaction,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, StoreError> {
        self.read(&on.all(self.page_query(after)).await?)
    }

    fn page_query(&self, after: Option<&[Value<'static>]>) -> Query<'static> {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let texts = self.columns.iter().map(|(name, kind)| match kind {
            Kind::Network => format!("text({name})"),
            _ => (*name).to_owned(),
        });
        let texts: Vec<_> = texts.collect();
        let key: Vec<_> = self.key_columns().map(|(name, _)| name).collect();
        let key = key.join(", ");
        let behind = match after {
            Some(values) => {
                let places: Vec<_> = (1..=values.len()).map(|n| format!("${n}")).collect();
                format!("WHERE ({key}) > ({})", places.join(", "))
            }
            None => String::new(),
        };
        let text = |columns: &[&str]| {
            let columns = columns.join(", ");
            let name = self.name;
            format!("SELECT {columns} FROM {name} {behind} ORDER BY {key} LIMIT {ROWS}")
        };
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut query = Query::made(text(&names), text(&texts));
        for value in after.unwrap_or_default() {
            query = query.bind(value.clone());
        }
        query
    }

    fn read(&self, rows: &[Row]) -> Result<Vec<Values>, StoreError> {
        let columns = || self.columns.iter().copied();
        rows.iter().map(|row| read(row, columns())).collect()
    }

    /// Puts rows into it, all or none.
    pub(super) async fn insert(&self, to: &Pool, rows: &[Values]) -> Result<(), StoreError> {
        match to {
            Pool::Sqlite(pool) => sqlite::insert(pool, self, rows).await,
            Pool::Postgres(pool) => postgres::insert(pool, self, rows).await,
        }
    }

    fn key_columns(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.key
            .iter()
            .filter_map(|place| self.columns.get(*place).copied())
    }

    pub(super) fn key_of(&self, row: &Values) -> Values {
        self.key
            .iter()
            .filter_map(|place| row.get(*place).cloned())
            .collect()
    }
}

fn read(
    row: &Row,
    columns: impl Iterator<Item = (&'static str, Kind)>,
) -> Result<Values, StoreError> {
    let values = columns.enumerate().map(|(place, (_, kind))| {
        Ok(match kind {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => Value::Int(row.at(place)?),
            Kind::Bits4 => {
                let value: Option<i64> = row.at(place)?;
                Value::Int(value.map(|value| i64::from(low32(value))))
            }
            Kind::Bits2 => {
                let value: Option<i64> = row.at(place)?;
                Value::Int(value.map(|value| i64::from(low16(value))))
            }
            Kind::Bool => Value::Bool(row.at(place)?),
            Kind::Text | Kind::Network => {
                let value: Option<String> = row.at(place)?;
                Value::Text(value.map(Into::into))
            }
            Kind::Bytes => {
                let value: Option<Vec<u8>> = row.at(place)?;
                Value::Bytes(value.map(Into::into))
            }
            Kind::BytesOrEmpty => {
                let value: Option<Vec<u8>> = row.at(place)?;
                let value = value.filter(|bytes| !bytes.is_empty());
                Value::Bytes(value.map(Into::into))
            }
        })
    });
    values.collect()
}

/// A value as a line of a backup has it: bytes in base64.
pub(super) fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Int(value) => Json::from(*value),
        Value::Bool(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_deref()),
        Value::Bytes(value) => Json::from(value.as_deref().map(|bytes| BASE64.encode(bytes))),
    }
}

/// And back; `None` if a column of this kind cannot hold it.
pub(super) fn from_json(value: &Json, kind: Kind) -> Option<Value<'static>> {
    let text = || match value {
        Json::Null => Some(None),
        other => other.as_str().map(Some),
    };
    Some(match kind {
        Kind::Int8 | Kind::Int4 | Kind::Int2 | Kind::Bits4 | Kind::Bits2 => match value {
            Json::Null => Value::Int(None),
            other => Value::Int(Some(other.as_i64()?)),
        },
        Kind::Bool => Value::Bool(value.as_bool()?),
        Kind::Text | Kind::Network => Value::Text(text()?.map(|text| Cow::Owned(text.to_owned()))),
        Kind::Bytes | Kind::BytesOrEmpty => {
            let decoded = text()?.map(|text| BASE64.decode(text.as_bytes()));
            Value::Bytes(decoded.transpose().ok()?.map(Cow::Owned))
        }
    })
}
