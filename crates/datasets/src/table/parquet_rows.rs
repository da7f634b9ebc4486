//! Rows of a Parquet file, row group by row group; a row's line is its number in the file, from 1.

use super::Table;
use super::open_tables::OpenTable;
use super::remote::{RemoteFile, open};
use super::resolve;
use crate::DatasetError;
use crate::columns::Imported;
use crate::cursor::{FileCursor, ParquetPlace};
use crate::entry::Draft;
use parquet::record::{Field, List, Row};
use serde_json::{Map, Number, Value};
use sightline_core::run::Columns;
use std::sync::Arc;

pub(super) async fn rows(
    table: &Table<'_>,
    start_after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
    let cursor = start_after.map(FileCursor::<ParquetPlace>::read).transpose()?;
    let (etag, place) = match cursor {
        Some(cursor) => (Some(cursor.etag), cursor.at),
        None => (None, ParquetPlace::default()),
    };
    let file = open(table, etag.as_deref()).await?;
    let (columns, imported) = (table.columns.clone(), table.imported.cloned());
    let tables = Arc::clone(&table.reader.tables);
    let read = move || {
        let mut table = match tables.take(&file, place) {
            Some(table) => table,
            None => OpenTable::open(file)?,
        };
        let page = page(&mut table, &columns, imported.as_ref(), place, limit)?;
        if page.1.is_some() {
            tables.keep(table);
        }
        Ok(page)
    };
    blocking(table.path, read).await
}

/// How many rows the file has, as its end says.
pub(super) async fn count(table: &Table<'_>) -> Result<u64, DatasetError> {
    let file = open(table, None).await?;
    blocking(table.path, move || Ok(OpenTable::open(file)?.rows())).await
}

async fn blocking<T: Send + 'static>(
    path: &str,
    read: impl FnOnce() -> Result<T, DatasetError> + Send + 'static,
) -> Result<T, DatasetError> {
    let broke_off = |error| Err(DatasetError::unreadable(path, format!("reading it broke off: {error}")));
    tokio::task::spawn_blocking(read).await.unwrap_or_else(broke_off)
}

fn page(
    table: &mut OpenTable,
    columns: &Columns,
    imported: Option<&Imported>,
    mut place: ParquetPlace,
    limit: usize,
) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
    let file: RemoteFile = table.file().clone();
    let header = table.header();
    let mapping = resolve(columns, imported, &header, false).map_err(|message| DatasetError::Columns {
        path: file.path().into(),
        message,
        found: header.clone(),
    })?;
    let mut drafts = Vec::new();
    while place.group < table.groups() && drafts.len() < limit {
        let rows = table.go_to(place)?;
        while place.row < rows && drafts.len() < limit {
            let Some(row) = table.next()? else {
                let message = format!("row group {} ends after {} of {rows} rows", place.group, place.row);
                return Err(DatasetError::unreadable(file.path(), message));
            };
            place.row += 1;
            place.rows += 1;
            let mut values = values(row);
            drafts.push(mapping.draft(file.root(), place.rows, &mut values, false));
        }
        if place.row >= rows {
            place.group += 1;
            place.row = 0;
        }
    }
    let more = place.group < table.groups();
    let next = more.then(|| {
        FileCursor {
            etag: file.etag().to_owned(),
            at: place,
        }
        .write()
    });
    Ok((drafts, next))
}

fn values(row: Row) -> Vec<Value> {
    row.into_columns().into_iter().map(|(_, field)| value(&field)).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::Bool(*flag),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        Field::Float16(number) => float(f64::from(number.to_f32())),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        Field::Str(text) => text.clone().into(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned().into(),
        Field::ListInternal(list) => list_value(list),
        Field::Group(row) => {
            let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.to_string().into(),
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

fn list_value(list: &List) -> Value {
    Value::Array(list.elements().iter().map(value).collect())
}
