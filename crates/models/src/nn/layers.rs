//! Layers that are all alike: attention and a feed-forward part, each added to what came in.

#[cfg(target_arch = "x86_64")]
use super::native_attention;
use super::{Heads, LayerNorm, Linear, attend};
use crate::error::ModelError;
use crate::weights::Weights;
use sightline_model_folder::{Activation, FeedForward, Layers as Description, NormPlace};
use tch::Tensor;

/// Positions whose vectors are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    All,
    /// The first one's alone: of the last layer no other has a query, an output or a feed-forward part.
    First,
}

/// The maps from a layer's input to its attention.
enum Inputs {
    /// Query, key and value side by side: one product instead of three.
    All(Linear),
    /// The query of the first position; key and value of all, side by side.
    First { query: Linear, key_value: Linear },
}

struct Layer {
    inputs: Inputs,
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
    /// Takes every layer's tensors, whose names begin with `prefix`. Where positions see only what is before them all
    /// are computed, whatever is asked.
    pub(crate) fn load(
        weights: &mut Weights,
        prefix: &str,
        description: &Description,
        asked: Asked,
    ) -> Result<Self, ModelError> {
        let last = description.count.checked_sub(1).filter(|_| !description.causal);
        let layers = (0..description.count)
            .map(|number| {
                let asked = if Some(number) == last { asked } else { Asked::All };
                Layer::load(weights, prefix, number, description, asked)
            })
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

    /// `[batch, length, width]` through all layers; `[batch, 1, width]` comes out where the first position alone is
    /// asked for. The mask is added to the scores of every head: `[batch, 1, 1, length]`.
    pub(crate) fn forward(&self, mut x: Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        for layer in &self.layers {
            x = match self.norm {
                NormPlace::Before => {
                    let attended = self.attend(layer, &layer.attention_norm.forward(&x)?, mask)?;
                    let x = layer.attention_out.forward_onto(&attended, &layer.inputs.asked(&x)?)?;
                    let fed = self.feed(layer, &layer.feed_forward_norm.forward(&x)?)?;
                    layer.narrow.forward_onto(&fed, &x)?
                }
                NormPlace::After => {
                    let attended = self.attend(layer, &x, mask)?;
                    let sum = layer.attention_out.forward_onto(&attended, &layer.inputs.asked(&x)?)?;
                    let x = layer.attention_norm.forward(&sum)?;
                    let fed = self.feed(layer, &x)?;
                    layer.feed_forward_norm.forward(&layer.narrow.forward_onto(&fed, &x)?)?
                }
            };
        }
        Ok(x)
    }

    /// What the heads give, before the map that joins them.
    fn attend(&self, layer: &Layer, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        let [query, key, value] = layer.inputs.forward(x)?;
        #[cfg(target_arch = "x86_64")]
        if mask.is_none()
            && !self.causal
            && let Some(attended) = native_attention::attend([&query, &key, &value], self.heads)?
        {
            return Ok(attended);
        }
        let [query, key, value] = [
            self.heads.split(&query)?,
            self.heads.split(&key)?,
            self.heads.split(&value)?,
        ];
        self.heads
            .join(&attend([&query, &key, &value], mask, self.causal, None)?)
    }

    /// The wide values of the feed-forward part, before the map that makes them narrow.
    fn feed(&self, layer: &Layer, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(match self.feed_forward {
            FeedForward::Plain => layer.widen.forward_into(x, self.activation)?,
            FeedForward::SwiGlu => {
                let wide = layer.widen.forward(x)?;
                let half = wide.size().last().copied().unwrap_or(0) / 2;
                let gate = wide.f_narrow(-1, 0, half)?.f_silu()?;
                gate.f_mul(&wide.f_narrow(-1, half, half)?)?
            }
        })
    }
}

impl Inputs {
    fn load(
        weights: &mut Weights,
        parts: &[String; 3],
        width: i64,
        bias: bool,
        asked: Asked,
    ) -> Result<Self, ModelError> {
        Ok(match asked {
            Asked::All => Self::All(Linear::load_side_by_side(weights, parts, [width, width], bias)?),
            Asked::First => Self::First {
                query: Linear::load(weights, &parts[0], [width, width], bias)?,
                key_value: Linear::load_side_by_side(weights, &parts[1..], [width, width], bias)?,
            },
        })
    }

