//! How many shards of a run may be outstanding: one rule for who plans, and for who asks why nobody does.

use crate::publish::shard_queue;
use crate::waiting::Waiting;
use sightline_core::RunDocument;
use sightline_queue::{JobQueue, QueueError};
use std::sync::Arc;
use tokio::time::Instant;

/// Outstanding shards that each worker may have, whatever the window: two in its hands, and two that wait.
const SHARDS_A_WORKER: u64 = 4;
/// The same where workers say how many they take into their hands: as many again wait.
const SHARDS_FOR_ONE_IN_HAND: u64 = 2;

/// What a run's window follows from, beside what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) waiting: Arc<Waiting>,
}

impl Window {
    /// Whether a run with so many shards outstanding has as many as it may: those that were asked for, or four for each
    /// worker that takes them, or twice what they take into their hands, whichever is most, so that no fleet waits for planning.
    ///
    /// # Errors
    /// When the queue does not say how many workers there are.
    pub(crate) async fn is_full(
        &self,
        document: &RunDocument,
        outstanding: u64,
        now: Instant,
    ) -> Result<bool, QueueError> {
        if outstanding < u64::from(document.spec.window_shards) {
            return Ok(false);
        }
        let queue = shard_queue(document);
        self.queue.declare(&queue).await?;
        let workers = self.queue.depth(&queue).await?.consumers;
        let model = document.spec.model.as_ref();
        let told = model
            .filter(|_| document.spec.kind.needs_model())
            .map_or(0, |model| self.waiting.shards_in_hand(model, now));
        let room = workers
            .saturating_mul(SHARDS_A_WORKER)
            .max(told.saturating_mul(SHARDS_FOR_ONE_IN_HAND));
        Ok(outstanding >= room)
    }
}
