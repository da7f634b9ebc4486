//! What the gateway asks of a model, and the bounded queue before it.

use crate::error::GatewayError;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::{FieldDescription, ModelName, VectorField};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Why an input has no vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// This input cannot be embedded, and never can; in words for whoever gave it.
    #[error("{0}")]
    Input(String),
    /// The model or its device failed.
    #[error("{0}")]
    Model(String),
}

/// A loaded model that encodes queries with the same code as a worker.
#[async_trait]
pub trait QueryEncoder: Send + Sync + Debug {
    /// The model's name.
    fn model(&self) -> &ModelName;

    /// Its vector spaces, each with the model's own vectors of the built-in inputs.
    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription>;

    /// Whether texts and pictures lie in one space, so that a text finds pictures by their vectors.
    fn sides_share_a_space(&self) -> bool;

    /// Embeds one picture's file; of length 1.
    ///
    /// # Errors
    /// When the file is no picture or one beyond the limits, or the model fails.
    async fn encode_image(&self, bytes: Bytes) -> Result<Vec<f32>, EncodeError>;

    /// Embeds one text; of length 1.
    ///
    /// # Errors
    /// When the model fails.
    async fn encode_text(&self, text: String) -> Result<Vec<f32>, EncodeError>;
}

/// One input.
#[derive(Debug, Clone)]
pub(crate) enum EncoderInput {
    Image(Bytes),
    Text(String),
}

impl EncoderInput {
    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "picture",
            Self::Text(_) => "text",
        }
    }
}

/// An encoder with a bounded queue before it: a call beyond it is refused at once, rather than made to wait until
/// nobody wants its answer any more.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    encoder: Arc<dyn QueryEncoder>,
    /// Calls that are encoded or wait.
    places: Arc<Semaphore>,
    /// Calls that are encoded.
    running: Arc<Semaphore>,
}

impl Encoder {
    pub(crate) fn new(encoder: Arc<dyn QueryEncoder>, running: usize, waiting: usize) -> Self {
        Self {
            encoder,
            places: Arc::new(Semaphore::new(
                running.saturating_add(waiting).min(Semaphore::MAX_PERMITS),
            )),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    pub(crate) fn model(&self) -> &dyn QueryEncoder {
        &*self.encoder
    }

    /// Encodes the inputs of one call, in order. An input's own failure is a violation at its place. Dropping the
    /// future gives the place back.
    pub(crate) async fn encode(&self, inputs: Vec<(String, EncoderInput)>) -> Result<Vec<Vec<f32>>, GatewayError> {
        let _place = self.places.try_acquire().map_err(|_| GatewayError::Busy)?;
        let closed = |_| GatewayError::Internal("the encoder's queue is closed");
        let _running = self.running.acquire().await.map_err(closed)?;
        let mut vectors = Vec::with_capacity(inputs.len());
        for (place, input) in inputs {
            let encoded = match input {
                EncoderInput::Image(bytes) => self.encoder.encode_image(bytes).await,
                EncoderInput::Text(text) => self.encoder.encode_text(text).await,
            };
            let mut vector = encoded.map_err(|error| match error {
                EncodeError::Input(message) => GatewayError::invalid(place.clone(), message),
                error @ EncodeError::Model(_) => GatewayError::Encode(error),
            })?;
            sightline_core::vector::normalize(&mut vector)
                .map_err(|error| GatewayError::Encode(EncodeError::Model(error.to_string())))?;
            vectors.push(vector);
        }
        Ok(vectors)
    }
}
