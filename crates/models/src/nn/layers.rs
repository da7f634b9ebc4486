//! Layers that are all alike: attention and a feed-forward part, each added to what came in.

use super::{Heads, LayerNorm, Linear, attend};
use crate::error::ModelError;
use crate::weights::Weights;
use sightline_model_folder::{Activation, FeedForward, Layers as Description, NormPlace};
use tch::Tensor;

struct Layer {
    /// Query, key and value side by side: one product instead of three.
    query_key_value: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    feed_forward_norm: LayerNorm,
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
                    let mut attended = self.attend(layer, &layer.attention_norm.forward(&x)?, mask)?;
                    let x = attended.f_add_(&x)?;
                    let mut fed = self.feed(layer, &layer.feed_forward_norm.forward(&x)?)?;
                    fed.f_add_(&x)?
                }
                NormPlace::After => {
                    let mut attended = self.attend(layer, &x, mask)?;
                    let x = layer.attention_norm.forward(&attended.f_add_(&x)?)?;
                    let mut fed = self.feed(layer, &x)?;
                    layer.feed_forward_norm.forward(&fed.f_add_(&x)?)?
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
        let bent = match self.feed_forward {
            FeedForward::Plain => layer.widen.forward_into(x, self.activation)?,
            FeedForward::SwiGlu => {
                let wide = layer.widen.forward(x)?;
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
        let parts = [names.query, names.key, names.value].map(name);
        let query_key_value = Linear::load_side_by_side(weights, &parts, [width, width], qkv_bias)?;
        let scaled = |weights: &mut Weights, part: &str, inputs: i64, scale: &str| match description.scaled {
            true => Linear::load_scaled(weights, &name(part), [inputs, width], &name(scale)),
            false => Linear::load(weights, &name(part), [inputs, width], true),
        };
        Ok(Self {
            query_key_value,
            attention_out: scaled(weights, names.attention_out, width, names.attention_scale)?,
            attention_norm: LayerNorm::load(weights, &name(names.attention_norm), width, eps)?,
            widen: Linear::load(weights, &name(names.widen), [width, widened], true)?,
            narrow: scaled(weights, names.narrow, inner, names.feed_forward_scale)?,
            feed_forward_norm: LayerNorm::load(weights, &name(names.feed_forward_norm), width, eps)?,
        })
    }
}
