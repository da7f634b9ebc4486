//! Shards in the dead letters: no worker that took one lived to write its result. A shard's letter stays where it is
//! until the shard has a result, so that the letters are all that a coordinator has to remember of splits.
//!
//! Planning links too: coordinators died that held one, again and again. Who looks for lost links publishes it again, and
//! its letter stays until its run has ended.

use crate::metrics::CoordinatorMetrics;
use crate::now_and_then::now_and_then;
use crate::planner::{PlanError, describe};
use crate::publish::{publish_watch, shard_queue};
use crate::split::Splitter;
use crate::tracker::{Tracker, unless_unreadable};
use sightline_core::message::{Envelope, queues};
use sightline_core::{PlanMessage, RunId, ShardMessage};
use sightline_queue::{Message, dead_letters};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How often the dead letters are looked at.
const INTERVAL: Duration = Duration::from_secs(15);
/// Letters of one queue that are looked at at a time.
const MOST_LETTERS: u16 = 256;
/// A letter that does not come within this time was taken by another coordinator.
const LETTER_LIMIT: Duration = Duration::from_secs(2);

/// Looks through dead letters.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    pub(crate) splitter: Splitter,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) metrics: CoordinatorMetrics,
    /// The queue of each run's shards.
    pub(crate) queues: Mutex<HashMap<RunId, String>>,
}

impl DeadLetters {
    /// Looks through them now and then, until shutdown. What is in hand then goes back.
    pub(crate) async fn watch(&self, shutdown: &CancellationToken) {
        let failure = "the dead letters cannot be looked through";
        now_and_then(INTERVAL, failure, shutdown, || self.pass()).await;
    }

    /// Looks through all dead letters of shards and of planning once.
    ///
    /// # Errors
    /// When state or queue failed.
    pub(crate) async fn pass(&self) -> Result<(), PlanError> {
        for queue in self.shard_queues().await? {
            self.look_through(&queue).await?;
        }
        self.look_through(queues::PLAN).await
    }

    /// The queues that runs' shards go through.
    async fn shard_queues(&self) -> Result<BTreeSet<String>, PlanError> {
        let state = &self.splitter.state;
        let mut known = self.queues.lock().await;
        let mut after = None;
        loop {
            let page = state.list_runs(after).await?;
            for run in page.runs {
                if !known.contains_key(&run)
                    && let Some(document) = unless_unreadable(&run, state.run(&run).await)?
                {
                    known.insert(run, shard_queue(&document));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(known.values().cloned().collect()),
            }
        }
    }

    async fn look_through(&self, queue: &str) -> Result<(), PlanError> {
        let broker = &self.splitter.queue;
        broker.declare(queue).await?;
        let dead = dead_letters(queue);
        let ready = broker.depth(&dead).await?.ready;
        let most = u16::try_from(ready).unwrap_or(MOST_LETTERS).min(MOST_LETTERS);
        if most == 0 {
            return Ok(());
        }
        let mut consumer = broker.consume(&dead, most).await?;
        let mut letters = Vec::new();
        while letters.len() < usize::from(most)
            && let Ok(letter) = tokio::time::timeout(LETTER_LIMIT, consumer.next()).await
        {
            letters.push(letter?);
        }
        // A part that gets its result here may be the last that its whole waits for.
        loop {
            let before = letters.len();
            let mut open = Vec::new();
            for letter in letters {
                if self.is_settled(queue, &letter.message).await {
                    letter.receipt.ack().await?;
                } else {
                    open.push(letter);
                }
            }
            letters = open;
            if letters.is_empty() || letters.len() == before {
                break;
            }
        }
        for letter in letters {
            letter.receipt.reject().await?;
        }
        Ok(())
    }

    /// Whether a letter has nothing left to say. One that cannot be understood stays, for a person.
    async fn is_settled(&self, queue: &str, letter: &Message) -> bool {
        let settled = if queue == queues::PLAN {
            match PlanMessage::from_bytes(&letter.body) {
                Ok(message) => self.settle_link(&message).await,
                Err(error) => return stays(letter, error),
            }
        } else {
            match ShardMessage::from_bytes(&letter.body) {
                Ok(message) => self.settle_shard(&message).await,
                Err(error) => return stays(letter, error),
            }
        };
        match settled {
            Ok(settled) => {
                self.metrics.letter(if settled { "settled" } else { "open" });
                settled
            }
            Err(error) => {
                self.metrics.letter("stays");
                tracing::warn!(id = letter.id, error = describe(&error), "a dead letter stays");
                false
            }
        }
    }

    async fn settle_shard(&self, message: &ShardMessage) -> Result<bool, PlanError> {
        let (state, run) = (&self.splitter.state, &message.run);
        let Some(document) = state.run(run).await? else {
            return Ok(false);
        };
        if state.stop(run).await?.is_some() || state.has_result(run, &message.shard).await? {
            return Ok(true);
        }
        let traceparent = message.traceparent.as_deref();
        self.splitter.step(&document, &message.shard, traceparent).await
    }

    async fn settle_link(&self, message: &PlanMessage) -> Result<bool, PlanError> {
        let Some(snapshot) = self.tracker.snapshot(&message.run).await? else {
            return Ok(false);
        };
        // Nobody else would miss it. Where nothing is left to do at the run's end it is acked.
        if message.watch {
            let queue = self.splitter.queue.as_ref();
            publish_watch(queue, &snapshot.document, message.traceparent.as_deref()).await?;
        }
        Ok(message.watch || snapshot.state.is_final())
    }
}

fn stays(letter: &Message, error: impl std::fmt::Display) -> bool {
    tracing::debug!(%error, id = letter.id, "a dead letter is none of ours, and stays");
    false
}
