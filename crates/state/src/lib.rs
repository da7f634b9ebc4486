//! The durable objects of runs, typed: what `docs/protocol.md` calls the state root.
//!
//! Promises: every document is read with its version checked and written whole; where several writers may leave
//! several objects, the rule that decides between them is applied here and nowhere else (the first stop, the smallest
//! plan node, the better outcome of an item). Leaves to others: when to write what (coordinator and worker).

mod error;
mod mirrors;
mod plans;
mod results;
mod rollups;
mod runs;
mod splits;

pub use error::StateError;
pub use results::ResultKey;
pub use runs::RunPage;

use bytes::Bytes;
use sightline_core::document::Document;
use sightline_objects::{ObjectError, ObjectStore};
use std::sync::Arc;

/// The state root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    store: Arc<dyn ObjectStore>,
}

impl State {
    /// The state that lies in a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    async fn read<T: Document>(&self, key: &str) -> Result<Option<T>, StateError> {
        let bytes = match self.store.get(key, None).await {
            Ok(bytes) => bytes,
            Err(ObjectError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        T::from_bytes(&bytes).map(Some).map_err(|source| StateError::Document {
            key: key.to_owned(),
            source,
        })
    }

    async fn write<T: Document>(&self, key: &str, document: &T) -> Result<(), StateError> {
        Ok(self.write_json(key, document.to_bytes()).await?)
    }

    async fn write_json(&self, key: &str, document: Vec<u8>) -> Result<(), ObjectError> {
        self.store.put_as(key, Bytes::from(document), "application/json").await
    }
}

#[cfg(test)]
mod tests;
