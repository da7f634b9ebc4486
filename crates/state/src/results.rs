use crate::{State, StateError};
use sightline_core::layout;
use sightline_core::{RunId, ShardId, ShardResult};
use sightline_objects::ListRequest;

/// Where one result of a shard lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResultKey {
    /// The shard.
    pub shard: ShardId,
    /// Its key below the state root.
    pub key: String,
}

impl State {
    /// Whether a shard is done.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn has_result(&self, run: &RunId, shard: &ShardId) -> Result<bool, StateError> {
        let request = ListRequest {
            limit: 1,
            ..ListRequest::all(layout::shard_results(run, shard))
        };
        Ok(!self.store.list(&request).await?.objects.is_empty())
    }

    /// Writes a result. `attempt` differs between any two writers.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_result(&self, result: &ShardResult, attempt: &str) -> Result<(), StateError> {
        self.write(&layout::shard_result(&result.run, &result.shard, attempt), result)
            .await
    }

    /// The result of a shard: where a late writer left two, the better outcome of each item.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn result(&self, run: &RunId, shard: &ShardId) -> Result<Option<ShardResult>, StateError> {
        Ok(self.counted_result(run, shard).await?.map(|(result, _)| result))
    }

    /// The result of a shard, and of how many it was made.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn counted_result(&self, run: &RunId, shard: &ShardId) -> Result<Option<(ShardResult, u32)>, StateError> {
        let mut request = ListRequest::all(layout::shard_results(run, shard));
        let mut merged: Option<(ShardResult, u32)> = None;
        loop {
            let page = self.store.list(&request).await?;
            for object in &page.objects {
                let Some(result) = self.read::<ShardResult>(&object.key).await? else {
                    continue;
                };
                merged = Some(match merged {
                    Some((before, results)) => (before.merge(&result), results + 1),
                    None => (result, 1),
                });
            }
            match page.next {
                Some(next) => request.start_after = Some(next),
                None => return Ok(merged),
            }
        }
    }

    /// Lists where a run's results lie, by shard, and from where to go on.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn list_results(
        &self,
        run: &RunId,
        after: Option<String>,
    ) -> Result<(Vec<ResultKey>, Option<String>), StateError> {
        let request = ListRequest {
            start_after: after,
            ..ListRequest::all(layout::results(run))
        };
        let page = self.store.list(&request).await?;
        let key = |key: String| {
            Some(ResultKey {
                shard: layout::shard_of_result(run, &key)?,
                key,
            })
        };
        Ok((
            page.objects.into_iter().filter_map(|object| key(object.key)).collect(),
            page.next,
        ))
    }
}
