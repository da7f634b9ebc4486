//! The gateway's configuration.

use crate::gateway::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_core::{IdError, ModelName};
use sightline_encoding::{BatchingConfig, ModelOptions, RemoteConfig};
use sightline_hub::{HubConfig, ModelPlace};
use sightline_model_folder::Decode;
use sightline_models::{DeviceChoice, LoadOptions, Precision};
use sightline_objects::{FileAccess, OpenOptions, S3Options};
use sightline_pictures::DecodeLimits;
use sightline_service::ServiceConfig;
use sightline_service::config::{
    Config, GrpcConfig, IndexConfig, ListenConfig, ObservabilityConfig, Problems, S3Config, ShutdownConfig,
    TelemetryConfig,
};
use std::path::PathBuf;
use std::time::Duration;

/// Batches that may wait before the model's own thread: one is ready when another ends.
const WAITING_BATCHES: usize = 1;

/// The port of a gateway.
pub const DEFAULT_PORT: u16 = 7303;

/// The gateway's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Limits of its gRPC services.
    pub grpc: GrpcConfig,
    /// The vector index.
    pub index: IndexConfig,
    /// The model that encodes queries in this process.
    pub model: ModelConfig,
    /// How the inputs of callers become the model's batches.
    pub batching: BatchingConfig,
    /// The `Embedding` service of another process that encodes queries, in place of a model in this one.
    pub encoder: RemoteConfig,
    /// How a model named `hf:org/name[@revision]` is fetched.
    pub hub: HubConfig,
    /// How S3 is reached, for thumbnails.
    pub s3: S3Config,
    /// How much is done at once, and for one call.
    pub limits: LimitsConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Metrics and probes.
    pub observability: ObservabilityConfig,
    /// The way out.
    pub shutdown: ShutdownConfig,
    /// Whether thumbnails are read from this machine's disk, for datasets with `file:` roots.
    pub allow_file_datasets: bool,
}

/// The model that encodes queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Its folder, as the Hugging Face Hub lays them out, or `hf:org/name[@revision]` for one of the hub, which is pulled
    /// where it is not there. Without one, only items and vectors can be searched with.
    pub folder: Option<PathBuf>,
    /// Its name; that of its folder where not given.
    pub name: Option<String>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// How numbers are held while it computes: `auto`, `f32`, `bf16` or `f16`. `auto` is bf16 where the device computes
    /// it natively, f16 on other GPUs, and f32 on other processors.
    pub precision: String,
    /// Threads that the model computes with on a processor. More than one only helps large models on free cores:
    /// libtorch's threads spin while they wait for each other.
    pub threads: Option<u16>,
    /// Only so many first values of each vector are kept, where the model was trained for it (Matryoshka); all by default.
    pub truncate_dim: Option<u32>,
    /// How pictures are decoded: `exact`, or `fast`, which decodes JPEGs much larger than what the model is shown at a half,
    /// a quarter or an eighth of their size. Another space: workers and gateways of a collection have to agree.
    pub decode: String,
    /// SHA-256 digests of the TorchScript modules that may run: they are code.
    pub trusted_torchscript: Vec<String>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            folder: None,
            name: None,
            device: DeviceChoice::Auto.to_string(),
            precision: Precision::Auto.to_string(),
            threads: Some(1),
            truncate_dim: None,
            decode: Decode::Exact.to_string(),
            trusted_torchscript: Vec::new(),
        }
    }
}

/// How much is done at once, and for one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest picture of a query in bytes.
    pub max_image_bytes: usize,
    /// Largest picture of a query in pixels.
    pub max_image_pixels: u64,
    /// Thumbnails that are made at once.
    pub thumbnails_at_once: usize,
    /// Largest file that a thumbnail is made of, in bytes.
    pub max_object_bytes: u64,
    /// Vectors of queries that are kept, so that the same picture or text is not encoded again; 0 keeps none.
    pub known_vectors: usize,
    /// How long searches take a collection for what it was when the index was last asked, in milliseconds, at most 10,000. One
    /// that is replaced by another process is noticed so much later; 0 asks with each search.
    pub known_collection_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_image_bytes: 32 << 20,
            max_image_pixels: DecodeLimits::default().max_pixels,
            thumbnails_at_once: 2,
            max_object_bytes: 256 << 20,
            known_vectors: 4096,
            known_collection_ms: 200,
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: ListenConfig::on_port(DEFAULT_PORT),
            grpc: GrpcConfig::default(),
            index: IndexConfig::default(),
            model: ModelConfig::default(),
            batching: BatchingConfig::default(),
            encoder: RemoteConfig::default(),
            hub: HubConfig::default(),
            s3: S3Config::default(),
            limits: LimitsConfig::default(),
            telemetry: TelemetryConfig::default(),
            observability: ObservabilityConfig::default(),
            shutdown: ShutdownConfig::default(),
            allow_file_datasets: false,
        }
    }
}

