//! A lane: inputs of one kind from many calls become batches, one batch after the other.

use crate::encoder::Encoded;
use crate::error::EncodeError;
use crate::metrics::EncodingMetrics;
use crate::waiting::{Entry, Waiting};
use futures::future::BoxFuture;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Computes one batch: an answer for each input, in order.
pub(crate) type Forward<I> = Arc<dyn Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<Encoded>, EncodeError>> + Send + Sync>;

/// How a lane makes batches.
#[derive(Debug, Clone)]
pub(crate) struct LaneOptions<I> {
    /// `image` or `text`.
    pub(crate) kind: &'static str,
    pub(crate) max_batch: usize,
    pub(crate) max_wait: Duration,
    /// What inputs of a batch are ordered by: those of about the same length waste little padding beside each other.
    pub(crate) length: fn(&I) -> usize,
}

/// A lane. Dropping it ends the batch at hand for nobody.
pub(crate) struct Lane<I> {
    queue: Arc<Queue<I>>,
    _driver: AbortOnDropHandle<()>,
}

struct Queue<I> {
    waiting: Mutex<Waiting<I>>,
    changed: Notify,
}

impl<I> Queue<I> {
    fn with<T>(&self, act: impl FnOnce(&mut Waiting<I>) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<I> Debug for Lane<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

/// The answer that an input waits for.
pub(crate) type Answer = oneshot::Receiver<Result<Encoded, EncodeError>>;

impl<I: Clone + Send + 'static> Lane<I> {
    pub(crate) fn start(options: LaneOptions<I>, metrics: EncodingMetrics, forward: Forward<I>) -> Self {
        let queue = Arc::new(Queue {
            waiting: Mutex::new(Waiting::default()),
            changed: Notify::new(),
        });
        let driver = tokio::spawn(drive(Arc::clone(&queue), options, metrics, forward));
        Self {
            queue,
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// Adds an input of a call; its answer comes when its batch is computed. Dropping the answer takes it back.
    pub(crate) fn submit(&self, call: u64, input: I, places: Vec<OwnedSemaphorePermit>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input,
            reply,
            since: Instant::now(),
            places,
        };
        self.queue.with(|waiting| waiting.push(call, entry));
        self.queue.changed.notify_one();
        answer
    }
}

/// For ever: gathers a batch, computes it, answers.
async fn drive<I: Clone + Send + 'static>(
    queue: Arc<Queue<I>>,
    options: LaneOptions<I>,
    metrics: EncodingMetrics,
    forward: Forward<I>,
) {
    loop {
        gather(&queue, &options).await;
        let (mut batch, abandoned) = queue.with(|waiting| waiting.take(options.max_batch));
        metrics.abandoned(abandoned);
        if batch.is_empty() {
            continue;
        }
        metrics.batch(options.kind, batch.iter().map(|entry| entry.since.elapsed()));
        batch.sort_by_key(|entry| (options.length)(&entry.input));
        compute(&forward, batch).await;
    }
}

/// Returns when there is a whole batch, or the oldest input has waited long enough.
async fn gather<I>(queue: &Queue<I>, options: &LaneOptions<I>) {
    loop {
        let (inputs, oldest) = queue.with(|waiting| (waiting.len(), waiting.oldest()));
        let Some(oldest) = oldest else {
            queue.changed.notified().await;
            continue;
        };
        let until = oldest + options.max_wait;
        if inputs >= options.max_batch || until <= Instant::now() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            () = queue.changed.notified() => {}
        }
    }
}

/// Computes a batch and answers. A batch that fails is tried again in halves, down to single inputs: its size may be too
/// much for the device, and one input's failure is no other's.
async fn compute<I: Clone>(forward: &Forward<I>, batch: Vec<Entry<I>>) {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        part.retain(|entry| !entry.reply.is_closed());
        if part.is_empty() {
            continue;
        }
        let inputs = part.iter().map(|entry| entry.input.clone()).collect();
        match forward(inputs).await {
            Ok(vectors) if vectors.len() == part.len() => {
                for (entry, vector) in part.into_iter().zip(vectors) {
                    tell(entry, Ok(vector));
                }
            }
            Ok(vectors) => {
                let message = format!("it gave {} vectors for {} inputs", vectors.len(), part.len());
                fail(part, &EncodeError::Model(message));
            }
            Err(error) if part.len() > 1 && !error.is_retryable() => {
                tracing::warn!(%error, inputs = part.len(), "a batch failed and is tried again in halves");
                let rest = part.split_off(part.len() / 2);
                parts.push(rest);
                parts.push(part);
            }
            Err(error) => fail(part, &error),
        }
    }
}

fn fail<I>(part: Vec<Entry<I>>, error: &EncodeError) {
    for entry in part {
        tell(entry, Err(error.clone()));
    }
}

fn tell<I>(entry: Entry<I>, answer: Result<Encoded, EncodeError>) {
    let Entry { reply, places, .. } = entry;
    if reply.send(answer).is_err() {
        tracing::debug!("whoever gave this input is gone");
    }
    drop(places);
}
