//! Linear maps.

use crate::error::ModelError;
use crate::weights::Weights;
use tch::{Device, Kind, Tensor};

/// Rows from which oneDNN's product is worth the two changes of layout that it needs.
const ONEDNN_ROWS: i64 = 16;
/// Values of a weight from which it is.
const ONEDNN_VALUES: i64 = 128 * 128;

/// x · weightᵀ + bias.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    /// On the processor, f32 goes through oneDNN: measured at 2.5 times the speed of the BLAS that libtorch uses.
    onednn: bool,
}

impl Linear {
    /// Takes `name.weight` and, where `bias`, `name.bias`.
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        bias: bool,
    ) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = bias
            .then(|| weights.take(&format!("{name}.bias"), &[outputs]))
            .transpose()?;
        Ok(Self::new(weight, bias))
    }

    /// Several maps of one input as one: their outputs side by side.
    pub(crate) fn side_by_side(maps: &[Self]) -> Result<Self, ModelError> {
        let weights: Vec<&Tensor> = maps.iter().map(|map| &map.weight).collect();
        let biases: Vec<&Tensor> = maps.iter().filter_map(|map| map.bias.as_ref()).collect();
        let bias = (biases.len() == maps.len())
            .then(|| Tensor::f_cat(&biases, 0))
            .transpose()?;
        Ok(Self::new(Tensor::f_cat(&weights, 0)?, bias))
    }

    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        let onednn = weight.device() == Device::Cpu
            && weight.kind() == Kind::Float
            && i64::try_from(weight.numel()).is_ok_and(|values| values >= ONEDNN_VALUES)
            && tch::utils::has_mkldnn();
        Self { weight, bias, onednn }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let mut shape = x.size();
        let inputs = shape.pop().unwrap_or(0);
        let rows: i64 = shape.iter().product();
        if !self.onednn || rows < ONEDNN_ROWS {
            return Ok(x.f_linear(&self.weight, self.bias.as_ref())?);
        }
        let flat = x.f_reshape([rows, inputs])?.f_to_mkldnn(None)?;
        let product = flat.f_mkldnn_linear(&self.weight, self.bias.as_ref())?;
        shape.push(self.weight.size()[0]);
        Ok(product.f_to_dense(None, false)?.f_reshape(shape)?)
    }
}
