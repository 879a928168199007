//! A store as it is at one moment, to be kept elsewhere; and put back into an empty one.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::connections::{Pool, Transaction};
use super::copying::{begin, finish, unfinished_from};
use super::rows::{Values, from_json, to_json};
use super::sql::{Query, Sql};
use super::tables::{INBOX, TABLES, Table};
use super::{Place, Store, StoreError, postgres, sqlite};

/// Some rows of a table.
#[derive(Debug)]
pub struct Page {
    /// Its name.
    pub table: &'static str,
    /// Its columns.
    pub columns: Vec<&'static str>,
    /// Values in the order of the columns.
    pub rows: Vec<Vec<Json>>,
}

/// A store as it was when this was taken, whatever is written meanwhile.
pub struct Snapshot {
    pool: Pool,
    on: Transaction,
    tables: Vec<&'static Table>,
    last: Option<Values>,
}

impl Snapshot {
    /// Takes one of the store there, which goes on; `None` if there is none.
    ///
    /// # Errors
    /// The store is not available, or of another schema than this version's.
    pub async fn take(place: &Place) -> Result<Option<Self>, StoreError> {
        let known = Store::schema_known(place);
        match Store::schema(place).await? {
            None => return Ok(None),
            Some(found) if found > known => return Err(StoreError::Newer { found, known }),
            Some(found) if found < known => return Err(StoreError::Older { found, known }),
            Some(_) => {}
        }
        let pool = match place {
            Place::Directory(data) => sqlite::peek(data).await?,
            Place::Postgres(url) => postgres::peek(url).await?,
        };
        let Some(pool) = pool else {
            return Ok(None);
        };
        let on = pool.snapshot().await?;
        // What has been shipped and not settled is in no other table.
        let inbox = matches!(pool, Pool::Postgres(_)).then_some(&INBOX);
        let tables = TABLES.iter().chain(inbox).rev().collect();
        Ok(Some(Self {
            pool,
            on,
            tables,
            last: None,
        }))
    }

    /// The next rows; `None` at the end. A table without rows has one page without any.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        let Some(table) = self.tables.last() else {
            return Ok(None);
        };
        let page = table.page_in(&mut self.on, self.last.as_deref()).await?;
        let (table, begins) = (*table, self.last.is_none());
        self.last = page.last().map(|end| table.key_of(end));
        if self.last.is_none() {
            self.tables.pop();
            if !begins {
                return Box::pin(self.next()).await;
            }
        }
        let rows = page.iter().map(|row| row.iter().map(to_json).collect());
        Ok(Some(Page {
            table: table.name,
            columns: table.columns.iter().map(|(name, _)| *name).collect(),
            rows: rows.collect(),
        }))
    }

    /// Lets the store go.
    pub async fn end(self) {
        drop(self.on);
        self.pool.close().await;
    }
}

/// An empty store on its way to what a backup has. Until it is finished it is nobody's.
#[derive(Debug)]
pub struct Restoring {
    store: Store,
    rows: BTreeMap<&'static str, u64>,
}

impl Restoring {
    /// Begins at `place`, which is empty, or has the beginning of an earlier attempt from the same
    /// `source`: that is thrown away.
    ///
    /// # Errors
    /// `NotEmpty`, `Unfinished`; or not available.
    pub async fn begin(place: &Place, source: &str) -> Result<Self, StoreError> {
        if let Place::Directory(data) = place {
            sqlite::forget(data)?;
        }
        let store = Store::open_unfinished(place).await?;
        let began = Self::clear(&store, source).await;
        if let Err(error) = began {
            store.close().await;
            return Err(error);
        }
        Ok(Self {
            store,
            rows: BTreeMap::new(),
        })
    }

