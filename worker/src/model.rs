//! What the engine asks of a model. Behind it is `sightline-models`; tests have a model of their own in a program of
//! their own.

use async_trait::async_trait;
use serde_json::Value;
use sightline_core::vector::VectorError;
use sightline_core::{DicomSpec, FailureReason, FieldDescription, ModelName, PreviewSpec, VectorField};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

/// A picture as the model's network takes it. A clone shares it, so that a batch can be tried again in parts.
#[derive(Clone)]
pub struct Pixels(Arc<dyn Any + Send + Sync>);

/// What is taken from pictures' files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// From DICOM files.
    pub dicom: DicomSpec,
    /// The preview that is made of each picture, if any.
    pub preview: Option<PreviewSpec>,
}

/// A picture's file that was read.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The picture as the model takes it.
    pub pixels: Pixels,
    /// What the file says of itself, where that was asked for: attributes of its item.
    pub tags: BTreeMap<String, Value>,
    /// The picture's preview, where one was asked for and could be made.
    pub preview: Option<Vec<u8>>,
}

impl From<Pixels> for Prepared {
    /// Of a file that says nothing of itself.
    fn from(pixels: Pixels) -> Self {
        Self {
            pixels,
            tags: BTreeMap::new(),
            preview: None,
        }
    }
}

/// An input that cannot be embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// Why.
    pub reason: FailureReason,
    /// In words that a person can act on.
    pub message: String,
}

/// A batch that could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The device has too little memory for this batch: a smaller one may do.
    #[error("the device has too little memory: {0}")]
    OutOfMemory(String),
    /// The device or the library is broken: only a new process helps.
    #[error("the device failed: {0}")]
    Device(String),
    /// The model cannot compute this batch, and never will.
    #[error("the model failed: {0}")]
    Refused(String),
}

impl Pixels {
    /// Wraps the model's own type.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(data: T) -> Self {
        Self(Arc::new(data))
    }

    /// The model's own type again; none where another model made it.
    #[must_use]
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pixels")
    }
}

/// A vector of length 1, or why an input has none.
pub type Embedding = Result<Vec<f32>, VectorError>;

/// A loaded model. It gives one embedding for each input, in order, of the field's dimension.
#[async_trait]
pub trait EmbeddingModel: Send + Sync + Debug {
    /// The model's name.
    fn name(&self) -> &ModelName;

    /// Its vector spaces, each with the model's own vectors of the built-in inputs.
    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription>;

    /// Devices that it computes on, for example `cpu`, `cuda:0`.
    fn devices(&self) -> Vec<String>;

    /// How long each device had something to compute since the model was loaded, in the order of [`Self::devices`]; empty
    /// where the model does not tell.
    fn device_busy(&self) -> Vec<Duration> {
        Vec::new()
    }

    /// About how many bytes preparing these bytes, with the preview that is asked for, will take beside them; cheap.
    fn decode_bytes(&self, bytes: &[u8], _: &Reading) -> u64 {
        bytes.len() as u64
    }

    /// Bytes of one prepared picture, at most.
    fn prepared_bytes(&self) -> u64 {
        0
    }

    /// Bytes that a picture of a batch takes beside that on its way into the network, at most.
    fn batch_bytes(&self) -> u64 {
        0
    }

    /// Decodes and preprocesses one picture. Called on the engine's decode threads; it may take long.
    ///
    /// # Errors
    /// When the bytes are no picture, or one beyond the limits.
    fn prepare(&self, bytes: &[u8], reading: &Reading) -> Result<Prepared, InputError>;

    /// Computes the vectors of pictures on one of the devices, by its place in [`Self::devices`].
    ///
    /// # Errors
    /// When the batch cannot be computed.
    async fn embed_images(&self, device: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError>;

    /// Computes the vectors of texts on one of the devices, by its place in [`Self::devices`].
    ///
    /// # Errors
    /// When the batch cannot be computed.
    async fn embed_texts(&self, device: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError>;
}

/// What stands in a model's place where there is none: it makes no vectors, and nothing asks it to, since shards whose
/// kind needs a model wait in that model's queue.
#[derive(Debug)]
pub(crate) struct NoModel(pub(crate) ModelName);

static NO_FIELDS: BTreeMap<VectorField, FieldDescription> = BTreeMap::new();
const NONE: &str = "this worker has no model";

#[async_trait]
impl EmbeddingModel for NoModel {
    fn name(&self) -> &ModelName {
        &self.0
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &NO_FIELDS
    }

    fn devices(&self) -> Vec<String> {
        Vec::new()
    }

    fn prepare(&self, _: &[u8], _: &Reading) -> Result<Prepared, InputError> {
        Err(InputError {
            reason: FailureReason::NothingToEmbed,
            message: NONE.into(),
        })
    }

    async fn embed_images(&self, _: usize, _: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        Err(ForwardError::Refused(NONE.into()))
    }

    async fn embed_texts(&self, _: usize, _: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        Err(ForwardError::Refused(NONE.into()))
    }
}
