//! One shard, from its message to its ack.

use super::circuit::Circuit;
use super::collection::Mismatch;
use super::host::{EngineHandle, LoadedModel};
use super::imports::fields_of_import;
use super::queues::Taken;
use super::runs::{Obstacle, Runs};
use super::stale;
use super::status::Status;
use super::tally::Tally;
use super::work::WorkEnd;
use crate::ipc::{Imported, Interruption, Job};
use bytes::Bytes;
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::message::{Envelope, queues};
use sightline_core::{
    DoneReport, ItemKey, JobKind, Manifest, MessageError, Outcome, RowId, RunDocument, ShardMessage, StopReason,
    Timestamp, VectorField,
};
use sightline_index::{IndexError, Projection};
use sightline_queue::{Delivery, JobQueue, Message, QueueError};
use sightline_service::fail_point;
use sightline_telemetry::{ProcessedMessage, TraceparentExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How long a message waits that this version cannot take: a newer worker will.
const UNKNOWN_DELAY: Duration = Duration::from_secs(60);
/// Longest delay of a shard that is handed back.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// What becomes of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing is left to do.
    Ack,
    /// A fresh copy after a delay. With it, what is away; that also pauses this worker.
    Back { delay: Duration, away: Option<String> },
    /// A fresh copy after a delay, for what is wrong with this shard alone.
    Later(Duration),
    /// A fresh copy into another queue.
    Reroute(String),
    /// To the dead letters.
    Reject(String),
    /// None: the broker has taken the delivery back already.
    Drop,
}

impl Answer {
    /// What kept the shard from being worked on; nothing did where another worker is to take it.
    fn error(&self) -> Option<&'static str> {
        match self {
            Self::Ack | Self::Reroute(_) | Self::Back { away: None, .. } => None,
            Self::Back { away: Some(_), .. } => Some("unavailable"),
            Self::Later(_) => Some("unreadable"),
            Self::Reject(_) => Some("unusable"),
            Self::Drop => Some("lease_lost"),
        }
    }
}

/// Which fields a shard's items fill, and whether they bring the vectors.
#[derive(Debug, Default)]
struct Filled {
    fields: Vec<VectorField>,
    imported: Option<Imported>,
}

/// Works on shards.
#[derive(Debug)]
pub(crate) struct Shards {
    pub(crate) runs: Runs,
    pub(crate) engine: EngineHandle,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) model: LoadedModel,
    pub(crate) status: Arc<Status>,
    pub(crate) circuit: Circuit,
    /// Cancelled when what is in hand has to be handed back.
    pub(crate) hand_back: CancellationToken,
    /// Held shared by shards, and alone by one that was redelivered often.
    pub(crate) turn: RwLock<()>,
}

impl Shards {
    /// Works on a delivery and answers it.
    pub(crate) async fn handle(&self, taken: Taken) {
        let Taken { queue, delivery } = taken;
        let message = match ShardMessage::from_bytes(&delivery.message.body) {
            Ok(message) => message,
            Err(error) => return self.refuse(&queue, delivery, &error).await,
        };
        let span = tracing::info_span!(
            "shard",
            otel.kind = "consumer",
            run = %message.run,
            shard = %message.shard,
            attempt = message.attempt,
            redeliveries = delivery.redeliveries
        );
        if let Some(traceparent) = delivery.message.traceparent.as_ref().or(message.traceparent.as_ref()) {
            span.set_parent_from(traceparent);
        }
        let processed = ProcessedMessage {
            system: self.queue.system(),
            queue: &queue,
            id: &delivery.message.id,
            bytes: delivery.message.body.len(),
        };
        processed.describe(&span);
        let traceparent = span.traceparent();
        let mut processing = self.status.processing(self.queue.system(), &queue);
        async {
            let alone = delivery.redeliveries > 1;
            let answer = tokio::select! {
                biased;
                answer = self.work_in_turn(&message, alone, traceparent) => answer,
                () = self.hand_back.cancelled() => Answer::Back { delay: Duration::ZERO, away: None },
            };
            processing.ended(answer.error());
            self.answer(&queue, delivery, message, answer).await;
        }
        .instrument(span)
        .await;
    }

    /// A message that is not understood here: a newer worker's, or nobody's.
    async fn refuse(&self, queue: &str, delivery: Delivery, error: &MessageError) {
        tracing::warn!(%error, message = delivery.message.id, "a message cannot be taken");
        let answered = if error.hand_back() {
            match self.queue.publish_after(queue, delivery.message, UNKNOWN_DELAY).await {
                Ok(()) => delivery.receipt.ack().await,
                Err(error) => Err(error),
            }
        } else {
            delivery.receipt.reject().await
        };
        log_unanswered(answered);
    }

