//! Layer normalisation.

#[cfg(target_arch = "x86_64")]
use super::native_norm;
use crate::error::ModelError;
use crate::weights::Weights;
use tch::Tensor;

/// (x − mean) / √(variance + eps) · weight + bias, over the last dimension.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    width: i64,
}

impl LayerNorm {
    pub(crate) fn load(weights: &mut Weights, name: &str, width: i64, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[width])?,
            bias: weights.take(&format!("{name}.bias"), &[width])?,
            eps,
            width,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        #[cfg(target_arch = "x86_64")]
        if let Some(made) = native_norm::normalise(x, &self.weight, &self.bias, self.eps)? {
            return Ok(made);
        }
        Ok(x.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.eps, true)?)
    }
}
