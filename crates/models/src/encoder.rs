//! What every encoder does, and loading one from a folder.

use crate::bert::Bert;
use crate::device::{self, DeviceChoice, Precision};
use crate::efficientnet_lite::EfficientNetLite;
use crate::error::ModelError;
use sightline_core::vector::{VectorError, normalize};
use sightline_model_folder::{ImageNetwork, ModelFolder, TextNetwork};
use sightline_pictures::{PreparedPicture, Preprocessor};
use std::fmt::Debug;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A vector of length 1, or why this input has none. The inputs beside it in a batch are unaffected.
pub type Embedding = Result<Vec<f32>, VectorError>;

/// Embeds pictures.
pub trait ImageEncoder: Debug + Send {
    /// One embedding for each picture, in order. An empty batch gives none.
    ///
    /// # Errors
    /// When the batch as a whole cannot be computed.
    fn encode(&self, pictures: &[PreparedPicture]) -> Result<Vec<Embedding>, ModelError>;

    /// Length of the vectors.
    fn dimension(&self) -> usize;
}

/// Embeds texts.
pub trait TextEncoder: Debug + Send {
    /// One embedding for each text, in order; texts beyond the model's limit of tokens are cut. An empty batch gives
    /// none; an empty text has an embedding.
    ///
    /// # Errors
    /// When the batch as a whole cannot be computed.
    fn encode(&self, texts: &[String]) -> Result<Vec<Embedding>, ModelError>;

    /// Length of the vectors.
    fn dimension(&self) -> usize;
}

/// How to load a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Where it computes.
    pub device: DeviceChoice,
    /// How numbers are held.
    pub precision: Precision,
    /// Threads that one operation may use on the processor; `None` leaves libtorch's own choice.
    pub threads: Option<u16>,
}

/// A model whose every tensor was checked, on its device. It belongs to the thread that loaded it: libtorch's number of
/// threads is a setting of that thread.
#[derive(Debug)]
pub struct LoadedModel {
    /// What it was loaded from.
    pub folder: ModelFolder,
    /// Where it computes: `cpu`, `cuda:0`.
    pub device: String,
    /// How numbers are held.
    pub precision: Precision,
    image: Option<Box<dyn ImageEncoder>>,
    text: Option<Box<dyn TextEncoder>>,
}

/// Loads a model. Reads and checks every tensor first.
///
/// # Errors
/// When a file is damaged, a tensor is missing, misshapen or not finite, the tokenizer does not fit, or the device is
/// not there.
pub fn load(folder: ModelFolder, options: &LoadOptions) -> Result<LoadedModel, ModelError> {
    if let Some(threads) = options.threads {
        tch::set_num_threads(i32::from(threads.max(1)));
    }
    let device = options.device.resolve()?;
    let image = match &folder.image {
        Some(side) => Some(load_image(side, device)?),
        None => None,
    };
    let text = match &folder.text {
        Some(side) => Some(load_text(side, device)?),
        None => None,
    };
    Ok(LoadedModel::new(
        folder,
        device::name(device),
        options.precision,
        image,
        text,
    ))
}

fn load_image(side: &sightline_model_folder::ImageSide, device: Device) -> Result<Box<dyn ImageEncoder>, ModelError> {
    match &side.network {
        ImageNetwork::EfficientNetLite(_) => Ok(Box::new(EfficientNetLite::load(side, device)?)),
    }
}

fn load_text(side: &sightline_model_folder::TextSide, device: Device) -> Result<Box<dyn TextEncoder>, ModelError> {
    match &side.network {
        TextNetwork::Bert(_) => Ok(Box::new(Bert::load(side, device)?)),
    }
}

impl LoadedModel {
    /// Puts a model together from encoders.
    #[must_use]
    pub fn new(
        folder: ModelFolder,
        device: String,
        precision: Precision,
        image: Option<Box<dyn ImageEncoder>>,
        text: Option<Box<dyn TextEncoder>>,
    ) -> Self {
        Self {
            folder,
            device,
            precision,
            image,
            text,
        }
    }

    /// Embeds pictures that were prepared with this model's [`LoadedModel::preprocessor`].
    ///
    /// # Errors
    /// When the model embeds no pictures, or the batch cannot be computed.
    pub fn encode_images(&self, pictures: &[PreparedPicture]) -> Result<Vec<Embedding>, ModelError> {
        let encoder = self.image.as_ref().ok_or_else(|| self.no_side("pictures"))?;
        encoder.encode(pictures)
    }

    /// Embeds texts.
    ///
    /// # Errors
    /// When the model embeds no texts, or the batch cannot be computed.
    pub fn encode_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, ModelError> {
        let encoder = self.text.as_ref().ok_or_else(|| self.no_side("texts"))?;
        encoder.encode(texts)
    }

    /// What prepares pictures for this model, where it embeds pictures. May be used on any thread.
    #[must_use]
    pub fn preprocessor(&self) -> Option<Arc<Preprocessor>> {
        let side = self.folder.image.as_ref()?;
        Some(Arc::new(Preprocessor::new(&side.preprocessing)))
    }

    fn no_side(&self, kind: &'static str) -> ModelError {
        ModelError::NoSuchSide {
            model: self.folder.name.to_string(),
            kind,
        }
    }
}

/// The rows of `[count, dimension]`, each brought to length 1.
pub(crate) fn unit_rows(vectors: &Tensor, count: usize, dimension: usize) -> Result<Vec<Embedding>, ModelError> {
    let flat = vectors
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let (found, expected) = (flat.numel(), count * dimension);
    if found != expected || dimension == 0 {
        return Err(ModelError::Output { found, expected });
    }
    let mut values = vec![0.0_f32; found];
    flat.f_copy_data(&mut values, found)?;
    let unit = |row: &[f32]| {
        let mut row = row.to_vec();
        normalize(&mut row).map(|()| row)
    };
    Ok(values.chunks_exact(dimension).map(unit).collect())
}

#[cfg(test)]
mod tests;
