//! Batches for the model: filled across shards, halved where the device's memory is too small.

use super::batcher::{BatchLimits, Batcher};
use super::fail;
use super::stages::Stages;
use crate::journal::{JournalStage, Slot};
use crate::model::{Embedding, EmbeddingModel, ForwardError, Pixels};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Batches at once: one that is computed, one that is ready when it ends.
const BATCHES_AT_ONCE: usize = 2;

/// A vector and the microseconds that were spent on it; or why there is none.
pub(crate) type Embedded = Result<(Embedding, u64), ForwardError>;

/// One of the model's sides.
#[async_trait]
pub(crate) trait Side: Send + Sync + 'static {
    type Input: Clone + Send + Sync + 'static;

    async fn embed(&self, batch: Vec<Self::Input>) -> Result<Vec<Embedding>, ForwardError>;
}

pub(crate) struct ImageSide(pub(crate) Arc<dyn EmbeddingModel>);
pub(crate) struct TextSide(pub(crate) Arc<dyn EmbeddingModel>);

#[async_trait]
impl Side for ImageSide {
    type Input = Pixels;

    async fn embed(&self, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_images(batch).await
    }
}

#[async_trait]
impl Side for TextSide {
    type Input = String;

    async fn embed(&self, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_texts(batch).await
    }
}

struct ForwardJob<I> {
    input: I,
    urgent: bool,
    slot: Arc<Slot>,
    reply: oneshot::Sender<Embedded>,
}

/// One side's batches.
#[derive(Debug)]
pub(crate) struct Forward<I> {
    jobs: mpsc::Sender<ForwardJob<I>>,
}

impl<I: Clone + Send + Sync + 'static> Forward<I> {
    /// Starts to fill batches.
    pub(crate) fn start(side: impl Side<Input = I>, limits: BatchLimits, stages: &Arc<Stages>) -> Self {
        let (jobs, queue) = mpsc::channel(limits.items.max(1));
        tokio::spawn(fill(Arc::new(side), queue, limits, Arc::clone(stages)));
        Self { jobs }
    }

    /// Computes one vector, in a batch with others. None where the engine is ending.
    pub(crate) async fn embed(&self, input: I, urgent: bool, slot: &Arc<Slot>) -> Option<Embedded> {
        let (reply, embedded) = oneshot::channel();
        let job = ForwardJob {
            input,
            urgent,
            slot: Arc::clone(slot),
            reply,
        };
        self.jobs.send(job).await.ok()?;
        embedded.await.ok()
    }
}

async fn fill<S: Side>(
    side: Arc<S>,
    mut queue: mpsc::Receiver<ForwardJob<S::Input>>,
    limits: BatchLimits,
    stages: Arc<Stages>,
) {
    let permits = Arc::new(Semaphore::new(BATCHES_AT_ONCE));
    let fits = Arc::new(AtomicUsize::new(limits.items));
    let mut batcher = Batcher::new(limits);
    loop {
        let due = batcher.deadline();
        let ready = tokio::select! {
            biased;
            job = queue.recv() => {
                let Some(job) = job else { return };
                let urgent = job.urgent;
                batcher.push(job, 0, urgent, tokio::time::Instant::now())
            }
            () = sleep_until(due) => vec![batcher.take()],
        };
        for batch in ready {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let (side, fits, stages) = (Arc::clone(&side), Arc::clone(&fits), Arc::clone(&stages));
            tokio::spawn(async move {
                compute(side.as_ref(), batch, &fits, &stages).await;
                drop(permit);
            });
        }
    }
}

/// Sleeps until a deadline; for ever where there is none.
pub(crate) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Computes a batch; in halves where it is too large for the device or the model refuses it as a whole.
async fn compute<S: Side>(side: &S, batch: Vec<ForwardJob<S::Input>>, fits: &AtomicUsize, stages: &Stages) {
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        let size = fits.load(Ordering::Relaxed).max(1);
        if batch.len() > size {
            let rest = batch.split_off(size);
            waiting.push(rest);
        }
        for job in &batch {
            job.slot.enter(JournalStage::Forward);
        }
        let stage = stages.enter(JournalStage::Forward, batch.len());
        stages.batch(batch.len());
        let inputs = batch.iter().map(|job| job.input.clone()).collect();
        let result = match fail::forward(batch.len()) {
            Ok(()) => side.embed(inputs).await,
            Err(error) => Err(error),
        };
        let result = result.and_then(|vectors| of_length(vectors, batch.len()));
        let share_us = stage.share_us();
        drop(stage);
        let error = match result {
            Ok(vectors) => {
                for (job, vector) in batch.into_iter().zip(vectors) {
                    answer(job, Ok((vector, share_us)));
                }
                continue;
            }
            Err(error) => error,
        };
        if batch.len() > 1 && !matches!(error, ForwardError::Device(_)) {
            let half = batch.len() / 2;
            if let ForwardError::OutOfMemory(message) = &error {
                tracing::warn!(
                    batch = batch.len(),
                    message,
                    "the device's memory is too small: halving the batch"
                );
                fits.fetch_min(half, Ordering::Relaxed);
            }
            let rest = batch.split_off(half);
            waiting.push(rest);
            waiting.push(batch);
            continue;
        }
        for job in batch {
            answer(job, Err(error.clone()));
        }
    }
}

fn of_length(vectors: Vec<Embedding>, expected: usize) -> Result<Vec<Embedding>, ForwardError> {
    if vectors.len() == expected {
        return Ok(vectors);
    }
    Err(ForwardError::Refused(format!(
        "it gave {} vectors for {expected} inputs",
        vectors.len()
    )))
}

fn answer<I>(job: ForwardJob<I>, embedded: Embedded) {
    job.slot.enter(JournalStage::Queued);
    // A work that is over does not wait for its vectors.
    let _sent = job.reply.send(embedded);
}
