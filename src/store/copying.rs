//! A whole store copied into another, of the same kind or the other: table by table, in the order
//! of their keys, some rows a transaction. What the other has already is where it goes on. While a
//! copy is not finished, a table says so, and nobody opens that store for anything else.

use super::connections::Pool;
use super::rows::Values;
use super::sql::{Query, Sql};
use super::tables::{TABLES, Table};
use super::{Place, Store, StoreError, postgres, sqlite};

/// Tables that are compared row by row in the end: what else there is moves with positions.
const COMPARED: [&str; 9] = [
    "tenants",
    "campaigns",
    "links",
    "short_links",
    "api_keys",
    "rulesets",
    "ruleset_uses",
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
    if let Some(shared) = from.shared()
        && let rows @ 1.. = shared.waiting().await?
    {
        return Err(StoreError::Waiting { rows });
    }
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
pub(super) async fn begin(to: &Store, source: &str) -> Result<(), StoreError> {
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

pub(super) async fn finish(to: &Store) -> Result<(), StoreError> {
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
        table.insert(&to.writer, &page).await?;
        rows += u64::try_from(page.len()).unwrap_or_default();
        let table = table.name;
        see(Copied { table, rows, of });
    }
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
    pub(super) async fn open_unfinished(place: &Place) -> Result<Self, StoreError> {
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
