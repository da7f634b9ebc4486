//! The embedded index: one SQLite file, exact search.
//!
//! Every vector of a field is looked at for every query, by a scalar function over its bytes. Several processes may
//! open one file: SQLite's write-ahead log lets readers go on while one of them writes.

mod aliases;
mod collections;
mod error;
mod filter;
mod functions;
mod pool;
mod rows;
mod search;
#[cfg(test)]
mod tests;

use crate::{FieldHits, FieldSearch, IndexError, OpenOptions, Projection, VectorIndex, check};
use async_trait::async_trait;
use pool::Pool;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Readers of one file at a time in one process; more wait.
const READERS: usize = 4;

/// An index in one file.
#[derive(Debug)]
pub struct SqliteIndex {
    readers: Arc<Pool>,
    // SQLite has one writer at a time: waiting in line here is fairer than on the file's lock.
    writer: Arc<Pool>,
}

impl SqliteIndex {
    /// Opens a file, and makes it with its folders where it does not exist.
    ///
    /// # Errors
    /// [`IndexError::BadAddress`] when the file holds something else or comes from a newer Sightline;
    /// [`IndexError::Unavailable`] when it cannot be opened now.
    pub async fn open(path: &Path, options: &OpenOptions) -> Result<Self, IndexError> {
        let writer = Pool::new(path, 1, options.connect_timeout);
        writer.run("open the file", collections::prepare_file).await?;
        Ok(Self {
            readers: Pool::new(path, READERS, options.connect_timeout),
            writer,
        })
    }
}

#[async_trait]
impl VectorIndex for SqliteIndex {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        let description = description.clone();
        self.writer
            .write("create a collection", move |transaction| {
                collections::create(transaction, &description)
            })
            .await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        let collection = collection.clone();
        self.readers
            .read("describe a collection", move |transaction| {
                collections::describe(transaction, &collection)
            })
            .await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        self.readers.read("list collections", collections::list).await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let collection = collection.clone();
        self.writer
            .write("drop a collection", move |transaction| {
                collections::drop(transaction, &collection)
            })
            .await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        let (collection, rows) = (collection.clone(), rows.to_vec());
        self.writer
            .write("write rows", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                let batch = check::batch(&collection, &tables.dimensions, &rows)?;
                rows::upsert(transaction, &tables, &batch)
            })
            .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        let (collection, ids) = (collection.clone(), ids.to_vec());
        self.writer
            .write("delete rows", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                rows::delete(transaction, &tables, &ids)
            })
            .await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        let (collection, ids) = (collection.clone(), ids.to_vec());
        self.readers
            .read("read rows", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                rows::get(transaction, &tables, &ids, projection)
            })
            .await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        check::scan(collection, limit)?;
        let (collection, filter, after) = (collection.clone(), filter.cloned(), after.cloned());
        self.readers
            .read("scan", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                rows::scan(transaction, &tables, filter.as_ref(), after.as_ref(), limit, projection)
            })
            .await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        let (collection, filter) = (collection.clone(), filter.cloned());
        self.readers
            .read("count rows", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                rows::count(transaction, &tables, filter.as_ref())
            })
            .await
    }

    async fn set_alias(&self, alias: &CollectionName, collection: &CollectionName) -> Result<(), IndexError> {
        let (alias, collection) = (alias.clone(), collection.clone());
        self.writer
            .write("set an alias", move |transaction| {
                aliases::set(transaction, &alias, &collection)
            })
            .await
    }

    async fn drop_alias(&self, alias: &CollectionName) -> Result<(), IndexError> {
        let alias = alias.clone();
        self.writer
            .write("drop an alias", move |transaction| aliases::drop(transaction, &alias))
            .await
    }

    async fn aliases(&self) -> Result<BTreeMap<CollectionName, CollectionName>, IndexError> {
        self.readers.read("list aliases", aliases::all).await
    }

    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        let (collection, search) = (collection.clone(), search.clone());
        self.readers
            .read("search", move |transaction| {
                let tables = collections::tables(transaction, &collection)?;
                check::search(&collection, &tables.dimensions, &search)?;
                let hits = search::search(transaction, &tables, &search)?;
                Ok(FieldHits {
                    settled: hits.len(),
                    hits,
                    exact: true,
                })
            })
            .await
    }
}
