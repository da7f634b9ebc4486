//! What an encoder is, wherever it runs.

use crate::error::EncodeError;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::{FieldDescription, ModelName, VectorField};
use sightline_models::TextRole;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// What a served model is.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// Its name.
    pub model: ModelName,
    /// The spaces of its sides, each with the model's own vectors of the built-in inputs.
    pub fields: BTreeMap<VectorField, FieldDescription>,
    /// Whether texts and pictures lie in one space, so that a text finds pictures by their vectors.
    pub shared_space: bool,
}

/// This input cannot be embedded, and never can; in words for whoever gave it. Inputs beside it are unaffected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// A vector of length 1, or why an input has none.
pub type Encoded = Result<Vec<f32>, InputError>;

/// A model that makes vectors, in this process or in another. Dropping a call's future takes its inputs back.
#[async_trait]
pub trait Encoder: Send + Sync + Debug {
    /// What is served now. Behind a remote encoder it may change.
    fn description(&self) -> Arc<ModelDescription>;

    /// Embeds pictures' files: one answer each, in order, in the image space of `described`.
    ///
    /// # Errors
    /// When the model makes no such vectors or fails, too much waits for it, it is away, or it is no longer what
    /// `described` says.
    async fn encode_images(
        &self,
        described: &ModelDescription,
        images: Vec<Bytes>,
    ) -> Result<Vec<Encoded>, EncodeError>;

    /// Embeds texts: one answer each, in order, in the text space of `described`.
    ///
    /// # Errors
    /// As [`Self::encode_images`].
    async fn encode_texts(
        &self,
        described: &ModelDescription,
        texts: Vec<String>,
        role: TextRole,
    ) -> Result<Vec<Encoded>, EncodeError>;
}
