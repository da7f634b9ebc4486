use crate::{State, StateError};
use sightline_core::layout;
use sightline_core::{RunId, ShardId, ShardSplit};
use sightline_objects::ListRequest;
use std::collections::HashSet;

impl State {
    /// The parts of a shard, where it was split.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn split(&self, run: &RunId, shard: &ShardId) -> Result<Option<ShardSplit>, StateError> {
        self.read(&layout::shard_split(run, shard)).await
    }

    /// Writes the parts of a shard. Whoever splits it writes the same.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_split(&self, split: &ShardSplit) -> Result<(), StateError> {
        self.write(&layout::shard_split(&split.run, &split.shard), split).await
    }

    /// The shards of a run that were split.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn split_shards(&self, run: &RunId) -> Result<HashSet<ShardId>, StateError> {
        let mut request = ListRequest::all(layout::splits(run));
        let mut shards = HashSet::new();
        loop {
            let page = self.store.list(&request).await?;
            let named = page.objects.iter();
            shards.extend(named.filter_map(|object| layout::shard_of_split(run, &object.key)));
            match page.next {
                Some(next) => request.start_after = Some(next),
                None => return Ok(shards),
            }
        }
    }
}
