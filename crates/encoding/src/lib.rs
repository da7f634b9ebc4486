//! Inputs to vectors, for many callers at once.
//!
//! Promises: inputs of different callers share the model's batches, callers take turns, and a bad input fails its own
//! caller only; what waits is bounded in inputs and in bytes, and a call beyond that is refused at once with the time
//! to come again; a caller that went away costs the model nothing; vectors lie in the spaces that the caller was told,
//! or the call fails. The same encoder is used in this process ([`BatchingEncoder`]) or through the `Embedding` service
//! of another ([`RemoteEncoder`], [`EmbeddingService`]). Leaves to others: networks and their threads
//! (`sightline-models`), whether a collection holds these spaces (its users).

mod batching;
pub mod check;
mod config;
mod encoder;
mod error;
mod lane;
mod metrics;
mod remote;
mod retry;
mod runner_model;
mod service;
#[cfg(test)]
mod testing;
mod waiting;
mod wire;

pub use batching::{BatchModel, BatchingEncoder};
pub use config::{BatchingConfig, RemoteConfig, RemoteConfigError};
pub use encoder::{Encoded, Encoder, InputError, ModelDescription};
pub use error::EncodeError;
pub use metrics::EncodingMetrics;
pub use remote::{RemoteEncoder, RemoteOptions};
pub use runner_model::{ModelOpenError, ModelOptions, PrepareError, RunnerModel};
pub use service::EmbeddingService;
