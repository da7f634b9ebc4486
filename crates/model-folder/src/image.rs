//! The image side of a model: network, projection, preprocessing.

use crate::architectures::{EfficientNetLite, Keys};
use crate::digest::DigestCache;
use crate::error::FolderError;
use crate::network::VisionTransformer;
use crate::path;
use crate::preprocessing::ImagePreprocessing;
use crate::torchscript::ScriptImage;
use serde::Deserialize;
use sightline_core::digest::PartsDigest;
use sightline_core::{ModelName, VectorSpace};
use std::path::{Path, PathBuf};

/// Which network looks at pictures.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageNetwork {
    /// EfficientNet-Lite, of any size.
    EfficientNetLite(EfficientNetLite),
    /// CLIP, SigLIP, ViT, DINOv2.
    VisionTransformer(Box<VisionTransformer>),
    /// Anything else, as code.
    TorchScript(ScriptImage),
}

impl ImageNetwork {
    /// Height and width of the network's input, where they are fixed.
    fn input(&self) -> Option<[u32; 2]> {
        match self {
            Self::EfficientNetLite(network) => Some([network.image_size; 2]),
            Self::VisionTransformer(network) => Some(network.image),
            Self::TorchScript(_) => None,
        }
    }
}

/// How classes become a vector in a text encoder's space: softmax over the likeliest classes' logits, divided by the
/// temperature, weighs the embeddings of the classes' names.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// The safetensors file with the embeddings.
    pub file: PathBuf,
    /// The tensor in it: `[num_classes, dim]`.
    pub tensor: String,
    /// Length of the resulting vectors.
    pub dim: u32,
    /// How many of the likeliest classes count.
    pub top_classes: u32,
    /// Above 0; larger ones spread the weight over more classes.
    pub temperature: f64,
}

/// Everything that embeds pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSide {
    /// The folder with `config.json`.
    pub folder: PathBuf,
    /// The network.
    pub network: ImageNetwork,
    /// Its safetensors files.
    pub weights: Vec<PathBuf>,
    /// How pictures are prepared.
    pub preprocessing: ImagePreprocessing,
    /// From classes to vectors; without it the vectors are the network's pooled features.
    pub projection: Option<Projection>,
}

#[derive(Deserialize)]
struct RawProjection {
    r#type: String,
    file: String,
    tensor: String,
    dim: u32,
    top_classes: u32,
    #[serde(default = "one")]
    temperature: f64,
}

fn one() -> f64 {
    1.0
}