impl Config for GatewayConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("index", |problems| self.index.check(problems));
        problems.within("model", |problems| self.model.check(problems));
        problems.within("batching", |problems| self.batching.check(problems));
        problems.within("encoder", |problems| {
            self.encoder.check(problems);
            if self.encoder.url.is_some() && self.model.folder.is_some() {
                problems.note(
                    "url",
                    "is given beside model.folder: queries are encoded in one place, so give one",
                );
            }
        });
        problems.within("hub", |problems| self.hub.check(problems));
        problems.within("s3", |problems| self.s3.check(problems));
        problems.within("limits", |problems| self.limits.check(problems));
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
    }
}

impl ModelConfig {
    fn check(&self, problems: &mut Problems) {
        if let Some(Err(error)) = self.folder.as_deref().map(ModelPlace::of) {
            problems.note("folder", error.to_string());
        }
        if let Err(message) = self.device.parse::<DeviceChoice>() {
            problems.note("device", message);
        }
        if let Err(message) = self.precision.parse::<Precision>() {
            problems.note("precision", message);
        }
        if let Some(Err(error)) = self.name.clone().map(ModelName::new) {
            problems.note("name", error.to_string());
        }
        if self.truncate_dim == Some(0) {
            problems.note("truncate_dim", "must be at least 1");
        }
        if let Err(message) = self.decode.parse::<Decode>() {
            problems.note("decode", message);
        }
        if self.threads == Some(0) {
            problems.note("threads", "must be at least 1");
        }
    }
}

impl LimitsConfig {
    fn check(&self, problems: &mut Problems) {
        let zero = [
            ("max_image_bytes", self.max_image_bytes == 0),
            ("max_image_pixels", self.max_image_pixels == 0),
            ("thumbnails_at_once", self.thumbnails_at_once == 0),
            ("max_object_bytes", self.max_object_bytes == 0),
        ];
        for (key, _) in zero.iter().filter(|(_, zero)| *zero) {
            problems.note(key, "must be at least 1");
        }
        if self.known_collection_ms > 10_000 {
            problems.note("known_collection_ms", "must be at most 10,000");
        }
        let places = tokio::sync::Semaphore::MAX_PERMITS;
        if self.thumbnails_at_once > places {
            problems.note("thumbnails_at_once", format!("must be at most {places}"));
        }
    }
}

impl GatewayConfig {
    /// The limits that the gateway is built with.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            max_image_bytes: self.limits.max_image_bytes,
            thumbnails_at_once: self.limits.thumbnails_at_once,
            max_object_bytes: self.limits.max_object_bytes,
            known_vectors: self.limits.known_vectors,
            known_collection: Duration::from_millis(self.limits.known_collection_ms),
            decode: self.decode_limits(),
            max_message_bytes: self.grpc.max_message_bytes,
        }
    }

    /// Limits on one picture.
    #[must_use]
    pub fn decode_limits(&self) -> DecodeLimits {
        DecodeLimits {
            max_pixels: self.limits.max_image_pixels,
            ..DecodeLimits::default()
        }
    }

    /// How the model is opened, where there is one.
    ///
    /// # Errors
    /// When its name is none.
    pub fn model_options(&self) -> Result<Option<ModelOptions>, IdError> {
        let Some(folder) = self.model.folder.clone() else {
            return Ok(None);
        };
        Ok(Some(ModelOptions {
            folder,
            name: self.model.name.clone().map(ModelName::new).transpose()?,
            load: LoadOptions {
                // Checked with the configuration.
                device: self.model.device.parse().unwrap_or_default(),
                precision: self.model.precision.parse().unwrap_or_default(),
                threads: self.model.threads,
                trusted_torchscript: self.model.trusted_torchscript.clone(),
            },
            truncate_dim: self.model.truncate_dim,
            decode: self.model.decode.parse().unwrap_or_default(),
            limits: self.decode_limits(),
            waiting_batches: WAITING_BATCHES,
        }))
    }

    /// How stores are opened.
    #[must_use]
    pub fn stores(&self) -> OpenOptions {
        OpenOptions {
            files: if self.allow_file_datasets {
                FileAccess::Allowed
            } else {
                FileAccess::Refused
            },
            s3: S3Options {
                endpoint: self.s3.endpoint.as_ref().map(|url| url.expose().to_string()),
                path_style: self.s3.path_style,
                region: self.s3.region.clone(),
                ..S3Options::default()
            },
        }
    }
}

impl ServiceConfig for GatewayConfig {
    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn observability(&self) -> &ObservabilityConfig {
        &self.observability
    }

    fn shutdown(&self) -> &ShutdownConfig {
        &self.shutdown
    }
}
