//! Rows of any table, as they are in another store.

use sqlx::SqlitePool;

use super::super::StoreError;
use super::super::sql::Value;
use super::super::tables::Table;
use super::ingest::statement;

/// Values that one statement is given; SQLite takes 32,766.
const VALUES_MAX: usize = 13_500;

/// Puts rows into a table, all or none.
pub(in crate::store) async fn insert(
    writer: &SqlitePool,
    table: &Table,
    rows: &[Vec<Value<'static>>],
) -> Result<(), StoreError> {
    let names: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let begin = format!("INSERT INTO {} ({}) VALUES ", table.name, names.join(", "));
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    for rows in rows.chunks(VALUES_MAX / names.len()) {
        let mut query = statement(&begin, names.len(), rows.len(), "");
        for value in rows.iter().flatten() {
            query = match value.clone() {
                Value::Int(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(|text| text.into_owned())),
                Value::Bytes(value) => query.bind(value.map(|bytes| bytes.into_owned())),
            };
        }
        query.execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}
