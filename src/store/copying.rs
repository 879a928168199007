//! A whole store copied into another, of the same kind or the other: table by table, in the order
//! of their keys, some rows a transaction. What the other has already is where it goes on. While a
//! copy is not finished, a table says so, and nobody opens that store for anything else.

use super::connections::Pool;
use super::sql::{Query, Row, Sql, Value, low16, low32};
use super::tables::{Kind, TABLES, Table};
use super::{Place, Store, StoreError, postgres, sqlite};

/// Rows of one transaction.
const ROWS: usize = 5_000;
/// Tables that are compared row by row in the end: what else there is moves with positions.
const COMPARED: [&str; 8] = [
    "tenants",
    "campaigns",
    "links",
    "short_links",
    "api_keys",
    "rulesets",
    "edges",
    "positions",
];

/// How far a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// Rows that are in the other store.
    pub rows: u64,
    /// Rows that are to be there.
    pub of: u64,
}

/// Copies everything that `from` has to `place`, which is empty, or has the beginning of an earlier
/// copy from the same `source`; nobody else may write to either. `see` is told after each
/// transaction. Returns what was counted in both at the end.
///
/// # Errors
/// `NotEmpty` or `Differs`; or one of them is not available. What was copied stays, and the next
/// call goes on there.
pub async fn copy(
    from: &Store,
    place: &Place,
    source: &str,
    see: &mut dyn FnMut(Copied),
) -> Result<Vec<Copied>, StoreError> {
    let to = Store::open_unfinished(place).await?;
    let copied = copy_into(from, &to, source, see).await;
    to.close().await;
    copied
}

async fn copy_into(
    from: &Store,
    to: &Store,
    source: &str,
    see: &mut dyn FnMut(Copied),
) -> Result<Vec<Copied>, StoreError> {
    begin(to, source).await?;
    let mut totals = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        totals.push(table.count(&from.writer).await?);
    }
    for (table, of) in TABLES.iter().zip(&totals) {
        copy_table(table, from, to, *of, see).await?;
    }
    let mut all = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let (rows, of) = (
            table.count(&to.writer).await?,
            table.count(&from.writer).await?,
        );
        if rows != of || !is_same(table, from, to).await? {
            return Err(StoreError::Differs {
                table: table.name,
                rows,
                of,
            });
        }
        let table = table.name;
        all.push(Copied { table, rows, of });
    }
    finish(to).await?;
    Ok(all)
}

/// Whether both have the same; also a server that ran between two parts of a copy shows here.
async fn is_same(table: &Table, from: &Store, to: &Store) -> Result<bool, StoreError> {
    if !COMPARED.contains(&table.name) {
        return Ok(true);
    }
    let mut last: Option<Values> = None;
    loop {
        let page = table.page(&from.writer, last.as_deref()).await?;
        if page != table.page(&to.writer, last.as_deref()).await? {
            return Ok(false);
        }
        let Some(end) = page.last() else {
            return Ok(true);
        };
        last = Some(table.key_of(end));
    }
}

/// Says that a copy goes on here, unless there is something else.
async fn begin(to: &Store, source: &str) -> Result<(), StoreError> {
    const SAY: Sql = Sql::same("INSERT INTO copying (source) VALUES ($1)");
    match unfinished_from(&to.writer).await? {
        Some(before) if before == source => return Ok(()),
        Some(before) => return Err(StoreError::Unfinished { from: before }),
        None => {}
    }
    for table in TABLES.iter().filter(|table| table.name != "tenants") {
        if table.count(&to.writer).await? > 0 {
            return Err(StoreError::NotEmpty { table: table.name });
        }
    }
    let mut transaction = to.writer.begin().await?;
    for text in [
        "DELETE FROM tenants",
        "CREATE TABLE copying (source TEXT NOT NULL)",
    ] {
        transaction
            .run(Query::new(Sql::same(text)).keep(false))
            .await?;
    }
    transaction.run(Query::new(SAY).bind(source)).await?;
    transaction.commit().await
}

