//! A whole model folder.

use crate::architectures::{self, Sides};
use crate::digest::DigestCache;
use crate::error::FolderError;
use crate::image::ImageSide;
use crate::matryoshka;
use crate::path;
use crate::pooling::Modules;
use crate::preprocessing::ImagePreprocessing;
use crate::text::TextSide;
use crate::torchscript;
use serde::Deserialize;
use sightline_core::{ModelName, VectorField, VectorSpace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const CONFIG: &str = "config.json";
/// The `model_type` of a folder that joins an image and a text encoder.
const PAIR: &str = "sightline_pair";

/// A model as it lies on disk: what it is made of, and the vector spaces that it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFolder {
    /// How people name it.
    pub name: ModelName,
    /// Where it is.
    pub root: PathBuf,
    /// What embeds pictures, where it does.
    pub image: Option<ImageSide>,
    /// What embeds texts, where it does.
    pub text: Option<TextSide>,
    /// The space of each field that it fills: pictures go to [`VectorField::Image`], texts to [`VectorField::Text`].
    pub spaces: BTreeMap<VectorField, VectorSpace>,
    /// Whether pictures and texts lie in one space, so that words find pictures.
    pub shared_space: bool,
    /// Shorter lengths of vectors that the model was trained for, where its configuration names any
    /// (`matryoshka_dimensions`).
    pub matryoshka: Vec<u32>,
}

#[derive(Deserialize)]
struct Pair {
    image: String,
    text: String,
    embedding_dim: Option<u32>,
}

impl ModelFolder {
    /// Opens a folder and digests its weights: every byte of them is read, unless the cache knows them.
    /// The model is named like its folder.
    ///
    /// # Errors
    /// When something is missing, not understood or not implemented; see [`FolderError`].
    pub fn open(root: &Path, digests: &DigestCache) -> Result<Self, FolderError> {
        let whole = root.canonicalize().map_err(|error| FolderError::read(root, error))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = ModelName::new(name).map_err(|source| FolderError::Name {
            folder: root.to_owned(),
            source,
        })?;
        Self::open_as(root, name, digests)
    }

    /// The same, under a name of its own.
    ///
    /// # Errors
    /// As [`ModelFolder::open`].
    pub fn open_as(root: &Path, name: ModelName, digests: &DigestCache) -> Result<Self, FolderError> {
        let (sides, config) = if root.join(torchscript::FILE).is_file() {
            (torchscript::open(root)?, serde_json::Value::Null)
        } else {
            let network = network_folder(root)?;
            let (architecture, config) = read_config(&network)?;
            let sides = if architecture == PAIR {
                open_pair(root, &config)?
            } else {
                open_side(&network, &architecture, &config)?
            };
            (sides, config)
        };
        let mut spaces = BTreeMap::new();
        if let Some(image) = &sides.image {
            spaces.insert(VectorField::Image, image.space(&name, digests)?);
        }
        if let Some(text) = &sides.text {
            spaces.insert(VectorField::Text, text.space(&name, digests)?);
        }
        if let Some(told) = sides.text.as_ref().and_then(|text| text.truncate_dim) {
            let shared = sides.shared_space;
            let truncated = |field: &VectorField| shared || *field == VectorField::Text;
            for (_, space) in spaces.iter_mut().filter(|(field, _)| truncated(field)) {
                space.dimension = space.dimension.min(told);
            }
        }
        Ok(Self {
            name,
            root: root.to_owned(),
            image: sides.image,
            text: sides.text,
            spaces,
            shared_space: sides.shared_space,
            matryoshka: matryoshka::dimensions(&config),
        })
    }

    /// How a model prepares pictures, without reading its weights; for a pair, its image encoder.
    ///
    /// # Errors
    /// When `preprocessor_config.json` is missing or says what is not implemented.
    pub fn preprocessing(root: &Path) -> Result<ImagePreprocessing, FolderError> {
        let file = root.join(CONFIG);
        let config: Option<serde_json::Value> = path::read_json_if_there(&file)?;
        let image = config
            .filter(|config| {
                config
                    .get("model_type")
                    .is_some_and(|architecture| architecture == PAIR)
            })
            .and_then(|config| config.get("image")?.as_str().map(str::to_owned));
        match image {
            Some(image) => ImagePreprocessing::open(&path::inside(root, &file, "image", &image)?),
            None => ImagePreprocessing::open(root),
        }
    }
}

/// Where a model's network is: in its folder, or where sentence-transformers' `modules.json` puts it below.
fn network_folder(folder: &Path) -> Result<PathBuf, FolderError> {
    let below = if folder.join(CONFIG).is_file() {
        None
    } else {
        Modules::network(folder)?
    };
    Ok(below.unwrap_or_else(|| folder.to_owned()))
}

fn read_config(folder: &Path) -> Result<(String, serde_json::Value), FolderError> {
    // Otherwise a mistyped folder reads as one that lacks a file.
    if let Err(error) = std::fs::read_dir(folder) {
        return Err(FolderError::read(folder, error));
    }
    let config: serde_json::Value =
        path::read_json(folder, CONFIG, "name the folder that holds a model's config.json")?;
    match config.get("model_type").and_then(serde_json::Value::as_str) {
        Some(architecture) => Ok((architecture.to_owned(), config)),
        None => {
            let remedy = format!("name one of {}", architectures::names().join(", "));
            Err(FolderError::setting(
                &folder.join(CONFIG),
                "model_type",
                "is not there",
                remedy,
            ))
        }
    }
}

fn open_side(folder: &Path, architecture: &str, config: &serde_json::Value) -> Result<Sides, FolderError> {
    architectures::open(architecture, folder, config).unwrap_or_else(|| {
        Err(FolderError::UnknownArchitecture {
            path: folder.join(CONFIG),
            architecture: architecture.chars().take(100).collect(),
            implemented: architectures::names().join(", "),
            present: path::listing(folder),
        })
    })
}

/// Two encoders as one model. With `embedding_dim` both make one space of that many values; without it they are unrelated.
fn open_pair(root: &Path, config: &serde_json::Value) -> Result<Sides, FolderError> {
    let file = root.join(CONFIG);
    let pair = Pair::deserialize(config).map_err(|source| FolderError::Json {
        path: file.clone(),
        source,
    })?;
    let open = |key: &str, name: &str| {
        let folder = path::inside(root, &file, key, name)?;
        if folder.join(torchscript::FILE).is_file() {
            return torchscript::open(&folder);
        }
        let folder = network_folder(&folder)?;
        let (architecture, config) = read_config(&folder)?;
        open_side(&folder, &architecture, &config)
    };
    let (image, text) = (open("image", &pair.image)?.image, open("text", &pair.text)?.text);
    let lengths = [
        ("image", image.as_ref().map(ImageSide::dimension)),
        ("text", text.as_ref().map(TextSide::dimension)),
    ];
    for (key, length) in lengths {
        let problem = match (length, pair.embedding_dim) {
            (Some(length), Some(shared)) if length != shared => {
                format!("makes vectors of {length} values, but `embedding_dim` is {shared}")
            }
            (Some(_), _) => continue,
            (None, _) => format!("names a folder that embeds no {key}s"),
        };
        let remedy = "put two encoders of one space there, or leave out `embedding_dim` where they are unrelated";
        return Err(FolderError::setting(&file, key, problem, remedy));
    }
    Ok(Sides {
        image,
        text,
        shared_space: pair.embedding_dim.is_some(),
    })
}

#[cfg(test)]
mod tests;
