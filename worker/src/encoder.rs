//! The engine's model, from `sightline-models`.

use crate::config::{DeviceName, ModelConfig};
use crate::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels};
use async_trait::async_trait;
use sightline_core::{FailureReason, FieldDescription, ModelName, VectorField};
use sightline_model_folder::{DigestCache, ModelFolder};
use sightline_models::{DeviceChoice, LoadOptions, ModelError, ModelRunner, RunnerError, TextRole};
use sightline_pictures::{DecodeLimits, PreparedPicture, picture};
use std::collections::BTreeMap;

/// Batches that may wait for the model: the engine has one ready while one is computed.
const WAITING_BATCHES: usize = 2;

/// A model from a folder, on a thread of its own.
#[derive(Debug)]
pub(crate) struct FolderModel {
    runner: ModelRunner,
    fields: BTreeMap<VectorField, FieldDescription>,
    limits: DecodeLimits,
}

impl FolderModel {
    /// Loads the model and computes its own vectors of the built-in inputs.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or the device.
    pub(crate) async fn load(config: &ModelConfig) -> Result<Self, String> {
        let options = LoadOptions {
            device: match config.device {
                DeviceName::Auto => DeviceChoice::Auto,
                DeviceName::Cpu => DeviceChoice::Cpu,
                DeviceName::Cuda => DeviceChoice::Cuda(0),
            },
            precision: config.precision.parse()?,
            threads: Some(config.threads).filter(|threads| *threads > 0),
            trusted_torchscript: config.trusted_torchscript.clone(),
        };
        let folder = ModelFolder::open_as(&config.folder, config.name.clone(), &DigestCache::new());
        let folder = folder.and_then(|folder| folder.truncated(config.truncate_dim));
        let folder = folder.map_err(|error| format!("model {}: {error}", config.folder.display()))?;
        let load = move || sightline_models::load(folder, &options);
        let words = |error: RunnerError| format!("model {}: {error}", config.folder.display());
        let runner = ModelRunner::start(WAITING_BATCHES, load).await.map_err(words)?;
        let mut canaries = runner.canaries().await.map_err(words)?;
        let spaces = &runner.info().spaces;
        let describe = |(field, space): (&VectorField, &sightline_core::VectorSpace)| {
            (
                *field,
                FieldDescription::new(space.clone(), canaries.remove(field).unwrap_or_default()),
            )
        };
        let fields = spaces.iter().map(describe).collect();
        let limits = DecodeLimits {
            max_pixels: config.max_pixels,
            ..DecodeLimits::default()
        };
        Ok(Self { runner, fields, limits })
    }
}

#[async_trait]
impl EmbeddingModel for FolderModel {
    fn name(&self) -> &ModelName {
        &self.runner.info().model
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn devices(&self) -> Vec<String> {
        vec![self.runner.info().device.clone()]
    }

    fn prepare(&self, bytes: &[u8]) -> Result<Pixels, InputError> {
        let Some(preprocessor) = &self.runner.info().preprocessor else {
            let message = format!("model {} embeds no pictures", self.name());
            return Err(InputError {
                reason: FailureReason::NothingToEmbed,
                message,
            });
        };
        let decoded = picture::decode(bytes, &self.limits);
        let picture = decoded.map_err(|error| InputError {
            reason: error.reason(),
            message: error.to_string(),
        })?;
        Ok(Pixels::new(preprocessor.prepare(&picture)))
    }

    async fn embed_images(&self, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        let prepared = batch.iter().map(|pixels| pixels.downcast::<PreparedPicture>().cloned());
        let prepared: Option<Vec<PreparedPicture>> = prepared.collect();
        let prepared = prepared.ok_or_else(|| ForwardError::Refused("a picture of another model".into()))?;
        self.runner.encode_images(prepared).await.map_err(forward_error)
    }

    async fn embed_texts(&self, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.runner
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
