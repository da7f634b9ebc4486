//! A worker of which all is real but the model, for `make bench-scale`: a batch takes a fixed time on a device that computes
//! one batch at a time, and a vector is drawn from a digest of its input. So many of them can share one machine, and what
//! is measured is everything around the model.
//!
//! The model's folder holds `stand_in.json`: `{"dimension": 768, "batch_milliseconds": 400}`. With `"device": "cuda:0"` the worker
//! takes it for a GPU, and chooses its sizes accordingly. Everything else is configured as `sightline-worker` is.
//!
//! An example, so that it is part of no build but the benchmark's.

use async_trait::async_trait;
use clap::Parser;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sightline_core::vector::normalize;
use sightline_core::{Canary, FieldDescription, ModelName, VectorField, VectorSpace};
use sightline_objects::{ObjectError, ObjectStore, S3Options, Stores};
use sightline_service::{ServiceArgs, ServiceInfo};
use sightline_worker::config::{DatasetsConfig, EngineConfig};
use sightline_worker::engine::{Datasets, EngineParts, OpenParts};
use sightline_worker::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels, Prepared, Reading};
use sightline_worker::{ENGINE_COMMAND, WorkerConfig, serve};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    service: ServiceArgs,
}

fn main() -> ExitCode {
    // The supervisor starts its own program for an engine.
    if std::env::args().nth(1).as_deref() == Some(ENGINE_COMMAND) {
        return sightline_worker::engine::run(&StandInParts);
    }
    let info = ServiceInfo {
        name: "stand-in-worker",
        version: env!("CARGO_PKG_VERSION"),
    };
    sightline_service::run::<WorkerConfig, _, _, _>(info, &Args::parse().service, Vec::new(), serve)
}

struct StandInParts;

#[async_trait]
impl OpenParts for StandInParts {
    async fn open(&self, config: &EngineConfig) -> Result<EngineParts, String> {
        let folder = config.model.folder.as_deref().ok_or("model.folder is needed")?;
        let path = folder.join("stand_in.json");
        let told = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let told = serde_json::from_slice(&told).map_err(|error| format!("{}: {error}", path.display()))?;
        let index = sightline_index::open(&config.index, &sightline_index::OpenOptions::default()).await;
        Ok(EngineParts {
            encoder: None,
            model: Arc::new(StandIn::new(config.model.name.clone(), told)),
            index: index.map_err(|error| error.to_string())?,
            datasets: Arc::new(Roots(Stores::new(roots(&config.datasets)))),
        })
    }
}

fn roots(config: &DatasetsConfig) -> sightline_objects::OpenOptions {
    sightline_objects::OpenOptions {
        s3: S3Options {
            endpoint: config.s3_endpoint.clone(),
            path_style: config.s3_path_style,
            region: config.s3_region.clone(),
            ..S3Options::default()
        },
        ..sightline_objects::OpenOptions::default()
    }
}

#[derive(Debug)]
struct Roots(Stores);

#[async_trait]
impl Datasets for Roots {
    async fn open(&self, root: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        self.0.open(root).await
    }

    async fn previews(&self, root: Option<&str>) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        self.0.open(root.unwrap_or_default()).await
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    dimension: u32,
    batch_milliseconds: u64,
    #[serde(default = "no_device")]
    device: String,
}

fn no_device() -> String {
    "stand-in".into()
}

#[derive(Debug)]
struct StandIn {
    name: ModelName,
    fields: BTreeMap<VectorField, FieldDescription>,
    told: Told,
    /// Held while a batch is computed.
    device: Mutex<()>,
}

impl StandIn {
    fn new(name: ModelName, told: Told) -> Self {
        let described = |field: VectorField| {
            let space = VectorSpace {
                model: name.clone(),
                weights: "stand-in".into(),
                preprocessing: field.to_string(),
                decode: String::new(),
                pooling: "none".into(),
                prefix: String::new(),
                dimension: told.dimension,
                normalized: true,
            };
            let canary = Canary {
                input: "name".into(),
                vector: vector_of(field.as_str().as_bytes(), told.dimension).unwrap_or_default(),
            };
            (field, FieldDescription::new(space, vec![canary]))
        };
        let fields = VectorField::ALL.into_iter().map(described).collect();
        Self {
            name,
            fields,
            told,
            device: Mutex::new(()),
        }
    }

    async fn compute<'a>(&self, inputs: impl Iterator<Item = &'a [u8]> + Send) -> Vec<Embedding> {
        let _device = self.device.lock().await;
        tokio::time::sleep(Duration::from_millis(self.told.batch_milliseconds)).await;
        inputs.map(|input| vector_of(input, self.told.dimension)).collect()
    }
}

/// A vector of length 1 that follows from the bytes: a digest of them starts a row of numbers (SplitMix64).
fn vector_of(bytes: &[u8], dimension: u32) -> Embedding {
    let digest = Sha256::digest(bytes);
    let mut state = digest
        .iter()
        .take(8)
        .fold(0_u64, |state, byte| (state << 8) | u64::from(*byte));
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let [high, low, ..] = mixed.to_be_bytes();
        f32::from(i16::from_be_bytes([high, low])) + 0.5
    };
    let mut vector: Vec<f32> = (0..dimension).map(|_| next()).collect();
    normalize(&mut vector).map(|()| vector)
}

#[async_trait]
impl EmbeddingModel for StandIn {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn devices(&self) -> Vec<String> {
        vec![self.told.device.clone()]
    }

    fn prepare(&self, bytes: &[u8], _: &Reading) -> Result<Prepared, InputError> {
        Ok(Pixels::new(bytes.to_vec()).into())
    }

    async fn embed_images(&self, _: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        let inputs = batch
            .iter()
            .filter_map(|pixels| pixels.downcast::<Vec<u8>>().map(Vec::as_slice));
        Ok(self.compute(inputs).await)
    }

    async fn embed_texts(&self, _: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        Ok(self.compute(batch.iter().map(String::as_bytes)).await)
    }
}
