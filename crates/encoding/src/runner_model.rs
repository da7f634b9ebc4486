//! The model of `sightline-models` as a model of batches.

use crate::batching::BatchModel;
use crate::encoder::{Encoded, InputError, ModelDescription};
use crate::error::EncodeError;
use async_trait::async_trait;
use sightline_core::{DicomSpec, FieldDescription, ModelName, PreviewSpec};
use sightline_model_folder::{Decode, DigestCache, FolderError, ModelFolder};
use sightline_models::{Embedding, LoadOptions, ModelRunner, RunnerError, TextRole, load};
use sightline_pictures::{DecodeError, DecodeLimits, PreparedFile, PreparedPicture, Preprocessor, PreviewedFile};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelOpenError {
    /// Its folder is not understood.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It cannot be loaded, or computes no vectors of the built-in inputs.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The thread that read the folder was lost.
    #[error("reading the model's folder was interrupted: start again")]
    Interrupted,
}

/// How a model is opened.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name; that of its folder where not given.
    pub name: Option<ModelName>,
    /// How it is loaded.
    pub load: LoadOptions,
    /// Only so many first values of each vector are kept; all where it is none.
    pub truncate_dim: Option<u32>,
    /// How exactly pictures are decoded.
    pub decode: Decode,
    /// Limits on one picture.
    pub limits: DecodeLimits,
    /// Batches that may wait before the model's own thread, at least one.
    pub waiting_batches: usize,
}

/// Why a picture cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The model embeds no pictures.
    #[error("model {0} embeds no pictures")]
    NoSide(ModelName),
    /// The file is no picture, or one beyond the limits.
    #[error(transparent)]
    Picture(#[from] DecodeError),
}

/// A loaded model on a thread of its own.
#[derive(Debug)]
pub struct RunnerModel {
    runner: ModelRunner,
    description: Arc<ModelDescription>,
    decode: Decode,
    limits: DecodeLimits,
}

impl RunnerModel {
    /// Reads a folder, loads the model on a thread of its own and computes the vectors of the built-in inputs.
    ///
    /// # Errors
    /// When the folder is not understood, its weights are damaged, or the model cannot compute.
    pub async fn open(options: ModelOptions) -> Result<Self, ModelOpenError> {
        let (root, name, truncate_dim) = (options.folder, options.name, options.truncate_dim);
        let decode = options.decode;
        let reading = tokio::task::spawn_blocking(move || {
            let folder = match name {
                Some(name) => ModelFolder::open_as(&root, name, &DigestCache::new()),
                None => ModelFolder::open(&root, &DigestCache::new()),
            };
            Ok::<_, FolderError>(folder?.truncated(truncate_dim)?.decoding(decode))
        });
        let folder = reading.await.map_err(|_| ModelOpenError::Interrupted)??;
        let shared_space = folder.shared_space;
        let load_options = options.load;
        let runner = ModelRunner::start(options.waiting_batches, move || load(folder, &load_options)).await?;
        let mut canaries = runner.canaries().await?;
        let spaces = runner.info().spaces.iter();
        let fields = spaces.map(|(field, space)| {
            let canaries = canaries.remove(field).unwrap_or_default();
            (*field, FieldDescription::new(space.clone(), canaries))
        });
        let description = ModelDescription {
            model: runner.info().model.clone(),
            fields: fields.collect(),
            shared_space,
        };
        Ok(Self {
            runner,
            description: Arc::new(description),
            decode,
            limits: options.limits,
        })
    }

    /// The thread that owns the model.
    #[must_use]
    pub fn runner(&self) -> &ModelRunner {
        &self.runner
    }

    /// How many bytes preparing a picture's file takes at most beside its own, with its preview if one is made, by its header; cheap.
    /// 0 where the model embeds no pictures, which preparing says before it decodes.
    #[must_use]
    pub fn decode_bytes(&self, file: &[u8], preview: Option<&PreviewSpec>) -> u64 {
        let estimated = |preprocessor: &Preprocessor| preprocessor.estimated_bytes(file, &self.limits, preview);
        self.preprocessor().map_or(0, estimated)
    }

    /// Decodes a picture's file as exactly as this model does, takes from a DICOM what is asked for, and prepares it: at once, which
    /// takes less time and memory than one after the other.
    ///
    /// # Errors
    /// When the model embeds no pictures, or the file is none or one beyond the limits.
    pub fn prepare_file(&self, file: &[u8], dicom: &DicomSpec) -> Result<PreparedFile, PrepareError> {
        let fast = self.decode == Decode::Fast;
        Ok(self.preprocessor()?.prepare_file(file, &self.limits, dicom, fast)?)
    }

    /// As [`RunnerModel::prepare_file`], to the bit, with a preview of the picture; it may take long.
    ///
    /// # Errors
    /// As [`RunnerModel::prepare_file`].
    pub fn prepare_with_preview(
        &self,
        file: &[u8],
        dicom: &DicomSpec,
        preview: &PreviewSpec,
    ) -> Result<PreviewedFile, PrepareError> {
        let fast = self.decode == Decode::Fast;
        let preprocessor = self.preprocessor()?;
        Ok(preprocessor.prepare_with_preview(file, &self.limits, dicom, fast, preview)?)
    }

    fn preprocessor(&self) -> Result<&Preprocessor, PrepareError> {
        let preprocessor = self.runner.info().preprocessor.as_deref();
        preprocessor.ok_or_else(|| PrepareError::NoSide(self.description.model.clone()))
    }
}

#[async_trait]
impl BatchModel for RunnerModel {
    type Picture = PreparedPicture;

    fn description(&self) -> &Arc<ModelDescription> {
        &self.description
    }

    fn prepare(&self, file: &[u8]) -> Result<PreparedPicture, InputError> {
        let prepared = self.prepare_file(file, &DicomSpec::pixels_alone());
        prepared
            .map(|prepared| prepared.picture)
            .map_err(|error| InputError(error.to_string()))
    }

    async fn forward_pictures(&self, batch: Vec<PreparedPicture>) -> Result<Vec<Encoded>, EncodeError> {
        encoded(self.runner.encode_images(batch).await)
    }

    async fn forward_texts(&self, batch: Vec<String>, role: TextRole) -> Result<Vec<Encoded>, EncodeError> {
        encoded(self.runner.encode_texts(batch, role).await)
    }
}

/// As [`BatchModel`] for a model that others use as well.
#[async_trait]
impl BatchModel for Arc<RunnerModel> {
    type Picture = PreparedPicture;

    fn description(&self) -> &Arc<ModelDescription> {
        (**self).description()
    }

    fn prepare(&self, file: &[u8]) -> Result<PreparedPicture, InputError> {
        (**self).prepare(file)
    }

    async fn forward_pictures(&self, batch: Vec<PreparedPicture>) -> Result<Vec<Encoded>, EncodeError> {
        (**self).forward_pictures(batch).await
    }

    async fn forward_texts(&self, batch: Vec<String>, role: TextRole) -> Result<Vec<Encoded>, EncodeError> {
        (**self).forward_texts(batch, role).await
    }
}

fn encoded(batch: Result<Vec<Embedding>, RunnerError>) -> Result<Vec<Encoded>, EncodeError> {
    let batch = batch.map_err(|error| EncodeError::Model(error.to_string()))?;
    let words = |error| InputError(format!("the model made no vector of it: {error}"));
    Ok(batch.into_iter().map(|vector| vector.map_err(words)).collect())
}
