//! The engine's model, from `sightline-models`.

use crate::config::{DeviceName, ModelConfig};
use crate::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels};
use async_trait::async_trait;
use sightline_core::{FailureReason, FieldDescription, ModelName, VectorField};
use sightline_encoding::{BatchModel, ModelOptions, PrepareError, RunnerModel};
use sightline_models::{DeviceChoice, LoadOptions, ModelError, RunnerError, TextRole};
use sightline_pictures::{DecodeLimits, PreparedPicture};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Batches that may wait for the model: the engine has one ready while one is computed.
const WAITING_BATCHES: usize = 2;

/// How a configured model is opened.
///
/// # Errors
/// In words, when there is no folder, or the precision is none.
pub(crate) fn model_options(config: &ModelConfig, waiting_batches: usize) -> Result<ModelOptions, String> {
    Ok(ModelOptions {
        folder: config.folder.clone().ok_or("model.folder is needed")?,
        name: Some(config.name.clone()),
        load: LoadOptions {
            device: match config.device {
                DeviceName::Auto => DeviceChoice::Auto,
                DeviceName::Cpu => DeviceChoice::Cpu,
                DeviceName::Cuda => DeviceChoice::Cuda(0),
            },
            precision: config.precision.parse()?,
            threads: Some(config.threads).filter(|threads| *threads > 0),
            trusted_torchscript: config.trusted_torchscript.clone(),
        },
        truncate_dim: config.truncate_dim,
        decode: DecodeLimits {
            max_pixels: config.max_pixels,
            ..DecodeLimits::default()
        },
        waiting_batches,
    })
}

/// A model from a folder, on a thread of its own.
#[derive(Debug)]
pub(crate) struct FolderModel(Arc<RunnerModel>);

impl FolderModel {
    /// Loads the model and computes its own vectors of the built-in inputs.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or the device.
    pub(crate) async fn load(config: &ModelConfig) -> Result<Self, String> {
        let opened = RunnerModel::open(model_options(config, WAITING_BATCHES)?).await;
        let folder = config.folder.as_deref().unwrap_or(Path::new(""));
        let model = opened.map_err(|error| format!("model {}: {error}", folder.display()))?;
        Ok(Self(Arc::new(model)))
    }

    /// The model itself, for others beside the pipeline.
    pub(crate) fn shared(&self) -> Arc<RunnerModel> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl EmbeddingModel for FolderModel {
    fn name(&self) -> &ModelName {
        &self.0.description().model
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.0.description().fields
    }

    fn devices(&self) -> Vec<String> {
        vec![self.0.runner().info().device.clone()]
    }

    fn prepare(&self, bytes: &[u8]) -> Result<Pixels, InputError> {
        let prepared = self.0.prepare_picture(bytes).map_err(|error| InputError {
            reason: match &error {
                PrepareError::NoSide(_) => FailureReason::NothingToEmbed,
                PrepareError::Picture(error) => error.reason(),
            },
            message: error.to_string(),
        });
        prepared.map(Pixels::new)
    }

    async fn embed_images(&self, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        let prepared = batch.iter().map(|pixels| pixels.downcast::<PreparedPicture>().cloned());
        let prepared: Option<Vec<PreparedPicture>> = prepared.collect();
        let prepared = prepared.ok_or_else(|| ForwardError::Refused("a picture of another model".into()))?;
        self.0.runner().encode_images(prepared).await.map_err(forward_error)
    }

    async fn embed_texts(&self, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.0
            .runner()
            .encode_texts(batch, TextRole::Document)
            .await
            .map_err(forward_error)
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
    if lower.contains("out of memory") || lower.contains("can't allocate memory") {
        ForwardError::OutOfMemory(message)
    } else if ["cuda error", "cublas", "cudnn", "device-side assert"]
        .iter()
        .any(|sign| lower.contains(sign))
    {
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
            judge("CUDA error: an illegal memory access"),
            ForwardError::Device(_)
        ));
        assert!(matches!(
            judge("mat1 and mat2 shapes cannot be multiplied"),
            ForwardError::Refused(_)
        ));
    }
}
