//! SigLIP's head: a learned query that attends to all patches.

use crate::error::ModelError;
use crate::nn::{Heads, LayerNorm, Linear, attend};
use crate::weights::Weights;
use sightline_model_folder::{Activation, Layers};
use tch::Tensor;

pub(crate) struct AttentionHead {
    /// `[1, 1, width]`, through its map already.
    query: Tensor,
    key_value: Linear,
    out: Linear,
    norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    heads: Heads,
    activation: Activation,
}

impl AttentionHead {
    pub(crate) fn load(weights: &mut Weights, name: &str, layers: &Layers) -> Result<Self, ModelError> {
        let (width, inner) = (i64::from(layers.width), i64::from(layers.inner));
        let probe = weights.take(&format!("{name}.probe"), &[1, 1, width])?;
        let all = weights.take(&format!("{name}.attention.in_proj_weight"), &[3 * width, width])?;
        let biases = weights.take(&format!("{name}.attention.in_proj_bias"), &[3 * width])?;
        let query = probe.f_linear(&all.f_narrow(0, 0, width)?, Some(&biases.f_narrow(0, 0, width)?))?;
        let key_value = Linear::new(
            all.f_narrow(0, width, 2 * width)?.f_contiguous()?,
            Some(biases.f_narrow(0, width, 2 * width)?.f_contiguous()?),
        );
        Ok(Self {
            query,
            key_value,
            out: Linear::load(weights, &format!("{name}.attention.out_proj"), [width, width], true)?,
            norm: LayerNorm::load(weights, &format!("{name}.layernorm"), width, layers.eps)?,
            widen: Linear::load(weights, &format!("{name}.mlp.fc1"), [width, inner], true)?,
            narrow: Linear::load(weights, &format!("{name}.mlp.fc2"), [inner, width], true)?,
            heads: Heads {
                count: i64::from(layers.heads),
                width: i64::from(layers.width / layers.heads),
            },
            activation: layers.activation,
        })
    }

    /// `[pictures, patches, width]` to `[pictures, width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (count, _, width) = x.size3()?;
        let both = self.key_value.forward(x)?;
        let key = self.heads.split(&both.f_narrow(-1, 0, width)?)?;
        let value = self.heads.split(&both.f_narrow(-1, width, width)?)?;
        let query = self.heads.split(&self.query.f_expand([count, 1, width], false)?)?;
        let attended = self
            .out
            .forward(&self.heads.join(&attend([&query, &key, &value], None, false, None)?)?)?;
        let bent = self
            .widen
            .forward_into(&self.norm.forward(&attended)?, self.activation)?;
        Ok(self.narrow.forward_onto(&bent, &attended)?.f_select(1, 0)?)
    }
}
