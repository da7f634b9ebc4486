//! What can be chosen about a worker.

use crate::embedding::SocketConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_core::ModelName;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the engine needs to know. It is sent to it over its stdin, since it may hold secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// The model.
    pub model: ModelConfig,
    /// Address of the index; it may hold a password or token.
    pub index: String,
    /// How datasets are opened.
    pub datasets: DatasetsConfig,
    /// Sizes of the pipeline.
    pub pipeline: PipelineConfig,
    /// Logs and traces.
    pub telemetry: EngineTelemetry,
    /// Calls that it answers beside its shards; none where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<SocketConfig>,
    /// Memory beyond which the engine is killed, where the configuration says so; else the machine and its control group are
    /// all that limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
}

/// The engine's logs and traces.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineTelemetry {
    /// What is logged; empty for nothing.
    pub log: String,
    /// Whether a log line is a JSON object.
    pub json: bool,
    /// Whether text lines are coloured.
    pub colour: bool,
    /// Where traces go; it may hold a password.
    pub otlp_endpoint: Option<String>,
    /// What is sent with every export, as the worker's configuration has it: it may hold a token.
    pub otlp_headers: String,
    /// Whether logs go there, too.
    pub otlp_logs: bool,
    /// Limit of one export, seconds.
    pub otlp_timeout_seconds: u64,
    /// Share of new traces that is recorded.
    pub trace_ratio: f64,
}

/// Which model, and how it computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Its folder; none for an engine without a model, which takes the items of kinds that need none.
    pub folder: Option<PathBuf>,
    /// Its name.
    pub name: ModelName,
    /// Where it computes, where `devices` names none.
    pub device: DeviceName,
    /// The devices that one engine computes on: `auto` for every CUDA device, or numbers, `0,1`.
    #[serde(default)]
    pub devices: String,
    /// How numbers are held: `auto`, `f32`, `bf16`, `f16`.
    pub precision: String,
    /// Threads that the model computes with on a processor; 0 for the cores that the process may use.
    pub threads: u16,
    /// Only so many first values of each vector are kept; all where it is none.
    pub truncate_dim: Option<u32>,
    /// How exactly pictures are decoded: `exact` or `fast`.
    pub decode: String,
    /// SHA-256 digests of the TorchScript modules that may run: they are code.
    pub trusted_torchscript: Vec<String>,
    /// Most pixels of a picture.
    pub max_pixels: u64,
}

impl ModelConfig {
    /// Threads that the model computes with on a processor that has so many cores for this process.
    pub(crate) fn threads_on(&self, cores: u32) -> u16 {
        match self.threads {
            0 => u16::try_from(cores).unwrap_or(u16::MAX).max(1),
            threads => threads,
        }
    }
}

/// Where a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceName {
    /// The first CUDA device, where there is one; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first CUDA device.
    Cuda,
}

/// How datasets are opened. Credentials come from where the S3 library looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetsConfig {
    /// Whether `file:` roots may be opened.
    pub allow_files: bool,
    /// Another S3 server than AWS's.
    pub s3_endpoint: Option<String>,
    /// Whether the bucket is part of the path.
    pub s3_path_style: bool,
    /// Region.
    pub s3_region: Option<String>,
    /// Root of previews that no root is named for; it may lie on this machine's disk, whatever datasets may.
    pub previews: Option<String>,
}

/// Most items in the pipeline.
pub(crate) const MOST_ITEMS: u32 = 65_536;

/// Sizes of the pipeline: with them the engine's memory is bounded, whatever the dataset is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Items in the pipeline at once; 0 for five batches of each device, and at least 1,024 and the rows of all writes at once and
    /// of one more.
    pub max_items: u32,
    /// Objects that are read and previews that are written at once; 0 for 32, or 128 for each GPU (at most 1,024).
    pub fetches: u32,
    /// Bytes of all that is in flight together: objects that were read, previews, pictures that are being decoded and that are
    /// prepared, batches, rows. 0 for a quarter of the memory that the machine and the control group leave the process, between
    /// 256 MiB and 1 GiB, and more where batches and rows need it.
    pub memory_bytes: u64,
    /// Largest object that is read.
    pub max_object_bytes: u64,
    /// Threads that decode; 0 for as many as there are cores.
    pub decode_threads: u32,
    /// Items in a batch of the model; 0 for 64 on a GPU, and on a processor four for each thread of the model, between 32 and
    /// 256.
    pub batch_items: u32,
    /// Longest time that a batch waits to become fuller, milliseconds.
    pub batch_linger_ms: u64,
    /// Rows in one write to the index.
    pub upsert_rows: u32,
    /// Bytes in one write to the index.
    pub upsert_bytes: u64,
    /// Longest time that a write waits to become fuller, milliseconds.
    pub upsert_linger_ms: u64,
    /// Writes to the index at once.
    pub upserts: u32,
    /// How often a call of store or index is tried before the shard is handed back; one of the index at least.
    pub attempts: u32,
    /// First delay between two attempts, milliseconds; it doubles each time.
    pub retry_ms: u64,
    /// Longest delay between two attempts, milliseconds.
    pub max_retry_ms: u64,
    /// How long an index that is away is waited for with what was computed in hand, before the shards are handed back and
    /// computed again; 0 for as long as the attempts take.
    pub index_patience_seconds: u64,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            max_items: 0,
            fetches: 0,
            memory_bytes: 0,
            max_object_bytes: 256 << 20,
            decode_threads: 0,
            batch_items: 0,
            batch_linger_ms: 20,
            upsert_rows: 1000,
            upsert_bytes: 16 << 20,
            upsert_linger_ms: 100,
            upserts: 4,
            attempts: 6,
            retry_ms: 200,
            max_retry_ms: 5000,
            index_patience_seconds: 60,
        }
    }
}

