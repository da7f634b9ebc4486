//! The configuration of a standalone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_encoding::BatchingConfig;
use sightline_gateway::config::{GatewayConfig, LimitsConfig, ModelConfig};
use sightline_hub::{HubConfig, ModelPlace};
use sightline_model_folder::Decode;
use sightline_objects::{FileAccess, OpenOptions};
use sightline_service::ServiceConfig;
use sightline_service::config::{
    Config, GrpcConfig, IndexConfig, ListenConfig, ObservabilityConfig, Problems, S3Config, SecretUrl, ShutdownConfig,
    TelemetryConfig,
};
use sightline_worker::config::{DeviceName, PipelineConfig, SupervisorConfig};
use sightline_worker::{ModelSettings, WorkerConfig};
use std::io::IsTerminal;
use std::path::PathBuf;

/// The port of a standalone.
const DEFAULT_PORT: u16 = 7300;

/// The configuration of a standalone. Datasets may lie on this machine's disk: whoever reaches the port may have any
/// picture embedded that this process may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StandaloneConfig {
    /// The folder of everything durable: runs and the index.
    pub data: PathBuf,
    /// Where all services listen.
    pub listen: ListenConfig,
    /// Limits of the gRPC services.
    pub grpc: GrpcConfig,
    /// The model, of worker and queries. Without one only imports are worked on, other runs wait, and only items and
    /// vectors can be searched with.
    pub model: ModelSettings,
    /// How a model named `hf:org/name[@revision]` is fetched.
    pub hub: HubConfig,
    /// How S3 is reached, for datasets.
    pub s3: S3Config,
    /// Sizes of the worker's pipeline.
    pub pipeline: PipelineConfig,
    /// How the inputs of callers become the gateway's batches.
    pub batching: BatchingConfig,
    /// How much the gateway does at once, and for one call.
    pub limits: LimitsConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Metrics and probes.
    pub observability: ObservabilityConfig,
    /// The way out.
    pub shutdown: ShutdownConfig,
}

impl Default for StandaloneConfig {
    fn default() -> Self {
        Self {
            data: ".sightline".into(),
            listen: ListenConfig::on_port(DEFAULT_PORT),
            grpc: GrpcConfig::default(),
            model: ModelSettings::default(),
            hub: HubConfig::default(),
            s3: S3Config::default(),
            pipeline: PipelineConfig::default(),
            batching: BatchingConfig::default(),
            limits: LimitsConfig::default(),
            telemetry: TelemetryConfig::default(),
            observability: ObservabilityConfig::default(),
            shutdown: ShutdownConfig::default(),
        }
    }
}

impl Config for StandaloneConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("s3", |problems| self.s3.check(problems));
        problems.within("telemetry", |problems| self.telemetry.check(problems));
        problems.within("observability", |problems| self.observability.check(problems));
        problems.within("pipeline", |problems| {
            for (key, message) in self.pipeline.problems() {
                problems.note(key, message);
            }
        });
        problems.within("hub", |problems| self.hub.check(problems));
        if let Some(Err(error)) = self.model.folder.as_deref().map(ModelPlace::of) {
            problems.note("model.folder", error.to_string());
        } else if self.model.folder.is_some()
            && let Err(message) = self.model.model_name()
        {
            problems.note("model.name", message);
        }
        if self.model.truncate_dim == Some(0) {
            problems.note("model.truncate_dim", "must be at least 1");
        }
        if let Err(message) = self.model.decode.parse::<Decode>() {
            problems.note("model.decode", message);
        }
        // The gateway knows what its limits may be; its other blocks are made of what is checked above.
        let mut found = Problems::default();
        self.gateway().check(&mut found);
        for problem in found
            .into_vec()
            .into_iter()
            .filter(|problem| problem.key.starts_with("limits.") || problem.key.starts_with("batching."))
        {
            problems.note(&problem.key, problem.message);
        }
    }
}

impl ServiceConfig for StandaloneConfig {
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

impl StandaloneConfig {
    /// How datasets and the state are opened.
    pub(super) fn stores(&self) -> OpenOptions {
        OpenOptions {
            files: FileAccess::Allowed,
            ..self.gateway().stores()
        }
    }

    /// Threads of each model on a processor: half of the cores where it is not said. Engine, gateway and decoding share
    /// this machine, and libtorch's threads spin while they wait for each other: with more of them than free cores
    /// that is most of what they do.
    fn threads(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match self.model.threads {
            0 => u16::try_from(cores() / 2).unwrap_or(u16::MAX).max(1),
            threads => threads,
        }
    }

    /// The gateway's configuration.
    pub(super) fn gateway(&self) -> GatewayConfig {
        GatewayConfig {
            listen: self.listen.clone(),
            grpc: self.grpc.clone(),
            model: ModelConfig {
                folder: self.model.folder.clone(),
                name: self.model.name.clone(),
                device: match self.model.device {
                    DeviceName::Auto => "auto".into(),
                    DeviceName::Cpu => "cpu".into(),
                    DeviceName::Cuda => "cuda:0".into(),
                },
                precision: self.model.precision.clone(),
                threads: Some(self.threads()),
                truncate_dim: self.model.truncate_dim,
                decode: self.model.decode.clone(),
                trusted_torchscript: self.model.trusted_torchscript.clone(),
            },
            batching: self.batching.clone(),
            s3: self.s3.clone(),
            limits: LimitsConfig {
                max_image_pixels: self.model.max_pixels,
                ..self.limits.clone()
            },
            allow_file_datasets: true,
            ..GatewayConfig::default()
        }
    }

    /// What the worker is told.
    pub(super) fn supervisor(&self, index_address: &str) -> anyhow::Result<SupervisorConfig> {
        let worker = WorkerConfig {
            // Replaced below: a URL would write a space in a path in another way.
            index: IndexConfig {
                url: Some(SecretUrl::parse("sqlite:/index.db")?),
            },
            s3: self.s3.clone(),
            model: ModelSettings {
                threads: self.threads(),
                ..self.model.clone()
            },
            pipeline: self.pipeline.clone(),
            telemetry: self.telemetry.clone(),
            shutdown: self.shutdown.clone(),
            name: Some("standalone".into()),
            allow_file_datasets: true,
            ..WorkerConfig::default()
        };
        let colour = std::io::stderr().is_terminal();
        let mut supervisor = worker
            .supervisor("", std::process::id(), colour)
            .map_err(anyhow::Error::msg)?;
        supervisor.engine.index = index_address.to_owned();
        Ok(supervisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_given_the_file_as_it_is_named() {
        let mut config = StandaloneConfig::default();
        assert_eq!(config.supervisor("sqlite:/index.db").unwrap().engine.model.folder, None);
        config.model.folder = Some("models/sightline-demo".into());
        let supervisor = config.supervisor("sqlite:/a b/index.db").unwrap();
        assert_eq!(supervisor.engine.index, "sqlite:/a b/index.db");
        assert_eq!(supervisor.engine.model.name.as_str(), "sightline-demo");
    }

    #[test]
    fn every_mistake_is_found() {
        let mut config = StandaloneConfig::default();
        let mut problems = Problems::default();
        config.check(&mut problems);
        assert_eq!(problems.into_vec().len(), 0);
        config.limits.thumbnails_at_once = 0;
        config.pipeline.batch_items = 5000;
        config.grpc.timeout_seconds = 0;
        let mut problems = Problems::default();
        config.check(&mut problems);
        let keys: Vec<String> = problems.into_vec().into_iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "grpc.timeout_seconds",
                "pipeline.batch_items",
                "limits.thumbnails_at_once"
            ]
        );
    }
}