impl ImageSide {
    /// Opens a folder whose network is known.
    pub(crate) fn open(folder: &Path, network: ImageNetwork, keys: &Keys<'_>) -> Result<Self, FolderError> {
        let preprocessing = ImagePreprocessing::open(folder)?;
        if let Some(size) = network.input()
            && preprocessing.crop != size
        {
            let [height, width] = preprocessing.crop;
            let problem = format!(
                "is {} x {}, but preprocessor_config.json makes pictures of {height} x {width}",
                size[0], size[1]
            );
            return Err(keys.wrong("image_size", problem, "copy both files from the same model"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            weights: path::weights(folder)?,
            preprocessing,
            projection: None,
            network,
        })
    }

    /// Opens a folder whose `model_type` is `efficientnet_lite`.
    pub(crate) fn open_efficientnet_lite(folder: &Path, config: &serde_json::Value) -> Result<Self, FolderError> {
        let file = folder.join("config.json");
        let network = EfficientNetLite::parse(&file, config)?;
        let projection = projection(folder, &file, config, network.num_classes)?;
        let network = ImageNetwork::EfficientNetLite(network);
        let side = Self::open(folder, network, &Keys::new(folder, config))?;
        Ok(Self { projection, ..side })
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        match (&self.projection, &self.network) {
            (Some(projection), _) => projection.dim,
            (None, ImageNetwork::EfficientNetLite(network)) => network.head_channels,
            (None, ImageNetwork::VisionTransformer(network)) => network.dimension(),
            (None, ImageNetwork::TorchScript(network)) => network.dimension,
        }
    }

    fn pooling(&self) -> String {
        match &self.projection {
            Some(projection) => format!(
                "class_mixture(top_classes={},temperature={:?})",
                projection.top_classes, projection.temperature
            ),
            None => match &self.network {
                ImageNetwork::EfficientNetLite(_) => "mean",
                ImageNetwork::VisionTransformer(network) => network.pooling.as_str(),
                ImageNetwork::TorchScript(_) => "network",
            }
            .to_owned(),
        }
    }

    /// The space of the vectors. Reads every byte of the weights.
    pub(crate) fn space(&self, model: &ModelName, digests: &DigestCache) -> Result<VectorSpace, FolderError> {
        let (kind, config) = match &self.network {
            ImageNetwork::EfficientNetLite(network) => ("efficientnet_lite", to_json(&self.folder, network)?),
            ImageNetwork::VisionTransformer(network) => ("vision_transformer", to_json(&self.folder, network)?),
            ImageNetwork::TorchScript(network) => ("torchscript", to_json(&self.folder, network)?),
        };
        let mut digest = PartsDigest::new("sightline/weights/image/v1")
            .part(kind.as_bytes())
            .part(config.as_bytes());
        for file in &self.weights {
            digest = digest.part(digests.sha256(file)?.as_bytes());
        }
        if let Some(projection) = &self.projection {
            digest = digest
                .part(projection.tensor.as_bytes())
                .part(digests.sha256(&projection.file)?.as_bytes());
        }
        Ok(VectorSpace {
            model: model.clone(),
            weights: digest.hex(),
            preprocessing: to_json(&self.folder, &self.preprocessing)?,
            decode: "exact".to_owned(),
            pooling: self.pooling(),
            prefix: String::new(),
            dimension: self.dimension(),
            normalized: true,
        })
    }
}

/// JSON of a struct whose fields are declared in alphabetical order, which is its canonical form.
pub(crate) fn to_json(folder: &Path, value: &impl serde::Serialize) -> Result<String, FolderError> {
    serde_json::to_string(value).map_err(|source| FolderError::Json {
        path: folder.join("config.json"),
        source,
    })
}

fn projection(
    folder: &Path,
    file: &Path,
    config: &serde_json::Value,
    num_classes: u32,
) -> Result<Option<Projection>, FolderError> {
    let Some(raw) = config.get("projection").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let raw = RawProjection::deserialize(raw).map_err(|source| FolderError::Json {
        path: file.to_owned(),
        source,
    })?;
    let wrong = |key: &str, problem: String, remedy: &str| {
        Err(FolderError::setting(file, format!("projection.{key}"), problem, remedy))
    };
    if raw.r#type != "class_mixture" {
        return wrong(
            "type",
            format!("is {:?}, which is not implemented", raw.r#type),
            "use \"class_mixture\"",
        );
    }
    if !(1..=num_classes).contains(&raw.top_classes) {
        return wrong(
            "top_classes",
            format!("is {} of {num_classes} classes", raw.top_classes),
            "give 1 to that many",
        );
    }
    if !(raw.temperature.is_finite() && raw.temperature > 0.0) {
        return wrong(
            "temperature",
            format!("is {}", raw.temperature),
            "give a number above 0",
        );
    }
    if !(1..=32_768).contains(&raw.dim) {
        return wrong("dim", format!("is {}", raw.dim), "give 1 to 32768");
    }
    let path = path::inside(folder, file, "projection.file", &raw.file)?;
    if !path.is_file() {
        return Err(FolderError::missing(
            folder,
            &raw.file,
            "config.json names it as the projection: copy it too",
        ));
    }
    Ok(Some(Projection {
        file: path,
        tensor: raw.tensor,
        dim: raw.dim,
        top_classes: raw.top_classes,
        temperature: raw.temperature,
    }))
}
