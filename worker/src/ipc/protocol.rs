//! The frames. Both ends are the same program, so the version only guards against a binary replaced while it runs.

use crate::config::EngineConfig;
use crate::journal::JournalStage;
use serde::{Deserialize, Serialize};
use sightline_core::{
    CollectionName, DatasetName, DicomSpec, FieldDescription, Fingerprint, Item, ModelName, Outcome, PreviewSpec,
    RunId, ShardId, VectorField,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the frames.
pub const PROTOCOL_VERSION: u32 = 5;

/// A shard in hand, numbered by the supervisor; a number is never used twice.
pub type WorkId = u64;

/// Which item: its work, and its place in the shard's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemAt {
    /// The work.
    pub work: WorkId,
    /// The place in the manifest, from 0.
    pub index: u32,
}

/// What all items of one work share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// The shard, for logs.
    pub shard: ShardId,
    /// Which delivery of the shard this is, as its message counts them, from 1.
    pub attempt: u32,
    /// The dataset.
    pub dataset: DatasetName,
    /// Root of the dataset's objects.
    pub root: String,
    /// Where the rows go.
    pub collection: CollectionName,
    /// Vector fields that are filled.
    pub fields: Vec<VectorField>,
    /// What is taken from DICOM files.
    pub dicom: DicomSpec,
    /// Previews that are written of the pictures.
    pub previews: Option<PreviewSpec>,
    /// What of the run decides what rows look like, as part of their `source_digest`.
    pub reading: String,
    /// Given where the items bring their vectors.
    pub imported: Option<Imported>,
    /// Trace context.
    pub traceparent: Option<String>,
}

/// What items that bring their vectors have to be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Whether vectors of any length are scaled to length 1.
    pub normalize: bool,
    /// The fields, with the length of their vectors and the space that they are declared to lie in.
    pub fields: BTreeMap<VectorField, ImportedField>,
}

/// A field of vectors that were made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedField {
    /// Length of its vectors.
    pub dimension: u32,
    /// Their space.
    pub fingerprint: Fingerprint,
}

impl Imported {
    /// What identifies the spaces, as part of a row's `source_digest`.
    #[must_use]
    pub fn identity(&self) -> String {
        let part = |(field, imported): (&VectorField, &ImportedField)| format!("{field}={}\n", imported.fingerprint);
        self.fields.iter().map(part).collect()
    }
}

/// An item to be worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkItem {
    /// Its place in the manifest.
    pub index: u32,
    /// The item.
    pub item: Item,
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemEnded {
    /// Its place in the manifest.
    pub index: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why a work cannot go on in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// Something is away: the shard goes back with a delay. In words, what is waited for.
    Waiting(String),
    /// An object cannot be read, though its store answers for others: the shard goes back with a delay, and nothing else waits.
    /// In words, which object.
    Unreadable(String),
    /// The dataset cannot be read at all: the run stops.
    DatasetUnreadable(String),
    /// The run's previews can never be written where it wants them: the run stops.
    PreviewsUnwritable(String),
}

/// What a stage of the pipeline did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageReport {
    /// What it can do at once: requests, threads, batches, writes.
    pub places: u64,
    /// Items that wait for it.
    pub waiting: u64,
    /// Items in it now.
    pub in_flight: u64,
    /// Items that went through it since the engine started.
    pub done: u64,
    /// Microseconds spent in it since the engine started, summed over its places.
    pub busy_us: u64,
}

/// What all stages share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EngineLoad {
    /// Microseconds since the stages began: what their busy times are shares of.
    pub elapsed_us: u64,
    /// Microseconds that each device had something to compute, in the order of the greeting; empty where the model
    /// does not tell.
    pub device_busy_us: Vec<u64>,
    /// Bytes of objects and of pictures that are being decoded, in memory now, and those that are set aside for what later
    /// stages hold.
    pub bytes_in_flight: u64,
    /// Most bytes of them: the budget.
    pub bytes_limit: u64,
    /// What items are held back for in the engine: an index that is away.
    pub waiting_for: Option<String>,
}

/// So many batches of a size since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSize {
    /// Items in the batch.
    pub items: u32,
    /// Batches.
    pub batches: u64,
}

/// A call of the engine to its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCallReport {
    /// The kind of server.
    pub system: String,
    /// What was asked for.
    pub operation: String,
    /// The collection.
    pub collection: CollectionName,
    /// Which error it ended with.
    pub error: Option<String>,
    /// Microseconds until it ended.
    pub took_us: u64,
}

/// From the supervisor to the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum ToEngine {
    /// The first frame. Secrets travel here and nowhere else.
    Configure {
        /// Version of the frames.
        version: u32,
        /// Everything the engine needs to know.
        config: Box<EngineConfig>,
        /// Where its journal goes.
        journal: PathBuf,
    },
    /// The engine may write to the index until then. An end, not a length: a renewal may lie in the pipe for long.
    Lease {
        /// Milliseconds of the machine's monotonic clock, see [`monotonic_ms`].
        until_ms: u64,
    },
    /// A work begins.
    Open {
        /// The work.
        work: WorkId,
        /// What its items share.
        job: Box<Job>,
    },
    /// Items of an open work.
    Items {
        /// The work.
        work: WorkId,
        /// The items.
        items: Vec<WorkItem>,
        /// Whether nothing follows for now, so that waiting for fuller batches is no use.
        urgent: bool,
    },
    /// A work is over, done or not: what is left of it is dropped.
    Close {
        /// The work.
        work: WorkId,
    },
    /// End now.
    Stop,
}

/// From the engine to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum FromEngine {
    /// The model is loaded.
    Hello {
        /// Version of the frames.
        version: u32,
        /// The model.
        model: ModelName,
        /// Its vector spaces, with its own vectors of the built-in inputs.
        fields: BTreeMap<VectorField, FieldDescription>,
        /// Devices that it computes on.
        devices: Vec<String>,
        /// Items that its pipeline holds.
        max_items: u32,
        /// Items in a batch.
        batch_items: u32,
    },
    /// The configuration can never work.
    Refused {
        /// Why, and what to do.
        message: String,
    },
    /// Items ended.
    Ended {
        /// The work.
        work: WorkId,
        /// How.
        items: Vec<ItemEnded>,
        /// Microseconds by stage that these items took.
        stage_us: BTreeMap<JournalStage, u64>,
    },
    /// A work cannot go on.
    Interrupted {
        /// The work.
        work: WorkId,
        /// Why.
        why: Interruption,
    },
    /// What the stages do, about once a second.
    Stages {
        /// By stage.
        stages: BTreeMap<JournalStage, StageReport>,
        /// Sizes of the batches since the last report.
        batches: Vec<BatchSize>,
        /// What they share.
        load: EngineLoad,
        /// Calls to the index that ended since the last report.
        calls: Vec<IndexCallReport>,
    },
}

/// The machine's monotonic clock, the same in every process, in milliseconds.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let millis = now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(millis).unwrap_or(0)
}
