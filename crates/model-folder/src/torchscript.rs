//! TorchScript: any network that PyTorch can export, with a `model.toml` beside it that says how it is called.

use crate::architectures::Sides;
use crate::error::FolderError;
use crate::image::{ImageNetwork, ImageSide};
use crate::pooling::{Padding, Pooling};
use crate::preprocessing::ImagePreprocessing;
use crate::text::{TextNetwork, TextSide};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The file that makes a folder a TorchScript model.
pub(crate) const FILE: &str = "model.toml";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// Where a method's answer holds the vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScriptOutput {
    /// At this place of a tuple, from 0.
    Place(usize),
    /// Under this key of a dictionary.
    Key(String),
}

/// How pictures are embedded: `method(pixels)`, f32 `[pictures, 3, height, width]`, gives `[pictures, dimension]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptImage {
    /// Length of the vectors.
    pub dimension: u32,
    /// The module's method.
    #[serde(default = "forward")]
    pub method: String,
    /// Where the answer holds the vectors; the answer itself where this is not given.
    #[serde(default)]
    pub output: Option<ScriptOutput>,
}

/// How texts are embedded: `method(ids)` or `method(ids, attention_mask)`, whole numbers `[texts, length]`, gives
/// `[texts, dimension]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptText {
    /// Whether the method takes a mask: 1 where a token is, 0 where a batch was filled up.
    #[serde(default = "yes")]
    pub attention_mask: bool,
    /// Length of the vectors.
    pub dimension: u32,
    /// Longer texts are cut to this many tokens.
    pub max_tokens: u32,
    /// The module's method.
    #[serde(default = "forward")]
    pub method: String,
    /// Where the answer holds the vectors; the answer itself where this is not given.
    #[serde(default)]
    pub output: Option<ScriptOutput>,
    /// What shorter texts are filled up with.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Whether texts are filled up to `max_tokens`, not to the longest of a batch.
    #[serde(default)]
    pub pad_to_max: bool,
    /// Tokens that the network knows.
    pub vocab_size: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    file: String,
    image: Option<ScriptImage>,
    text: Option<ScriptText>,
    #[serde(default)]
    shared_space: bool,
}

fn forward() -> String {
    "forward".to_owned()
}

fn yes() -> bool {
    true
}

/// Opens a folder with a `model.toml`.
pub(crate) fn open(folder: &Path) -> Result<Sides, FolderError> {
    let path = folder.join(FILE);
    let manifest = read(&path)?;
    let wrong = |key: &str, problem: String, remedy: &str| Err(FolderError::setting(&path, key, problem, remedy));
    if manifest.version != VERSION {
        let problem = format!("is {}, and this program reads {VERSION}", manifest.version);
        return wrong("version", problem, "export the model again, or use a newer Sightline");
    }
    let module = crate::path::inside(folder, &path, "file", &manifest.file)?;
    if !module.is_file() {
        return Err(FolderError::missing(
            folder,
            &manifest.file,
            "model.toml names it: copy it too",
        ));
    }
    if manifest.image.is_none() && manifest.text.is_none() {
        return wrong(
            "image",
            "and `text` are both missing".to_owned(),
            "say what the module embeds",
        );
    }
    let image = match manifest.image {
        Some(image) => {
            check(&path, "image.dimension", image.dimension, 1 << 16)?;
            Some(ImageSide {
                folder: folder.to_owned(),
                weights: vec![module.clone()],
                preprocessing: ImagePreprocessing::open(folder)?,
                projection: None,
                network: ImageNetwork::TorchScript(image),
            })
        }
        None => None,
    };
    let text = match manifest.text {
        Some(text) => {
            check(&path, "text.dimension", text.dimension, 1 << 16)?;
            check(&path, "text.max_tokens", text.max_tokens, 1 << 20)?;
            check(&path, "text.vocab_size", text.vocab_size, 1 << 24)?;
            let padding = if text.pad_to_max {
                Padding::Full {
                    token: text.pad_token_id,
                }
            } else {
                Padding::Longest
            };
            Some(TextSide::open_with(
                folder,
                TextNetwork::TorchScript(text),
                Pooling::Network,
                padding,
                vec![module],
            )?)
        }
        None => None,
    };
    if manifest.shared_space && image.as_ref().map(ImageSide::dimension) != text.as_ref().map(TextSide::dimension) {
        let problem = "is true, but pictures and texts have vectors of other lengths".to_owned();
        return wrong(
            "shared_space",
            problem,
            "leave it out where words are not held against pictures",
        );
    }
    Ok(Sides {
        image,
        text,
        shared_space: manifest.shared_space,
    })
}

fn read(path: &Path) -> Result<Manifest, FolderError> {
    let bytes = fs::metadata(path)
        .map_err(|error| FolderError::read(path, error))?
        .len();
    if bytes > MAX_BYTES {
        let error = std::io::Error::other("it is larger than 1 MiB, so it is no model.toml");
        return Err(FolderError::read(path, error));
    }
    let text = fs::read_to_string(path).map_err(|error| FolderError::read(path, error))?;
    toml::from_str(&text).map_err(|error| FolderError::Toml {
        path: path.to_owned(),
        source: Box::new(error),
    })
}

fn check(path: &Path, key: &str, value: u32, most: u32) -> Result<(), FolderError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(FolderError::setting(
        path,
        key,
        format!("is {value}, not 1 to {most}"),
        "export the model again",
    ))
}
