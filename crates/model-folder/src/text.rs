//! The text side of a model: network, tokenizer, and what sentence-transformers' files say beside it.

use crate::config::Bert;
use crate::digest::DigestCache;
use crate::error::FolderError;
use crate::image::to_json;
use crate::path;
use serde::{Deserialize, Serialize};
use sightline_core::digest::PartsDigest;
use sightline_core::{ModelName, VectorSpace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which network reads texts.
#[derive(Debug, Clone, PartialEq)]
pub enum TextNetwork {
    /// BERT.
    Bert(Bert),
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token's.
    Cls,
}

impl Pooling {
    /// As it is written in a fingerprint.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        }
    }
}

/// Everything that embeds texts.
#[derive(Debug, Clone, PartialEq)]
pub struct TextSide {
    /// The folder with `config.json`.
    pub folder: PathBuf,
    /// The network.
    pub network: TextNetwork,
    /// Its safetensors files.
    pub weights: Vec<PathBuf>,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_tokens: u32,
    /// Whether texts are put in lower case before the tokenizer (which may do so itself).
    pub lowercase: bool,
    /// From tokens to one vector.
    pub pooling: Pooling,
    /// Put before every text.
    pub prefix: String,
}

/// What happens to a text before the network. Fields in alphabetical order: as JSON it is part of a fingerprint.
#[derive(Serialize)]
struct TextPreprocessing {
    lowercase: bool,
    max_tokens: u32,
}

#[derive(Deserialize)]
struct Module {
    r#type: String,
    path: String,
}

#[derive(Deserialize)]
struct RawPooling {
    #[serde(flatten)]
    modes: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Default)]
struct SentenceBert {
    max_seq_length: Option<u32>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize, Default)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    model_max_length: Option<f64>,
}

const MODULES: &str = "modules.json";
const TOKENIZER: &str = "tokenizer.json";

impl TextSide {
    /// Opens a folder whose `model_type` is `bert`, with sentence-transformers' files where they are there.
    pub(crate) fn open_bert(folder: &Path, config: &serde_json::Value) -> Result<Self, FolderError> {
        let network = Bert::parse(&folder.join("config.json"), config)?;
        let tokenizer = folder.join(TOKENIZER);
        if !tokenizer.is_file() {
            let remedy = "without it texts cannot be cut into the model's tokens: copy it from the model's page";
            return Err(FolderError::missing(folder, TOKENIZER, remedy));
        }
        let sentence: SentenceBert = optional(folder, "sentence_bert_config.json")?;
        let max_tokens = max_tokens(folder, sentence.max_seq_length, network.max_position_embeddings)?;
        Ok(Self {
            folder: folder.to_owned(),
            weights: path::weights(folder)?,
            tokenizer,
            max_tokens,
            lowercase: sentence.do_lower_case,
            pooling: pooling(folder)?,
            prefix: prefix(folder)?,
            network: TextNetwork::Bert(network),
        })
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        let TextNetwork::Bert(network) = &self.network;
        network.hidden_size
    }

    /// The space of the vectors. Reads every byte of the weights and the tokenizer.
    pub(crate) fn space(&self, model: &ModelName, digests: &DigestCache) -> Result<VectorSpace, FolderError> {
        let TextNetwork::Bert(network) = &self.network;
        let config = to_json(&self.folder, network)?;
        let mut digest = PartsDigest::new("sightline/weights/text/v1")
            .part(b"bert")
            .part(config.as_bytes())
            .part(digests.sha256(&self.tokenizer)?.as_bytes());
        for file in &self.weights {
            digest = digest.part(digests.sha256(file)?.as_bytes());
        }
        let preprocessing = TextPreprocessing {
            lowercase: self.lowercase,
            max_tokens: self.max_tokens,
        };
        Ok(VectorSpace {
            model: model.clone(),
            weights: digest.hex(),
            preprocessing: to_json(&self.folder, &preprocessing)?,
            decode: String::new(),
            pooling: self.pooling.as_str().to_owned(),
            prefix: self.prefix.clone(),
            dimension: self.dimension(),
            normalized: true,
        })
    }
}

fn optional<T: serde::de::DeserializeOwned + Default>(folder: &Path, file: &str) -> Result<T, FolderError> {
    Ok(path::read_json_if_there(&folder.join(file))?.unwrap_or_default())
}

/// sentence-transformers' limit, else the tokenizer's, and never more than there are positions.
fn max_tokens(folder: &Path, sentence: Option<u32>, positions: u32) -> Result<u32, FolderError> {
    let tokenizer: TokenizerConfig = optional(folder, "tokenizer_config.json")?;
    // "No limit" is written as 1e30 there.
    let told = tokenizer
        .model_max_length
        .filter(|length| *length >= 1.0 && *length < f64::from(positions));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a u32"
    )]
    let tokenizer = told.map_or(positions, |length| length as u32);
    let limit = sentence.unwrap_or(tokenizer).min(positions);
    if limit < 3 {
        let file = folder.join("sentence_bert_config.json");
        let problem = format!("is {limit}, which leaves no room beside the two special tokens");
        return Err(FolderError::setting(&file, "max_seq_length", problem, "give 3 or more"));
    }
    Ok(limit)
}

/// Mean where there is no `modules.json`: what sentence-transformers does with a plain BERT.
fn pooling(folder: &Path) -> Result<Pooling, FolderError> {
    let file = folder.join(MODULES);
    let Some(modules) = path::read_json_if_there::<Vec<Module>>(&file)? else {
        return Ok(Pooling::Mean);
    };
    let mut pooling = None;
    for module in &modules {
        match module.r#type.rsplit('.').next() {
            // Vectors are brought to length 1 in any case.
            Some("Transformer" | "Normalize") => {}
            Some("Pooling") => pooling = Some(pooling_mode(&path::inside(folder, &file, "path", &module.path)?)?),
            _ => {
                let problem = format!("names {:?}, which is not implemented", module.r#type);
                let remedy = "use a model of Transformer, Pooling and Normalize alone";
                return Err(FolderError::setting(&file, "type", problem, remedy));
            }
        }
    }
    pooling.ok_or_else(|| FolderError::setting(&file, "type", "names no Pooling", "copy the model again"))
}

fn pooling_mode(folder: &Path) -> Result<Pooling, FolderError> {
    let raw: RawPooling = path::read_json(folder, "config.json", "modules.json names it: copy it too")?;
    let on: Vec<&str> = raw
        .modes
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(key, _)| key.as_str())
        .collect();
    match on.as_slice() {
        ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::Cls),
        other => {
            let problem = format!("is {other:?}, which is not implemented");
            let remedy = "use a model that pools by pooling_mode_mean_tokens or pooling_mode_cls_token alone";
            Err(FolderError::setting(
                &folder.join("config.json"),
                "pooling_mode",
                problem,
                remedy,
            ))
        }
    }
}

fn prefix(folder: &Path) -> Result<String, FolderError> {
    const FILE: &str = "config_sentence_transformers.json";
    let prompts: Prompts = optional(folder, FILE)?;
    let Some(name) = prompts.default_prompt_name else {
        return Ok(String::new());
    };
    prompts.prompts.get(&name).cloned().ok_or_else(|| {
        let problem = format!("is {name:?}, which `prompts` does not hold");
        FolderError::setting(
            &folder.join(FILE),
            "default_prompt_name",
            problem,
            "copy the model again",
        )
    })
}
