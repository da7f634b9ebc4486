//! Layers that are all alike: attention and a feed-forward part, each added to what came in.

use super::{Heads, LayerNorm, Linear, activate, attend};
use crate::error::ModelError;
use crate::weights::Weights;
use sightline_model_folder::{Activation, FeedForward, Layers as Description, NormPlace};
use tch::Tensor;

struct Layer {
    /// Query, key and value side by side: one product instead of three.
    query_key_value: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    attention_scale: Option<Tensor>,
    widen: Linear,
    narrow: Linear,
    feed_forward_norm: LayerNorm,
    feed_forward_scale: Option<Tensor>,
}

/// The layers of a network.
pub(crate) struct Layers {
    layers: Vec<Layer>,
    heads: Heads,
    activation: Activation,
    feed_forward: FeedForward,
    norm: NormPlace,
    causal: bool,
}

impl Layers {
    /// Takes every layer's tensors, whose names begin with `prefix`.
    pub(crate) fn load(weights: &mut Weights, prefix: &str, description: &Description) -> Result<Self, ModelError> {
        let layers = (0..description.count)
            .map(|number| Layer::load(weights, prefix, number, description))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            layers,
            heads: Heads {
                count: i64::from(description.heads),
                width: i64::from(description.width / description.heads),
            },
            activation: description.activation,
            feed_forward: description.feed_forward,
            norm: description.norm,
            causal: description.causal,
        })
    }

    /// Whether a position sees only itself and what is before it.
    pub(crate) fn is_causal(&self) -> bool {
        self.causal
    }

    pub(crate) fn count(&self) -> usize {
        self.layers.len()
    }

    /// `[batch, length, width]` through all layers. The mask is added to the scores of every head: `[batch, 1, 1, length]`.
    pub(crate) fn forward(&self, mut x: Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        for layer in &self.layers {
            x = match self.norm {
                NormPlace::Before => {
                    let attended = self.attend(layer, &layer.attention_norm.forward(&x)?, mask)?;
                    let x = x.f_add(&scaled(attended, layer.attention_scale.as_ref())?)?;
                    let fed = self.feed(layer, &layer.feed_forward_norm.forward(&x)?)?;
                    x.f_add(&scaled(fed, layer.feed_forward_scale.as_ref())?)?
                }
                NormPlace::After => {
                    let attended = self.attend(layer, &x, mask)?;
                    let x = layer.attention_norm.forward(&attended.f_add(&x)?)?;
                    let fed = self.feed(layer, &x)?;
                    layer.feed_forward_norm.forward(&fed.f_add(&x)?)?
                }
            };
        }
        Ok(x)
    }

    fn attend(&self, layer: &Layer, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        let all = layer.query_key_value.forward(x)?;
        let mut parts = all.f_chunk(3, -1)?.into_iter().map(|part| self.heads.split(&part));
        let mut next = || {
            parts
                .next()
                .unwrap_or(Err(ModelError::Output { found: 0, expected: 3 }))
        };
        let (query, key, value) = (next()?, next()?, next()?);
        let attended = attend([&query, &key, &value], mask, self.causal, None)?;
        layer.attention_out.forward(&self.heads.join(&attended)?)
    }

    fn feed(&self, layer: &Layer, x: &Tensor) -> Result<Tensor, ModelError> {
        let wide = layer.widen.forward(x)?;
        let bent = match self.feed_forward {
            FeedForward::Plain => activate(self.activation, wide)?,
            FeedForward::SwiGlu => {
                let half = wide.size().last().copied().unwrap_or(0) / 2;
                let gate = wide.f_narrow(-1, 0, half)?.f_silu()?;
                gate.f_mul(&wide.f_narrow(-1, half, half)?)?
            }
        };
        layer.narrow.forward(&bent)
    }
}

impl Layer {
    fn load(weights: &mut Weights, prefix: &str, number: u32, description: &Description) -> Result<Self, ModelError> {
        let names = &description.names;
        let layer = format!("{prefix}{}", names.layer.replace("{}", &number.to_string()));
        let name = |part: &str| format!("{layer}{part}");
        let (width, inner) = (i64::from(description.width), i64::from(description.inner));
        let widened = match description.feed_forward {
            FeedForward::Plain => inner,
            FeedForward::SwiGlu => inner * 2,
        };
        let (eps, qkv_bias) = (description.eps, description.qkv_bias);
        let query_key_value = Linear::side_by_side(&[
            Linear::load(weights, &name(names.query), [width, width], qkv_bias)?,
            Linear::load(weights, &name(names.key), [width, width], qkv_bias)?,
            Linear::load(weights, &name(names.value), [width, width], qkv_bias)?,
        ])?;
        let mut scale = |part: &str| match description.scaled {
            true => weights.take(&name(part), &[width]).map(Some),
            false => Ok(None),
        };
        let (attention_scale, feed_forward_scale) = (scale(names.attention_scale)?, scale(names.feed_forward_scale)?);
        Ok(Self {
            query_key_value,
            attention_out: Linear::load(weights, &name(names.attention_out), [width, width], true)?,
            attention_norm: LayerNorm::load(weights, &name(names.attention_norm), width, eps)?,
            attention_scale,
            widen: Linear::load(weights, &name(names.widen), [width, widened], true)?,
            narrow: Linear::load(weights, &name(names.narrow), [inner, width], true)?,
            feed_forward_norm: LayerNorm::load(weights, &name(names.feed_forward_norm), width, eps)?,
            feed_forward_scale,
        })
    }
}

fn scaled(x: Tensor, scale: Option<&Tensor>) -> Result<Tensor, ModelError> {
    match scale {
        Some(scale) => Ok(x.f_mul(scale)?),
        None => Ok(x),
    }
}
