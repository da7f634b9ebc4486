//! Batches for the model: filled across shards, each as large as its device takes, and halved where that one's memory is too
//! small. What nobody waits for any more is left out of them.

use super::batcher::BatchLimits;
use super::fail;
use super::fit::Fit;
use super::stages::{Stages, Waiting};
use super::turns::Turns;
use crate::journal::{JournalStage, Slot};
use crate::model::{Embedding, EmbeddingModel, ForwardError, Pixels};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// A vector and the microseconds that were spent on it; or why there is none.
pub(crate) type Embedded = Result<(Embedding, u64), ForwardError>;

/// One of the model's sides.
#[async_trait]
pub(crate) trait Side: Send + Sync + 'static {
    type Input: Clone + Send + Sync + 'static;

    async fn embed(&self, device: usize, batch: Vec<Self::Input>) -> Result<Vec<Embedding>, ForwardError>;
}

pub(crate) struct ImageSide(pub(crate) Arc<dyn EmbeddingModel>);
pub(crate) struct TextSide(pub(crate) Arc<dyn EmbeddingModel>);

#[async_trait]
impl Side for ImageSide {
    type Input = Pixels;

    async fn embed(&self, device: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_images(device, batch).await
    }
}

#[async_trait]
impl Side for TextSide {
    type Input = String;

    async fn embed(&self, device: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_texts(device, batch).await
    }
}

struct ForwardJob<I> {
    input: I,
    /// What the input holds of the budget, as long as it is here.
    _place: Option<OwnedSemaphorePermit>,
    urgent: bool,
    slot: Arc<Slot>,
    /// Until it is in a batch for the first time.
    waiting: Option<Waiting>,
    reply: oneshot::Sender<Embedded>,
}

impl<I> ForwardJob<I> {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// One side's batches.
#[derive(Debug)]
pub(crate) struct Forward<I> {
    jobs: mpsc::Sender<ForwardJob<I>>,
    stages: Arc<Stages>,
}

impl<I: Clone + Send + Sync + 'static> Forward<I> {
    /// Starts to fill batches, which take turns at the devices.
    pub(crate) fn start(
        side: impl Side<Input = I>,
        limits: BatchLimits,
        turns: &Arc<Turns>,
        stages: &Arc<Stages>,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(limits.items.max(1));
        tokio::spawn(fill(
            Arc::new(side),
            queue,
            limits,
            Arc::clone(turns),
            Arc::clone(stages),
        ));
        Self {
            jobs,
            stages: Arc::clone(stages),
        }
    }

    /// Computes one vector, in a batch with others; the input's place is given back when it is computed. None where the engine
    /// is ending.
    pub(crate) async fn embed(
        &self,
        input: I,
        place: Option<OwnedSemaphorePermit>,
        urgent: bool,
        slot: &Arc<Slot>,
    ) -> Option<Embedded> {
        let (reply, embedded) = oneshot::channel();
        let job = ForwardJob {
            input,
            _place: place,
            urgent,
            slot: Arc::clone(slot),
            waiting: Some(self.stages.wait(JournalStage::Forward)),
            reply,
        };
        self.jobs.send(job).await.ok()?;
        embedded.await.ok()
    }
}

/// Fills batches. One that is due goes as soon as a device can take it, and becomes fuller until then.
async fn fill<S: Side>(
    side: Arc<S>,
    mut queue: mpsc::Receiver<ForwardJob<S::Input>>,
    limits: BatchLimits,
    turns: Arc<Turns>,
    stages: Arc<Stages>,
) {
    // One for each device: what one lacks memory for, another may have room for.
    let fits: Vec<Arc<Fit>> = (0..turns.devices()).map(|_| Arc::new(Fit::new(limits.items))).collect();
    let mut batch = Vec::new();
    let mut deadline = None;
    let mut due = false;
    loop {
        let full = fits.iter().all(|fit| batch.len() >= fit.size());
        tokio::select! {
            biased;
            job = queue.recv(), if !full => {
                let Some(job) = job else { return };
                if !job.is_wanted() {
                    continue;
                }
                due |= job.urgent;
                deadline.get_or_insert(tokio::time::Instant::now() + limits.linger);
                batch.push(job);
            }
            turn = turns.take(), if full || due => {
                let Some(turn) = turn else { return };
                let Some(fit) = fits.get(turn.device()) else { return };
                // What this device does not take is the next one's.
                let rest = batch.split_off(fit.size().min(batch.len()));
                if rest.is_empty() {
                    (deadline, due) = (None, false);
                }
                let batch = std::mem::replace(&mut batch, rest);
                let (side, fit, stages) = (Arc::clone(&side), Arc::clone(fit), Arc::clone(&stages));
                tokio::spawn(async move {
                    compute(side.as_ref(), turn.device(), batch, &fit, &stages).await;
                    drop(turn);
                });
            }
            () = sleep_until(deadline), if !due => due = true,
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
async fn compute<S: Side>(side: &S, device: usize, batch: Vec<ForwardJob<S::Input>>, fit: &Fit, stages: &Stages) {
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        batch.retain(ForwardJob::is_wanted);
        if batch.is_empty() {
            continue;
        }
        let size = fit.size();
        if batch.len() > size {
            let rest = batch.split_off(size);
            waiting.push(rest);
        }
        for job in &mut batch {
            job.slot.enter(JournalStage::Forward);
            drop(job.waiting.take());
        }
        let stage = stages.enter(JournalStage::Forward, batch.len());
        stages.batch(batch.len());
        let inputs = batch.iter().map(|job| job.input.clone()).collect();
        let result = match fail::forward(batch.len()) {
            Ok(()) => side.embed(device, inputs).await,
            Err(error) => Err(error),
        };
        let result = result.and_then(|vectors| of_length(vectors, batch.len()));
        let (share_us, took) = (stage.share_us(), stage.elapsed());
        drop(stage);
        let error = match result {
            Ok(vectors) => {
                fit.worked(batch.len(), took);
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
                fit.too_large(batch.len());
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

#[cfg(test)]
mod tests;