    /// Hands a delivery back at once, as it came.
    pub(crate) async fn return_unopened(&self, taken: Taken) {
        let Taken { queue, delivery } = taken;
        let answered = match self.queue.publish(&queue, delivery.message).await {
            Ok(()) => delivery.receipt.ack().await,
            Err(error) => Err(error),
        };
        log_unanswered(answered);
    }

    async fn answer(&self, queue: &str, delivery: Delivery, message: ShardMessage, answer: Answer) {
        let copy = || Message {
            body: Bytes::from(
                ShardMessage {
                    attempt: message.attempt.saturating_add(1),
                    ..message.clone()
                }
                .to_bytes(),
            ),
            ..delivery.message.clone()
        };
        let published = match &answer {
            Answer::Ack => Ok(()),
            Answer::Back { delay, away } => {
                if let Some(what) = away {
                    tracing::warn!(what, ?delay, "the shard is handed back: something is away");
                    self.circuit.away(what.clone());
                } else {
                    tracing::info!("the shard is handed back");
                }
                self.queue.publish_after(queue, copy(), *delay).await
            }
            Answer::Later(delay) => self.queue.publish_after(queue, copy(), *delay).await,
            Answer::Reroute(queue) => match self.queue.declare(queue).await {
                Ok(()) => self.queue.publish(queue, copy()).await,
                Err(error) => Err(error),
            },
            Answer::Reject(why) => {
                tracing::error!(why, "the shard goes to the dead letters");
                return log_unanswered(delivery.receipt.reject().await);
            }
            Answer::Drop => return,
        };
        log_unanswered(match published {
            Ok(()) => delivery.receipt.ack().await,
            Err(error) => Err(error),
        });
    }

    async fn work_in_turn(&self, message: &ShardMessage, alone: bool, traceparent: Option<String>) -> Answer {
        let (_shared, _alone);
        if alone {
            _alone = self.turn.write().await;
        } else {
            _shared = self.turn.read().await;
        }
        match self.work(message, traceparent).await {
            Ok(answer) => answer,
            Err(Obstacle::Stopped) => Answer::Ack,
            Err(Obstacle::Away(what)) => Answer::Back {
                delay: delay_of(message.attempt),
                away: Some(what),
            },
            // Not by way of the circuit: the other shards can be worked on.
            Err(Obstacle::Unreadable(what)) => {
                let delay = delay_of(message.attempt);
                tracing::warn!(
                    what,
                    ?delay,
                    "the shard is handed back: one of its objects cannot be read"
                );
                Answer::Later(delay)
            }
            Err(Obstacle::Newer(what)) => {
                tracing::warn!(what, "a newer worker must take the shard");
                Answer::Back {
                    delay: UNKNOWN_DELAY,
                    away: None,
                }
            }
            Err(Obstacle::Unusable(why)) => Answer::Reject(why),
        }
    }

    async fn work(&self, message: &ShardMessage, traceparent: Option<String>) -> Result<Answer, Obstacle> {
        let (run, shard) = (&message.run, &message.shard);
        if self.runs.is_stopped(run).await? || self.runs.state.has_result(run, shard).await? {
            return Ok(Answer::Ack);
        }
        if !matches!(message.kind, JobKind::Embed | JobKind::Import) {
            return Err(Obstacle::Newer(format!(
                "this worker does not know jobs of kind {}",
                message.kind.as_str()
            )));
        }
        let document = self.runs.document(run).await?;
        if let Some(model) = document.spec.model.as_ref()
            && message.kind.needs_model()
            && *model != self.model.name
        {
            return Ok(Answer::Reroute(queues::shards(model)));
        }
        let mut manifest = self.runs.state.manifest(run, shard).await?;
        let filled = match message.kind {
            JobKind::Import => self.imported(&document, &manifest).await?,
            _ => Filled {
                fields: self.runs.prove(&document, &self.model).await?,
                imported: None,
            },
        };
        let started_at = self.runs.clock.now();
        let tally = Tally::new(&manifest);
        let end = self
            .embed(&document, message, &mut manifest, &tally, filled, traceparent)
            .await?;
        match end {
            WorkEnd::Done { mut outcomes, stage_us } => {
                self.note_stale(&document, &manifest, &mut outcomes).await?;
                let times = (started_at, self.runs.clock.now());
                let result = tally.result(message, &manifest, outcomes, &stage_us, &self.status.worker, times);
                // A worker may hold a shard twice, after a resume say: neither result may take the place of the other, which
                // others may have counted already.
                let digest = sha256_hex(&result.to_bytes());
                let attempt = format!("{:04}-{}-{:.8}", message.attempt, self.status.worker, digest);
                fail_point::die("worker-before-result");
                self.runs.state.put_result(&result, &attempt).await?;
                fail_point::die("worker-before-ack");
                for item in &result.items {
                    self.status.ended(&item.outcome);
                }
                self.circuit.well();
                self.announce(message).await;
                tracing::info!(counts = ?result.counts, "the shard is done");
                Ok(Answer::Ack)
            }
            WorkEnd::Interrupted(Interruption::Waiting(what)) => {
                self.runs.doubt(run);
                Err(Obstacle::Away(what))
            }
            WorkEnd::Interrupted(Interruption::Unreadable(what)) => Err(Obstacle::Unreadable(what)),
            WorkEnd::Interrupted(Interruption::DatasetUnreadable(message)) => {
                let reason = StopReason::DatasetUnreadable;
                Err(self.runs.stop(&document, Mismatch { reason, message }).await)
            }
            WorkEnd::Interrupted(Interruption::PreviewsUnwritable(message)) => {
                let reason = StopReason::PreviewsUnwritable;
                Err(self.runs.stop(&document, Mismatch { reason, message }).await)
            }
            WorkEnd::LeaseLost => Ok(Answer::Drop),
        }
    }