async fn finish(to: &Store) -> Result<(), StoreError> {
    const DONE: Sql = Sql::same("DROP TABLE copying");
    let mut transaction = to.writer.begin().await?;
    for number_on in TABLES.iter().filter_map(|table| table.number_on) {
        transaction.number_on(number_on).await?;
    }
    transaction.run(Query::new(DONE).keep(false)).await?;
    transaction.commit().await
}

async fn copy_table(
    table: &'static Table,
    from: &Store,
    to: &Store,
    of: u64,
    see: &mut dyn FnMut(Copied),
) -> Result<(), StoreError> {
    let mut rows = table.count(&to.writer).await?;
    let mut last = table.last(&to.writer).await?;
    loop {
        let page = table.page(&from.writer, last.as_deref()).await?;
        let Some(end) = page.last() else {
            return Ok(());
        };
        last = Some(table.key_of(end));
        match &to.writer {
            Pool::Sqlite(pool) => sqlite::insert(pool, table, &page).await?,
            Pool::Postgres(pool) => postgres::insert(pool, table, &page).await?,
        }
        rows += u64::try_from(page.len()).unwrap_or_default();
        let table = table.name;
        see(Copied { table, rows, of });
    }
}

/// A row's values, in the order of its table's columns.
pub(super) type Values = Vec<Value<'static>>;

impl Table {
    async fn count(&self, on: &Pool) -> Result<u64, StoreError> {
        let text = format!("SELECT count(*) FROM {}", self.name);
        let rows = on.all_in_the_end(Query::made(text.clone(), text)).await?;
        let row = rows.first().ok_or(StoreError::Unreadable("count"))?;
        super::narrow(row.at(0)?, "count")
    }

    /// The key of its last row.
    async fn last(&self, on: &Pool) -> Result<Option<Values>, StoreError> {
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
    async fn page(
        &self,
        on: &Pool,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<Values>, StoreError> {
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
        let rows = on.all_in_the_end(query).await?;
        rows.iter()
            .map(|row| read(row, self.columns.iter().copied()))
            .collect()
    }

    fn key_columns(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.key
            .iter()
            .filter_map(|place| self.columns.get(*place).copied())
    }

    fn key_of(&self, row: &Values) -> Values {
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

/// Where the copy comes from that is not finished in this database.
pub(super) async fn unfinished_from(on: &Pool) -> Result<Option<String>, StoreError> {
    const THERE: Sql = Sql::of(
        "SELECT count(*) FROM sqlite_master WHERE name = 'copying'",
        "SELECT count(to_regclass('copying'))",
    );
    const SOURCE: Sql = Sql::same("SELECT source FROM copying");
    let there: i64 = on.one(Query::new(THERE)).await?.at(0)?;
    if there == 0 {
        return Ok(None);
    }
    let row = on.optional(Query::new(SOURCE).keep(false)).await?;
    row.map(|row| row.at(0)).transpose()
}

impl Store {
    /// Opens a store that a copy goes into.
    async fn open_unfinished(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(data) => sqlite::open(data).await,
            Place::Postgres(url) => postgres::open(url, None).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Micros;

    /// What is forgotten here would be lost in silence.
    #[tokio::test]
    async fn every_table_and_column_is_copied() {
        const THERE: Sql = Sql::same(
            "SELECT t.name, c.name, c.pk FROM sqlite_master t, pragma_table_info(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
            ORDER BY t.name, c.name",
        );
        let own = tempfile::tempdir().unwrap();
        let place = Place::Directory(own.path().to_owned());
        let store = Store::open(&place, Micros::new(0)).await.unwrap();
        let rows = store.writer.all(Query::new(THERE)).await.unwrap();
        let there = rows.iter().map(|row| {
            let (table, column): (String, String) = (row.at(0).unwrap(), row.at(1).unwrap());
            let key: i64 = row.at(2).unwrap();
            (table, column, key > 0)
        });
        let mut known: Vec<_> = TABLES
            .iter()
            .flat_map(|table| {
                table
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(place, (column, _))| {
                        let key = table.key.contains(&place);
                        (table.name.to_owned(), (*column).to_owned(), key)
                    })
            })
            .collect();
        known.sort();
        assert_eq!(there.collect::<Vec<_>>(), known);
    }
}
