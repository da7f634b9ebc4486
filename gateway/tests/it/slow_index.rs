//! An index whose searches never answer, or that is away.

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use std::sync::Arc;
use tokio::sync::watch;

/// What becomes of searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Searches {
    /// They never end.
    Hang,
    /// The index is away.
    Fail,
}

/// Another index, but for its searches.
#[derive(Debug)]
pub(crate) struct SlowIndex {
    pub(crate) inner: Arc<dyn VectorIndex>,
    pub(crate) searches: Searches,
    /// Searches under way.
    pub(crate) under_way: watch::Sender<usize>,
}

struct UnderWay<'a>(&'a watch::Sender<usize>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl VectorIndex for SlowIndex {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.inner.create(description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        self.inner.describe(collection).await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        self.inner.list().await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.inner.drop_collection(collection).await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.inner.upsert(collection, rows).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        self.inner.delete(collection, ids).await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.inner.get(collection, ids, projection).await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.inner.scan(collection, filter, after, limit, projection).await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.inner.count(collection, filter).await
    }

    async fn search(&self, _: &CollectionName, _: &FieldSearch) -> Result<FieldHits, IndexError> {
        if self.searches == Searches::Fail {
            return Err(IndexError::Unavailable {
                action: "search",
                message: "connection refused".into(),
            });
        }
        self.under_way.send_modify(|count| *count += 1);
        let _under_way = UnderWay(&self.under_way);
        std::future::pending().await
    }
}
