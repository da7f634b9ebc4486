//! Shards of a run of which a worker said that they have a result: hints, by which the run is read sooner. What counts is
//! read from the objects.

use crate::progress::RunProgress;
use sightline_core::ShardId;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Shards that are kept of a run: more than most runs have outstanding. Of a run that nobody reads more may be told, and
/// one that misses more is read now and then as if nothing was told.
const MOST: usize = 256;

/// What was told of a run since it was last read.
#[derive(Debug, Default)]
pub(crate) struct Told {
    shards: Mutex<HashSet<ShardId>>,
    /// Wakes those who watch the run.
    pub(crate) all: Notify,
}

impl Told {
    fn shards(&self) -> MutexGuard<'_, HashSet<ShardId>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a shard.
    pub(crate) fn add(&self, shard: ShardId) {
        let mut shards = self.shards();
        if shards.len() < MOST {
            shards.insert(shard);
        }
    }

    /// Forgets what was told: the run is about to be read.
    pub(crate) fn clear(&self) {
        self.shards().clear();
    }

    /// Whether a run misses results, and all of them were told. Not each of them is a reason to read the run, or a large
    /// one would be read without end.
    pub(crate) fn is_all(&self, progress: &RunProgress) -> bool {
        progress.misses_only(&self.shards())
    }
}

#[cfg(test)]
mod tests;
