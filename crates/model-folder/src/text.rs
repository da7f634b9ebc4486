//! The text side of a model: network, tokenizer, and what sentence-transformers' files say beside it.

use crate::digest::DigestCache;
use crate::error::FolderError;
use crate::image::to_json;
use crate::network::{Gemma3, TextTransformer};
use crate::path;
use crate::pooling::{Dense, Modules, Padding, Pooling};
use crate::prompts::TextPrompts;
use crate::sentence::Sentence;
use crate::tokenizer::{TokenizerConfig, TokenizerFiles, TokenizerForm};
use crate::torchscript::ScriptText;
use serde::Serialize;
use sightline_core::digest::PartsDigest;
use sightline_core::{ModelName, VectorSpace};
use std::path::{Path, PathBuf};

/// Which network reads texts.
#[derive(Debug, Clone, PartialEq)]
pub enum TextNetwork {
    /// BERT, RoBERTa, and the text sides of CLIP and SigLIP.
    Transformer(Box<TextTransformer>),
    /// EmbeddingGemma.
    Gemma3(Gemma3),
    /// Anything else, as code.
    TorchScript(ScriptText),
}

impl TextNetwork {
    /// Tokens that one text may have.
    fn positions(&self) -> u32 {
        match self {
            Self::Transformer(network) => network.positions.saturating_sub(network.position_offset),
            Self::Gemma3(network) => network.positions,
            Self::TorchScript(network) => network.max_tokens,
        }
    }

    /// Tokens that have an embedding.
    #[must_use]
    pub fn vocab_size(&self) -> u32 {
        match self {
            Self::Transformer(network) => network.vocab_size,
            Self::Gemma3(network) => network.vocab_size,
            Self::TorchScript(network) => network.vocab_size,
        }
    }

