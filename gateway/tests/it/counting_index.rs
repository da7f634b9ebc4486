//! An index that counts what it is asked.

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

pub(crate) type Calls = Arc<Mutex<BTreeMap<&'static str, usize>>>;
pub(crate) type Together = Arc<Mutex<Option<Arc<Barrier>>>>;

/// Another index, which counts calls by their names.
#[derive(Debug)]
pub(crate) struct CountingIndex {
    pub(crate) inner: Arc<dyn VectorIndex>,
    pub(crate) calls: Calls,
    /// What `describe` and `search` wait at, where both have to be under way at once.
    pub(crate) together: Together,
}

impl CountingIndex {
    fn called(&self, call: &'static str) {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
    }

    async fn meet(&self) {
        let together = self.together.lock().unwrap().clone();
        if let Some(together) = together {
            together.wait().await;
        }
    }
}

#[async_trait]
impl VectorIndex for CountingIndex {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.called("create");
        self.inner.create(description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        self.called("describe");
        self.meet().await;
        self.inner.describe(collection).await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        self.called("list");
        self.inner.list().await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.called("drop_collection");
        self.inner.drop_collection(collection).await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.called("upsert");
        self.inner.upsert(collection, rows).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        self.called("delete");
        self.inner.delete(collection, ids).await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.called("get");
        self.inner.get(collection, ids, projection).await
    }

    async fn get_found(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.called("get_found");
        self.inner.get_found(collection, ids, projection).await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.called("scan");
        self.inner.scan(collection, filter, after, limit, projection).await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.called("count");
        self.inner.count(collection, filter).await
    }

    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        self.called("search");
        self.meet().await;
        self.inner.search(collection, search).await
    }
}
