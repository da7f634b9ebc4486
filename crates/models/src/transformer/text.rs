//! Text encoders: a tokenizer, a network over tokens, pooling, and maps after it.

use super::gemma3::Gemma3Network;
use super::pooling::{DenseMaps, pool};
use super::token_batch::TokenBatch;
use crate::encoder::{TextEncoder, TextRole, items_in_a_pass, rows};
use crate::error::ModelError;
use crate::nn::{Asked, LayerNorm, Layers, Linear};
use crate::tokens::TextTokenizer;
use crate::torchscript::Script;
use crate::weights::Weights;
use sightline_model_folder::{Padding, Pooling, TextNetwork, TextSide, TextTransformer as Description};
use tch::{Device, Kind, Tensor};

enum Network {
    Transformer(Box<TransformerNetwork>),
    Gemma3(Box<Gemma3Network>),
    Script { script: Script, attention_mask: bool },
}

/// The network on its device.
pub(crate) struct TextModel {
    network: Network,
    tokenizer: TextTokenizer,
    pooling: Pooling,
    /// The length that every text is filled up to, in view of the network.
    full: Option<usize>,
    filling: i64,
    dense: DenseMaps,
    dimension: usize,
    kind: Kind,
    device: Device,
}

impl std::fmt::Debug for TextModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextModel(dimension {})", self.dimension)
    }
}

impl TextModel {
    pub(crate) fn load(side: &TextSide, device: Device, kind: Kind, trusted: &[String]) -> Result<Self, ModelError> {
        let tokenizer = TextTokenizer::open(side, side.network.vocab_size())?;
        let network = match &side.network {
            TextNetwork::Transformer(network) => {
                Network::Transformer(Box::new(TransformerNetwork::load(side, network, device, kind)?))
            }
            TextNetwork::Gemma3(network) => {
                Network::Gemma3(Box::new(Gemma3Network::load(side, network, device, kind)?))
            }
            TextNetwork::TorchScript(text) => Network::Script {
                script: Script::load_text(
                    &side.weights.first().cloned().unwrap_or_default(),
                    text,
                    trusted,
                    device,
                )?,
                attention_mask: text.attention_mask,
            },
        };
        let (full, filling) = match side.padding {
            Padding::Longest => (None, 0),
            Padding::Full { token } => {
                let named = side.padding_token.as_deref().and_then(|token| tokenizer.id(token));
                (
                    Some(side.max_tokens as usize),
                    named.unwrap_or_else(|| i64::from(token)),
                )
            }
        };
        if u32::try_from(filling).is_ok_and(|filling| filling >= side.network.vocab_size()) {
            return Err(ModelError::Tokenizer {
                path: side.tokenizer.vocabulary.clone(),
                detail: format!("it fills up with token {filling}, which config.json's vocab_size leaves out"),
            });
        }
        Ok(Self {
            network,
            tokenizer,
            pooling: side.pooling,
            full,
            filling,
            dense: DenseMaps::load(&side.dense, device, kind)?,
            dimension: side.dimension() as usize,
            kind,
            device,
        })
    }

    /// Texts of like length to vectors, `[texts, dimension]`.
    fn pass(&self, tokens: &[&[i64]]) -> Result<Tensor, ModelError> {
        let batch = TokenBatch::new(tokens, self.filling, self.full, self.device)?;
        let pooled = match &self.network {
            Network::Transformer(network) => {
                let pooled = pool(self.pooling, &network.hidden(&batch, self.kind)?, &batch)?;
                network.project(&pooled.f_to_kind(self.kind)?)?
            }
            Network::Gemma3(network) => pool(self.pooling, &network.hidden(&batch, self.kind)?, &batch)?,
            Network::Script { script, attention_mask } => {
                let mut inputs = vec![batch.ids.shallow_clone()];
                if *attention_mask {
                    inputs.push(batch.whole_mask()?);
                }
                script.run(inputs, batch.texts)?
            }
        };
        self.dense.forward(pooled, self.kind)
    }
}

impl TextEncoder for TextModel {
    fn encode(&self, texts: &[String], role: TextRole) -> Result<Vec<Vec<f32>>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let mut tokens = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            tokens.push((place, self.tokenizer.ids(text, role)?));
        }
        // Texts of like length go together, so that little is filled up.
        tokens.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        let mut found: Vec<Option<Vec<f32>>> = vec![None; texts.len()];
        let mut rest = tokens.as_slice();
        while let Some((_, longest)) = rest.first() {
            let length = self.full.unwrap_or(longest.len()).max(1);
            let (now, later) = rest.split_at(items_in_a_pass(length, self.device).min(rest.len()));
            let ids: Vec<&[i64]> = now.iter().map(|(_, ids)| ids.as_slice()).collect();
            let vectors = rows(&self.pass(&ids)?, now.len(), self.dimension)?;
            for ((place, _), vector) in now.iter().zip(vectors) {
                found[*place] = Some(vector);
            }
            rest = later;
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn dimension(&self) -> usize {
        self.dimension
    }
}

