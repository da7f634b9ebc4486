//! What every encoder does, and loading one from a folder.

use crate::allocator;
use crate::device::{self, DeviceChoice};
use crate::efficientnet_lite::EfficientNetLite;
use crate::error::ModelError;
use crate::image_input::{ImageInput, Pass};
use crate::lanes::{Lanes, set_threads};
use crate::precision::Precision;
use crate::torchscript::ScriptImageModel;
use crate::transformer::{TextModel, VisionModel};
use sightline_core::VectorField;
use sightline_core::vector::{VectorError, normalize};
use sightline_model_folder::{ImageNetwork, ImageSide, ModelFolder};
use sightline_pictures::{PreparedPicture, Preprocessor};
use std::fmt::Debug;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A vector of length 1, or why this input has none. The inputs beside it in a batch are unaffected.
pub type Embedding = Result<Vec<f32>, VectorError>;

/// What a text is to a search. Models that were trained so have other words before the one than before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRole {
    /// It is stored, to be found.
    Document,
    /// It is looked for.
    Query,
}

/// Embeds pictures.
pub trait ImageEncoder: Debug + Send {
    /// Makes a batch of pictures, without waiting for what a device of its own computes.
    ///
    /// # Errors
    /// When they were prepared for another network.
    fn prepare(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError>;

    /// Begins with a batch: one vector for each picture, in order, as the network gives it, of any length, even with
    /// values that are not finite. An empty batch gives none. A device of its own computes on when this returns.
    ///
    /// # Errors
    /// When the batch as a whole cannot be computed.
    fn start(&self, batch: ImageBatch) -> Result<Started, ModelError>;

    /// Length of the vectors.
    fn dimension(&self) -> usize;
}

/// Pictures that a network is ready to compute.
pub struct ImageBatch {
    /// What goes through it together.
    passes: Vec<Pass>,
    pictures: usize,
}

impl Debug for ImageBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageBatch({} pictures)", self.pictures)
    }
}

impl ImageBatch {
    /// A batch of which so many pictures go through the network together.
    pub(crate) fn new(input: &ImageInput, pictures: &[PreparedPicture], together: usize) -> Result<Self, ModelError> {
        let passes = pictures.chunks(together.max(1)).map(|some| input.prepare(some));
        Ok(Self {
            passes: passes.collect::<Result<_, _>>()?,
            pictures: pictures.len(),
        })
    }

    /// Begins to compute each pass, to `[pictures, dimension]`.
    pub(crate) fn start(
        self,
        dimension: usize,
        mut compute: impl FnMut(&Pass) -> Result<Tensor, ModelError>,
    ) -> Result<Started, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let computed = self.passes.iter().map(&mut compute).collect::<Result<Vec<_>, _>>()?;
        Ok(Started::passes(computed, self.pictures, dimension))
    }

    /// The same, each pass on one of the lanes.
    pub(crate) fn start_on(
        self,
        lanes: &Lanes,
        dimension: usize,
        compute: impl Fn(&Pass) -> Result<Tensor, ModelError> + Send + Sync + 'static,
    ) -> Result<Started, ModelError> {
        Ok(Started::passes(
            lanes.map(self.passes, compute)?,
            self.pictures,
            dimension,
        ))
    }

    /// Pictures in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures == 0
    }
}

/// A batch that a device may still compute.
pub struct Started(Box<dyn FnOnce() -> Result<Vec<Vec<f32>>, ModelError>>);

impl Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Started")
    }
}

impl Started {
    /// A batch whose vectors are there when this returns.
    #[must_use]
    pub fn new(finish: impl FnOnce() -> Result<Vec<Vec<f32>>, ModelError> + 'static) -> Self {
        Self(Box::new(finish))
    }

    /// The rows of several passes' `[pictures, dimension]`, `count` in all.
    fn passes(passes: Vec<Tensor>, count: usize, dimension: usize) -> Self {
        Self::new(move || match passes.as_slice() {
            [] => Ok(Vec::new()),
            [only] => rows(only, count, dimension),
            several => rows(&Tensor::f_cat(several, 0)?, count, dimension),
        })
    }

    /// Waits for the vectors.
    ///
    /// # Errors
    /// When the batch as a whole cannot be computed.
    pub fn finish(self) -> Result<Vec<Vec<f32>>, ModelError> {
        (self.0)()
    }
}

/// Embeds texts.
pub trait TextEncoder: Debug + Send {
    /// One vector for each text, in order, as the network gives it; texts beyond the model's limit of tokens are cut. An
    /// empty batch gives none; an empty text has a vector.
    ///
    /// # Errors
    /// When the batch as a whole cannot be computed.
    fn encode(&self, texts: &[String], role: TextRole) -> Result<Vec<Vec<f32>>, ModelError>;

    /// Length of the vectors.
    fn dimension(&self) -> usize;
}

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where it computes.
    pub device: DeviceChoice,
    /// How numbers are held.
    pub precision: Precision,
    /// Threads that one operation may use on the processor; `None` leaves libtorch's own choice.
    pub threads: Option<u16>,
    /// SHA-256 digests (hexadecimal) of the TorchScript modules that may run.
    pub trusted_torchscript: Vec<String>,
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
        set_threads(i32::from(threads.max(1)));
    }
    let device = options.device.resolve()?;
    if device == Device::Cpu {
        allocator::keep_freed_blocks();
    }
    let precision = options.precision.resolve(device);
    let image = match &folder.image {
        Some(side) => Some(load_image(side, device, precision, &options.trusted_torchscript)?),
        None => None,
    };
    let text = match &folder.text {
        Some(side) => Some(Box::new(TextModel::load(
            side,
            device,
            precision.kind(),
            &options.trusted_torchscript,
        )?) as Box<dyn TextEncoder>),
        None => None,
    };
    Ok(LoadedModel::new(folder, device::name(device), precision, image, text))
}

