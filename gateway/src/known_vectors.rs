//! Vectors of queries that were asked before, so that the next page, the next filter or the next alpha of a query
//! does not cost the model.

use crate::encoder::EncoderInput;
use lru::LruCache;
use sightline_core::VectorField;
use sightline_core::digest::PartsDigest;
use sightline_encoding::ModelDescription;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// The last vectors, by what they were made of and in which space.
#[derive(Debug)]
pub(crate) struct KnownVectors(Option<Mutex<LruCache<String, Arc<[f32]>>>>);

impl KnownVectors {
    /// Room for so many vectors; none at 0.
    pub(crate) fn new(most: usize) -> Self {
        Self(NonZeroUsize::new(most).map(|most| Mutex::new(LruCache::new(most))))
    }

    /// What identifies an input's vector: the space that the model makes, and the input.
    pub(crate) fn key(model: &ModelDescription, input: &EncoderInput) -> String {
        let (side, bytes) = match input {
            EncoderInput::Image(file) => (VectorField::Image, &file[..]),
            EncoderInput::Text(text) => (VectorField::Text, text.as_bytes()),
        };
        let space = model.fields.get(&side).map(|field| field.fingerprint.as_str());
        PartsDigest::new("sightline/query-vector/v1")
            .part(side.as_str().as_bytes())
            .part(space.unwrap_or_default().as_bytes())
            .part(bytes)
            .short_hex()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<f32>> {
        let known = self.0.as_ref()?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).map(|vector| vector.to_vec())
    }

    pub(crate) fn put(&self, key: String, vector: &[f32]) {
        if let Some(known) = &self.0 {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.put(key, vector.into());
        }
    }
}
