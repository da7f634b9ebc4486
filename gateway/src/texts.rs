//! Which collections are known to hold texts, so that a query of words alone need not ask each time.

use crate::error::GatewayError;
use sightline_core::CollectionName;
use sightline_core::filter::{Comparison, Field, Filter, Literal};
use sightline_index::{Projection, VectorIndex};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Collections in which a text was seen once.
#[derive(Debug, Default)]
pub(crate) struct KnownTexts(Mutex<HashSet<CollectionName>>);

impl KnownTexts {
    /// Whether a collection holds a row with a text.
    pub(crate) async fn any(&self, index: &dyn VectorIndex, collection: &CollectionName) -> Result<bool, GatewayError> {
        if self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(collection)
        {
            return Ok(true);
        }
        let has_text = Filter::Compare {
            field: Field::HasText,
            op: Comparison::Equal,
            value: Literal::Bool(true),
        };
        let some = index
            .scan(collection, Some(&has_text), None, 1, Projection::Metadata)
            .await?;
        if !some.is_empty() {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(collection.clone());
        }
        Ok(!some.is_empty())
    }
}
