//! The vector-index seam: Milvus in production, one SQLite file embedded.
//!
//! Promises: one small trait with one conformance suite (`conformance`, run by every implementation, real servers
//! included); an upsert replaces, is durable when it returns, and is seen by the next read; a search says whether
//! it looked at every vector. Leaves to others: fusion of several searches (`sightline-gateway`), and what the rows
//! mean (`sightline-core`).

mod aliases;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod lazy;
pub mod milvus;
mod open;
mod recorder;
pub mod sqlite;

pub use error::IndexError;
pub use lazy::LazyIndex;
pub use open::{OpenOptions, open};
pub use recorder::{CallRecorder, IndexCall};

use async_trait::async_trait;
use sightline_core::filter::Filter;
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Which parts of rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Projection {
    /// Everything but vectors.
    #[default]
    Metadata,
    /// Everything.
    WithVectors,
}

/// One search over one vector field.
#[derive(Debug, Clone)]
pub struct FieldSearch {
    /// The field. Rows that lack this side are no hits.
    pub field: VectorField,
    /// What is looked for; of the field's dimension. Scores are inner products with it.
    pub vector: Vec<f32>,
    /// At most so many hits, 1 to 16,384.
    pub limit: usize,
    /// Only rows for which this holds.
    pub filter: Option<Filter>,
    /// How widely an approximate index looks: lists probed, or candidates kept; the index's default where not given.
    pub effort: Option<u32>,
}

/// Most hits that one search can ask for (Milvus's limit).
pub const MAX_HITS: usize = 16_384;
/// Most rows that one scan can ask for.
pub const MAX_SCAN_ROWS: usize = 10_000;

/// A hit: a row and the inner product of its vector with the query's.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredId {
    /// The row.
    pub id: RowId,
    /// The inner product.
    pub score: f32,
}

/// Hits in falling order of score, equal scores by id.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldHits {
    /// The hits.
    pub hits: Vec<ScoredId>,
    /// Whether every vector was looked at: then nothing unseen scores above the last hit.
    pub exact: bool,
    /// So many hits, from the first on, are in their places, if every vector was looked at. Behind them more rows have one
    /// score than the engine can show, and which of them it shows is its own choice: others may belong between the hits.
    pub settled: usize,
}

/// A store of rows with vectors.
///
/// Semantics that every implementation keeps:
/// - `create` with a description equal to the existing one succeeds and changes nothing (two workers may race);
///   with another it is [`IndexError::Conflict`].
/// - `upsert` replaces rows by id; of one id twice in a batch the last counts; durable and visible on return.
///   Vectors must be finite and of the field's dimension, or the batch is [`IndexError::Refused`] whole.
/// - `get`, `scan` and `count` are strongly consistent with upserts that have returned, from any process. `search` is
///   with those of this process; those of others it sees within a second or so. `get_found` shows rows as fresh as
///   `search` does, and leaves out none that `get` would show.
/// - An alias is a second name, known to `describe` alone, whose answer names the collection behind it: callers go on with
///   that name, so that one question is answered from one collection even when the alias moves meanwhile.
/// - Where rows of equal score lie on both sides of a search's limit, those with the smaller ids are hits.
/// - `scan` pages in the order of ids: no row is lost or repeated however many there are.
#[async_trait]
pub trait VectorIndex: Send + Sync + Debug {
    /// Creates a collection.
    async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError>;

    /// Describes a collection, or the one that an alias points at; none where there is neither.
    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionDescription>, IndexError>;

    /// Names of all collections of Sightline, in order.
    async fn list(&self) -> Result<Vec<CollectionName>, IndexError>;

    /// Drops a collection; one that is not there is no error, one that an alias points at is [`IndexError::Refused`].
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError>;

    /// Writes rows.
    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError>;

    /// Deletes rows; those that are not there are no error.
    async fn delete(&self, collection: &CollectionName, ids: &[RowId]) -> Result<(), IndexError>;

    /// Reads rows by id, in the order of the ids; those that are not there are left out.
    async fn get(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError>;

    /// Reads rows that a search has shown, as [`VectorIndex::get`] does, but for the waiting: a server that has to be
    /// waited for until it has seen every write of others is waited for only where a row is missing.
    async fn get_found(
        &self,
        collection: &CollectionName,
        ids: &[RowId],
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError> {
        self.get(collection, ids, projection).await
    }

    /// Reads at most `limit` rows (1 to 10,000) after `after`, in the order of ids.
    async fn scan(
        &self,
        collection: &CollectionName,
        filter: Option<&Filter>,
        after: Option<&RowId>,
        limit: usize,
        projection: Projection,
    ) -> Result<Vec<Row>, IndexError>;

    /// Counts rows.
    async fn count(&self, collection: &CollectionName, filter: Option<&Filter>) -> Result<u64, IndexError>;

    /// Searches one vector field.
    async fn search(&self, collection: &CollectionName, search: &FieldSearch) -> Result<FieldHits, IndexError>;

    /// Points an alias at a collection, in one step from the one that it pointed at before. [`IndexError::Conflict`] where
    /// a collection has the alias's name.
    async fn set_alias(&self, alias: &CollectionName, collection: &CollectionName) -> Result<(), IndexError> {
        let _ = collection;
        Err(aliases::none_here(alias))
    }

    /// Forgets an alias; one that is not there is no error.
    async fn drop_alias(&self, alias: &CollectionName) -> Result<(), IndexError> {
        let _ = alias;
        Ok(())
    }

    /// All aliases with the collections that they point at. An index that has none gives none.
    async fn aliases(&self) -> Result<BTreeMap<CollectionName, CollectionName>, IndexError> {
        Ok(BTreeMap::new())
    }

    /// Brings a collection into memory and waits until it is there. Nothing where collections are read from disk.
    async fn load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let _ = collection;
        Ok(())
    }

    /// Takes a collection out of memory until it is loaded, or read for the next time. Nothing where collections are read
    /// from disk.
    async fn release(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let _ = collection;
        Ok(())
    }

    /// Whether a collection is in memory.
    async fn is_loaded(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let _ = collection;
        Ok(true)
    }
}
