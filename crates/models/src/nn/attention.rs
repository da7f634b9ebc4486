//! Scaled dot-product attention, by the kernel that libtorch finds best.

use crate::error::ModelError;
use tch::Tensor;

/// How a width is cut into heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: i64,
    pub(crate) width: i64,
}

impl Heads {
    /// `[batch, length, count · width]` to `[batch, count, length, width]`.
    pub(crate) fn split(self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, length, _) = x.size3()?;
        Ok(x.f_reshape([batch, length, self.count, self.width])?
            .f_transpose(1, 2)?)
    }

    /// The way back.
    pub(crate) fn join(self, x: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, _, length, _) = x.size4()?;
        Ok(x.f_transpose(1, 2)?
            .f_reshape([batch, length, self.count * self.width])?)
    }
}

/// softmax(query · keyᵀ · scale + mask) · value, for each head. `scale` is 1/√width where it is not given; a mask is
/// added to the scores.
pub(crate) fn attend(
    [query, key, value]: [&Tensor; 3],
    mask: Option<&Tensor>,
    causal: bool,
    scale: Option<f64>,
) -> Result<Tensor, ModelError> {
    Ok(Tensor::f_scaled_dot_product_attention(
        query, key, value, mask, 0.0, causal, scale, false,
    )?)
}