    /// Length of the vectors of tokens after the network, or of a text where it has a map of its own at the end.
    fn dimension(&self) -> u32 {
        match self {
            Self::Transformer(network) => network
                .projection
                .map_or(network.layers.width, |projection| projection.dimension),
            Self::Gemma3(network) => network.width,
            Self::TorchScript(network) => network.dimension,
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
    /// From texts to tokens.
    pub tokenizer: TokenizerFiles,
    /// Longer texts are cut to this many tokens, special ones included.
    pub max_tokens: u32,
    /// Whether texts are put in lower case before the tokenizer (which may do so itself).
    pub lowercase: bool,
    /// From tokens to one vector.
    pub pooling: Pooling,
    /// What shorter texts are filled up to.
    pub padding: Padding,
    /// The token that fills up, by the tokenizer's configuration.
    pub padding_token: Option<String>,
    /// Maps of the pooled vector, in their order.
    pub dense: Vec<Dense>,
    /// Put before every text that is stored.
    pub prefix: String,
    /// Put before every text that is looked for.
    pub query_prefix: String,
    /// Whether longer texts lose their beginning, not their end.
    pub cut_left: bool,
    /// How many of a vector's first values are kept, where sentence-transformers' configuration says so.
    pub truncate_dim: Option<u32>,
}

/// What happens to a text before the network. Fields in alphabetical order: as JSON it is part of a fingerprint.
#[derive(Serialize)]
struct TextPreprocessing {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_left: bool,
    lowercase: bool,
    max_tokens: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    padded: bool,
}

impl TextSide {
    /// Opens a folder whose network is known, with sentence-transformers' files where they are there. `pooling` is what
    /// the architecture does without those.
    pub(crate) fn open(
        folder: &Path,
        network: TextNetwork,
        pooling: Pooling,
        padding: Padding,
    ) -> Result<Self, FolderError> {
        let weights = path::weights(folder)?;
        Self::open_with(folder, network, pooling, padding, weights)
    }

    /// The same, with weights that lie elsewhere.
    pub(crate) fn open_with(
        folder: &Path,
        network: TextNetwork,
        pooling: Pooling,
        padding: Padding,
        weights: Vec<PathBuf>,
    ) -> Result<Self, FolderError> {
        let sentence = Sentence::read(folder)?;
        let of_tokenizer = TokenizerConfig::read(folder)?;
        let tokenizer = TokenizerFiles::find(folder, &of_tokenizer)?;
        let root = model_root(folder)?;
        let pools = matches!(pooling, Pooling::Network | Pooling::EndOfText(_)) || padding != Padding::Longest;
        let modules = Modules::read(root, pools)?;
        let prompts = TextPrompts::read(root)?;
        if let Some(file) = modules.leaves_prompts_out.filter(|_| !prompts.are_empty()) {
            let problem = "is false beside prompts, which is not implemented";
            let remedy = "use a model that pools over its prompts, too";
            return Err(FolderError::setting(&file, "include_prompt", problem, remedy));
        }
        let side = Self {
            folder: folder.to_owned(),
            weights,
            tokenizer,
            max_tokens: max_tokens(folder, sentence.max_seq_length, &of_tokenizer, network.positions())?,
            lowercase: sentence.do_lower_case,
            pooling: modules.pooling.unwrap_or(pooling),
            padding,
            padding_token: of_tokenizer.padding_token(),
            cut_left: cut_left(folder, &of_tokenizer, padding)?,
            dense: modules.dense,
            prefix: prompts.document,
            query_prefix: prompts.query,
            truncate_dim: prompts.truncate_dim,
            network,
        };
        side.check_dense()?;
        Ok(side)
    }

    /// Each map takes what the one before it gives.
    fn check_dense(&self) -> Result<(), FolderError> {
        let mut length = self.network.dimension();
        for dense in &self.dense {
            if dense.inputs != length {
                let file = dense.file.with_file_name("config.json");
                let problem = format!("is {}, but vectors of {length} values come before it", dense.inputs);
                return Err(FolderError::setting(
                    &file,
                    "in_features",
                    problem,
                    "copy the model again",
                ));
            }
            length = dense.outputs;
        }
        Ok(())
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        self.dense
            .last()
            .map_or(self.network.dimension(), |dense| dense.outputs)
    }

    /// The space of the vectors. Reads every byte of the weights and the tokenizer.
    pub(crate) fn space(&self, model: &ModelName, digests: &DigestCache) -> Result<VectorSpace, FolderError> {
        let (kind, config) = match &self.network {
            TextNetwork::Transformer(network) => ("text_transformer", to_json(&self.folder, network)?),
            TextNetwork::Gemma3(network) => ("gemma3", to_json(&self.folder, network)?),
            TextNetwork::TorchScript(network) => ("torchscript", to_json(&self.folder, network)?),
        };
        let mut digest = PartsDigest::new("sightline/weights/text/v2")
            .part(kind.as_bytes())
            .part(config.as_bytes());
        for file in self.tokenizer.all() {
            digest = digest.part(digests.sha256(file)?.as_bytes());
        }
        // Says everything itself.
        if self.tokenizer.form != TokenizerForm::Whole {
            digest = digest.part(to_json(&self.folder, &self.tokenizer.form)?.as_bytes());
        }
        if !self.tokenizer.added.is_empty() {
            digest = digest.part(to_json(&self.folder, &self.tokenizer.added)?.as_bytes());
        }
        for file in &self.weights {
            digest = digest.part(digests.sha256(file)?.as_bytes());
        }
        for dense in &self.dense {
            let form = format!(
                "{:?} {} {} {}",
                dense.activation, dense.inputs, dense.outputs, dense.bias
            );
            digest = digest
                .part(form.as_bytes())
                .part(digests.sha256(&dense.file)?.as_bytes());
        }
        let preprocessing = TextPreprocessing {
            cut_left: self.cut_left,
            lowercase: self.lowercase,
            max_tokens: self.max_tokens,
            padded: matches!(self.padding, Padding::Full { .. }),
        };
        Ok(VectorSpace {
            model: model.clone(),
            weights: digest.hex(),
            preprocessing: to_json(&self.folder, &preprocessing)?,
            decode: String::new(),
            pooling: self.pooling.as_str().to_owned(),
            prefix: self.prefixes(),
            dimension: self.dimension(),
            normalized: true,
        })
    }

    /// Both prefixes as they are written in a fingerprint: one where they are the same.
    fn prefixes(&self) -> String {
        if self.prefix == self.query_prefix {
            return self.prefix.clone();
        }
        format!("document={:?} query={:?}", self.prefix, self.query_prefix)
    }
}

/// The folder with `modules.json`: the network's own, or the one above where that puts the network here.
fn model_root(folder: &Path) -> Result<&Path, FolderError> {
    match folder.parent() {
        Some(above) if Modules::network(above)?.is_some_and(|network| network == folder) => Ok(above),
        _ => Ok(folder),
    }
}

/// Whether longer texts lose their beginning. Filling comes after a text; where the network sees it, it may not come before.
fn cut_left(folder: &Path, tokenizer: &TokenizerConfig, padding: Padding) -> Result<bool, FolderError> {
    let left = |key: &str, side: Option<&str>| match side {
        None | Some("right") => Ok(false),
        Some("left") => Ok(true),
        Some(other) => {
            let file = folder.join("tokenizer_config.json");
            let problem = format!("is {other:?}");
            Err(FolderError::setting(&file, key, problem, "give \"left\" or \"right\""))
        }
    };
    if left("padding_side", tokenizer.padding_side.as_deref())? && padding != Padding::Longest {
        let file = folder.join("tokenizer_config.json");
        let problem = "is \"left\", which is not implemented for networks that see the filling";
        return Err(FolderError::setting(
            &file,
            "padding_side",
            problem,
            "use a model that fills up on the right",
        ));
    }
    left("truncation_side", tokenizer.truncation_side.as_deref())
}

/// sentence-transformers' limit, else the tokenizer's, and never more than there are positions.
fn max_tokens(
    folder: &Path,
    sentence: Option<u32>,
    tokenizer: &TokenizerConfig,
    positions: u32,
) -> Result<u32, FolderError> {
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
