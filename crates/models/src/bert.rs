//! BERT, as an encoder of texts.

use crate::encoder::{Embedding, TextEncoder, unit_rows};
use crate::error::ModelError;
use crate::tokens::TextTokenizer;
use crate::weights::Weights;
use sightline_model_folder::{Bert as Config, HiddenAct, Pooling, TextNetwork, TextSide};
use tch::{Device, Kind, Tensor};

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn load(weights: &mut Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: weights.take(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    width: i64,
}

impl LayerNorm {
    fn load(weights: &mut Weights, name: &str, width: i64, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[width])?,
            bias: weights.take(&format!("{name}.bias"), &[width])?,
            eps,
            width,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(x.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.eps, true)?)
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
    norm: LayerNorm,
}

/// The network on its device.
pub(crate) struct Bert {
    words: Tensor,
    positions: Tensor,
    /// The embedding of the first kind of segment: a text alone is all of that kind.
    segment: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: i64,
    width: i64,
    act: HiddenAct,
    pooling: Pooling,
    tokenizer: TextTokenizer,
    device: Device,
}

impl std::fmt::Debug for Bert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bert({} layers of {})", self.layers.len(), self.width)
    }
}

impl Bert {
    pub(crate) fn load(side: &TextSide, device: Device) -> Result<Self, ModelError> {
        let TextNetwork::Bert(config) = &side.network;
        let tokenizer = TextTokenizer::open(side, config.vocab_size)?;
        let mut weights = Weights::open(&side.weights, device)?;
        // A BERT that was saved with a head keeps its encoder under this name.
        let prefix = if weights.has("bert.embeddings.word_embeddings.weight") {
            "bert."
        } else {
            ""
        };
        let width = i64::from(config.hidden_size);
        let eps = config.layer_norm_eps;
        let embeddings = |name: &str| format!("{prefix}embeddings.{name}");
        let mut table = |name: &str, rows: u32| weights.take(&embeddings(name), &[i64::from(rows), width]);
        let words = table("word_embeddings.weight", config.vocab_size)?;
        let positions = table("position_embeddings.weight", config.max_position_embeddings)?;
        let segments = table("token_type_embeddings.weight", config.type_vocab_size)?;
        let norm = LayerNorm::load(&mut weights, &embeddings("LayerNorm"), width, eps)?;
        let layers = (0..config.num_hidden_layers)
            .map(|number| Layer::load(&mut weights, &format!("{prefix}encoder.layer.{number}"), config))
            .collect::<Result<Vec<_>, _>>()?;
        weights.finish(|name| ignored(name.strip_prefix(prefix).unwrap_or(name)))?;
        Ok(Self {
            words,
            positions,
            segment: segments.f_select(0, 0)?,
            norm,
            layers,
            heads: i64::from(config.num_attention_heads),
            width,
            act: config.hidden_act,
            pooling: side.pooling,
            tokenizer,
            device,
        })
    }

    /// Vectors of tokens, `[texts, longest, width]`, for ids padded to the longest with 0. The mask is 1 where a token
    /// is, `[texts, longest]`, and `None` where no text is padded.
    fn hidden(&self, ids: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        let (_, longest) = ids.size2()?;
        let words = Tensor::f_embedding(&self.words, ids, -1, false, false)?;
        let places = self.positions.f_narrow(0, 0, longest)?;
        let mut x = self.norm.forward(&words.f_add(&places)?.f_add(&self.segment)?)?;
        // Added to the scores of every head and every query: nothing looks at padding.
        let hide = match mask {
            Some(mask) => Some(mask.f_eq(0.0)?.f_unsqueeze(1)?.f_unsqueeze(1)?),
            None => None,
        };
        let hide = match &hide {
            Some(hidden) => {
                let zeros = hidden.f_zeros_like()?.f_to_kind(Kind::Float)?;
                Some(zeros.f_masked_fill(hidden, f64::NEG_INFINITY)?)
            }
            None => None,
        };
        for layer in &self.layers {
            x = self.layer(layer, &x, hide.as_ref())?;
        }
        Ok(x)
    }

