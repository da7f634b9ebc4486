//! Pages over the failed items of a run, in the order of shards and of items in them.

use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{ItemOutcome, Outcome, RunId, ShardId};
use sightline_state::{State, StateError};

/// Results that are read side by side, in their order: each has at least one failure.
const CONCURRENT_READS: usize = 16;

/// Where a page ends: the shard and how many of its items were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailuresCursor {
    shard: ShardId,
    items: usize,
}

impl FailuresCursor {
    /// The cursor as an opaque token.
    pub(crate) fn to_token(&self) -> String {
        format!("{}.{}", self.shard, self.items)
    }

    /// Reads a token; none where it is none of ours.
    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let (shard, items) = token.split_once('.')?;
        Some(Self {
            shard: ShardId::new(shard).ok()?,
            items: items.parse().ok()?,
        })
    }
}

/// At most `limit` failed items of a run's shards (those with failures, in the order of their ids) after a cursor, and
/// where to go on.
pub(crate) async fn page(
    state: &State,
    run: &RunId,
    shards: &[ShardId],
    cursor: Option<FailuresCursor>,
    limit: usize,
) -> Result<(Vec<ItemOutcome>, Option<FailuresCursor>), StateError> {
    let mut failures = Vec::with_capacity(limit);
    let (after, mut offset) = cursor.map_or((None, 0), |cursor| (Some(cursor.shard), cursor.items));
    let first = shards.partition_point(|shard| Some(shard) < after.as_ref());
    let mut results = stream::iter(shards.get(first..).unwrap_or_default().to_vec())
        .map(|shard| async move { Ok::<_, StateError>((state.result(run, &shard).await?, shard)) })
        .buffered(CONCURRENT_READS);
    while let Some((result, shard)) = results.try_next().await? {
        // The shard that the cursor names may be there no more.
        let skipped = if Some(&shard) == after.as_ref() {
            std::mem::take(&mut offset)
        } else {
            0
        };
        let items = result.map(|result| result.items).unwrap_or_default();
        for (at, item) in items.into_iter().enumerate().skip(skipped) {
            if matches!(item.outcome, Outcome::Failed { .. }) {
                if failures.len() == limit {
                    return Ok((failures, Some(FailuresCursor { shard, items: at })));
                }
                failures.push(item);
            }
        }
    }
    Ok((failures, None))
}
