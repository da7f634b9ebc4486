//! A Parquet file in a store, read by ranges of one version from threads that may block.

use super::Table;
use crate::DatasetError;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use sightline_objects::{ObjectError, ObjectStore};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// The file in its version of now, or in that of a tag.
pub(super) async fn open(table: &Table<'_>, etag: Option<&str>) -> Result<RemoteFile, DatasetError> {
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
pub(super) struct RemoteFile {
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
    pub(super) fn root(&self) -> &str {
        self.inner.store.root()
    }

    pub(super) fn path(&self) -> &str {
        &self.inner.path
    }

    pub(super) fn etag(&self) -> &str {
        &self.inner.etag
    }

    /// Whether it is the same version of the same file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.root(), self.path(), self.etag()) == (other.root(), other.path(), other.etag())
    }

    /// Why reading failed: the store's error, where it was one.
    pub(super) fn broken(&self, error: &ParquetError) -> DatasetError {
        let path = &self.inner.path;
        let failed = self.inner.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failed {
            Some(error) => DatasetError::of_manifest(path, error),
            None => DatasetError::unreadable(path, format!("{error}; is it a Parquet file?")),
        }
    }
}

impl Remote {
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
pub(super) struct RemoteRead {
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
