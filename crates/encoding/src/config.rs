//! How inputs become batches, and where else they may be encoded, as a person writes it.

use crate::check::{MAX_IMAGES, MAX_TEXTS};
use crate::remote::RemoteOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_service::config::{Problems, SecretUrl};
use sightline_service::grpc::ClientOptions;
use std::path::PathBuf;
use std::time::Duration;

/// How inputs become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingConfig {
    /// Most inputs of one batch.
    pub max_batch: usize,
    /// How long an input waits for others to share its batch, in milliseconds. While a batch is computed the next one
    /// gathers anyway; this is for a model that is idle.
    pub max_wait_ms: u64,
    /// Inputs that are encoded or wait; calls beyond are refused at once with RESOURCE_EXHAUSTED. At least as many as
    /// one call may have.
    pub max_inputs: usize,
    /// Bytes of inputs that are encoded or wait; calls beyond are refused at once.
    pub max_bytes: usize,
    /// Pictures that are decoded at once.
    pub decoders: usize,
}

impl Default for BatchingConfig {
    fn default() -> Self {
        Self {
            max_batch: 32,
            max_wait_ms: 2,
            max_inputs: 4096,
            max_bytes: 256 << 20,
            decoders: 2,
        }
    }
}

impl BatchingConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if !(1..=4096).contains(&self.max_batch) {
            problems.note("max_batch", "give 1 to 4096");
        }
        if self.max_wait_ms > 10_000 {
            problems.note("max_wait_ms", "give at most 10000");
        }
        let least = MAX_TEXTS.max(MAX_IMAGES);
        if !(least..=1 << 24).contains(&self.max_inputs) {
            problems.note(
                "max_inputs",
                format!("give {least}, as many as one call may have, to {}", 1 << 24),
            );
        }
        if !(1 << 20..=1 << 40).contains(&self.max_bytes) {
            problems.note("max_bytes", "give 1 MiB to 1 TiB");
        }
        if !(1..=1024).contains(&self.decoders) {
            problems.note("decoders", "give 1 to 1024");
        }
    }

    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms)
    }
}

/// The `Embedding` service of another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteConfig {
    /// Where it is: `https://host:port`, or `http://host:port` on a network that is protected otherwise.
    pub url: Option<SecretUrl>,
    /// File with the trusted certificates in PEM, in place of the system's.
    pub ca_cert: Option<PathBuf>,
    /// The longest time for one call, all its attempts together, in milliseconds; a caller's own shorter deadline counts.
    pub timeout_ms: u64,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            url: None,
            ca_cert: None,
            timeout_ms: 10_000,
        }
    }
}

/// A file that the configuration names cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path} (encoder.ca_cert): {source}")]
pub struct RemoteConfigError {
    path: PathBuf,
    source: std::io::Error,
}

impl RemoteConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(url) = &self.url
            && !matches!(url.expose().scheme(), "http" | "https")
        {
            problems.note("url", "must be http://host:port or https://host:port");
        }
        if self.ca_cert.is_some() && self.url.is_none() {
            problems.note("ca_cert", "is given without url");
        }
        if !(1..=600_000).contains(&self.timeout_ms) {
            problems.note("timeout_ms", "give 1 to 600000");
        }
    }

    /// How the service is reached, where one is configured.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn options(&self, max_message_bytes: usize) -> Result<Option<RemoteOptions>, RemoteConfigError> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let mut client = ClientOptions::default();
        if let Some(path) = &self.ca_cert {
            let pem = std::fs::read(path).map_err(|source| RemoteConfigError {
                path: path.clone(),
                source,
            })?;
            client.ca_pem = Some(pem);
        }
        Ok(Some(RemoteOptions {
            url: url.expose().to_string(),
            client,
            timeout: Duration::from_millis(self.timeout_ms),
            max_message_bytes,
        }))
    }
}
