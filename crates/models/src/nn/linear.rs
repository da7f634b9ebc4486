//! Linear maps.

use super::activate;
use super::onednn::{Fused, PackedWeight};
use crate::error::ModelError;
use crate::weights::Weights;
use sightline_model_folder::Activation;
use tch::Tensor;

/// Values of a weight from which packing it is worth its calls.
const PACKED_VALUES: usize = 128 * 128;

#[derive(Debug)]
enum Map {
    /// `[outputs, inputs]`
    Plain(Tensor),
    Packed(PackedWeight),
}

/// x · weightᵀ + bias.
#[derive(Debug)]
pub(crate) struct Linear {
    map: Map,
    bias: Option<Tensor>,
    outputs: i64,
}

impl Linear {
    /// Takes `name.weight` and, where `bias`, `name.bias`.
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        bias: bool,
    ) -> Result<Self, ModelError> {
        let (weight, bias) = take(weights, name, [inputs, outputs], bias)?;
        Ok(Self::new(weight, bias))
    }

    /// Several maps of one input as one: their outputs side by side.
    pub(crate) fn load_side_by_side(
        weights: &mut Weights,
        names: &[String],
        [inputs, outputs]: [i64; 2],
        bias: bool,
    ) -> Result<Self, ModelError> {
        let (mut maps, mut biases) = (Vec::new(), Vec::new());
        for name in names {
            let (map, added) = take(weights, name, [inputs, outputs], bias)?;
            maps.push(map);
            biases.extend(added);
        }
        let bias = bias.then(|| Tensor::f_cat(&biases, 0)).transpose()?;
        Ok(Self::new(Tensor::f_cat(&maps, 0)?, bias))
    }

    /// A map with a bias, and the tensor `scale` that its outputs are multiplied with, as one map.
    pub(crate) fn load_scaled(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [i64; 2],
        scale: &str,
    ) -> Result<Self, ModelError> {
        let scale = weights.take_factor(scale, &[outputs])?;
        let weight = weights.take_product(&format!("{name}.weight"), &[outputs, inputs], &scale.f_unsqueeze(1)?)?;
        let bias = weights.take_product(&format!("{name}.bias"), &[outputs], &scale)?;
        Ok(Self::new(weight, Some(bias)))
    }

    /// A map of `[outputs, inputs]`.
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        let outputs = weight.size().first().copied().unwrap_or(0);
        let packed = (weight.numel() >= PACKED_VALUES)
            .then(|| PackedWeight::pack(&weight))
            .flatten();
        let map = packed.map_or(Map::Plain(weight), Map::Packed);
        Self { map, bias, outputs }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        self.forward_into(x, Activation::Linear)
    }

    /// `[…, inputs]` to `[…, outputs]`, and the function of each value.
    pub(crate) fn forward_into(&self, x: &Tensor, activation: Activation) -> Result<Tensor, ModelError> {
        let weight = match &self.map {
            Map::Plain(weight) => return activate(activation, x.f_linear(weight, self.bias.as_ref())?),
            Map::Packed(weight) => weight,
        };
        let fused = Fused::of(activation);
        let product = weight.multiply(&rows_of(x)?, self.bias.as_ref(), fused)?;
        let product = product.f_reshape(self.shape_from(x))?;
        match fused {
            Some(_) => Ok(product),
            None => activate(activation, product),
        }
    }

    /// `[…, inputs]` to `[…, outputs]`, and `added` of that shape to it.
    pub(crate) fn forward_onto(&self, x: &Tensor, added: &Tensor) -> Result<Tensor, ModelError> {
        let weight = match &self.map {
            Map::Plain(weight) => return Ok(x.f_linear(weight, self.bias.as_ref())?.f_add_(added)?),
            Map::Packed(weight) => weight,
        };
        let sum = weight.multiply_onto(&rows_of(x)?, self.bias.as_ref(), &rows_of(added)?)?;
        Ok(sum.f_reshape(self.shape_from(x))?)
    }

    /// The shape of what comes of such an input.
    fn shape_from(&self, x: &Tensor) -> Vec<i64> {
        let mut shape = x.size();
        shape.pop();
        shape.push(self.outputs);
        shape
    }
}

/// `[…, values]` to `[rows, values]`.
fn rows_of(x: &Tensor) -> Result<Tensor, ModelError> {
    let shape = x.size();
    let (values, rows) = shape.split_last().unwrap_or((&0, &[]));
    Ok(x.f_reshape([rows.iter().product(), *values])?)
}

fn take(
    weights: &mut Weights,
    name: &str,
    [inputs, outputs]: [i64; 2],
    bias: bool,
) -> Result<(Tensor, Option<Tensor>), ModelError> {
    let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
    let bias = bias
        .then(|| weights.take(&format!("{name}.bias"), &[outputs]))
        .transpose()?;
    Ok((weight, bias))
}
