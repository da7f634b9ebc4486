//! An index for tests: it answers as a test says, and takes whatever the test says nothing of for a mistake.

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId};
use sightline_index::{FieldHits, FieldSearch, IndexError, Projection, VectorIndex};
use std::fmt::Debug;

/// What a test answers; what it leaves out is never to be asked.
#[async_trait]
pub(crate) trait Answers: Debug + Send + Sync {
    async fn create(&self, _description: &CollectionDescription) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn describe(&self, _collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        unreachable!()
    }

    async fn upsert(&self, _collection: &CollectionName, _rows: &[Row]) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn get(&self, _collection: &CollectionName, _ids: &[RowId]) -> Result<Vec<Row>, IndexError> {
        unreachable!()
    }
}

/// The index with these answers.
#[derive(Debug)]
pub(crate) struct Answering<A>(pub(crate) A);

#[async_trait]
impl<A: Answers> VectorIndex for Answering<A> {
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
        self.0.create(description).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
        self.0.describe(collection).await
    }

    async fn list(&self) -> Result<Vec<CollectionName>, IndexError> {
        unreachable!()
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        self.0.upsert(collection, rows).await
    }

    async fn delete(&self, _: &CollectionName, _: &[RowId]) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn get(&self, collection: &CollectionName, ids: &[RowId], _: Projection) -> Result<Vec<Row>, IndexError> {
        self.0.get(collection, ids).await
    }

    async fn scan(
        &self,
        _: &CollectionName,
        _: Option<&Filter>,
        _: Option<&RowId>,
        _: usize,
        _: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        unreachable!()
    }

    async fn count(&self, _: &CollectionName, _: Option<&Filter>) -> Result<u64, IndexError> {
        unreachable!()
    }

    async fn search(&self, _: &CollectionName, _: &FieldSearch) -> Result<FieldHits, IndexError> {
        unreachable!()
    }
}