    /// What an import fills. Nothing is proven for a shard that has nothing to load.
    async fn imported(&self, document: &RunDocument, manifest: &Manifest) -> Result<Filled, Obstacle> {
        let Some(fields) = fields_of_import(document, manifest) else {
            return Ok(Filled::default());
        };
        let imported = self.runs.prove_import(document, &fields).await?;
        Ok(Filled {
            fields: fields.into_keys().collect(),
            imported: Some(imported),
        })
    }

    /// Gives the items to the engine. A run that is stopped meanwhile lets this shard end: its rows are counted then.
    async fn embed(
        &self,
        document: &RunDocument,
        message: &ShardMessage,
        manifest: &mut Manifest,
        tally: &Tally,
        filled: Filled,
        traceparent: Option<String>,
    ) -> Result<WorkEnd, Obstacle> {
        let job = Job {
            run: message.run.clone(),
            shard: message.shard.clone(),
            attempt: message.attempt,
            dataset: document.spec.dataset.name.clone(),
            root: document.spec.dataset.root.clone(),
            collection: document.spec.collection.clone(),
            fields: filled.fields,
            dicom: document.spec.dataset.dicom(),
            previews: document.spec.previews.clone(),
            reading: document.spec.reading(),
            imported: filled.imported,
            traceparent,
        };
        let progress = Arc::new(AtomicU64::new(tally.ended()));
        let entries = manifest.entries.len() as u64;
        let in_hand = self.status.take(
            message.run.clone(),
            message.shard.clone(),
            entries,
            Arc::clone(&progress),
        );
        let end = self.engine.work(job, tally.take_items(manifest), progress).await;
        drop(in_hand);
        Ok(end)
    }

    /// Items that were condemned, or failed in planning, never came to be looked up: says which have an older row.
    async fn note_stale(
        &self,
        document: &RunDocument,
        manifest: &Manifest,
        outcomes: &mut std::collections::BTreeMap<u32, Outcome>,
    ) -> Result<(), Obstacle> {
        let failed = stale::unlooked(manifest, outcomes);
        if failed.is_empty() {
            return Ok(());
        }
        let id = |key: &ItemKey| RowId::of_item(&document.spec.dataset.name, key);
        let ids: Vec<RowId> = failed.iter().map(|(_, key, _)| id(key)).collect();
        let rows = self
            .runs
            .index
            .get(&document.spec.collection, &ids, Projection::Metadata)
            .await;
        let rows = match rows {
            // Where nothing was ever to be written, nobody made it.
            Err(IndexError::NoCollection(_)) => return Ok(()),
            rows => rows.map_err(|error| Obstacle::Away(error.to_string()))?,
        };
        let older = rows.into_iter().filter(|row| row.run_id != document.run);
        let older: HashSet<RowId> = older.map(|row| row.id).collect();
        for (index, key, mut outcome) in failed {
            if let Outcome::Failed { stale, .. } = &mut outcome
                && older.contains(&id(&key))
            {
                *stale = true;
                outcomes.insert(index, outcome);
            }
        }
        Ok(())
    }

    async fn announce(&self, message: &ShardMessage) {
        let report = DoneReport {
            run: message.run.clone(),
            shard: message.shard.clone(),
        };
        // Strings only: serialising cannot fail. And it is a hint: the result is the fact.
        let body = Bytes::from(serde_json::to_vec(&report).unwrap_or_default());
        if let Err(error) = self.queue.broadcast(queues::TOPIC_DONE, body).await {
            tracing::debug!(%error, "nobody was told that the shard is done");
        }
    }
}

/// One second, doubled with each attempt.
fn delay_of(attempt: u32) -> Duration {
    Duration::from_secs(1)
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(MAX_DELAY)
}

fn log_unanswered(answered: Result<(), QueueError>) {
    if let Err(error) = answered {
        tracing::warn!(%error, "the delivery is not answered; the broker will deliver it again");
    }
}

/// When work on a shard began and when its last row was durable.
pub(super) type Times = (Timestamp, Timestamp);
