//! A model whose vectors tests can foresee: an input's bytes, counted by their low bits.

use async_trait::async_trait;
use sightline_core::vector::normalize;
use sightline_core::{Canary, FieldDescription, ModelName, VectorField, VectorSpace};
use sightline_encoding::{BatchModel, EncodeError, Encoded, InputError, ModelDescription};
use sightline_models::TextRole;
use std::sync::Arc;
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
    description: Arc<ModelDescription>,
    /// One permit for each batch that may be encoded.
    pub(crate) gate: Arc<Semaphore>,
}

impl CountingEncoder {
    pub(crate) fn new(model: &str, shared_space: bool) -> Self {
        let fields = [(VectorField::Image, "image"), (VectorField::Text, "text")];
        Self {
            description: Arc::new(ModelDescription {
                model: ModelName::new(model).unwrap(),
                fields: fields.map(|(of, side)| (of, field(model, side, b"canary"))).into(),
                shared_space,
            }),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// One that encodes nothing until permits are added to its gate.
    pub(crate) fn closed(model: &str) -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            ..Self::new(model, true)
        }
    }
}

#[async_trait]
impl BatchModel for CountingEncoder {
    type Picture = Vec<u8>;

    fn description(&self) -> &Arc<ModelDescription> {
        &self.description
    }

    fn prepare(&self, file: &[u8]) -> Result<Vec<u8>, InputError> {
        let content = file.strip_prefix(b"picture:");
        content
            .map(<[u8]>::to_vec)
            .ok_or_else(|| InputError("the file is no picture".into()))
    }

    async fn forward_pictures(&self, batch: Vec<Vec<u8>>) -> Result<Vec<Encoded>, EncodeError> {
        self.gate.acquire().await.unwrap().forget();
        Ok(batch.iter().map(|content| Ok(vector_of(content))).collect())
    }

    async fn forward_texts(&self, batch: Vec<String>, _: TextRole) -> Result<Vec<Encoded>, EncodeError> {
        self.gate.acquire().await.unwrap().forget();
        Ok(batch.iter().map(|text| Ok(vector_of(text.as_bytes()))).collect())
    }
}