    /// Query, key and value of `[batch, length, width]`, each of that shape; the query of one position where no other
    /// is asked for.
    fn forward(&self, x: &Tensor) -> Result<[Tensor; 3], ModelError> {
        let width = x.size().last().copied().unwrap_or(0);
        let part = |of: &Tensor, number: i64| of.f_narrow(-1, number * width, width);
        Ok(match self {
            Self::All(map) => {
                let all = map.forward(x)?;
                [part(&all, 0)?, part(&all, 1)?, part(&all, 2)?]
            }
            Self::First { query, key_value } => {
                let both = key_value.forward(x)?;
                [query.forward(&self.asked(x)?)?, part(&both, 0)?, part(&both, 1)?]
            }
        })
    }

    /// The positions that are asked for, of `[batch, length, width]`.
    fn asked(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(match self {
            Self::All(_) => x.shallow_clone(),
            Self::First { .. } => x.f_narrow(1, 0, 1)?,
        })
    }
}

impl Layer {
    fn load(
        weights: &mut Weights,
        prefix: &str,
        number: u32,
        description: &Description,
        asked: Asked,
    ) -> Result<Self, ModelError> {
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
        let inputs = Inputs::load(weights, &parts, width, qkv_bias, asked)?;
        let scaled = |weights: &mut Weights, part: &str, inputs: i64, scale: &str| match description.scaled {
            true => Linear::load_scaled(weights, &name(part), [inputs, width], &name(scale)),
            false => Linear::load(weights, &name(part), [inputs, width], true),
        };
        Ok(Self {
            inputs,
            attention_out: scaled(weights, names.attention_out, width, names.attention_scale)?,
            attention_norm: LayerNorm::load(weights, &name(names.attention_norm), width, eps)?,
            widen: Linear::load(weights, &name(names.widen), [width, widened], true)?,
            narrow: scaled(weights, names.narrow, inner, names.feed_forward_scale)?,
            feed_forward_norm: LayerNorm::load(weights, &name(names.feed_forward_norm), width, eps)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TinyModel;
    use sightline_model_folder::TextNetwork;
    use tch::{Device, Kind};

    /// Sums in another order; the second where each layer's sums are rounded to eight bits.
    const TOLERANCES: [(Kind, f64); 2] = [(Kind::Float, 1e-5), (Kind::BFloat16, 0.05)];

    /// Two inputs of five positions, of which the second hides two, through the tiny model's layers.
    fn through(asked: Asked, kind: Kind, changed: impl Fn(Description) -> Description) -> Tensor {
        let tiny = TinyModel::new();
        let side = tiny.open().unwrap().text.unwrap();
        let TextNetwork::Transformer(network) = &side.network else {
            panic!("the tiny model's text side is a transformer");
        };
        let mut weights = Weights::open(&side.weights, Device::Cpu, kind).unwrap();
        let prefix = weights.prefix(network.names.prefixes, network.names.words);
        let description = changed(network.layers.clone());
        let layers = Layers::load(&mut weights, &prefix, &description, asked).unwrap();
        tch::manual_seed(5);
        let x = Tensor::randn([2, 5, 8], (Kind::Float, Device::Cpu)).to_kind(kind);
        let hidden = [[0.0_f32; 5], [0.0, 0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]];
        let mask = Tensor::from_slice2(&hidden).reshape([2, 1, 1, 5]).to_kind(kind);
        let mask = Some(&mask).filter(|_| !description.causal);
        layers.forward(x, mask).unwrap().to_kind(Kind::Float)
    }

    #[test]
    fn the_first_position_alone_is_what_it_is_among_all() {
        for norm in [NormPlace::Before, NormPlace::After] {
            for (kind, tolerance) in TOLERANCES {
                let changed = |description| Description { norm, ..description };
                let all = through(Asked::All, kind, changed);
                let first = through(Asked::First, kind, changed);
                assert_eq!((all.size(), first.size()), (vec![2, 5, 8], vec![2, 1, 8]));
                let difference = (all.narrow(1, 0, 1) - first).abs().max().double_value(&[]);
                assert!(difference < tolerance, "{norm:?}, {kind:?}: {difference}");
            }
        }
    }

    #[test]
    fn where_positions_see_only_what_is_before_them_all_are_computed() {
        let causal = |description| Description {
            causal: true,
            ..description
        };
        assert_eq!(through(Asked::First, Kind::Float, causal).size(), [2, 5, 8]);
    }
}
