//! The stages together, and the works that flow through them.

use super::around::Around;
use super::awaited::Awaited;
use super::batcher::BatchLimits;
use super::blocks::Blocks;
use super::budget::Budget;
use super::decode::DecodePool;
use super::entrance::Entrance;
use super::forward::{Forward, ImageSide, TextSide};
use super::item::{Passage, Stopped};
use super::lease::Lease;
use super::lookup::{Existing, LOOKUP_ROWS, LookedUp, Lookups, look_up};
use super::retry::RetryPolicy;
use super::room::{Fetched, Room};
use super::sizes::{Sizes, count};
use super::spans::{Group, Span, SpanLimits, grouped};
use super::stages::{ItemTimes, Stages};
use super::turns::Turns;
use super::upsert::{UpsertOptions, Upserts};
use super::work::Work;
use super::{Datasets, EngineParts};
use crate::config::PipelineConfig;
use crate::ipc::{EngineLoad, ItemAt, WorkItem};
use crate::journal::{Journal, JournalStage, Slot};
use crate::model::{EmbeddingModel, Pixels};
use sightline_core::collection::preprocessing;
use sightline_core::{Clock, VectorField};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tracing::Instrument;

/// All stages.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) config: PipelineConfig,
    pub(crate) lookups: Lookups,
    pub(crate) datasets: Arc<dyn Datasets>,
    pub(crate) retry: RetryPolicy,
    pub(crate) stages: Arc<Stages>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetches: Semaphore,
    /// Questions for another object than the one that is wanted.
    pub(crate) probes: Semaphore,
    pub(crate) tensors: Arc<Semaphore>,
    pub(crate) decode: DecodePool,
    pub(crate) images: Forward<Pixels>,
    pub(crate) texts: Forward<String>,
    pub(crate) upserts: Upserts,
    pub(crate) blocks: Blocks,
    model: Arc<dyn EmbeddingModel>,
    journal: Arc<Journal>,
    budget: Budget,
    room: Arc<Room>,
    awaited: Arc<Awaited>,
    spans: SpanLimits,
    /// Whoever's items take places is in it.
    entrance: Entrance,
    fatal: mpsc::Sender<String>,
}

impl Pipeline {
    /// Starts all stages. Who listens to `fatal` has to end the process.
    pub(crate) fn start(
        parts: EngineParts,
        config: PipelineConfig,
        sizes: Sizes,
        journal: Arc<Journal>,
        lease: Lease,
        around: Around,
        fatal: mpsc::Sender<String>,
    ) -> std::io::Result<Self> {
        let stages = Arc::new(Stages::default());
        let model = parts.model;
        let retry = RetryPolicy::new(&config, around.chance);
        let awaited = Arc::default();
        let of_the_index = retry.clone().of_the_index(&config, &awaited);
        let batches = BatchLimits {
            items: count(sizes.batch_items),
            bytes: u64::MAX,
            linger: Duration::from_millis(config.batch_linger_ms),
        };
        let writes = BatchLimits {
            items: count(config.upsert_rows),
            bytes: config.upsert_bytes,
            linger: Duration::from_millis(config.upsert_linger_ms),
        };
        let upserts = UpsertOptions {
            limits: writes,
            writes: count(config.upserts),
            retry: of_the_index.clone(),
            lease,
        };
        stages.set_places(JournalStage::Fetch, sizes.fetches);
        stages.set_places(JournalStage::Decode, count(sizes.decode_threads));
        stages.set_places(JournalStage::Forward, sizes.batches);
        let turns = Turns::new(model.devices().len(), sizes.batches);
        let room = Arc::new(Room::new(sizes.budget.shared()));
        tracing::info!(
            bytes = sizes.budget.bytes(),
            set_aside = sizes.budget.set_aside(),
            items = sizes.max_items,
            batch_items = sizes.batch_items,
            "memory for what is in flight"
        );
        Ok(Self {
            decode: DecodePool::start(
                around.decoding,
                sizes.decode_threads,
                sizes.max_items,
                &model,
                &stages,
                &room,
            )?,
            images: Forward::start(ImageSide(Arc::clone(&model)), batches, &turns, &stages),
            texts: Forward::start(TextSide(Arc::clone(&model)), batches, &turns, &stages),
            upserts: Upserts::start(Arc::clone(&parts.index), upserts, &stages),
            lookups: Lookups::new(parts.index, of_the_index, sizes.lookups),
            datasets: parts.datasets,
            retry,
            clock: around.clock,
            fetches: Semaphore::new(sizes.fetches),
            probes: Semaphore::new(1),
            tensors: Arc::new(Semaphore::new(sizes.prepared)),
            spans: SpanLimits::new(room.fetched_limit(), count(sizes.max_items)),
            budget: sizes.budget,
            room,
            awaited,
            entrance: Entrance::default(),
            blocks: Blocks::default(),
            model,
            journal,
            stages,
            fatal,
            config,
        })
    }

