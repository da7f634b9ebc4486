//! Rows in and out of a collection's tables.

use super::collections::Tables;
use super::error::Failure;
use super::filter::Condition;
use super::functions::{vector_bytes, vector_values};
use crate::check::vector;
use crate::{IndexError, Projection};
use rusqlite::types::{Type, Value};
use rusqlite::{OptionalExtension, Transaction, named_params, params_from_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sightline_core::clock::Timestamp;
use sightline_core::filter::Filter;
use sightline_core::{DatasetName, IdError, Row, RowId, RunId, VectorField};
use std::error::Error;

/// The columns of a row, in the order they are read.
const COLUMNS: [&str; 17] = [
    "id",
    "key",
    "image_id",
    "uid",
    "filename",
    "image_path",
    "report_text",
    "labels",
    "boxes",
    "attributes",
    "dataset",
    "content_hash",
    "source_digest",
    "run_id",
    "indexed_at",
    "has_image",
    "has_text",
];

pub(super) fn create_table(tables: &Tables) -> String {
    let columns: Vec<String> = COLUMNS[1..]
        .iter()
        .map(|column| match *column {
            "indexed_at" | "has_image" | "has_text" => format!("{column} INTEGER NOT NULL"),
            _ => format!("{column} TEXT NOT NULL"),
        })
        .collect();
    format!(
        "CREATE TABLE {} (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, {}) STRICT",
        tables.rows,
        columns.join(", ")
    )
}

pub(super) fn upsert(transaction: &Transaction<'_>, tables: &Tables, rows: &[&Row]) -> Result<(), Failure> {
    let updates: Vec<String> = COLUMNS[1..]
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let mut write_row = transaction.prepare_cached(&format!(
        "INSERT INTO {} ({}) VALUES (:{}) ON CONFLICT (id) DO UPDATE SET {} RETURNING number",
        tables.rows,
        COLUMNS.join(", "),
        COLUMNS.join(", :"),
        updates.join(", ")
    ))?;
    for row in rows {
        let number: i64 = write_row.query_row(
            named_params! {
                ":id": row.id.as_str(),
                ":key": row.key,
                ":image_id": row.image_id,
                ":uid": row.uid,
                ":filename": row.filename,
                ":image_path": row.image_path,
                ":report_text": row.report_text,
                ":labels": json(&row.labels)?,
                ":boxes": json(&row.boxes)?,
                ":attributes": json(&row.attributes)?,
                ":dataset": row.dataset.as_str(),
                ":content_hash": row.content_hash,
                ":source_digest": row.source_digest,
                ":run_id": row.run_id.as_str(),
                ":indexed_at": i64::try_from(row.indexed_at.0).unwrap_or(i64::MAX),
                ":has_image": row.image_embedding.is_some(),
                ":has_text": row.text_embedding.is_some(),
            },
            |row| row.get(0),
        )?;
        for field in tables.dimensions.keys() {
            write_vector(transaction, tables, *field, number, row)?;
        }
    }
    Ok(())
}

fn write_vector(
    transaction: &Transaction<'_>,
    tables: &Tables,
    field: VectorField,
    number: i64,
    row: &Row,
) -> Result<(), Failure> {
    let table = tables.vectors(field);
    match vector(row, field) {
        Some(vector) => transaction
            .prepare_cached(&format!(
                "INSERT INTO {table} (number, id, vector) VALUES (?1, ?2, ?3)
                 ON CONFLICT (number) DO UPDATE SET vector = excluded.vector"
            ))?
            .execute((number, row.id.as_str(), vector_bytes(vector)))?,
        None => transaction
            .prepare_cached(&format!("DELETE FROM {table} WHERE number = ?1"))?
            .execute([number])?,
    };
    Ok(())
}

pub(super) fn delete(transaction: &Transaction<'_>, tables: &Tables, ids: &[RowId]) -> Result<(), Failure> {
    let mut delete_row =
        transaction.prepare_cached(&format!("DELETE FROM {} WHERE id = ?1 RETURNING number", tables.rows))?;
    for id in ids {
        let number: Option<i64> = delete_row.query_row([id.as_str()], |row| row.get(0)).optional()?;
        let Some(number) = number else { continue };
        for field in tables.dimensions.keys() {
            transaction
                .prepare_cached(&format!("DELETE FROM {} WHERE number = ?1", tables.vectors(*field)))?
                .execute([number])?;
        }
    }
    Ok(())
}

/// `SELECT … FROM …` of whole rows: the columns, then the vectors of the collection's fields, if asked for.
fn select(tables: &Tables, projection: Projection) -> String {
    let mut columns: Vec<String> = COLUMNS.iter().map(|column| format!("r.{column}")).collect();
    let mut from = format!("{} r", tables.rows);
    if projection == Projection::WithVectors {
        for field in tables.dimensions.keys() {
            columns.push(format!("{field}.vector"));
            from.push_str(&format!(
                " LEFT JOIN {} {field} ON {field}.number = r.number",
                tables.vectors(*field)
            ));
        }
    }
    format!("SELECT {} FROM {from}", columns.join(", "))
}

pub(super) fn get(
    transaction: &Transaction<'_>,
    tables: &Tables,
    ids: &[RowId],
    projection: Projection,
) -> Result<Vec<Row>, Failure> {
    let mut statement = transaction.prepare_cached(&format!("{} WHERE r.id = ?1", select(tables, projection)))?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(
            statement
                .query_row([id.as_str()], |row| read(tables, projection, row))
                .optional()?,
        );
    }
    Ok(rows)
}

