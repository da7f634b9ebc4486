//! EmbeddingGemma's network: Gemma 3, seeing the whole text.

use super::token_batch::TokenBatch;
use crate::error::ModelError;
use crate::nn::{Heads, Linear, attend};
use crate::weights::Weights;
use sightline_model_folder::{Gemma3 as Description, TextSide};
use tch::{Device, Kind, Tensor};

/// x / √(mean of squares + eps) · (1 + weight), in f32.
struct RmsNorm {
    /// 1 + weight.
    gain: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn load(weights: &mut Weights, name: &str, width: u32, eps: f64) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[i64::from(width)])?;
        Ok(Self {
            gain: weight.f_to_kind(Kind::Float)?.f_add_scalar(1.0)?,
            eps,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let wide = x.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim([-1_i64].as_slice(), true, Kind::Float)?;
        let unit = wide.f_mul(&mean.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        Ok(unit.f_mul(&self.gain)?.f_to_kind(x.kind())?)
    }
}

struct Layer {
    full: bool,
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    attended_norm: RmsNorm,
    feed_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    fed_norm: RmsNorm,
}

pub(crate) struct Gemma3Network {
    description: Description,
    words: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
}

/// What all layers of one kind share in a batch.
struct View {
    cosine: Tensor,
    sine: Tensor,
    mask: Option<Tensor>,
}

impl Gemma3Network {
    pub(crate) fn load(side: &TextSide, network: &Description, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let mut weights = Weights::open(&side.weights, device, kind)?;
        let prefix = weights.prefix(&["", "model."], "embed_tokens.weight");
        let words = weights.take(
            &format!("{prefix}embed_tokens.weight"),
            &[i64::from(network.vocab_size), i64::from(network.width)],
        )?;
        let layers = network
            .full_attention
            .iter()
            .enumerate()
            .map(|(number, full)| Layer::load(&mut weights, &format!("{prefix}layers.{number}."), *full, network))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = RmsNorm::load(&mut weights, &format!("{prefix}norm"), network.width, network.eps)?;
        weights.finish(|name| name == "lm_head.weight")?;
        Ok(Self {
            description: network.clone(),
            words,
            layers,
            norm,
        })
    }

    /// Vectors of tokens, `[texts, length, width]`.
    pub(crate) fn hidden(&self, batch: &TokenBatch, kind: Kind) -> Result<Tensor, ModelError> {
        let network = &self.description;
        let words = Tensor::f_embedding(&self.words, &batch.ids, -1, false, false)?;
        // The factor is rounded to the network's precision, as the original does.
        let scale = Tensor::from(f64::from(network.width).sqrt())
            .f_to_kind(kind)?
            .f_to_device(words.device())?;
        let mut x = words.f_mul(&scale)?;
        let views = [self.view(batch, kind, false)?, self.view(batch, kind, true)?];
        for layer in &self.layers {
            x = self.through(layer, &x, &views[usize::from(layer.full)])?;
        }
        self.norm.forward(&x)
    }

    fn through(&self, layer: &Layer, x: &Tensor, view: &View) -> Result<Tensor, ModelError> {
        let attended = self.attended(layer, &layer.input_norm.forward(x)?, view)?;
        let x = x.f_add(&layer.attended_norm.forward(&attended)?)?;
        let calm = layer.feed_norm.forward(&x)?;
        let gate = layer.gate.forward_into(&calm, self.description.activation)?;
        let fed = layer.down.forward(&gate.f_mul(&layer.up.forward(&calm)?)?)?;
        Ok(x.f_add(&layer.fed_norm.forward(&fed)?)?)
    }

    fn attended(&self, layer: &Layer, x: &Tensor, view: &View) -> Result<Tensor, ModelError> {
        let network = &self.description;
        let heads = |count: u32| Heads {
            count: i64::from(count),
            width: i64::from(network.head_dim),
        };
        let (many, few) = (heads(network.heads), heads(network.key_value_heads));
        let query = layer.query_norm.forward(&many.split(&layer.query.forward(x)?)?)?;
        let key = layer.key_norm.forward(&few.split(&layer.key.forward(x)?)?)?;
        let value = few.split(&layer.value.forward(x)?)?;
        let shared = many.count / few.count;
        let repeat = |x: Tensor| x.f_repeat_interleave_self_int(shared, 1, None);
        let (query, key) = (view.turn(&query)?, repeat(view.turn(&key)?)?);
        let value = repeat(value)?;
        let scale = network.query_scalar.powf(-0.5);
        let attended = attend([&query, &key, &value], view.mask.as_ref(), false, Some(scale))?;
        layer.out.forward(&many.join(&attended)?)
    }

    fn view(&self, batch: &TokenBatch, kind: Kind, full: bool) -> Result<View, ModelError> {
        let network = &self.description;
        let device = self.words.device();
        let [base, divisor] = if full { network.rope_full } else { network.rope_window };
        let dim = i64::from(network.head_dim);
        let places = Tensor::f_arange(batch.length, (Kind::Float, device))?;
        let steps = Tensor::f_arange_start_step(0, dim, 2, (Kind::Float, device))?;
        #[expect(clippy::cast_precision_loss, reason = "a head's width")]
        let powers = steps.f_div_scalar(dim as f64)?;
        let bases = Tensor::f_full([1], base, (Kind::Float, device))?;
        let frequencies = bases.f_pow(&powers)?.f_reciprocal()?.f_div_scalar(divisor)?;
        let angles = places.f_unsqueeze(1)?.f_mul(&frequencies.f_unsqueeze(0)?)?;
        let angles = Tensor::f_cat(&[&angles, &angles], -1)?;
        Ok(View {
            cosine: angles.f_cos()?.f_to_kind(kind)?,
            sine: angles.f_sin()?.f_to_kind(kind)?,
            mask: self.mask(batch, kind, full)?,
        })
    }

    /// What is added to scores, where anything is hidden: the filling, what is far away, what comes later.
    fn mask(&self, batch: &TokenBatch, kind: Kind, full: bool) -> Result<Option<Tensor>, ModelError> {
        let window = i64::from(self.description.window);
        let filling = batch.hiding(kind)?;
        let near = full || batch.length <= window;
        if near && !self.description.causal {
            return Ok(filling);
        }
        let places = Tensor::f_arange(batch.length, (Kind::Int64, self.words.device()))?;
        let ahead = places.f_unsqueeze(0)?.f_sub(&places.f_unsqueeze(1)?)?;
        let mut hidden = if near {
            ahead.f_zeros_like()?.f_to_kind(Kind::Bool)?
        } else {
            ahead.f_abs()?.f_ge(window)?
        };
        if self.description.causal {
            hidden = hidden.f_logical_or(&ahead.f_gt(0)?)?;
        }
        let zeros = Tensor::f_zeros([batch.length, batch.length], (kind, self.words.device()))?;
        let mask = zeros
            .f_masked_fill(&hidden, f64::NEG_INFINITY)?
            .f_unsqueeze(0)?
            .f_unsqueeze(0)?;
        match filling {
            Some(filling) => Ok(Some(mask.f_add(&filling)?)),
            None => Ok(Some(mask)),
        }
    }
}

impl View {
    /// Rotary positions: each pair of values (one of each half) is turned by its place's angle.
    fn turn(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let half = x.size().last().copied().unwrap_or(0) / 2;
        let turned = Tensor::f_cat(&[x.f_narrow(-1, half, half)?.f_neg()?, x.f_narrow(-1, 0, half)?], -1)?;
        Ok(x.f_mul(&self.cosine)?.f_add(&turned.f_mul(&self.sine)?)?)
    }
}

impl Layer {
    fn load(weights: &mut Weights, name: &str, full: bool, network: &Description) -> Result<Self, ModelError> {
        let norm = |weights: &mut Weights, part: &str, width: u32| {
            RmsNorm::load(weights, &format!("{name}{part}"), width, network.eps)
        };
        let map = |weights: &mut Weights, part: &str, inputs: u32, outputs: u32, bias: bool| {
            Linear::load(
                weights,
                &format!("{name}{part}"),
                [i64::from(inputs), i64::from(outputs)],
                bias,
            )
        };
        let (width, inner, bias) = (network.width, network.inner, network.attention_bias);
        let (many, few) = (
            network.heads * network.head_dim,
            network.key_value_heads * network.head_dim,
        );
        Ok(Self {
            full,
            input_norm: norm(weights, "input_layernorm", width)?,
            query: map(weights, "self_attn.q_proj", width, many, bias)?,
            key: map(weights, "self_attn.k_proj", width, few, bias)?,
            value: map(weights, "self_attn.v_proj", width, few, bias)?,
            out: map(weights, "self_attn.o_proj", many, width, bias)?,
            query_norm: norm(weights, "self_attn.q_norm", network.head_dim)?,
            key_norm: norm(weights, "self_attn.k_norm", network.head_dim)?,
            attended_norm: norm(weights, "post_attention_layernorm", width)?,
            feed_norm: norm(weights, "pre_feedforward_layernorm", width)?,
            gate: map(weights, "mlp.gate_proj", width, inner, false)?,
            up: map(weights, "mlp.up_proj", width, inner, false)?,
            down: map(weights, "mlp.down_proj", inner, width, false)?,
            fed_norm: norm(weights, "post_feedforward_layernorm", width)?,
        })
    }
}
