//! The worker's configuration as a person writes it.

use crate::config::SupervisorConfig;
use crate::config::{DatasetsConfig, DeviceName, EngineConfig, EngineTelemetry, ModelConfig, PipelineConfig};
use crate::devices::Devices;
use crate::embedding::EmbeddingConfig;
use crate::supervisor::usual_engine_memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_core::{ModelName, WorkerReport};
use sightline_hub::{HubConfig, ModelPlace};
use sightline_model_folder::Decode;
use sightline_models::Precision;
use sightline_service::ServiceConfig;
use sightline_service::config::{
    Config, GrpcConfig, IndexConfig, ListenConfig, LogFormatName, ObservabilityConfig, Problems, QueueConfig, S3Config,
    ShutdownConfig, StateConfig, TelemetryConfig,
};
use std::path::PathBuf;
use std::time::Duration;

/// The port of a worker.
pub const DEFAULT_PORT: u16 = 7302;

/// The worker's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Limits of its gRPC service.
    pub grpc: GrpcConfig,
    /// Where runs, plans and results lie.
    pub state: StateConfig,
    /// The broker.
    pub queue: QueueConfig,
    /// The vector index.
    pub index: IndexConfig,
    /// How S3 is reached.
    pub s3: S3Config,
    /// The model.
    pub model: ModelSettings,
    /// How a model named `hf:org/name[@revision]` is fetched.
    pub hub: HubConfig,
    /// Sizes of the pipeline.
    pub pipeline: PipelineConfig,
    /// `Embedding` calls, answered beside shards with the same model.
    pub embedding: EmbeddingConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Metrics and probes.
    pub observability: ObservabilityConfig,
    /// The way out.
    pub shutdown: ShutdownConfig,
    /// The worker's own name, distinct among all; host name and process id where it is not given.
    pub name: Option<String>,
    /// Shards in hand at once, 1 to 64; 0 for as many as its devices need. A processor: 2 with the usual batches, more where larger
    /// ones need more than 256 items at once. A GPU: 9, so that it computes while others are looked up and written down, and 8
    /// for each further one.
    pub prefetch: u16,
    /// How long a picture may be decoded, or a batch computed, before the engine counts as hung and is replaced, seconds.
    pub stall_seconds: u64,
    /// Memory that the engine may have of its own, bytes: with more it is killed, and what it was working on is tried
    /// alone, while the supervisor lives on. 0 for nine tenths of the control group's limit, or none where that is none.
    pub engine_memory_bytes: u64,
    /// Whether datasets may lie on this machine's disk (`file:` roots). Whoever may create runs can then have any
    /// picture that this process may read embedded.
    pub allow_file_datasets: bool,
}

/// What a worker without a model says that it serves.
const NO_MODEL: &str = "none";

/// Which model, and how it computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Its folder, or `hf:org/name[@revision]` for one of the Hugging Face Hub, which is pulled where it is not there.
    pub folder: Option<PathBuf>,
    /// Its name, which runs ask for; the folder's name where it is not given, or that on the hub.
    pub name: Option<String>,
    /// Where it computes, where `devices` is empty.
    pub device: DeviceName,
    /// The devices that a worker computes on, a model on each: `auto` for every CUDA device, or their numbers, `0,1`.
    pub devices: String,
    /// How numbers are held while it computes: `auto`, `f32`, `bf16` or `f16`. `auto` is bf16 where the device computes
    /// it natively, f16 on other GPUs, and f32 on other processors.
    pub precision: String,
    /// Threads that it computes with on a processor; 0 for the cores that this process may use, of which a standalone takes
    /// half.
    pub threads: u16,
    /// Only so many first values of each vector are kept, where the model was trained for it (Matryoshka); all by default.
    pub truncate_dim: Option<u32>,
    /// How pictures are decoded: `exact`, or `fast`, which decodes JPEGs much larger than what the model is shown at a half,
    /// a quarter or an eighth of their size. Another space: workers and gateways of a collection have to agree.
    pub decode: String,
    /// SHA-256 digests of the TorchScript modules that may run: they are code.
    pub trusted_torchscript: Vec<String>,
    /// Most pixels of a picture.
    pub max_pixels: u64,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            folder: None,
            name: None,
            device: DeviceName::Auto,
            devices: String::new(),
            precision: Precision::Auto.to_string(),
            threads: 0,
            truncate_dim: None,
            decode: Decode::Exact.to_string(),
            trusted_torchscript: Vec::new(),
            max_pixels: 1 << 27,
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            listen: ListenConfig::on_port(DEFAULT_PORT),
            grpc: GrpcConfig::default(),
            state: StateConfig::default(),
            queue: QueueConfig::default(),
            index: IndexConfig::default(),
            s3: S3Config::default(),
            model: ModelSettings::default(),
            hub: HubConfig::default(),
            pipeline: PipelineConfig::default(),
            embedding: EmbeddingConfig::default(),
            telemetry: TelemetryConfig::default(),
            observability: ObservabilityConfig::default(),
            shutdown: ShutdownConfig::default(),
            name: None,
            prefetch: 0,
            stall_seconds: 120,
            engine_memory_bytes: 0,
            allow_file_datasets: false,
        }
    }
}

