//! Pages over the failed items of a run, in the order of shards and of items in them.

use sightline_core::{ItemOutcome, Outcome, RunId, ShardId, layout};
use sightline_state::{State, StateError};

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

/// At most `limit` failed items after a cursor, and where to go on.
pub(crate) async fn page(
    state: &State,
    run: &RunId,
    cursor: Option<FailuresCursor>,
    limit: usize,
) -> Result<(Vec<ItemOutcome>, Option<FailuresCursor>), StateError> {
    let mut failures = Vec::new();
    let (mut shard, mut offset) = match cursor {
        Some(cursor) => (Some(cursor.shard), cursor.items),
        None => (first_shard_after(state, run, None).await?, 0),
    };
    while let Some(current) = shard {
        let items = state
            .result(run, &current)
            .await?
            .map(|result| result.items)
            .unwrap_or_default();
        for (at, item) in items.into_iter().enumerate().skip(offset) {
            if matches!(item.outcome, Outcome::Failed { .. }) {
                if failures.len() == limit {
                    return Ok((
                        failures,
                        Some(FailuresCursor {
                            shard: current,
                            items: at,
                        }),
                    ));
                }
                failures.push(item);
            }
        }
        shard = first_shard_after(state, run, Some(&current)).await?;
        offset = 0;
    }
    Ok((failures, None))
}

async fn first_shard_after(state: &State, run: &RunId, after: Option<&ShardId>) -> Result<Option<ShardId>, StateError> {
    // '~' comes after every character of an attempt's name: the listing goes on behind all results of the shard.
    let mut start = after.map(|shard| format!("{}~", layout::shard_results(run, shard)));
    loop {
        let (keys, next) = state.list_results(run, start).await?;
        match (keys.into_iter().next(), next) {
            (Some(key), _) => return Ok(Some(key.shard)),
            (None, Some(next)) => start = Some(next),
            (None, None) => return Ok(None),
        }
    }
}
