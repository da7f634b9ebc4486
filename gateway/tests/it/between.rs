//! Something between a gateway and its index.

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens on the way to an index.
#[async_trait]
pub(crate) trait OnTheWay: std::fmt::Debug + Send + Sync {
    /// Before this call reaches the index. An error is the call's answer.
    async fn before(&self, _call: &'static str) -> Result<(), IndexError> {
        Ok(())
    }

    /// What becomes of what a search found.
    fn found(&self, _search: &FieldSearch, hits: FieldHits) -> FieldHits {
        hits
    }
}

/// An index behind something.
#[derive(Debug)]
pub(crate) struct Between<W> {
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) way: W,
}

#[async_trait]
impl<W: OnTheWay> VectorIndex for Between<W> {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.way.before("create").await?;
        self.index.create(description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        self.way.before("describe").await?;
        self.index.describe(collection).await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        self.way.before("list").await?;
        self.index.list().await
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.way.before("drop_collection").await?;
        self.index.drop_collection(collection).await
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.way.before("upsert").await?;
        self.index.upsert(collection, rows).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError> {
        self.way.before("delete").await?;
        self.index.delete(collection, ids).await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.way.before("get").await?;
        self.index.get(collection, ids, projection).await
    }

    async fn get_found(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.way.before("get_found").await?;
        self.index.get_found(collection, ids, projection).await
    }

    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.way.before("scan").await?;
        self.index.scan(collection, filter, after, limit, projection).await
    }

    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.way.before("count").await?;
        self.index.count(collection, filter).await
    }

    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError> {
        self.way.before("search").await?;
        let hits = self.index.search(collection, search).await?;
        Ok(self.way.found(search, hits))
    }

    async fn set_alias(&self, alias: &CollectionName, collection: &CollectionName) -> Result<(), IndexError> {
        self.way.before("set_alias").await?;
        self.index.set_alias(alias, collection).await
    }

    async fn drop_alias(&self, alias: &CollectionName) -> Result<(), IndexError> {
        self.way.before("drop_alias").await?;
        self.index.drop_alias(alias).await
    }

    async fn aliases(&self) -> Result<BTreeMap<CollectionName, CollectionName>, IndexError> {
        self.way.before("aliases").await?;
        self.index.aliases().await
    }

    async fn load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.way.before("load").await?;
        self.index.load(collection).await
    }

    async fn release(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.way.before("release").await?;
        self.index.release(collection).await
    }

    async fn is_loaded(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        self.way.before("is_loaded").await?;
        self.index.is_loaded(collection).await
    }
}