impl ModelSettings {
    /// The name that runs ask for.
    ///
    /// # Errors
    /// In words, where there is none or it cannot be one.
    pub fn model_name(&self) -> Result<ModelName, String> {
        let folder = || sightline_hub::model_name(self.folder.as_deref()?);
        let name = self
            .name
            .clone()
            .or_else(folder)
            .ok_or("give the model a name, or a folder that has one")?;
        ModelName::new(name).map_err(|error| error.to_string())
    }

    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(Err(error)) = self.folder.as_deref().map(ModelPlace::of) {
            problems.note("folder", error.to_string());
        } else if self.folder.is_none() {
            problems.note("folder", "is needed: the folder of the model that is served");
        } else if let Err(message) = self.model_name() {
            problems.note("name", message);
        }
        if let Err(message) = self.precision.parse::<Precision>() {
            problems.note("precision", message);
        }
        if let Err(message) = Devices::parse(&self.devices, self.device) {
            problems.note("devices", message);
        }
        if self.truncate_dim == Some(0) {
            problems.note("truncate_dim", "must be at least 1");
        }
        if let Err(message) = self.decode.parse::<Decode>() {
            problems.note("decode", message);
        }
        if self.max_pixels == 0 {
            problems.note("max_pixels", "must be at least 1");
        }
    }

    /// What an engine is told. Without a folder it has no model.
    ///
    /// # Errors
    /// In words: what the check would have found.
    pub fn engine(&self) -> Result<ModelConfig, String> {
        Ok(ModelConfig {
            folder: self.folder.clone(),
            name: match &self.folder {
                Some(_) => self.model_name()?,
                None => ModelName::new(NO_MODEL).map_err(|error| error.to_string())?,
            },
            device: self.device,
            devices: self.devices.clone(),
            precision: self.precision.clone(),
            threads: self.threads,
            truncate_dim: self.truncate_dim,
            decode: self.decode.clone(),
            trusted_torchscript: self.trusted_torchscript.clone(),
            max_pixels: self.max_pixels,
        })
    }
}

impl Config for WorkerConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("state", |problems| self.state.check(problems));
        problems.within("queue", |problems| self.queue.check(problems));
        problems.within("index", |problems| self.index.check(problems));
        problems.within("s3", |problems| self.s3.check(problems));
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
        problems.within("pipeline", |problems| {
            for (key, message) in self.pipeline.problems() {
                problems.note(key, message);
            }
        });
        problems.within("model", |problems| self.model.check(problems));
        problems.within("embedding", |problems| self.embedding.check(problems));
        problems.within("hub", |problems| self.hub.check(problems));
        if self.prefetch > WorkerReport::MOST_IN_HAND {
            problems.note("prefetch", "give 1 to 64, or 0 for as many as the devices need");
        }
        if !(5..=86_400).contains(&self.stall_seconds) {
            problems.note("stall_seconds", "give 5 to 86400");
        }
        if (1..64 << 20).contains(&self.engine_memory_bytes) {
            problems.note("engine_memory_bytes", "give at least 64 MiB, or 0");
        }
        if self.name.as_deref().is_some_and(|name| !is_worker_name(name)) {
            problems.note("name", "use 1 to 128 letters, digits, '-', '_' and '.'");
        }
    }
}

impl WorkerConfig {
    /// Memory that the engine may have of its own; none where it is not limited.
    #[must_use]
    pub fn engine_memory(&self) -> Option<u64> {
        Some(self.engine_memory_bytes)
            .filter(|bytes| *bytes > 0)
            .or_else(usual_engine_memory)
    }
}

impl ServiceConfig for WorkerConfig {
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

/// Whether a name can be part of an object's name.
fn is_worker_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&name.len()) && name.chars().all(ok)
}