pub(super) fn scan(
    transaction: &Transaction<'_>,
    tables: &Tables,
    filter: Option<&Filter>,
    after: Option<&RowId>,
    limit: usize,
    projection: Projection,
) -> Result<Vec<Row>, Failure> {
    // Every id is above "".
    let after = after.map_or("", RowId::as_str);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values = vec![Value::Text(after.into()), Value::Integer(limit)];
    let condition = filter.map_or_else(|| "TRUE".into(), |filter| Condition::of(filter, &mut values));
    let sql = format!(
        "{} WHERE r.id > ?1 AND {condition} ORDER BY r.id LIMIT ?2",
        select(tables, projection)
    );
    let mut statement = transaction.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| read(tables, projection, row))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn count(transaction: &Transaction<'_>, tables: &Tables, filter: Option<&Filter>) -> Result<u64, Failure> {
    let mut values = Vec::new();
    let condition = filter.map_or_else(|| "TRUE".into(), |filter| Condition::of(filter, &mut values));
    let sql = format!("SELECT count(*) FROM {} r WHERE {condition}", tables.rows);
    let count: i64 = transaction
        .prepare(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn read(tables: &Tables, projection: Projection, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut read = Row {
        id: identifier(row, 0, RowId::new)?,
        key: row.get(1)?,
        image_id: row.get(2)?,
        uid: row.get(3)?,
        filename: row.get(4)?,
        image_path: row.get(5)?,
        report_text: row.get(6)?,
        labels: from_json(row, 7)?,
        boxes: from_json(row, 8)?,
        attributes: from_json(row, 9)?,
        dataset: identifier(row, 10, DatasetName::new)?,
        content_hash: row.get(11)?,
        source_digest: row.get(12)?,
        run_id: identifier(row, 13, RunId::new)?,
        indexed_at: Timestamp(row.get(14)?),
        image_embedding: None,
        text_embedding: None,
    };
    if projection == Projection::WithVectors {
        for (position, field) in tables.dimensions.keys().enumerate() {
            let bytes: Option<Vec<u8>> = row.get(COLUMNS.len() + position)?;
            let vector = bytes.map(|bytes| vector_values(&bytes));
            match field {
                VectorField::Image => read.image_embedding = vector,
                VectorField::Text => read.text_embedding = vector,
            }
        }
    }
    Ok(read)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| {
        Failure::Index(IndexError::Refused {
            action: "write rows",
            collection: "the file".into(),
            message: error.to_string(),
        })
    })
}

fn damaged(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn from_json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| damaged(column, error))
}

/// Reads an identifier that was checked when it was written.
pub(super) fn identifier<T>(
    row: &rusqlite::Row<'_>,
    column: usize,
    new: impl Fn(String) -> Result<T, IdError>,
) -> rusqlite::Result<T> {
    new(row.get(column)?).map_err(|error| damaged(column, error))
}
