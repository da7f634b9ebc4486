//! From a classifier's logits to a text encoder's space: the embeddings of the likeliest classes' names, weighted by
//! their probabilities.

use crate::error::ModelError;
use crate::weights::Weights;
use sightline_model_folder::Projection;
use std::slice;
use tch::{Device, Kind, Tensor};

pub(crate) struct ClassMixture {
    /// `[num_classes, dim]`
    embeddings: Tensor,
    top_classes: i64,
    temperature: f64,
}

impl ClassMixture {
    pub(crate) fn load(projection: &Projection, classes: i64, device: Device) -> Result<Self, ModelError> {
        let mut weights = Weights::open(slice::from_ref(&projection.file), device, Kind::Float)?;
        let embeddings = weights.take(&projection.tensor, &[classes, i64::from(projection.dim)])?;
        weights.finish(|_| false)?;
        Ok(Self {
            embeddings,
            top_classes: i64::from(projection.top_classes),
            temperature: projection.temperature,
        })
    }

    /// `[pictures, num_classes]` to `[pictures, dim]`.
    pub(crate) fn forward(&self, logits: &Tensor) -> Result<Tensor, ModelError> {
        let (top, classes) = logits
            .f_div_scalar(self.temperature)?
            .f_topk(self.top_classes, 1, true, true)?;
        let shares = top.f_softmax(1, Kind::Float)?;
        let (pictures, count) = classes.size2()?;
        let chosen = self
            .embeddings
            .f_index_select(0, &classes.f_reshape([pictures * count])?)?
            .f_reshape([pictures, count, -1])?;
        Ok(shares.f_unsqueeze(1)?.f_matmul(&chosen)?.f_squeeze_dim(1)?)
    }
}
