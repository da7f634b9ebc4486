//! Which collections are known to hold texts, so that a query of words alone need not ask each time.

use crate::effort::widest;
use crate::error::GatewayError;
use sightline_core::{CollectionDescription, CollectionName, VectorField};
use sightline_index::{FieldSearch, VectorIndex};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Collections in which a text was seen once.
#[derive(Debug, Default)]
pub(crate) struct KnownTexts(Mutex<HashSet<CollectionName>>);

impl KnownTexts {
    /// Whether a collection holds a row with a text. Asked by a search, which waits for nobody's writes.
    pub(crate) async fn any(
        &self,
        index: &dyn VectorIndex,
        description: &CollectionDescription,
    ) -> Result<bool, GatewayError> {
        let collection = &description.name;
        if self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(collection)
        {
            return Ok(true);
        }
        let Some(texts) = description.fields.get(&VectorField::Text) else {
            return Ok(false);
        };
        // Whatever is nearest to it.
        let mut vector = vec![0.0; texts.space.dimension as usize];
        vector.first_mut().into_iter().for_each(|value| *value = 1.0);
        let any = FieldSearch {
            field: VectorField::Text,
            vector,
            limit: 1,
            filter: None,
            effort: widest(description.index),
        };
        let some = !index.search(collection, &any).await?.hits.is_empty();
        if some {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(collection.clone());
        }
        Ok(some)
    }
}
