//! Rows become durable: in batches by rows and bytes, a few writes at once, fewer while the index throttles, never without the
//! lease. A batch with the last row of a work is due at once, and so is one whose work's last item turns out to bring none: what
//! waits for it is a shard, and with it the next one. It goes when the index has a place for it, and becomes fuller until then, so
//! that a slow index gets few large writes. Rows that an index cannot take for a while stay in hand, as long as there is patience and
//! their works go on; others wait behind them, and the pipeline becomes full.

use super::batcher::{BatchLimits, Batcher};
use super::forward::sleep_until;
use super::lease::Lease;
use super::pace::Pace;
use super::retry::RetryPolicy;
use super::stages::{Stages, Waiting};
use super::work::RowsToCome;
use crate::journal::{JournalStage, Slot};
use sightline_core::{CollectionName, Row, RowId};
use sightline_index::{IndexError, VectorIndex};
use sightline_service::fail_point;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// Why a row is not durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpsertError {
    /// The index refuses this very row.
    Refused(String),
    /// The index cannot be written now.
    Waiting(String),
}

/// Microseconds that were spent on the row; or why it is not durable.
pub(crate) type Upserted = Result<u64, UpsertError>;

/// How rows are written.
#[derive(Debug, Clone)]
pub(crate) struct UpsertOptions {
    pub(crate) limits: BatchLimits,
    pub(crate) writes: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) lease: Lease,
}

/// A row and who waits for it. Rows are never copied here: what writes them makes copies enough.
type Waited = (Row, UpsertJob);

#[derive(Debug)]
struct UpsertJob {
    collection: CollectionName,
    to_come: RowsToCome,
    slot: Arc<Slot>,
    span: Span,
    /// Until it is written for the first time.
    waiting: Option<Waiting>,
    reply: oneshot::Sender<Upserted>,
}

/// The way of rows into the index.
#[derive(Debug)]
pub(crate) struct Upserts {
    jobs: mpsc::Sender<Waited>,
    /// Collections whose rows wait for no more.
    flushes: mpsc::Sender<CollectionName>,
    stages: Arc<Stages>,
}

struct Writer {
    index: Arc<dyn VectorIndex>,
    pace: Pace,
    options: UpsertOptions,
    stages: Arc<Stages>,
}

impl Upserts {
    /// Starts to fill batches.
    pub(crate) fn start(index: Arc<dyn VectorIndex>, options: UpsertOptions, stages: &Arc<Stages>) -> Self {
        stages.set_places(JournalStage::Upsert, options.writes);
        let (jobs, queue) = mpsc::channel(options.limits.items.max(1));
        let (flushes, asked) = mpsc::channel(options.limits.items.max(1));
        tokio::spawn(fill(
            Arc::new(Writer {
                index,
                pace: Pace::new(options.writes),
                options,
                stages: Arc::clone(stages),
            }),
            queue,
            asked,
        ));
        Self {
            jobs,
            flushes,
            stages: Arc::clone(stages),
        }
    }

    /// Writes one row, in a batch with others. None where the engine is ending.
    pub(crate) async fn write(
        &self,
        collection: &CollectionName,
        row: Row,
        to_come: RowsToCome,
        slot: &Arc<Slot>,
    ) -> Option<Upserted> {
        let (reply, upserted) = oneshot::channel();
        let job = UpsertJob {
            collection: collection.clone(),
            to_come,
            slot: Arc::clone(slot),
            span: Span::current(),
            waiting: Some(self.stages.wait(JournalStage::Upsert)),
            reply,
        };
        self.jobs.send((row, job)).await.ok()?;
        upserted.await.ok()
    }

    /// Writes a collection's rows that have come, without waiting for more.
    pub(crate) async fn flush(&self, collection: &CollectionName) {
        // Where nobody listens the engine is ending.
        let _asked = self.flushes.send(collection.clone()).await;
    }
}

async fn fill(writer: Arc<Writer>, mut queue: mpsc::Receiver<Waited>, mut flushes: mpsc::Receiver<CollectionName>) {
    let places = Arc::new(Semaphore::new(writer.options.writes));
    let mut rows: Batcher<CollectionName, Waited> = Batcher::new(writer.options.limits);
    loop {
        tokio::select! {
            biased;
            // First, or rows of one collection that keep coming would let another's wait.
            () = sleep_until(rows.deadline()) => rows.advance(Instant::now()),
            Some(collection) = flushes.recv() => rows.complete(&collection),
            // Before a place is taken, so that what goes is as full as it can be.
            job = queue.recv(), if !rows.is_full() => {
                let Some((row, job)) = job else { return };
                // Counted here, behind all that came before it.
                let (bytes, last) = (row_bytes(&row), job.to_come.one_less());
                let collection = job.collection.clone();
                rows.push(&collection, (row, job), bytes, last, Instant::now());
            }
            place = Arc::clone(&places).acquire_owned(), if rows.is_due() => {
                let (Ok(place), Some(batch)) = (place, rows.take()) else { return };
                let writer = Arc::clone(&writer);
                tokio::spawn(async move {
                    writer.write(batch).await;
                    drop(place);
                });
            }
        }
    }
}

