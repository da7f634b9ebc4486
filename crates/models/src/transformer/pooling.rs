//! From the vectors of a text's tokens to one.

use super::token_batch::TokenBatch;
use crate::error::ModelError;
use crate::nn::Linear;
use crate::weights::Weights;
use sightline_model_folder::{Activation, Dense, EndOfText, Pooling};
use std::slice;
use tch::{Device, Kind, Tensor};

const OVER_TOKENS: &[i64] = &[1];

/// `[texts, length, width]` to `[texts, width]`.
pub(crate) fn pool(pooling: Pooling, hidden: &Tensor, batch: &TokenBatch) -> Result<Tensor, ModelError> {
    match (pooling, &batch.mask) {
        (Pooling::Cls, _) => Ok(hidden.f_select(1, 0)?),
        (Pooling::Network, _) => Ok(hidden.shallow_clone()),
        (Pooling::Mean, None) => Ok(hidden.f_mean_dim(OVER_TOKENS, false, hidden.kind())?),
        (Pooling::MeanSqrtLength, None) => {
            let sum = hidden.f_sum_dim_intlist(OVER_TOKENS, false, Kind::Float)?;
            #[expect(clippy::cast_precision_loss, reason = "a length of some thousands")]
            Ok(sum.f_div_scalar((batch.length as f64).sqrt())?)
        }
        (Pooling::Mean | Pooling::MeanSqrtLength, Some(mask)) => {
            let shown = hidden.f_to_kind(Kind::Float)?.f_mul(&mask.f_unsqueeze(2)?)?;
            let sum = shown.f_sum_dim_intlist(OVER_TOKENS, false, Kind::Float)?;
            let count = mask.f_sum_dim_intlist(OVER_TOKENS, true, Kind::Float)?;
            let divisor = if pooling == Pooling::Mean {
                count
            } else {
                count.f_sqrt()?
            };
            Ok(sum.f_div(&divisor)?)
        }
        (Pooling::Max, None) => Ok(hidden.f_amax(OVER_TOKENS, false)?),
        (Pooling::Max, Some(mask)) => {
            let hidden_places = mask.f_eq(0.0)?.f_unsqueeze(2)?;
            Ok(hidden
                .f_masked_fill(&hidden_places, f64::NEG_INFINITY)?
                .f_amax(OVER_TOKENS, false)?)
        }
        (Pooling::Last, None) => Ok(hidden.f_select(1, -1)?),
        (Pooling::Last, Some(mask)) => {
            let count = mask.f_sum_dim_intlist(OVER_TOKENS, false, Kind::Int64)?;
            at(hidden, &count.f_sub_scalar(1)?, batch)
        }
        (Pooling::EndOfText(EndOfText::LargestToken), _) => at(hidden, &batch.ids.f_argmax(1, false)?, batch),
        (Pooling::EndOfText(EndOfText::Token(id)), _) => {
            let found = batch.ids.f_eq(i64::from(id))?.f_to_kind(Kind::Int)?;
            at(hidden, &found.f_argmax(1, false)?, batch)
        }
    }
}

/// Each text's vector at its own place.
fn at(hidden: &Tensor, places: &Tensor, batch: &TokenBatch) -> Result<Tensor, ModelError> {
    let width = hidden.size().last().copied().unwrap_or(0);
    let index = places
        .f_reshape([batch.texts, 1, 1])?
        .f_expand([batch.texts, 1, width], false)?;
    Ok(hidden.f_gather(1, &index, false)?.f_squeeze_dim(1)?)
}

/// The maps after the pooling, in their order.
pub(crate) struct DenseMaps(Vec<(Linear, Activation)>);

impl DenseMaps {
    pub(crate) fn load(maps: &[Dense], device: Device, kind: Kind) -> Result<Self, ModelError> {
        let load = |dense: &Dense| {
            let mut weights = Weights::open(slice::from_ref(&dense.file), device, kind)?;
            let shape = [i64::from(dense.inputs), i64::from(dense.outputs)];
            let map = Linear::load(&mut weights, "linear", shape, dense.bias)?;
            weights.finish(|_| false)?;
            Ok((map, dense.activation))
        };
        Ok(Self(maps.iter().map(load).collect::<Result<_, ModelError>>()?))
    }

    pub(crate) fn forward(&self, mut x: Tensor, kind: Kind) -> Result<Tensor, ModelError> {
        for (map, activation) in &self.0 {
            x = map.forward_into(&x.f_to_kind(kind)?, *activation)?;
        }
        Ok(x)
    }
}