impl WorkerConfig {
    /// What supervisor and engine are told. `host` and `process` make the worker's name where none is given.
    ///
    /// # Errors
    /// In words: what the check of the configuration would have found.
    pub fn supervisor(&self, host: &str, process: u32, colour: bool) -> Result<SupervisorConfig, String> {
        let host: String = host
            .trim()
            .chars()
            .filter(|c| is_worker_name(&c.to_string()))
            .take(100)
            .collect();
        let worker = self.name.clone().unwrap_or_else(|| format!("{host}-{process}"));
        let engine = EngineConfig {
            model: self.model.engine()?,
            index: self
                .index
                .url
                .as_ref()
                .ok_or("index.url is needed")?
                .expose()
                .to_string(),
            datasets: DatasetsConfig {
                allow_files: self.allow_file_datasets,
                s3_endpoint: self.s3.endpoint.as_ref().map(|url| url.expose().to_string()),
                s3_path_style: self.s3.path_style,
                s3_region: self.s3.region.clone(),
                previews: self.state.url.as_ref().map(|url| url.expose().to_string()),
            },
            pipeline: self.pipeline.clone(),
            telemetry: EngineTelemetry {
                log: self.telemetry.log.clone(),
                json: self.telemetry.log_format == LogFormatName::Json,
                colour,
                otlp_endpoint: self
                    .telemetry
                    .otlp_endpoint
                    .as_ref()
                    .map(|url| url.expose().to_string()),
                otlp_headers: self.telemetry.otlp_headers.expose().to_owned(),
                otlp_logs: self.telemetry.otlp_logs,
                otlp_timeout_seconds: self.telemetry.otlp_timeout_seconds,
                trace_ratio: self.telemetry.trace_ratio,
            },
            embedding: None,
            memory_limit: Some(self.engine_memory_bytes).filter(|bytes| *bytes > 0),
        };
        let config = SupervisorConfig::new(worker, engine);
        Ok(SupervisorConfig {
            prefetch: self.prefetch,
            stall: Duration::from_secs(self.stall_seconds),
            grace: self.shutdown.drain(),
            ..config
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_service::config::SecretUrl;

    #[test]
    fn a_worker_is_named_by_its_host_and_process_unless_it_is_given_a_name() {
        let mut config = WorkerConfig::default();
        config.model.folder = Some("/models/sightline-demo".into());
        config.index.url = Some(SecretUrl::parse("sqlite:/i.db").unwrap());
        let supervisor = config.supervisor("pod/1\n", 7, false).unwrap();
        assert_eq!(supervisor.worker, "pod1-7");
        assert_eq!(supervisor.engine.model.name.as_str(), "sightline-demo");
        assert_eq!(supervisor.engine.memory_limit, None);
        config.name = Some("w1".into());
        config.engine_memory_bytes = 512 << 20;
        let supervisor = config.supervisor("pod", 7, false).unwrap();
        assert_eq!(supervisor.worker, "w1");
        assert_eq!(supervisor.engine.memory_limit, Some(512 << 20));
    }

    #[test]
    fn a_model_of_the_hub_bears_its_name_there_and_a_wrong_one_is_said() {
        let mut model = ModelSettings {
            folder: Some("hf:google/siglip-base-patch16-224@refs/pr/3".into()),
            ..ModelSettings::default()
        };
        assert_eq!(model.model_name().unwrap().as_str(), "siglip-base-patch16-224");
        model.name = Some("v7".into());
        assert_eq!(model.model_name().unwrap().as_str(), "v7");
        let config = WorkerConfig {
            model: ModelSettings {
                folder: Some("hf:siglip".into()),
                ..ModelSettings::default()
            },
            ..WorkerConfig::default()
        };
        let mut problems = Problems::default();
        config.check(&mut problems);
        let found = problems
            .into_vec()
            .into_iter()
            .find(|problem| problem.key == "model.folder");
        assert!(found.unwrap().message.contains("hf:org/name@revision"));
    }

    #[test]
    fn what_is_missing_is_said_all_at_once() {
        let mut problems = Problems::default();
        let config = WorkerConfig {
            prefetch: 65,
            stall_seconds: 0,
            engine_memory_bytes: 4096,
            name: Some("a/b".into()),
            ..WorkerConfig::default()
        };
        config.check(&mut problems);
        let text = format!("{problems:?}");
        for key in [
            "state.url",
            "queue.url",
            "index.url",
            "model.folder",
            "prefetch",
            "stall_seconds",
            "engine_memory_bytes",
            "name",
        ] {
            assert!(text.contains(key), "{key}: {text}");
        }
    }
}
