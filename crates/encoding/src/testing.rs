//! A model whose vectors tests can foresee, and that says which batches it was given.

use crate::batching::BatchModel;
use crate::encoder::{Encoded, InputError, ModelDescription};
use crate::error::EncodeError;
use async_trait::async_trait;
use sightline_core::vector::normalize;
use sightline_core::{Canary, FieldDescription, ModelName, VectorField, VectorSpace};
use sightline_models::TextRole;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

pub(crate) fn described(model: &str, dimension: u32) -> Arc<ModelDescription> {
    let model = ModelName::new(model).unwrap();
    let field = |side: &str| {
        let space = VectorSpace {
            model: model.clone(),
            weights: format!("{model}/{side}"),
            preprocessing: "{}".into(),
            decode: "exact".into(),
            pooling: "count".into(),
            prefix: String::new(),
            dimension,
            normalized: true,
        };
        let canary = Canary {
            input: "canary/v1".into(),
            vector: vector_of(b"canary", dimension),
        };
        FieldDescription::new(space, vec![canary])
    };
    Arc::new(ModelDescription {
        fields: [(VectorField::Image, field("image")), (VectorField::Text, field("text"))].into(),
        model,
        shared_space: true,
    })
}

/// An input's bytes, counted by their low bits.
pub(crate) fn vector_of(input: &[u8], dimension: u32) -> Vec<f32> {
    let mut vector = vec![0.01; dimension as usize];
    for byte in input {
        vector[usize::from(*byte) % dimension as usize] += 1.0;
    }
    normalize(&mut vector).unwrap();
    vector
}

/// What a batch was: its inputs as texts, prefixed by `d:` or `q:` for texts.
pub(crate) type Batches = Arc<Mutex<Vec<Vec<String>>>>;

#[derive(Debug)]
pub(crate) struct CountingModel {
    pub(crate) description: Arc<ModelDescription>,
    pub(crate) batches: Batches,
    /// One permit for each batch that may be computed.
    pub(crate) gate: Arc<Semaphore>,
    /// Batches of more inputs than this fail.
    pub(crate) most: usize,
}

impl CountingModel {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            description: described(model, 8),
            batches: Batches::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            most: usize::MAX,
        }
    }

    /// One that computes nothing until permits are added to its gate.
    pub(crate) fn closed(model: &str) -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            ..Self::new(model)
        }
    }

    async fn forward(&self, batch: &[String], mark: &str) -> Result<Vec<Encoded>, EncodeError> {
        self.gate.acquire().await.unwrap().forget();
        let marked = batch.iter().map(|input| format!("{mark}{input}")).collect();
        self.batches.lock().unwrap().push(marked);
        if batch.len() > self.most || batch.iter().any(|input| input == "poison") {
            return Err(EncodeError::Model("out of memory".into()));
        }
        let encode = |input: &String| match input.as_str() {
            "nothing" => Err(InputError("the model made no vector of it".into())),
            input => Ok(vector_of(input.as_bytes(), 8)),
        };
        Ok(batch.iter().map(encode).collect())
    }
}

#[async_trait]
impl BatchModel for CountingModel {
    type Picture = String;

    fn description(&self) -> &Arc<ModelDescription> {
        &self.description
    }

    fn prepare(&self, file: &[u8]) -> Result<String, InputError> {
        let content = file.strip_prefix(b"picture:");
        let content = content.ok_or_else(|| InputError("the file is no picture".into()))?;
        Ok(String::from_utf8_lossy(content).into_owned())
    }

    async fn forward_pictures(&self, batch: Vec<String>) -> Result<Vec<Encoded>, EncodeError> {
        self.forward(&batch, "").await
    }

    async fn forward_texts(&self, batch: Vec<String>, role: TextRole) -> Result<Vec<Encoded>, EncodeError> {
        let mark = match role {
            TextRole::Document => "d:",
            TextRole::Query => "q:",
        };
        self.forward(&batch, mark).await
    }
}