fn load_image(
    side: &ImageSide,
    device: Device,
    precision: Precision,
    trusted: &[String],
) -> Result<Box<dyn ImageEncoder>, ModelError> {
    Ok(match &side.network {
        // Its normalisations are folded into its convolutions, which only f32 holds well enough.
        ImageNetwork::EfficientNetLite(network) => Box::new(EfficientNetLite::load(side, network, device)?),
        ImageNetwork::VisionTransformer(network) => {
            Box::new(VisionModel::load(side, network, device, precision.kind())?)
        }
        // Its own precision is in its code.
        ImageNetwork::TorchScript(image) => Box::new(ScriptImageModel::load(side, image, trusted, device)?),
    })
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
        Ok(self.raw_images(pictures)?.into_iter().map(unit).collect())
    }

    /// Makes a batch of pictures, which [`LoadedModel::start_images`] begins to embed and [`LoadedModel::finish_images`] waits for.
    ///
    /// # Errors
    /// As [`LoadedModel::encode_images`].
    pub fn prepare_images(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError> {
        self.image_encoder()?.prepare(pictures)
    }

    /// Begins to embed pictures.
    ///
    /// # Errors
    /// As [`LoadedModel::encode_images`].
    pub fn start_images(&self, batch: ImageBatch) -> Result<Started, ModelError> {
        self.image_encoder()?.start(batch)
    }

    fn image_encoder(&self) -> Result<&dyn ImageEncoder, ModelError> {
        self.image.as_deref().ok_or_else(|| self.no_side("pictures"))
    }

    /// The embeddings of pictures that [`LoadedModel::start_images`] began with.
    ///
    /// # Errors
    /// When the batch cannot be computed.
    pub fn finish_images(&self, started: Started) -> Result<Vec<Embedding>, ModelError> {
        let vectors = self.cut(started.finish()?, VectorField::Image);
        Ok(vectors.into_iter().map(unit).collect())
    }

    /// Whether it computes on a device of its own, so that this thread can prepare the next batch meanwhile.
    #[must_use]
    pub fn computes_aside(&self) -> bool {
        self.device.starts_with("cuda")
    }

    /// Embeds texts.
    ///
    /// # Errors
    /// When the model embeds no texts, or the batch cannot be computed.
    pub fn encode_texts(&self, texts: &[String], role: TextRole) -> Result<Vec<Embedding>, ModelError> {
        Ok(self.raw_texts(texts, role)?.into_iter().map(unit).collect())
    }

    /// The vectors of pictures as the network gives them, cut to the space's length and not yet brought to length 1.
    ///
    /// # Errors
    /// As [`LoadedModel::encode_images`].
    pub fn raw_images(&self, pictures: &[PreparedPicture]) -> Result<Vec<Vec<f32>>, ModelError> {
        let started = self.start_images(self.prepare_images(pictures)?)?;
        Ok(self.cut(started.finish()?, VectorField::Image))
    }

    /// The vectors of texts as the network gives them, cut to the space's length and not yet brought to length 1.
    ///
    /// # Errors
    /// As [`LoadedModel::encode_texts`].
    pub fn raw_texts(&self, texts: &[String], role: TextRole) -> Result<Vec<Vec<f32>>, ModelError> {
        let encoder = self.text.as_ref().ok_or_else(|| self.no_side("texts"))?;
        Ok(self.cut(encoder.encode(texts, role)?, VectorField::Text))
    }

    /// Keeps as many first values as the folder's space has: fewer where it was truncated.
    fn cut(&self, mut vectors: Vec<Vec<f32>>, field: VectorField) -> Vec<Vec<f32>> {
        if let Some(space) = self.folder.spaces.get(&field) {
            for vector in &mut vectors {
                vector.truncate(space.dimension as usize);
            }
        }
        vectors
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

/// Brings a vector to length 1.
fn unit(mut vector: Vec<f32>) -> Embedding {
    normalize(&mut vector).map(|()| vector)
}

/// Tokens that one pass on a processor holds, for each of its threads: what a layer makes of them stays in the caches.
/// Measured for ViT-B/16 in f32 on one thread, milliseconds a picture: 1 picture (197 tokens) 192, 2 203, 8 204.
const PASS_TOKENS_ON_CPU: usize = 400;
/// Tokens that one pass on another device holds.
const PASS_TOKENS: usize = 1 << 17;

/// How many items of this many tokens go through a network at once; at least one.
pub(crate) fn items_in_a_pass(tokens: usize, device: Device) -> usize {
    let limit = match device {
        Device::Cpu => PASS_TOKENS_ON_CPU * usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1),
        _ => PASS_TOKENS,
    };
    (limit / tokens.max(1)).max(1)
}

/// The same of one thread of a processor.
pub(crate) fn items_of_a_thread(tokens: usize) -> usize {
    (PASS_TOKENS_ON_CPU / tokens.max(1)).max(1)
}

/// The rows of `[count, dimension]`.
pub(crate) fn rows(vectors: &Tensor, count: usize, dimension: usize) -> Result<Vec<Vec<f32>>, ModelError> {
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
    Ok(values.chunks_exact(dimension).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests;
