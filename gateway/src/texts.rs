//! Which collections are known to hold texts, so that a query of words alone need not ask each time.
//!
//! What was seen once may be gone: texts are deleted, and a collection is made anew under its name, here or through another
//! gateway. So what is kept only says what to try; the answer proves it by a hit that has a text, or it is asked anew.

use crate::effort::widest;
use crate::error::GatewayError;
use sightline_core::{CollectionDescription, CollectionName, VectorField};
use sightline_index::{FieldSearch, VectorIndex};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Collections that are kept.
const MOST: usize = 256;

/// Collections in which a text was seen, as they were described then.
#[derive(Debug, Default)]
pub(crate) struct KnownTexts(Mutex<HashMap<CollectionName, CollectionDescription>>);

impl KnownTexts {
    /// Whether a text was seen in this collection, while it was described so.
    pub(crate) fn were_seen(&self, description: &CollectionDescription) -> bool {
        self.known().get(&description.name) == Some(description)
    }

    /// Whether the collection holds a row with a text, as far as is known, or as the index says.
    pub(crate) async fn any(
        &self,
        index: &dyn VectorIndex,
        description: &CollectionDescription,
    ) -> Result<bool, GatewayError> {
        if self.were_seen(description) {
            return Ok(true);
        }
        self.ask(index, description).await
    }

    /// Whether the collection holds a row with a text, as the index says now. Asked by a search, which waits for nobody's
    /// writes.
    pub(crate) async fn ask(
        &self,
        index: &dyn VectorIndex,
        description: &CollectionDescription,
    ) -> Result<bool, GatewayError> {
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
        let some = !index.search(&description.name, &any).await?.hits.is_empty();
        let mut known = self.known();
        if !some {
            known.remove(&description.name);
        } else if known.get(&description.name) != Some(description) {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(description.name.clone(), description.clone());
        }
        Ok(some)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<CollectionName, CollectionDescription>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
