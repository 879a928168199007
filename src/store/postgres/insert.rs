//! Rows of any table, as they are in another store.

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::super::sql::{Value, low16, low32};
use super::super::tables::{Kind, Table};
use super::super::{StoreError, narrow};
use super::copy::Rows;
use super::held::Held;
use super::{make_week, week};

/// Bytes of a value in COPY, about.
const VALUE_BYTES: usize = 12;

/// Puts rows into a table, all or none.
pub(in crate::store) async fn insert(
    writer: &PgPool,
    table: &Table,
    rows: &[Vec<Value<'static>>],
) -> Result<(), StoreError> {
    if table.name == "hits" {
        make_partitions(writer, table, rows).await?;
    }
    let names: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let (name, names) = (table.name, names.join(", "));
    let mut out = Rows::with_room(rows.len(), VALUE_BYTES * table.columns.len());
    for row in rows {
        out.row(i16::try_from(row.len()).unwrap_or(i16::MAX));
        for (value, (_, kind)) in row.iter().zip(table.columns) {
            write(&mut out, value, *kind)?;
        }
    }
    let mut held = Held::begin(writer).await?;
    let statement = format!("COPY {name} ({names}) FROM STDIN (FORMAT binary)");
    out.copy(held.on()?, &statement).await?;
    Ok(held.commit().await?)
}

/// The weeks that the rows fall into, however long ago.
async fn make_partitions(
    writer: &PgPool,
    table: &Table,
    rows: &[Vec<Value<'static>>],
) -> Result<(), StoreError> {
    let time = table.columns.iter().position(|(name, _)| *name == "at");
    let times = rows.iter().filter_map(|row| match row.get(time?) {
        Some(Value::Int(at)) => *at,
        _ => None,
    });
    let weeks: BTreeSet<_> = times.map(week).collect();
    for week in weeks {
        make_week(writer, week).await?;
    }
    Ok(())
}

fn write(out: &mut Rows, value: &Value<'static>, kind: Kind) -> Result<(), StoreError> {
    match value {
        Value::Int(None) => out.bytes_or_null(None),
        Value::Int(Some(number)) => write_number(out, *number, kind)?,
        Value::Bool(value) => out.bytes_or_null(Some(&[u8::from(*value)])),
        Value::Text(text) if kind == Kind::Network => {
            let network = text.as_deref().map(str::parse).transpose();
            out.cidr_or_null(network.map_err(|_| StoreError::Unreadable("prefix"))?)
        }
        Value::Text(text) => out.bytes_or_null(text.as_deref().map(str::as_bytes)),
        Value::Bytes(bytes) if kind == Kind::BytesOrEmpty => {
            out.bytes(bytes.as_deref().unwrap_or_default())
        }
        Value::Bytes(bytes) => out.bytes_or_null(bytes.as_deref()),
    };
    Ok(())
}

fn write_number(out: &mut Rows, number: i64, kind: Kind) -> Result<&mut Rows, StoreError> {
    Ok(match kind {
        Kind::Bits4 => out.int4(low32(number).cast_signed()),
        Kind::Bits2 => out.int2(low16(number).cast_signed()),
        Kind::Int4 => out.int4(narrow(number, "number")?),
        Kind::Int2 => out.int2(narrow(number, "number")?),
        _ => out.int8(number),
    })
}
