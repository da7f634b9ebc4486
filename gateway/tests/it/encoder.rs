//! A model whose vectors tests can foresee: an input's bytes, counted by their low bits.

use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::vector::normalize;
use sightline_core::{Canary, FieldDescription, ModelName, VectorField, VectorSpace};
use sightline_gateway::{EncodeError, QueryEncoder};
use std::collections::BTreeMap;
use tokio::sync::Semaphore;

pub(crate) const DIMENSION: usize = 8;

/// The vector of an input: the same for the same bytes, and close for nearly the same.
pub(crate) fn vector_of(input: &[u8]) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSION];
    for byte in input {
        vector[usize::from(*byte) % DIMENSION] += 1.0;
    }
    normalize(&mut vector).unwrap();
    vector
}

pub(crate) fn space(model: &str, side: &str) -> VectorSpace {
    VectorSpace {
        model: ModelName::new(model).unwrap(),
        weights: format!("{model}/{side}"),
        preprocessing: "{}".into(),
        decode: "exact".into(),
        pooling: "count".into(),
        prefix: String::new(),
        dimension: u32::try_from(DIMENSION).unwrap(),
        normalized: true,
    }
}

/// A field of a model whose vectors of the built-in input are those of `canary`.
pub(crate) fn field(model: &str, side: &str, canary: &[u8]) -> FieldDescription {
    let canary = Canary {
        input: "canary/v1".into(),
        vector: vector_of(canary),
    };
    FieldDescription::new(space(model, side), vec![canary])
}

#[derive(Debug)]
pub(crate) struct CountingEncoder {
    model: ModelName,
    fields: BTreeMap<VectorField, FieldDescription>,
    shared: bool,
    /// One permit for each input that may be encoded.
    pub(crate) gate: Semaphore,
}

impl CountingEncoder {
    pub(crate) fn new(model: &str, shared: bool) -> Self {
        let fields = [(VectorField::Image, "image"), (VectorField::Text, "text")];
        Self {
            model: ModelName::new(model).unwrap(),
            fields: fields.map(|(of, side)| (of, field(model, side, b"canary"))).into(),
            shared,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    /// One that encodes nothing until permits are added to its gate.
    pub(crate) fn closed(model: &str) -> Self {
        Self {
            gate: Semaphore::new(0),
            ..Self::new(model, true)
        }
    }
}

#[async_trait]
impl QueryEncoder for CountingEncoder {
    fn model(&self) -> &ModelName {
        &self.model
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn sides_share_a_space(&self) -> bool {
        self.shared
    }

    async fn encode_image(&self, bytes: Bytes) -> Result<Vec<f32>, EncodeError> {
        self.gate.acquire().await.unwrap().forget();
        match bytes.strip_prefix(b"picture:") {
            Some(content) => Ok(vector_of(content)),
            None => Err(EncodeError::Input("the file is no picture".into())),
        }
    }

    async fn encode_text(&self, text: String) -> Result<Vec<f32>, EncodeError> {
        self.gate.acquire().await.unwrap().forget();
        Ok(vector_of(text.as_bytes()))
    }
}
