//! What collections were when they were last searched, so that a search can begin while the index is asked whether
//! they still are. An answer counts only where they are: nothing is ever answered from what has changed.

use sightline_core::{CollectionDescription, CollectionName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are kept.
const MOST: usize = 256;

/// The last descriptions. What an alias points at is not kept: a search of the collection that it pointed at before could
/// bring that into memory again.
#[derive(Debug, Default)]
pub(crate) struct KnownCollections(Mutex<HashMap<CollectionName, Arc<CollectionDescription>>>);

impl KnownCollections {
    pub(crate) fn get(&self, collection: &CollectionName) -> Option<Arc<CollectionDescription>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(collection).map(Arc::clone)
    }

    pub(crate) fn put(&self, description: &Arc<CollectionDescription>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&description.name) {
            known.clear();
        }
        known.insert(description.name.clone(), Arc::clone(description));
    }

    pub(crate) fn forget(&self, collection: &CollectionName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(collection);
    }
}
