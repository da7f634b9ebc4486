//! The `Embedding` service of workers: on a worker, whose engine answers through a socket, or alone.
//!
//! A worker's supervisor decodes nothing, so that no picture can kill it: it hands calls on to the engine, which has the
//! model. A call that was in an engine that died is answered with UNAVAILABLE, and the same call succeeds later.

mod alone;
mod proxy;
mod socket;

pub use alone::{EncoderConfig, serve_encoder};
pub use proxy::{EngineEmbedding, open_proxy};
pub(crate) use socket::serve_socket;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_encoding::BatchingConfig;
use sightline_service::config::Problems;
use std::path::PathBuf;

/// Largest picture of a call by default, in bytes.
const MAX_IMAGE_BYTES: usize = 32 << 20;

/// Whether and how a worker answers `Embedding` calls beside its shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Whether it does.
    pub enabled: bool,
    /// Largest picture of a call in bytes.
    pub max_image_bytes: usize,
    /// How the inputs of callers become batches.
    pub batching: BatchingConfig,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            max_image_bytes: MAX_IMAGE_BYTES,
            batching: BatchingConfig::default(),
        }
    }
}

impl EmbeddingConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if self.max_image_bytes == 0 {
            problems.note("max_image_bytes", "must be at least 1");
        }
        problems.within("batching", |problems| self.batching.check(problems));
    }
}

/// What an engine is told of the calls that it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketConfig {
    /// The Unix socket that it listens on.
    pub path: PathBuf,
    /// Largest picture of a call in bytes.
    pub max_image_bytes: usize,
    /// Largest message in bytes.
    pub max_message_bytes: usize,
    /// How inputs become batches.
    pub batching: BatchingConfig,
}
