//! The worker: takes shards from the queue and makes rows of them.
//!
//! Promises: a shard is acked only when its rows are durable and its result is written; every item ends exactly once;
//! an item that kills the engine fails alone, with its reason; nothing is written for a run whose model is not the
//! collection's; a worker that is told to end hands back what it cannot finish. Leaves to others: what a run consists
//! of (`sightline-coordinator`), how vectors are made (`sightline-models`), how rows are kept (`sightline-index`).

mod busy;
pub mod config;
mod control_groups;
mod devices;
pub mod embedding;
mod encoder;
pub mod engine;
mod index_calls;
pub mod ipc;
pub mod journal;
mod machine;
pub mod model;
mod production;
mod serve;
mod settings;
pub mod supervisor;
#[cfg(test)]
mod test_index;

pub use production::run_engine;
pub use serve::{ENGINE_COMMAND, serve};
pub use settings::{DEFAULT_PORT, ModelSettings, WorkerConfig};
pub use supervisor::{EngineCommand, Seams, Worker, WorkerError, WorkerService, usual_engine_memory};