    /// Waits for room for an object's bytes.
    pub(crate) async fn room_for(&self, bytes: u64) -> Option<Fetched> {
        self.room.fetch(bytes).await
    }

    /// What all stages share.
    pub(crate) fn load(&self) -> EngineLoad {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        EngineLoad {
            elapsed_us: self.stages.elapsed_us(),
            device_busy_us: self.model.device_busy().into_iter().map(micros).collect(),
            bytes_in_flight: self.budget.set_aside() + self.room.taken(),
            bytes_limit: self.budget.bytes(),
            waiting_for: self.awaited.what(),
        }
    }

    /// Length of a field's vectors; none where the model has no such field.
    pub(crate) fn dimension(&self, field: VectorField) -> Option<usize> {
        self.model
            .fields()
            .get(&field)
            .map(|field| count(field.space.dimension))
    }

    /// How the model decodes pictures; nothing where it takes none.
    pub(crate) fn decoding(&self) -> &str {
        let image = self.model.fields().get(&VectorField::Image);
        image.map_or("", |field| field.space.decode.as_str())
    }

    /// What identifies how the inputs of these fields become vectors.
    pub(crate) fn preprocessing(&self, fields: &[VectorField]) -> String {
        preprocessing(self.model.fields(), fields)
    }

    /// Works on some items of a work, as far as there is room in the pipeline.
    pub(crate) async fn take(self: Arc<Self>, work: Arc<Work>, items: Vec<WorkItem>, urgent: bool) {
        let over = work.over.clone();
        tokio::select! {
            biased;
            () = over.cancelled() => {}
            () = self.take_all(&work, items, urgent) => {}
        }
    }

    async fn take_all(self: &Arc<Self>, work: &Arc<Work>, mut items: Vec<WorkItem>, urgent: bool) {
        let spans = self.spans.with_previews(work.preview_bytes());
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(LOOKUP_ROWS));
            let looked_up = match look_up(self, work, items).await {
                Ok(looked_up) => looked_up,
                Err(why) => return work.interrupt(why).await,
            };
            work.note_objects(looked_up.iter().map(|looked_up| &looked_up.item.item));
            items = rest;
            let last = items.is_empty();
            let to_do = self.settle(work, looked_up).await;
            let mut entering = self.entrance.enter(work.id).await;
            let mut left = to_do.len();
            for Group { items, span } in grouped(to_do, spans) {
                entering = entering.give_way().await;
                let Some(slots) = self.places(work, &items).await else {
                    return;
                };
                for (item, slot) in items.into_iter().zip(slots) {
                    left -= 1;
                    let hurry = urgent && last && left == 0;
                    tokio::spawn(
                        Arc::clone(self)
                            .pass(Arc::clone(work), item, slot, span.clone(), hurry)
                            .instrument(work.span.clone()),
                    );
                }
            }
        }
    }

    /// Places for all items of a group.
    async fn places(&self, work: &Work, items: &[LookedUp]) -> Option<Vec<Slot>> {
        let mut slots = Vec::with_capacity(items.len());
        for item in items {
            let place = ItemAt {
                work: work.id,
                index: item.item.index,
            };
            slots.push(self.journal.enter(place).await?);
        }
        Some(slots)
    }

    /// Ends the items whose rows are there already; gives back the others.
    async fn settle(&self, work: &Work, looked_up: Vec<LookedUp>) -> Vec<LookedUp> {
        let mut to_do = Vec::new();
        for item in looked_up {
            match item.existing {
                Existing::Settled(outcome) => {
                    self.brings_no_row(work).await;
                    work.ended(item.item.index, outcome, ItemTimes::new()).await;
                }
                _ => to_do.push(item),
            }
        }
        to_do
    }

    /// One of a work's items brings no row. Where it is the last, the others wait for it no more.
    async fn brings_no_row(&self, work: &Work) {
        if work.rows.one_less() {
            self.upserts.flush(&work.job.collection).await;
        }
    }

    async fn pass(self: Arc<Self>, work: Arc<Work>, item: LookedUp, slot: Slot, span: Option<Arc<Span>>, urgent: bool) {
        let index = item.item.index;
        let mut passage = Passage {
            pipeline: &self,
            work: &work,
            slot: Arc::new(slot),
            span,
            urgent,
            to_come: Some(work.rows.clone()),
            times: ItemTimes::new(),
        };
        let over = work.over.clone();
        let stopped = tokio::select! {
            biased;
            () = over.cancelled() => return,
            stopped = passage.run(item) => stopped,
        };
        let times = std::mem::take(&mut passage.times);
        if passage.to_come.take().is_some() {
            self.brings_no_row(&work).await;
        }
        match stopped {
            Stopped::Ended(outcome) => work.ended(index, outcome, times).await,
            Stopped::Interrupted(why) => work.interrupt(why).await,
            Stopped::Engine(why) => {
                // Full means that somebody has said so already.
                let _told = self.fatal.try_send(why);
            }
        }
    }
}