impl PipelineConfig {
    /// What is wrong with the sizes: key and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let mut check = |ok: bool, key, message| {
            if !ok {
                problems.push((key, message));
            }
        };
        check(
            self.max_items <= MOST_ITEMS,
            "max_items",
            "give 1 to 65536, or 0 for as many as the devices need",
        );
        check(
            self.fetches <= 1024,
            "fetches",
            "give 1 to 1024, or 0 for as many as the devices need",
        );
        check(
            // What arrays, and reading and decoding, need by themselves; the model's pictures come on top.
            self.memory_bytes == 0 || (128 << 20..=1 << 40).contains(&self.memory_bytes),
            "memory_bytes",
            "give at least 128 MiB, or 0 for what suits the machine",
        );
        check(
            (1..=1 << 40).contains(&self.max_object_bytes),
            "max_object_bytes",
            "give at least 1",
        );
        check(
            self.decode_threads <= 256,
            "decode_threads",
            "give 1 to 256, or 0 for the number of cores",
        );
        check(
            self.batch_items <= 4096,
            "batch_items",
            "give 1 to 4096, or 0 for what suits the devices",
        );
        check(self.batch_linger_ms <= 10_000, "batch_linger_ms", "give at most 10000");
        check(
            (1..=10_000).contains(&self.upsert_rows),
            "upsert_rows",
            "give 1 to 10000",
        );
        check(
            (1 << 16..=48 << 20).contains(&self.upsert_bytes),
            "upsert_bytes",
            "give 64 KiB to 48 MiB",
        );
        check(
            self.upsert_linger_ms <= 10_000,
            "upsert_linger_ms",
            "give at most 10000",
        );
        check((1..=64).contains(&self.upserts), "upserts", "give 1 to 64");
        check((1..=100).contains(&self.attempts), "attempts", "give 1 to 100");
        check(
            (1..=60_000).contains(&self.max_retry_ms),
            "max_retry_ms",
            "give 1 to 60000",
        );
        check(
            (1..=self.max_retry_ms).contains(&self.retry_ms),
            "retry_ms",
            "give 1 to max_retry_ms",
        );
        check(
            self.index_patience_seconds <= 3600,
            "index_patience_seconds",
            "give at most 3600",
        );
        problems
    }

    pub(crate) fn index_patience(&self) -> Duration {
        Duration::from_secs(self.index_patience_seconds)
    }
}

/// How the supervisor does its work.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisorConfig {
    /// The worker's own name, distinct among all. It becomes part of result objects' names.
    pub worker: String,
    /// What the engine is told.
    pub engine: EngineConfig,
    /// Deliveries in hand at once; 0 for as many as its devices need.
    pub prefetch: u16,
    /// How long the engine may write to the index after the supervisor was last heard of.
    pub lease: Duration,
    /// How long an item may be decoded or computed before the engine counts as hung, and is killed; five times as long, and
    /// as there is patience with the index, if nothing at all moves in it.
    pub stall: Duration,
    /// How long the way out may take.
    pub grace: Duration,
    /// Deaths of the engine in a row, without an item between them, after which the worker gives up.
    pub max_engine_failures: u32,
    /// First delay before an engine that died is replaced; it doubles with each death in a row.
    pub restart_delay: Duration,
    /// Longest delay before an engine is replaced.
    pub max_restart_delay: Duration,
    /// How often a worker says what it is doing.
    pub report_every: Duration,
    /// How long an answer about a run's stop is believed.
    pub stop_cached: Duration,
    /// How long nothing is taken after something was found to be away; it doubles with each time in a row.
    pub pause: Duration,
    /// Longest time that nothing is taken.
    pub max_pause: Duration,
}

impl SupervisorConfig {
    /// Usual times around an engine.
    #[must_use]
    pub fn new(worker: String, engine: EngineConfig) -> Self {
        Self {
            worker,
            engine,
            prefetch: 0,
            lease: Duration::from_secs(20),
            stall: Duration::from_secs(120),
            grace: Duration::from_secs(25),
            max_engine_failures: 8,
            restart_delay: Duration::from_millis(100),
            max_restart_delay: Duration::from_secs(30),
            report_every: Duration::from_secs(5),
            stop_cached: Duration::from_secs(2),
            pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for EngineTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineTelemetry")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("model", &self.model)
            .field("datasets", &self.datasets)
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_sizes_have_no_problem_and_each_wrong_one_is_named() {
        let good = PipelineConfig::default();
        assert_eq!(good.problems(), []);
        let bad = PipelineConfig {
            memory_bytes: 4096,
            batch_items: 4097,
            retry_ms: 9999,
            index_patience_seconds: 3601,
            ..good
        };
        assert_eq!(
            bad.problems().iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            ["memory_bytes", "batch_items", "retry_ms", "index_patience_seconds"]
        );
    }

    #[test]
    fn the_address_of_the_index_is_not_shown() {
        let config = EngineConfig {
            model: ModelConfig {
                folder: Some("m".into()),
                name: ModelName::new("m").unwrap(),
                device: DeviceName::Cpu,
                devices: String::new(),
                precision: "auto".into(),
                threads: 1,
                truncate_dim: None,
                decode: "exact".into(),
                trusted_torchscript: Vec::new(),
                max_pixels: 1,
            },
            index: "milvus://user:hunter2@host".into(),
            datasets: DatasetsConfig::default(),
            pipeline: PipelineConfig::default(),
            telemetry: EngineTelemetry {
                otlp_endpoint: Some("http://hunter2@host".into()),
                otlp_headers: "authorization=hunter2".into(),
                ..EngineTelemetry::default()
            },
            embedding: None,
            memory_limit: None,
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
