//! The engine: the process that decodes, computes and writes rows, and that may die of any of them.
//!
//! Promises: every item that it is given ends exactly once, or its work is interrupted with a reason; memory is bounded
//! by [`crate::config::PipelineConfig`]; it dies with its supervisor; it writes nothing without a lease. Leaves to the
//! supervisor: which items, in which order of shards, what becomes of items that were in an engine that died.

mod around;
mod awaited;
mod batcher;
mod beside;
mod blocks;
mod budget;
mod decode;
mod entrance;
mod fail;
mod fit;
mod forward;
mod item;
mod lease;
mod life;
mod lookup;
mod outbox;
mod pace;
mod pipeline;
mod preview;
mod process;
mod read;
mod retry;
mod room;
mod sizes;
mod spans;
mod stages;
mod stored;
mod tasks;
mod tokens;
mod turns;
mod upsert;
mod work;

pub use life::Ending;
pub use process::{EXIT_DEVICE, EXIT_REFUSED, run};
pub use tasks::{TaskOptions, run_on_tasks};

use crate::config::EngineConfig;
use crate::ipc::IndexCallReport;
use crate::model::EmbeddingModel;
use async_trait::async_trait;
use sightline_encoding::Encoder;
use sightline_index::VectorIndex;
use sightline_objects::{ObjectError, ObjectStore};
use std::fmt::Debug;
use std::sync::Arc;

/// What the engine works with.
#[derive(Debug)]
pub struct EngineParts {
    /// The model.
    pub model: Arc<dyn EmbeddingModel>,
    /// Where rows go.
    pub index: Arc<dyn VectorIndex>,
    /// Where pictures come from.
    pub datasets: Arc<dyn Datasets>,
    /// The same model for callers, where the configuration asks for it.
    pub encoder: Option<Arc<dyn Encoder>>,
}

/// Opens the roots of datasets, and of what is written of them.
#[async_trait]
pub trait Datasets: Send + Sync + Debug {
    /// The store at a root.
    ///
    /// # Errors
    /// When there is none, it may not be opened, or it is away.
    async fn open(&self, root: &str) -> Result<Arc<dyn ObjectStore>, ObjectError>;

    /// The store that previews are written to: at a root, or where this worker writes them.
    ///
    /// # Errors
    /// When there is none, it may not be opened, or it is away.
    async fn previews(&self, root: Option<&str>) -> Result<Arc<dyn ObjectStore>, ObjectError>;
}

/// Opens what the engine works with, from its configuration.
#[async_trait]
pub trait OpenParts: Send + Sync {
    /// Opens everything.
    ///
    /// # Errors
    /// In words: what cannot be opened, and what to do. The worker ends with them.
    async fn open(&self, config: &EngineConfig) -> Result<EngineParts, String>;

    /// Calls to the index since it was last asked for them, for the supervisor to count. Nothing to tell of where the index
    /// is no server.
    fn index_calls(&self) -> Vec<IndexCallReport> {
        Vec::new()
    }

    /// The engine ends in order: a moment for what is still to be said, spans say.
    async fn close(&self) {}
}
