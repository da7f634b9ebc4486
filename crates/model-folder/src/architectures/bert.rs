//! BERT, and what is trained from it: MiniLM, BGE, E5.

use super::Sides;
use super::config::{Keys, MAX_SIZE};
use crate::error::FolderError;
use crate::network::{FeedForward, LayerNames, Layers, NormPlace, TextNames, TextTransformer};
use crate::pooling::{Padding, Pooling};
use crate::text::{TextNetwork, TextSide};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &Value) -> Result<Sides, FolderError> {
    let network = network(&Keys::new(folder, config), 0, &["", "bert."])?;
    let side = TextSide::open(
        folder,
        TextNetwork::Transformer(Box::new(network)),
        Pooling::Mean,
        Padding::Longest,
    )?;
    Ok(Sides::text(side))
}

/// The network that BERT and RoBERTa share; they count positions differently.
pub(super) fn network(
    keys: &Keys<'_>,
    position_offset: u32,
    prefixes: &'static [&'static str],
) -> Result<TextTransformer, FolderError> {
    keys.only("position_embedding_type", &json!("absolute"))?;
    keys.only("is_decoder", &json!(false))?;
    let width = keys.count("hidden_size", 768, 1 << 16)?;
    Ok(TextTransformer {
        embedding_norm: true,
        final_norm: false,
        layers: Layers {
            activation: keys.activation("hidden_act", "gelu")?,
            causal: false,
            count: keys.count("num_hidden_layers", 12, 1024)?,
            eps: keys.positive("layer_norm_eps", 1e-12)?,
            feed_forward: FeedForward::Plain,
            heads: keys.heads(12, width)?,
            inner: keys.count("intermediate_size", 3072, 1 << 18)?,
            norm: NormPlace::After,
            qkv_bias: true,
            scaled: false,
            width,
            names: LayerNames {
                layer: "encoder.layer.{}.",
                query: "attention.self.query",
                key: "attention.self.key",
                value: "attention.self.value",
                attention_out: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                attention_scale: "",
                widen: "intermediate.dense",
                narrow: "output.dense",
                feed_forward_norm: "output.LayerNorm",
                feed_forward_scale: "",
            },
        },
        position_offset,
        positions: keys.count("max_position_embeddings", 512, MAX_SIZE)?,
        projection: None,
        segments: Some(keys.count("type_vocab_size", 2, MAX_SIZE)?),
        vocab_size: keys.count("vocab_size", 30_522, MAX_SIZE)?,
        names: TextNames {
            prefixes,
            words: "embeddings.word_embeddings.weight",
            positions: "embeddings.position_embeddings.weight",
            segments: "embeddings.token_type_embeddings.weight",
            embedding_norm: "embeddings.LayerNorm",
            final_norm: "",
            projection: "",
            ignored: &["embeddings.position_ids", "pooler.", "cls.", "lm_head.", "classifier."],
        },
    })
}
