//! From the vectors of a text's tokens to one: pooling, and what sentence-transformers' `modules.json` adds to it.

use crate::error::FolderError;
use crate::network::Activation;
use crate::path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MODULES: &str = "modules.json";

/// Which token is the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOfText {
    /// The first one with this id.
    Token(u32),
    /// The first of those with the largest id.
    LargestToken,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The sum over all tokens, divided by the root of their number.
    MeanSqrtLength,
    /// The largest value over all tokens.
    Max,
    /// The first token's.
    Cls,
    /// The last place's, padding included where texts are padded to the full length.
    Last,
    /// That of the text's end.
    EndOfText(EndOfText),
    /// The network itself gives one.
    Network,
}

impl Pooling {
    /// As it is written in a fingerprint.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::MeanSqrtLength => "mean_sqrt_len",
            Self::Max => "max",
            Self::Cls => "cls",
            Self::Last => "last",
            Self::Network => "network",
            Self::EndOfText(EndOfText::Token(_)) => "end_of_text",
            Self::EndOfText(EndOfText::LargestToken) => "largest_token",
        }
    }
}

/// What shorter texts are filled up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The longest text of a batch; nothing looks at the filling.
    Longest,
    /// The limit of tokens; the network sees the filling like any token.
    Full {
        /// The filling, where the tokenizer's configuration names none.
        token: u32,
    },
}

/// A linear map after the pooling.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Its safetensors file.
    pub file: PathBuf,
    /// Length of what it takes.
    pub inputs: u32,
    /// Length of what it gives.
    pub outputs: u32,
    /// Whether it has a bias.
    pub bias: bool,
    /// Applied to what it gives.
    pub activation: Activation,
}

/// What `modules.json` says.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) pooling: Option<Pooling>,
    pub(crate) dense: Vec<Dense>,
    /// The Pooling's configuration, where it says to leave prompts out.
    pub(crate) leaves_prompts_out: Option<PathBuf>,
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

