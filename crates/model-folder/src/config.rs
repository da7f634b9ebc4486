//! `config.json` of the architectures that are implemented.

use crate::error::FolderError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Every `model_type` that can be opened.
pub const ARCHITECTURES: &[&str] = &["sightline_pair", "efficientnet_lite", "bert"];

const COPY: &str = "copy config.json from the model again";

/// The configuration of an EfficientNet-Lite. Fields in alphabetical order: as JSON it is part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EfficientNetLite {
    /// Added to a variance before its root is taken.
    pub batch_norm_eps: f64,
    /// Channels after the last convolution, which are also the pooled features.
    pub head_channels: u32,
    /// Edge of the network's square input.
    pub image_size: u32,
    /// Classes of the last layer.
    pub num_classes: u32,
    /// The groups of blocks, first to last.
    pub stages: Vec<Stage>,
    /// Channels after the first convolution.
    pub stem_channels: u32,
}

/// A group of like blocks; the first one strides and changes the number of channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Factor by which a block widens its channels inside.
    pub expand_ratio: u32,
    /// Channels before the first block.
    pub in_channels: u32,
    /// Edge of the depthwise kernel; odd.
    pub kernel_size: u32,
    /// Channels after each block.
    pub out_channels: u32,
    /// Number of blocks.
    pub repeats: u32,
    /// Step of the first block.
    pub stride: u32,
}

/// The function between a BERT layer's two linear maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// x · Φ(x), exactly.
    Gelu,
    /// The same, by a hyperbolic tangent.
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    /// max(x, 0).
    Relu,
}

/// The configuration of a BERT encoder. Fields in alphabetical order: as JSON it is part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bert {
    /// Between a layer's two linear maps.
    pub hidden_act: HiddenAct,
    /// Width of the network and of its embeddings.
    pub hidden_size: u32,
    /// Width between a layer's two linear maps.
    pub intermediate_size: u32,
    /// Added to a variance before its root is taken.
    pub layer_norm_eps: f64,
    /// Positions that have an embedding: no text is longer.
    pub max_position_embeddings: u32,
    /// Heads; divides `hidden_size`.
    pub num_attention_heads: u32,
    /// Layers.
    pub num_hidden_layers: u32,
    /// Kinds of segments; texts are all of the first.
    pub type_vocab_size: u32,
    /// Tokens that have an embedding.
    pub vocab_size: u32,
}

/// No width, number of classes or tokens of a network that fits in memory is above this.
const MAX_SIZE: u32 = 1 << 22;

fn in_range(file: &Path, key: &str, value: u32, max: u32) -> Result<(), FolderError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(FolderError::setting(
        file,
        key,
        format!("is {value}, not 1 to {max}"),
        COPY,
    ))
}

fn above_zero(file: &Path, key: &str, value: f64) -> Result<(), FolderError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(FolderError::setting(file, key, format!("is {value}"), COPY))
}

fn only(file: &Path, config: &serde_json::Value, key: &str, allowed: &str) -> Result<(), FolderError> {
    match config.get(key) {
        None => Ok(()),
        Some(serde_json::Value::String(value)) if value == allowed => Ok(()),
        Some(other) => {
            let problem = format!("is {other}, which is not implemented");
            Err(FolderError::setting(
                file,
                key,
                problem,
                format!("use a model with \"{allowed}\""),
            ))
        }
    }
}

fn parse<T: DeserializeOwned>(file: &Path, config: &serde_json::Value) -> Result<T, FolderError> {
    T::deserialize(config).map_err(|source| FolderError::Json {
        path: file.to_owned(),
        source,
    })
}

impl EfficientNetLite {
    pub(crate) fn parse(file: &Path, config: &serde_json::Value) -> Result<Self, FolderError> {
        only(file, config, "hidden_act", "relu6")?;
        only(file, config, "padding", "same")?;
        if let Some(channels) = config
            .get("num_channels")
            .filter(|channels| channels.as_u64() != Some(3))
        {
            let problem = format!("is {channels}, which is not implemented");
            return Err(FolderError::setting(
                file,
                "num_channels",
                problem,
                "use a model of 3 channels",
            ));
        }
        let parsed: Self = parse(file, config)?;
        above_zero(file, "batch_norm_eps", parsed.batch_norm_eps)?;
        in_range(file, "head_channels", parsed.head_channels, MAX_SIZE)?;
        in_range(file, "image_size", parsed.image_size, 4096)?;
        in_range(file, "num_classes", parsed.num_classes, MAX_SIZE)?;
        in_range(file, "stem_channels", parsed.stem_channels, MAX_SIZE)?;
        let mut channels = parsed.stem_channels;
        for (number, stage) in parsed.stages.iter().enumerate() {
            let key = |name: &str| format!("stages[{number}].{name}");
            in_range(file, &key("expand_ratio"), stage.expand_ratio, 64)?;
            in_range(file, &key("kernel_size"), stage.kernel_size, 31)?;
            in_range(file, &key("out_channels"), stage.out_channels, MAX_SIZE)?;
            in_range(file, &key("repeats"), stage.repeats, 256)?;
            in_range(file, &key("stride"), stage.stride, 8)?;
            if stage.kernel_size % 2 == 0 {
                return Err(FolderError::setting(file, key("kernel_size"), "is even", COPY));
            }
            if stage.in_channels != channels {
                let problem = format!("is {}, but {channels} channels come before it", stage.in_channels);
                return Err(FolderError::setting(file, key("in_channels"), problem, COPY));
            }
            channels = stage.out_channels;
        }
        Ok(parsed)
    }
}

impl Bert {
    pub(crate) fn parse(file: &Path, config: &serde_json::Value) -> Result<Self, FolderError> {
        only(file, config, "position_embedding_type", "absolute")?;
        let parsed: Self = parse(file, config)?;
        above_zero(file, "layer_norm_eps", parsed.layer_norm_eps)?;
        for (key, value, max) in [
            ("hidden_size", parsed.hidden_size, 1 << 16),
            ("intermediate_size", parsed.intermediate_size, 1 << 18),
            ("max_position_embeddings", parsed.max_position_embeddings, MAX_SIZE),
            ("num_attention_heads", parsed.num_attention_heads, 1024),
            ("num_hidden_layers", parsed.num_hidden_layers, 1024),
            ("type_vocab_size", parsed.type_vocab_size, MAX_SIZE),
            ("vocab_size", parsed.vocab_size, MAX_SIZE),
        ] {
            in_range(file, key, value, max)?;
        }
        if !parsed.hidden_size.is_multiple_of(parsed.num_attention_heads) {
            let problem = format!(
                "is {}, which does not divide hidden_size {}",
                parsed.num_attention_heads, parsed.hidden_size
            );
            return Err(FolderError::setting(file, "num_attention_heads", problem, COPY));
        }
        Ok(parsed)
    }
}
