//! The encoder of `sightline-models` in this process.

use crate::encoder::{EncodeError, QueryEncoder};
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::{FieldDescription, ModelName, VectorField};
use sightline_model_folder::{DigestCache, FolderError, ModelFolder};
use sightline_models::{Embedding, LoadOptions, ModelRunner, RunnerError, TextRole, load};
use sightline_pictures::{DecodeLimits, PreparedPicture, Preprocessor, picture};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Batches that may wait before the model's own thread. The queue that refuses is the gateway's.
const WAITING_BATCHES: usize = 1;

/// Why a model cannot serve queries.
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
    /// Limits on one picture.
    pub decode: DecodeLimits,
    /// Pictures that are decoded at once, at least 1.
    pub decoders: usize,
}

/// A loaded model that encodes queries.
#[derive(Debug)]
pub struct ModelEncoder {
    runner: ModelRunner,
    fields: BTreeMap<VectorField, FieldDescription>,
    shared: bool,
    decode: DecodeLimits,
    decoders: Arc<Semaphore>,
}

impl ModelEncoder {
    /// Reads a folder, loads the model on a thread of its own and computes the vectors of the built-in inputs.
    ///
    /// # Errors
    /// When the folder is not understood, its weights are damaged, or the model cannot compute.
    pub async fn open(options: ModelOptions) -> Result<Self, ModelOpenError> {
        let (root, name, truncate_dim) = (options.folder, options.name, options.truncate_dim);
        let reading = tokio::task::spawn_blocking(move || {
            let folder = match name {
                Some(name) => ModelFolder::open_as(&root, name, &DigestCache::new()),
                None => ModelFolder::open(&root, &DigestCache::new()),
            };
            folder?.truncated(truncate_dim)
        });
        let folder = reading.await.map_err(|_| ModelOpenError::Interrupted)??;
        let shared = folder.shared_space;
        let load_options = options.load;
        let runner = ModelRunner::start(WAITING_BATCHES, move || load(folder, &load_options)).await?;
        let mut canaries = runner.canaries().await?;
        let spaces = runner.info().spaces.iter();
        let fields = spaces
            .map(|(field, space)| {
                let canaries = canaries.remove(field).unwrap_or_default();
                (*field, FieldDescription::new(space.clone(), canaries))
            })
            .collect();
        Ok(Self {
            runner,
            fields,
            shared,
            decode: options.decode,
            decoders: Arc::new(Semaphore::new(options.decoders.max(1))),
        })
    }

    async fn prepare(&self, bytes: Bytes, preprocessor: Arc<Preprocessor>) -> Result<PreparedPicture, EncodeError> {
        let model_error = |error: &dyn ToString| EncodeError::Model(error.to_string());
        let permit = Arc::clone(&self.decoders)
            .acquire_owned()
            .await
            .map_err(|error| model_error(&error))?;
        let limits = self.decode;
        let decoding = tokio::task::spawn_blocking(move || {
            // Held by the work rather than by who waits for it, who may be gone sooner.
            let _permit = permit;
            picture::decode(&bytes, &limits).map(|picture| preprocessor.prepare(&picture))
        });
        let prepared = decoding.await.map_err(|error| model_error(&error))?;
        prepared.map_err(|error| EncodeError::Input(error.to_string()))
    }
}

#[async_trait]
impl QueryEncoder for ModelEncoder {
    fn model(&self) -> &ModelName {
        &self.runner.info().model
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        &self.fields
    }

    fn sides_share_a_space(&self) -> bool {
        self.shared
    }

    async fn encode_image(&self, bytes: Bytes) -> Result<Vec<f32>, EncodeError> {
        let preprocessor = self.runner.info().preprocessor.clone();
        let preprocessor = preprocessor.ok_or_else(|| EncodeError::Model("the model embeds no pictures".into()))?;
        let prepared = self.prepare(bytes, preprocessor).await?;
        only(self.runner.encode_images(vec![prepared]).await)
    }

    async fn encode_text(&self, text: String) -> Result<Vec<f32>, EncodeError> {
        only(self.runner.encode_texts(vec![text], TextRole::Query).await)
    }
}

/// The one embedding of a batch of one.
fn only(batch: Result<Vec<Embedding>, RunnerError>) -> Result<Vec<f32>, EncodeError> {
    let mut embeddings = batch.map_err(|error| EncodeError::Model(error.to_string()))?;
    match embeddings.pop() {
        Some(Ok(vector)) => Ok(vector),
        Some(Err(error)) => Err(EncodeError::Input(format!("the model made no vector of it: {error}"))),
        None => Err(EncodeError::Model("the model gave no vector".into())),
    }
}
