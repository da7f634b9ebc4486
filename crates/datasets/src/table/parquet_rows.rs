//! Rows of a Parquet file, by row group. A row's line is its number in the file, from 1.

use super::{Table, resolve};
use crate::DatasetError;
use crate::columns::Imported;
use crate::cursor::{FileCursor, ParquetPlace};
use crate::entry::Draft;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::{Field, List, Row};
use serde_json::{Map, Number, Value};
use sightline_core::run::Columns;
use sightline_objects::{ObjectError, ObjectStore};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

pub(super) async fn rows(
    table: &Table<'_>,
    start_after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
    let cursor = start_after.map(FileCursor::<ParquetPlace>::read).transpose()?;
    let (etag, place) = match cursor {
        Some(cursor) => (Some(cursor.etag), cursor.at),
        None => (
            None,
            ParquetPlace {
                group: 0,
                row: 0,
                rows: 0,
            },
        ),
    };
    let file = open(table, etag).await?;
    let (path, columns, imported) = (table.path.to_owned(), table.columns.clone(), table.imported.cloned());
    let read = move || file.page(&path, &columns, imported.as_ref(), place, limit);
    blocking(table.path, read).await
}

/// How many rows the file has, as its end says.
pub(super) async fn count(table: &Table<'_>) -> Result<u64, DatasetError> {
    let file = open(table, None).await?;
    let path = table.path.to_owned();
    let read = move || {
        let inner = Arc::clone(&file.inner);
        let reader = SerializedFileReader::new(file).map_err(|error| inner.broken(&path, &error))?;
        let rows = reader.metadata().file_metadata().num_rows();
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    blocking(table.path, read).await
}

async fn blocking<T: Send + 'static>(
    path: &str,
    read: impl FnOnce() -> Result<T, DatasetError> + Send + 'static,
) -> Result<T, DatasetError> {
    let broke_off = |error| Err(DatasetError::unreadable(path, format!("reading it broke off: {error}")));
    tokio::task::spawn_blocking(read).await.unwrap_or_else(broke_off)
}

/// The file in its version of now, or in that of a tag.
async fn open(table: &Table<'_>, etag: Option<String>) -> Result<RemoteFile, DatasetError> {
    let store = Arc::clone(&table.reader.store);
    let meta = store
        .head(table.path)
        .await
        .map_err(|error| DatasetError::of_manifest(table.path, error))?;
    if etag.is_some_and(|etag| etag != meta.etag) {
        return Err(DatasetError::Changed {
            path: table.path.into(),
        });
    }
    Ok(RemoteFile {
        inner: Arc::new(Remote {
            store,
            path: table.path.to_owned(),
            etag: meta.etag,
            size: meta.size,
            chunk: table.reader.options.chunk_bytes.max(1),
            runtime: Handle::current(),
            failed: Mutex::new(None),
        }),
    })
}

#[derive(Clone)]
struct RemoteFile {
    inner: Arc<Remote>,
}

struct Remote {
    store: Arc<dyn ObjectStore>,
    path: String,
    etag: String,
    size: u64,
    chunk: usize,
    runtime: Handle,
    /// How the store failed: the reader's own error keeps only its text.
    failed: Mutex<Option<ObjectError>>,
}

impl RemoteFile {
    fn page(
        self,
        path: &str,
        columns: &Columns,
        imported: Option<&Imported>,
        mut place: ParquetPlace,
        limit: usize,
    ) -> Result<(Vec<Draft>, Option<String>), DatasetError> {
        let inner = Arc::clone(&self.inner);
        let broken = |error: ParquetError| inner.broken(path, &error);
        let reader = SerializedFileReader::new(self).map_err(broken)?;
        let schema = reader.metadata().file_metadata().schema();
        let header: Vec<String> = schema
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        let mapping = resolve(columns, imported, &header, false).map_err(|message| DatasetError::Columns {
            path: path.into(),
            message,
            found: header.clone(),
        })?;
        let mut drafts = Vec::new();
        while place.group < reader.num_row_groups() && drafts.len() < limit {
            let group = reader.get_row_group(place.group).map_err(broken)?;
            let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let wanted = (limit - drafts.len()).min(rows.saturating_sub(place.row));
            for row in group.get_row_iter(None).map_err(broken)?.skip(place.row).take(wanted) {
                place.row += 1;
                place.rows += 1;
                let mut values = values(row.map_err(broken)?);
                drafts.push(mapping.draft(inner.store.root(), place.rows, &mut values, false));
            }
            if place.row >= rows {
                place.group += 1;
                place.row = 0;
            } else if drafts.len() < limit {
                let message = format!("row group {} ends after {} of {rows} rows", place.group, place.row);
                return Err(DatasetError::unreadable(path, message));
            }
        }
        let more = place.group < reader.num_row_groups();
        let next = more.then(|| {
            FileCursor {
                etag: inner.etag.clone(),
                at: place,
            }
            .write()
        });
        Ok((drafts, next))
    }
}

impl Remote {
    /// Why reading failed: the store's error, where it was one.
    fn broken(&self, path: &str, error: &ParquetError) -> DatasetError {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failed {
            Some(error) => DatasetError::of_manifest(path, error),
            None => DatasetError::unreadable(path, format!("{error}; is it a Parquet file?")),
        }
    }

    fn fetch(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let end = start.saturating_add(length).min(self.size);
        let read = self.store.get_range(&self.path, start..end, Some(&self.etag));
        self.runtime.block_on(read).map_err(|error| {
            let text = error.to_string();
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other(text)
        })
    }
}

impl Length for RemoteFile {
    fn len(&self) -> u64 {
        self.inner.size
    }
}

impl ChunkReader for RemoteFile {
    type T = RemoteRead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<RemoteRead> {
        Ok(RemoteRead {
            file: self.clone(),
            at: start,
            chunk: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.inner.fetch(start, length as u64)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(ParquetError::EOF(format!(
                "{} of {length} bytes at {start}",
                bytes.len()
            )))
        }
    }
}

/// Reads on from a place, a chunk at a time.
struct RemoteRead {
    file: RemoteFile,
    at: u64,
    chunk: Bytes,
}

impl Read for RemoteRead {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.file.inner.fetch(self.at, self.file.inner.chunk as u64)?;
        }
        let part = self.chunk.split_to(target.len().min(self.chunk.len()));
        target[..part.len()].copy_from_slice(&part);
        self.at += part.len() as u64;
        Ok(part.len())
    }
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
