//! The engine's model, from `sightline-models`, on each of its devices.

use crate::busy::Busy;
use crate::config::ModelConfig;
use crate::devices::Devices;
use crate::machine::cores;
use crate::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels, Prepared, Reading};
use async_trait::async_trait;
use sightline_core::{FailureReason, FieldDescription, ModelName, VectorField};
use sightline_encoding::{BatchModel, ModelOptions, PrepareError, RunnerModel};
use sightline_models::{DeviceChoice, LoadOptions, ModelError, RunnerError, TextRole, cuda_devices};
use sightline_pictures::{DecodeLimits, PreparedPicture, Preprocessor};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a value of a batch takes where the device looks up what bytes become: one for the thread that computes, one in
/// memory that the device copies from.
const LOOKED_UP_BYTES: u64 = 2;
/// Where it does not: one for the thread, one until it is written, and an f32.
const WRITTEN_BYTES: u64 = 6;
/// Batches that may wait for the model: the engine has one ready while one is computed.
const WAITING_BATCHES: usize = 2;

/// The devices of a configured model.
///
/// # Errors
/// In words: what is no device.
pub(crate) fn devices_of(config: &ModelConfig) -> Result<Vec<DeviceChoice>, String> {
    Ok(Devices::parse(&config.devices, config.device)?.on(cuda_devices()))
}

/// How a configured model is opened on one of its devices.
///
/// # Errors
/// In words, when there is no folder, or the precision is none.
pub(crate) fn model_options(
    config: &ModelConfig,
    device: DeviceChoice,
    waiting_batches: usize,
) -> Result<ModelOptions, String> {
    Ok(ModelOptions {
        folder: config.folder.clone().ok_or("model.folder is needed")?,
        name: Some(config.name.clone()),
        load: LoadOptions {
            device,
            precision: config.precision.parse()?,
            threads: Some(config.threads_on(cores())),
            trusted_torchscript: config.trusted_torchscript.clone(),
        },
        truncate_dim: config.truncate_dim,
        decode: config.decode.parse()?,
        limits: DecodeLimits {
            max_pixels: config.max_pixels,
            ..DecodeLimits::default()
        },
        waiting_batches,
    })
}

/// A device with a model of its own.
#[derive(Debug)]
struct Lane {
    model: Arc<RunnerModel>,
    busy: Busy,
}

/// A model from a folder, on a thread of its own for each device.
#[derive(Debug)]
pub(crate) struct FolderModel {
    first: Lane,
    others: Vec<Lane>,
}

impl FolderModel {
    /// Loads the model and computes its own vectors of the built-in inputs.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or the device.
    pub(crate) async fn load(config: &ModelConfig) -> Result<Self, String> {
        let mut devices = devices_of(config)?.into_iter();
        let first = devices.next().ok_or("model.devices names no device")?;
        let first = Lane::load(config, first).await?;
        let mut others = Vec::new();
        for device in devices {
            others.push(Lane::load(config, device).await?);
        }
        Ok(Self { first, others })
    }

    /// The model itself, on the first device, for others beside the pipeline.
    pub(crate) fn shared(&self) -> Arc<RunnerModel> {
        Arc::clone(&self.first.model)
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What prepares pictures, each value of the network's input a byte; none where the model takes none.
    fn preprocessor(&self) -> Option<&Preprocessor> {
        self.first.model.runner().info().preprocessor.as_deref()
    }

    fn lane(&self, device: usize) -> Result<&Lane, ForwardError> {
        let none = || ForwardError::Device(format!("there is no device {device}"));
        self.lanes().nth(device).ok_or_else(none)
    }
}

impl Lane {
    async fn load(config: &ModelConfig, device: DeviceChoice) -> Result<Self, String> {
        let opened = RunnerModel::open(model_options(config, device, WAITING_BATCHES)?).await;
        let folder = config.folder.as_deref().unwrap_or(Path::new(""));
        let model = opened.map_err(|error| format!("model {} on {device}: {error}", folder.display()))?;
        Ok(Self {
            model: Arc::new(model),
            busy: Busy::default(),
        })
    }
}

#[async_trait]
impl EmbeddingModel for FolderModel {
    fn name(&self) -> &ModelName {
        &self.first.model.description().model
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.first.model.description().fields
    }

    fn devices(&self) -> Vec<String> {
        self.lanes()
            .map(|lane| lane.model.runner().info().device.clone())
            .collect()
    }

    fn device_busy(&self) -> Vec<Duration> {
        self.lanes().map(|lane| lane.busy.total()).collect()
    }

    fn decode_bytes(&self, bytes: &[u8], reading: &Reading) -> u64 {
        self.first.model.decode_bytes(bytes, reading.preview.as_ref())
    }