    async fn clear(store: &Store, source: &str) -> Result<(), StoreError> {
        let again = unfinished_from(&store.writer).await?.is_some();
        begin(store, source).await?;
        if again {
            let mut transaction = store.writer.begin().await?;
            for table in tables(store).rev() {
                let text = format!("DELETE FROM {}", table.name);
                let query = Query::made(text.clone(), text);
                transaction.run(query).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Puts rows of a table back.
    ///
    /// # Errors
    /// They are none that this version has; or the store is not available.
    pub async fn put(
        &mut self,
        table: &str,
        columns: &[String],
        rows: &[Vec<Json>],
    ) -> Result<(), StoreError> {
        if table == INBOX.name && self.store.shared().is_none() {
            let rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            return match rows {
                0 => Ok(()),
                rows => Err(StoreError::Waiting { rows }),
            };
        }
        let known = tables(&self.store).find(|known| known.name == table);
        let known = known.ok_or(StoreError::Unreadable("table"))?;
        let names = known.columns.iter().map(|(name, _)| *name);
        if columns.len() > known.columns.len() || !columns.iter().eq(names.take(columns.len())) {
            return Err(StoreError::Unreadable("column"));
        }
        let rows = rows.iter().map(|row| {
            // Columns that came later stand behind the others, and have nothing in older rows.
            let cells = row.iter().chain(std::iter::repeat(&Json::Null));
            let cells = cells.zip(known.columns);
            let values = cells.map(|(value, (_, kind))| from_json(value, *kind));
            let values: Option<Values> = values.collect();
            values.filter(|_| row.len() == columns.len())
        });
        let rows: Option<Vec<_>> = rows.collect();
        let rows = rows.ok_or(StoreError::Unreadable("row"))?;
        known.insert(&self.store.writer, &rows).await?;
        *self.rows.entry(known.name).or_default() += u64::try_from(rows.len()).unwrap_or(0);
        Ok(())
    }

    /// Counts what is there, and makes it a store.
    ///
    /// # Errors
    /// `Differs` if there is not as much as was put; or not available. It stays nobody's.
    pub async fn finish(self) -> Result<(), StoreError> {
        let finished = self.counted().await;
        self.store.close().await;
        finished
    }

    async fn counted(&self) -> Result<(), StoreError> {
        for table in tables(&self.store) {
            let of = self.rows.get(table.name).copied().unwrap_or(0);
            let rows = table.count(&self.store.writer).await?;
            if rows != of {
                let table = table.name;
                return Err(StoreError::Differs { table, rows, of });
            }
        }
        if let (Some(number_on), true) = (INBOX.number_on, self.store.shared().is_some()) {
            let query = Query::new(Sql::same(number_on));
            self.store.writer.run(query).await?;
        }
        finish(&self.store).await
    }

    /// Leaves it as it is: half of a restore, and nobody's.
    pub async fn give_up(self) {
        self.store.close().await;
    }
}

/// Every table of a store of this kind.
fn tables(store: &Store) -> impl DoubleEndedIterator<Item = &'static Table> {
    let inbox = store.shared().map(|_| &INBOX);
    TABLES.iter().chain(inbox)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[actix_web::test]
    async fn rows_of_an_older_version_lack_columns_that_came_later() {
        let own = tempfile::tempdir().unwrap();
        let place = Place::Directory(own.path().to_owned());
        let mut restoring = Restoring::begin(&place, "a backup").await.unwrap();
        let columns = "campaign minted_at number accepted_at first_hit_at recipient counts";
        let columns: Vec<_> = columns.split(' ').map(str::to_owned).collect();
        let row = vec![
            json!(1),
            json!(2),
            json!(3),
            json!(null),
            json!(4),
            json!(null),
            json!(""),
        ];
        let rows = [row];
        restoring.put("messages", &columns, &rows).await.unwrap();
        for wrong in [&columns[1..], &["campaign".to_owned(), "x".to_owned()]] {
            let refused = restoring.put("messages", wrong, &rows).await;
            assert!(matches!(refused, Err(StoreError::Unreadable("column"))));
        }
        let short = restoring.put("messages", &columns[..6], &rows).await;
        assert!(matches!(short, Err(StoreError::Unreadable("row"))));
        restoring.finish().await.unwrap();
    }
}