struct TransformerNetwork {
    words: Tensor,
    /// A row a position, the one of padding tokens first where those have one.
    positions: Tensor,
    /// The token that takes no place where it stands in a text (RoBERTa's padding, written out there).
    placeless: Option<i64>,
    /// The embedding of the first kind of segment: a text alone is all of that kind.
    segment: Option<Tensor>,
    embedding_norm: Option<LayerNorm>,
    layers: Layers,
    final_norm: Option<LayerNorm>,
    projection: Option<Linear>,
}

impl TransformerNetwork {
    fn load(side: &TextSide, network: &Description, device: Device, kind: Kind) -> Result<Self, ModelError> {
        let mut weights = Weights::open(&side.weights, device, kind)?;
        let names = &network.names;
        let prefix = weights.prefix(names.prefixes, names.words);
        let name = |part: &str| format!("{prefix}{part}");
        let width = i64::from(network.layers.width);
        let eps = network.layers.eps;
        let words = weights.take(&name(names.words), &[i64::from(network.vocab_size), width])?;
        let table = weights.take(&name(names.positions), &[i64::from(network.positions), width])?;
        // RoBERTa counts from the row behind its padding token's.
        let placeless = network.position_offset.checked_sub(1).map(i64::from);
        let positions = match placeless {
            Some(padding) => table.f_narrow(0, padding, i64::from(network.positions) - padding)?,
            None => table,
        };
        let segment = match network.segments {
            Some(kinds) => Some(
                weights
                    .take(&name(names.segments), &[i64::from(kinds), width])?
                    .f_select(0, 0)?,
            ),
            None => None,
        };
        let norm = |weights: &mut Weights, wanted: bool, part: &str| match wanted {
            true => LayerNorm::load(weights, &name(part), width, eps).map(Some),
            false => Ok(None),
        };
        let embedding_norm = norm(&mut weights, network.embedding_norm, names.embedding_norm)?;
        let asked = match side.pooling {
            Pooling::Cls => Asked::First,
            _ => Asked::All,
        };
        let layers = Layers::load(&mut weights, &prefix, &network.layers, asked)?;
        let final_norm = norm(&mut weights, network.final_norm, names.final_norm)?;
        let projection = match network.projection {
            Some(projection) => {
                let shape = [width, i64::from(projection.dimension)];
                Some(Linear::load(
                    &mut weights,
                    &name(names.projection),
                    shape,
                    projection.bias,
                )?)
            }
            None => None,
        };
        weights.finish_below(&prefix, names.ignored)?;
        Ok(Self {
            words,
            positions,
            placeless,
            segment,
            embedding_norm,
            layers,
            final_norm,
            projection,
        })
    }

    /// Vectors of tokens, `[texts, length, width]`; of the first alone where that is what is pooled.
    fn hidden(&self, batch: &TokenBatch, kind: Kind) -> Result<Tensor, ModelError> {
        let words = Tensor::f_embedding(&self.words, &batch.ids, -1, false, false)?;
        let mut x = words.f_add(&self.places(batch)?)?;
        if let Some(segment) = &self.segment {
            x = x.f_add(segment)?;
        }
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x)?;
        }
        // Where each position sees only what is before it, none sees the filling, which is behind.
        let hiding = if self.layers.is_causal() {
            None
        } else {
            batch.hiding(kind)?
        };
        let x = self.layers.forward(x, hiding.as_ref())?;
        match &self.final_norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    /// The embeddings of the tokens' places.
    fn places(&self, batch: &TokenBatch) -> Result<Tensor, ModelError> {
        let Some(placeless) = self.placeless else {
            return Ok(self.positions.f_narrow(0, 0, batch.length)?);
        };
        let counted = batch.ids.f_ne(placeless)?.f_to_kind(Kind::Int64)?;
        let places = counted.f_cumsum(1, Kind::Int64)?.f_mul(&counted)?;
        Ok(Tensor::f_embedding(&self.positions, &places, -1, false, false)?)
    }

    fn project(&self, pooled: &Tensor) -> Result<Tensor, ModelError> {
        match &self.projection {
            Some(projection) => projection.forward(pooled),
            None => Ok(pooled.shallow_clone()),
        }
    }
}
