//! What collections were when they were last searched, so that a search can begin while the index is asked whether
//! they still are, and need not ask at all when that was asked a moment ago: the question takes a call's time (0.5 ms where a
//! search takes 6.5: docs/benchmarks.md), and all of them go to Milvus's one root coordinator.

use sightline_core::{CollectionDescription, CollectionName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Names that are kept.
const MOST: usize = 256;

/// A description, and when it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) description: Arc<CollectionDescription>,
    asked: Instant,
}

/// The last descriptions. What an alias points at is not kept: a search of the collection that it pointed at before could
/// bring that into memory again.
#[derive(Debug)]
pub(crate) struct KnownCollections {
    known: Mutex<HashMap<CollectionName, Known>>,
    fresh: Duration,
}

impl KnownCollections {
    /// Takes collections for what they were for so long.
    pub(crate) fn new(fresh: Duration) -> Self {
        Self {
            known: Mutex::default(),
            fresh,
        }
    }

    pub(crate) fn get(&self, collection: &CollectionName) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(collection).cloned()
    }

    /// Whether what is known was asked for a moment ago.
    pub(crate) fn is_fresh(&self, known: &Known) -> bool {
        known.asked.elapsed() < self.fresh
    }

    /// Keeps what the index said when it was asked at that time.
    pub(crate) fn put(&self, description: &Arc<CollectionDescription>, asked: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&description.name) {
            known.clear();
        }
        let description = Arc::clone(description);
        known.insert(description.name.clone(), Known { description, asked });
    }

    pub(crate) fn forget(&self, collection: &CollectionName) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(collection);
    }
}