#[derive(Deserialize)]
struct RawDense {
    in_features: u32,
    out_features: u32,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

/// What `Normalize` may say.
#[derive(Deserialize, Default)]
struct RawNormalize {
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

fn yes() -> bool {
    true
}

/// The modules in the only order that is implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Transformer,
    Pooling,
    Dense,
    Normalize,
}

impl Modules {
    /// The folder of the network, where `modules.json` puts it below the model's.
    pub(crate) fn network(folder: &Path) -> Result<Option<PathBuf>, FolderError> {
        let file = folder.join(MODULES);
        let modules = path::read_json_if_there::<Vec<Module>>(&file)?.unwrap_or_default();
        let network = modules.iter().find(|module| is_network(&module.r#type));
        let below = network.filter(|module| !module.path.is_empty());
        below
            .map(|module| path::inside(folder, &file, "path", &module.path))
            .transpose()
    }

    /// Reads `modules.json`, where there is one.
    ///
    /// A network that gives one vector a text (`pools`) needs no Pooling.
    pub(crate) fn read(folder: &Path, pools: bool) -> Result<Self, FolderError> {
        let file = folder.join(MODULES);
        let mut read = Self::default();
        let Some(modules) = path::read_json_if_there::<Vec<Module>>(&file)? else {
            return Ok(read);
        };
        let mut before = Stage::Transformer;
        for module in &modules {
            let place = || path::inside(folder, &file, "path", &module.path);
            let stage = match module.r#type.rsplit('.').next() {
                Some("Transformer" | "CLIPModel") => Stage::Transformer,
                Some("Pooling") => {
                    let place = place()?;
                    let raw = RawPooling::read(&place)?;
                    read.leaves_prompts_out = raw.leaves_prompts_out().then(|| place.join("config.json"));
                    read.pooling = Some(raw.mode(&place)?);
                    Stage::Pooling
                }
                Some("Dense") => {
                    read.dense.push(dense(&place()?)?);
                    Stage::Dense
                }
                // Vectors are brought to length 1 in any case.
                Some("Normalize") => {
                    if !module.path.is_empty() {
                        normalize(&place()?)?;
                    }
                    Stage::Normalize
                }
                _ => {
                    let problem = format!("names {:?}, which is not implemented", module.r#type);
                    let remedy = "use a model of Transformer, Pooling, Dense and Normalize alone";
                    return Err(FolderError::setting(&file, "type", problem, remedy));
                }
            };
            if stage < before || (stage == before && stage == Stage::Pooling) {
                let problem = format!("names {:?} after {before:?}, which is not implemented", module.r#type);
                let remedy = "use a model of Transformer, Pooling, Dense and Normalize in this order";
                return Err(FolderError::setting(&file, "type", problem, remedy));
            }
            before = stage;
        }
        if read.pooling.is_none() && !pools {
            return Err(FolderError::setting(
                &file,
                "type",
                "names no Pooling",
                "copy the model again",
            ));
        }
        Ok(read)
    }
}

impl RawPooling {
    fn read(folder: &Path) -> Result<Self, FolderError> {
        path::read_json(folder, "config.json", "modules.json names it: copy it too")
    }

    fn leaves_prompts_out(&self) -> bool {
        self.modes.get("include_prompt").and_then(serde_json::Value::as_bool) == Some(false)
    }

    /// The modes: newer files name one by a word, or several in a list, which counts before the older flags.
    fn modes(&self) -> Vec<&str> {
        match self.modes.get("pooling_mode") {
            Some(serde_json::Value::String(mode)) => vec![mode],
            Some(serde_json::Value::Array(modes)) => modes.iter().filter_map(serde_json::Value::as_str).collect(),
            _ => {
                let flags = self.modes.iter().filter(|(key, _)| key.starts_with("pooling_mode_"));
                let on = flags.filter(|(_, value)| value.as_bool() == Some(true));
                on.map(|(key, _)| key.as_str()).collect()
            }
        }
    }

    fn mode(&self, folder: &Path) -> Result<Pooling, FolderError> {
        match self.modes().as_slice() {
            [] | ["pooling_mode_mean_tokens" | "mean"] => Ok(Pooling::Mean),
            ["pooling_mode_cls_token" | "cls"] => Ok(Pooling::Cls),
            ["pooling_mode_max_tokens" | "max"] => Ok(Pooling::Max),
            ["pooling_mode_lasttoken" | "lasttoken"] => Ok(Pooling::Last),
            ["pooling_mode_mean_sqrt_len_tokens" | "mean_sqrt_len_tokens"] => Ok(Pooling::MeanSqrtLength),
            other => {
                let problem = format!("is {other:?}, which is not implemented");
                let remedy = "use a model that pools by one of mean_tokens, cls_token, max_tokens, lasttoken and mean_sqrt_len_tokens";
                Err(FolderError::setting(
                    &folder.join("config.json"),
                    "pooling_mode",
                    problem,
                    remedy,
                ))
            }
        }
    }
}

/// Whether a module of this type holds the network.
fn is_network(kind: &str) -> bool {
    kind.ends_with(".Transformer") || kind.ends_with(".CLIPModel")
}

/// Refuses a module that works on anything but a text's one vector.
fn only_on_sentences(file: &Path, names: [(&str, Option<&str>); 2]) -> Result<(), FolderError> {
    for (key, name) in names {
        if let Some(other) = name.filter(|name| *name != "sentence_embedding") {
            let problem = format!("is {other:?}, which is not implemented");
            let remedy = "use a model whose modules work on sentence_embedding";
            return Err(FolderError::setting(file, key, problem, remedy));
        }
    }
    Ok(())
}

fn normalize(folder: &Path) -> Result<(), FolderError> {
    let file = folder.join("config.json");
    let raw: RawNormalize = path::read_json_if_there(&file)?.unwrap_or_default();
    let names = [
        ("module_input_name", raw.module_input_name.as_deref()),
        ("module_output_name", raw.module_output_name.as_deref()),
    ];
    only_on_sentences(&file, names)
}

fn dense(folder: &Path) -> Result<Dense, FolderError> {
    const MAX: u32 = 1 << 16;
    let raw: RawDense = path::read_json(folder, "config.json", "modules.json names it: copy it too")?;
    let file = folder.join("config.json");
    let names = [
        ("module_input_name", raw.module_input_name.as_deref()),
        ("module_output_name", raw.module_output_name.as_deref()),
    ];
    only_on_sentences(&file, names)?;
    if raw.use_residual {
        let problem = "is true, which is not implemented";
        return Err(FolderError::setting(
            &file,
            "use_residual",
            problem,
            "use a model without it",
        ));
    }
    for (key, value) in [("in_features", raw.in_features), ("out_features", raw.out_features)] {
        if !(1..=MAX).contains(&value) {
            return Err(FolderError::setting(
                &file,
                key,
                format!("is {value}, not 1 to {MAX}"),
                "copy the model again",
            ));
        }
    }
    // A path into PyTorch: torch.nn.modules.linear.Identity.
    let name = raw
        .activation_function
        .as_deref()
        .unwrap_or("torch.nn.modules.activation.Tanh");
    let activation = match name.rsplit('.').next() {
        Some("Identity") => Activation::Linear,
        Some("Tanh") => Activation::Tanh,
        Some("ReLU") => Activation::Relu,
        Some("GELU") => Activation::Gelu,
        Some("SiLU") => Activation::Silu,
        Some("Sigmoid") => Activation::Sigmoid,
        _ => {
            let problem = format!("is {name:?}, which is not implemented");
            let remedy = "use a model with Identity, Tanh, ReLU, GELU, SiLU or Sigmoid";
            return Err(FolderError::setting(&file, "activation_function", problem, remedy));
        }
    };
    let weights = folder.join("model.safetensors");
    if !weights.is_file() {
        let remedy = "convert it to safetensors (pickles such as pytorch_model.bin are not read, since they run code)";
        return Err(FolderError::missing(folder, "model.safetensors", remedy));
    }
    Ok(Dense {
        file: weights,
        inputs: raw.in_features,
        outputs: raw.out_features,
        bias: raw.bias,
        activation,
    })
}

#[cfg(test)]
mod tests;