    fn prepared_bytes(&self) -> u64 {
        self.preprocessor()
            .map_or(0, |preprocessor| preprocessor.values() as u64)
    }

    fn batch_bytes(&self) -> u64 {
        let a_value = self.preprocessor().map_or(0, |preprocessor| {
            let looked_up = |lane: &Lane| lane.model.runner().info().device.starts_with("cuda");
            match !preprocessor.pads() && self.lanes().all(looked_up) {
                true => LOOKED_UP_BYTES,
                false => WRITTEN_BYTES,
            }
        });
        self.prepared_bytes() * a_value
    }

    fn prepare(&self, bytes: &[u8], reading: &Reading) -> Result<Prepared, InputError> {
        let model = &self.first.model;
        let Some(spec) = reading.preview.as_ref() else {
            let prepared = model.prepare_file(bytes, &reading.dicom).map_err(input_error)?;
            return Ok(Prepared {
                pixels: Pixels::new(prepared.picture),
                tags: prepared.tags,
                preview: None,
            });
        };
        let previewed = model.prepare_with_preview(bytes, &reading.dicom, spec);
        let previewed = previewed.map_err(input_error)?;
        let preview = previewed.preview.map(Some).unwrap_or_else(|error| {
            // The picture itself is as good as any other: its item does not fail for want of a copy.
            tracing::warn!(%error, "an item stays without its preview");
            None
        });
        Ok(Prepared {
            pixels: Pixels::new(previewed.prepared.picture),
            tags: previewed.prepared.tags,
            preview,
        })
    }

    async fn embed_images(&self, device: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        let prepared = batch.iter().map(|pixels| pixels.downcast::<PreparedPicture>().cloned());
        let prepared: Option<Vec<PreparedPicture>> = prepared.collect();
        let prepared = prepared.ok_or_else(|| ForwardError::Refused("a picture of another model".into()))?;
        let lane = self.lane(device)?;
        let _busy = lane.busy.enter();
        lane.model.runner().encode_images(prepared).await.map_err(forward_error)
    }

    async fn embed_texts(&self, device: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        let lane = self.lane(device)?;
        let _busy = lane.busy.enter();
        lane.model
            .runner()
            .encode_texts(batch, TextRole::Document)
            .await
            .map_err(forward_error)
    }
}

fn input_error(error: PrepareError) -> InputError {
    InputError {
        reason: match &error {
            PrepareError::NoSide(_) => FailureReason::NothingToEmbed,
            PrepareError::Picture(error) => error.reason(),
        },
        message: error.to_string(),
    }
}

fn forward_error(error: RunnerError) -> ForwardError {
    let message = error.to_string();
    match error {
        RunnerError::Stopped(_) | RunnerError::Thread(_) => ForwardError::Device(message),
        RunnerError::Model(ModelError::Libtorch(_)) => judge_libtorch(message),
        RunnerError::Model(_) | RunnerError::Canary(_) => ForwardError::Refused(message),
    }
}

/// libtorch has one type of error; what it means stands in its words.
fn judge_libtorch(message: String) -> ForwardError {
    let lower = message.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    // A library of the device that finds no memory for itself says so in its own words: CUBLAS_STATUS_ALLOC_FAILED.
    // What is not a tensor's comes from C++.
    let lacks_memory = says(&[
        "out of memory",
        "can't allocate memory",
        "status_alloc_failed",
        "bad_alloc",
    ]);
    let is_broken = says(&[
        "cuda error",
        "cuda driver error",
        "cublas",
        "cudnn",
        "device-side assert",
    ]);
    if lacks_memory {
        ForwardError::OutOfMemory(message)
    } else if is_broken {
        ForwardError::Device(message)
    } else {
        ForwardError::Refused(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtorch_says_decides_between_a_smaller_batch_a_new_process_and_a_failure() {
        let judge = |words: &str| judge_libtorch(words.to_owned());
        let memory = judge("CUDA out of memory. Tried to allocate 2.00 GiB");
        assert!(matches!(memory, ForwardError::OutOfMemory(_)));
        assert!(matches!(
            judge("DefaultCPUAllocator: can't allocate memory"),
            ForwardError::OutOfMemory(_)
        ));
        assert!(matches!(
            judge("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            ForwardError::OutOfMemory(_)
        ));
        assert!(matches!(judge("std::bad_alloc"), ForwardError::OutOfMemory(_)));
        for broken in [
            "CUDA error: an illegal memory access",
            "CUDA driver error: unknown error",
        ] {
            assert!(matches!(judge(broken), ForwardError::Device(_)), "{broken}");
        }
        assert!(matches!(
            judge("mat1 and mat2 shapes cannot be multiplied"),
            ForwardError::Refused(_)
        ));
    }
}