    fn layer(&self, layer: &Layer, x: &Tensor, hide: Option<&Tensor>) -> Result<Tensor, ModelError> {
        let (texts, longest, _) = x.size3()?;
        let heads = |x: Tensor| {
            x.f_view([texts, longest, self.heads, self.width / self.heads])?
                .f_transpose(1, 2)
        };
        let attended = Tensor::f_scaled_dot_product_attention(
            &heads(layer.query.forward(x)?)?,
            &heads(layer.key.forward(x)?)?,
            &heads(layer.value.forward(x)?)?,
            hide,
            0.0,
            false,
            None,
            false,
        )?;
        let joined = attended.f_transpose(1, 2)?.f_reshape([texts, longest, self.width])?;
        let x = layer
            .attention_norm
            .forward(&layer.attention_out.forward(&joined)?.f_add(x)?)?;
        let wide = layer.widen.forward(&x)?;
        let bent = match self.act {
            HiddenAct::Gelu => wide.f_gelu("none")?,
            HiddenAct::GeluNew => wide.f_gelu("tanh")?,
            HiddenAct::Relu => wide.f_relu()?,
        };
        layer.norm.forward(&layer.narrow.forward(&bent)?.f_add(&x)?)
    }

    fn pool(&self, hidden: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, ModelError> {
        match (self.pooling, mask) {
            (Pooling::Cls, _) => Ok(hidden.f_select(1, 0)?),
            (Pooling::Mean, None) => Ok(hidden.f_mean_dim([1_i64].as_slice(), false, Kind::Float)?),
            (Pooling::Mean, Some(mask)) => {
                let sum =
                    hidden
                        .f_mul(&mask.f_unsqueeze(2)?)?
                        .f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?;
                let count = mask.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)?;
                Ok(sum.f_div(&count)?)
            }
        }
    }
}

impl Layer {
    fn load(weights: &mut Weights, name: &str, config: &Config) -> Result<Self, ModelError> {
        let (width, wide) = (i64::from(config.hidden_size), i64::from(config.intermediate_size));
        let eps = config.layer_norm_eps;
        let mut linear =
            |part: &str, inputs, outputs| Linear::load(weights, &format!("{name}.{part}"), inputs, outputs);
        let query = linear("attention.self.query", width, width)?;
        let key = linear("attention.self.key", width, width)?;
        let value = linear("attention.self.value", width, width)?;
        let attention_out = linear("attention.output.dense", width, width)?;
        let widen = linear("intermediate.dense", width, wide)?;
        let narrow = linear("output.dense", wide, width)?;
        Ok(Self {
            query,
            key,
            value,
            attention_out,
            attention_norm: LayerNorm::load(weights, &format!("{name}.attention.output.LayerNorm"), width, eps)?,
            widen,
            narrow,
            norm: LayerNorm::load(weights, &format!("{name}.output.LayerNorm"), width, eps)?,
        })
    }
}

/// What a BERT may be saved with beside its encoder: counters, and heads that no embedding uses.
fn ignored(name: &str) -> bool {
    name == "embeddings.position_ids" || name.starts_with("pooler.") || name.starts_with("cls.")
}

impl TextEncoder for Bert {
    fn encode(&self, texts: &[String]) -> Result<Vec<Embedding>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let tokens = texts
            .iter()
            .map(|text| self.tokenizer.ids(text))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(longest) = tokens.iter().map(Vec::len).max() else {
            return Ok(Vec::new());
        };
        let padded = tokens.iter().any(|ids| ids.len() < longest);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in &tokens {
            let rest = longest - text.len();
            ids.extend(text.iter().copied().chain(std::iter::repeat_n(0, rest)));
            mask.extend(std::iter::repeat_n(1.0_f32, text.len()).chain(std::iter::repeat_n(0.0, rest)));
        }
        let shape = [tokens.len(), longest];
        let ids = batch(&ids, shape, self.device)?;
        let mask = if padded {
            Some(batch(&mask, shape, self.device)?)
        } else {
            None
        };
        let pooled = self.pool(&self.hidden(&ids, mask.as_ref())?, mask.as_ref())?;
        unit_rows(&pooled, texts.len(), self.dimension())
    }

    fn dimension(&self) -> usize {
        usize::try_from(self.width).unwrap_or(0)
    }
}

fn batch<T: tch::kind::Element>(
    values: &[T],
    [rows, columns]: [usize; 2],
    device: Device,
) -> Result<Tensor, ModelError> {
    let tensor = Tensor::f_from_slice(values)?.f_reshape([rows as i64, columns as i64])?;
    Ok(tensor.f_to_device(device)?)
}