impl Writer {
    /// Writes a batch of one collection; where the index refuses it, its halves, down to the rows that it refuses.
    async fn write(&self, batch: Vec<Waited>) {
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            // Works may have been given up while the lease was out: then nobody wants their rows any more.
            self.options.lease.clone().held().await;
            batch.retain(|(_, job)| !job.reply.is_closed());
            if let Some(later) = repeated(&mut batch) {
                waiting.push(later);
            }
            let Some((_, first)) = batch.first() else { continue };
            let collection = first.collection.clone();
            let span = tracing::info_span!(parent: &first.span, "upsert", %collection, rows = batch.len());
            for (_, job) in &mut batch {
                job.slot.enter(JournalStage::Upsert);
                drop(job.waiting.take());
            }
            let stage = self.stages.enter(JournalStage::Upsert, batch.len());
            let (rows, mut jobs): (Vec<Row>, Vec<UpsertJob>) = batch.into_iter().unzip();
            let call = || self.upsert(&collection, &rows);
            // What a call holds (its place, its share of the pace) is given back where it is dropped.
            let result = tokio::select! {
                biased;
                result = self.options.retry.run(IndexError::is_retryable, call).instrument(span) => result,
                () = nobody_waits(&mut jobs) => continue,
            };
            let share_us = stage.share_us();
            drop(stage);
            match result {
                Ok(()) => answer(jobs, &Ok(share_us)),
                Err(IndexError::Refused { .. }) if jobs.len() > 1 => {
                    let mut batch: Vec<Waited> = rows.into_iter().zip(jobs).collect();
                    let rest = batch.split_off(batch.len() / 2);
                    waiting.push(rest);
                    waiting.push(batch);
                }
                Err(error @ IndexError::Refused { .. }) => answer(jobs, &Err(UpsertError::Refused(error.to_string()))),
                Err(error) => answer(jobs, &Err(UpsertError::Waiting(error.to_string()))),
            }
        }
    }

    async fn upsert(&self, collection: &CollectionName, rows: &[Row]) -> Result<(), IndexError> {
        let under_way = self.pace.enter().await;
        self.options.lease.clone().held().await;
        fail_point::die("engine-before-upsert");
        let written = self.index.upsert(collection, rows).await;
        match &written {
            Err(error) if error.is_retryable() => under_way.pushed_back(),
            _ => under_way.took(),
        }
        written?;
        fail_point::die("engine-after-upsert");
        Ok(())
    }
}

/// Ends when the works of all these rows are over.
async fn nobody_waits(jobs: &mut [UpsertJob]) {
    for job in jobs {
        job.reply.closed().await;
    }
}

/// Leaves in a batch the rows before the first whose id is in it already; gives back those from there on, which are written
/// after them: not every server minds two rows of one id in a write.
fn repeated(batch: &mut Vec<Waited>) -> Option<Vec<Waited>> {
    let at = {
        let mut ids: HashSet<&RowId> = HashSet::with_capacity(batch.len());
        batch.iter().position(|(row, _)| !ids.insert(&row.id))
    };
    at.map(|at| batch.split_off(at))
}

fn answer(jobs: Vec<UpsertJob>, upserted: &Upserted) {
    for job in jobs {
        job.slot.enter(JournalStage::Queued);
        // A work that is over does not wait for its rows.
        let _sent = job.reply.send(upserted.clone());
    }
}

/// About how many bytes a row takes on the wire.
fn row_bytes(row: &Row) -> u64 {
    const FIXED: usize = 1024;
    let vectors = [&row.image_embedding, &row.text_embedding]
        .into_iter()
        .flatten()
        .map(|vector| vector.len() * 4);
    let labels = row.labels.iter().map(String::len);
    // A box is about eighty bytes of JSON beside its label; attributes are limited, and mostly short.
    let boxes = row.boxes.iter().map(|found| found.label.len() + 80);
    let attributes = row
        .attributes
        .iter()
        .map(|(name, value)| name.len() + value.as_str().map_or(32, str::len));
    let texts = row.report_text.len() + row.key.len() + row.image_path.len() + row.uid.len() + row.image_id.len();
    (FIXED + texts + vectors.chain(labels).chain(boxes).chain(attributes).sum::<usize>()) as u64
}

#[cfg(test)]
mod tests;
