//! Which items have a row already.

use super::pipeline::Pipeline;
use super::retry::RetryPolicy;
use super::work::Work;
use crate::ipc::{Interruption, WorkItem};
use sightline_core::{CollectionName, Outcome, Row, RowId};
use sightline_index::{IndexError, Projection, VectorIndex};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Rows that are asked for at once.
pub(crate) const LOOKUP_ROWS: usize = 256;

/// What is known of an item's older row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There is none.
    None,
    /// There is one of another source: it stays where the item fails.
    Older,
    /// The row is what the item would become.
    Settled(Outcome),
}

/// An item with its key in the index, the digest that it will have, and its older row.
#[derive(Debug)]
pub(crate) struct LookedUp {
    pub(crate) item: WorkItem,
    pub(crate) digest: String,
    pub(crate) existing: Existing,
}

/// Asks the index for rows, a bounded number of times at once: shards in hand are looked up side by side, each in as many parts
/// as the pipeline has places for, and every answer is [`LOOKUP_ROWS`] rows with their texts.
#[derive(Debug)]
pub(crate) struct Lookups {
    index: Arc<dyn VectorIndex>,
    retry: RetryPolicy,
    turns: Semaphore,
}

impl Lookups {
    pub(crate) fn new(index: Arc<dyn VectorIndex>, retry: RetryPolicy, at_once: usize) -> Self {
        Self {
            index,
            retry,
            turns: Semaphore::new(at_once.max(1)),
        }
    }

    async fn rows(&self, collection: &CollectionName, ids: &[RowId]) -> Result<Vec<Row>, IndexError> {
        let call = || self.ask(collection, ids);
        self.retry.run(IndexError::is_retryable, call).await
    }

    async fn ask(&self, collection: &CollectionName, ids: &[RowId]) -> Result<Vec<Row>, IndexError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await;
        self.index.get(collection, ids, Projection::Metadata).await
    }
}

/// Looks up at most [`LOOKUP_ROWS`] items.
pub(crate) async fn look_up(
    pipeline: &Pipeline,
    work: &Work,
    items: Vec<WorkItem>,
) -> Result<Vec<LookedUp>, Interruption> {
    let ids: Vec<RowId> = items
        .iter()
        .map(|item| RowId::of_item(&work.job.dataset, &item.item.key))
        .collect();
    let rows = pipeline.lookups.rows(&work.job.collection, &ids).await;
    let rows = rows.map_err(|error| Interruption::Waiting(error.to_string()))?;
    let rows: HashMap<RowId, Row> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    let looked_up = items.into_iter().zip(ids).map(|(item, id)| {
        let digest = item.item.source_digest(&work.preprocessing);
        let existing = rows.get(&id).map_or(Existing::None, |row| compare(row, &digest, work));
        LookedUp { item, digest, existing }
    });
    Ok(looked_up.collect())
}

fn compare(row: &Row, digest: &str, work: &Work) -> Existing {
    if row.source_digest != digest {
        Existing::Older
    } else if row.run_id == work.job.run {
        // A worker wrote it and died before the shard's result.
        Existing::Settled(Outcome::Indexed {
            digest: digest.to_owned(),
        })
    } else {
        Existing::Settled(Outcome::Unchanged {
            digest: digest.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::around::Chance;
    use super::*;
    use crate::config::PipelineConfig;
    use crate::test_index::{Answering, Answers};
    use async_trait::async_trait;
    use futures::FutureExt;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts who asks: tells the first ones to come again, and the others nothing.
    #[derive(Debug)]
    struct Silent {
        asked: AtomicUsize,
        throttled: usize,
    }

    #[async_trait]
    impl Answers for Silent {
        async fn get(&self, _: &CollectionName, _: &[RowId]) -> Result<Vec<Row>, IndexError> {
            if self.asked.fetch_add(1, Ordering::Relaxed) < self.throttled {
                return Err(IndexError::Unavailable {
                    action: "get",
                    message: "it is throttled".into(),
                });
            }
            std::future::pending().await
        }
    }

    /// How many of nine lookups come to ask the index, three at once.
    fn asked(throttled: usize) -> usize {
        let asked = AtomicUsize::new(0);
        let index = Arc::new(Answering(Silent { asked, throttled }));
        let shared: Arc<dyn VectorIndex> = Arc::<Answering<Silent>>::clone(&index);
        let retry = RetryPolicy::new(&PipelineConfig::default(), Chance::new(1));
        let lookups = Lookups::new(shared, retry, 3);
        let collection = CollectionName::new("c").unwrap();
        let asking = (0..9).map(|_| lookups.rows(&collection, &[]));
        assert!(join_all(asking).now_or_never().is_none());
        index.0.asked.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_lookups_are_under_way_at_once_and_the_others_wait() {
        assert_eq!(asked(0), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_waits_to_be_tried_again_keeps_no_other_waiting() {
        assert_eq!(asked(5), 5 + 3);
    }
}
