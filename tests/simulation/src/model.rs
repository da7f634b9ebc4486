//! A model whose vectors are digests, and which some pictures kill.

use crate::process::Process;
use async_trait::async_trait;
use sightline_core::digest::sha256_hex;
use sightline_core::vector::normalize;
use sightline_core::{Canary, FailureReason, FieldDescription, ModelName, VectorField, VectorSpace};
use sightline_worker::model::{Embedding, EmbeddingModel, ForwardError, InputError, Pixels, Prepared, Reading};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A picture that begins so is damaged.
pub(crate) const DAMAGED: &[u8] = b"DAMAGED";
/// A picture that begins so ends the process that computes it by SIGSEGV.
pub(crate) const DEADLY: &[u8] = b"DEADLY";
const SIGSEGV: i32 = 11;

pub(crate) fn name() -> ModelName {
    ModelName::new("simulated").unwrap()
}

/// The vector of a picture's bytes.
pub(crate) fn vector_of(bytes: &[u8]) -> Embedding {
    let digest = sha256_hex(bytes);
    let mut vector: Vec<f32> = digest.bytes().take(4).map(|byte| f32::from(byte) - 40.0).collect();
    normalize(&mut vector).map(|()| vector)
}

/// The model in one engine.
#[derive(Debug)]
pub(crate) struct Model {
    process: Arc<Process>,
    name: ModelName,
    fields: BTreeMap<VectorField, FieldDescription>,
}

impl Model {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        let space = VectorSpace {
            model: name(),
            weights: "digests".into(),
            preprocessing: "none".into(),
            decode: String::new(),
            pooling: "none".into(),
            prefix: String::new(),
            dimension: 4,
            normalized: true,
        };
        let canary = Canary {
            input: "name".into(),
            vector: vector_of(b"canary").unwrap(),
        };
        let field = FieldDescription::new(space, vec![canary]);
        Self {
            process,
            name: name(),
            fields: BTreeMap::from([(VectorField::Image, field)]),
        }
    }
}

#[async_trait]
impl EmbeddingModel for Model {
    fn name(&self) -> &ModelName {
        &self.name
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn devices(&self) -> Vec<String> {
        vec!["simulated".into()]
    }

    fn prepare(&self, bytes: &[u8], _reading: &Reading) -> Result<Prepared, InputError> {
        if bytes.starts_with(DAMAGED) {
            return Err(InputError {
                reason: FailureReason::CorruptImage,
                message: "it is damaged".into(),
            });
        }
        Ok(Pixels::new(bytes.to_vec()).into())
    }

    async fn embed_images(&self, _: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        self.process.pause().await;
        let inputs: Vec<Vec<u8>> = batch
            .iter()
            .map(|pixels| pixels.downcast::<Vec<u8>>().unwrap().clone())
            .collect();
        if inputs.iter().any(|bytes| bytes.starts_with(DEADLY)) {
            self.process.world.count("deadly_items");
            self.process.kill(SIGSEGV);
            return std::future::pending().await;
        }
        Ok(inputs.iter().map(|bytes| vector_of(bytes)).collect())
    }

    async fn embed_texts(&self, _: usize, _batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        Err(ForwardError::Refused("it embeds no texts".into()))
    }
}
