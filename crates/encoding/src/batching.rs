//! The encoder in this process: admission, decoding, a lane for pictures and one for each role of texts.

use crate::config::BatchingConfig;
use crate::encoder::{Encoded, Encoder, InputError, ModelDescription};
use crate::error::EncodeError;
use crate::lane::{Answer, Lane, LaneOptions};
use crate::metrics::EncodingMetrics;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{FieldDescription, VectorField};
use sightline_models::TextRole;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When a caller may come again that was refused because too much waited: some batches later.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// Bytes are counted in steps of this.
const BYTES_STEP: usize = 1 << 10;

/// A model that computes batches, one after the other.
#[async_trait]
pub trait BatchModel: Send + Sync + Debug + 'static {
    /// A picture as the network takes it.
    type Picture: Clone + Debug + Send + 'static;

    /// What it is.
    fn description(&self) -> &Arc<ModelDescription>;

    /// Decodes and prepares a picture's file. It may take long; it is called on threads for that.
    ///
    /// # Errors
    /// In words, when the file is no picture or one beyond the limits.
    fn prepare(&self, file: &[u8]) -> Result<Self::Picture, InputError>;

    /// Computes the vectors of pictures, in order.
    ///
    /// # Errors
    /// When the batch cannot be computed.
    async fn forward_pictures(&self, batch: Vec<Self::Picture>) -> Result<Vec<Encoded>, EncodeError>;

    /// Computes the vectors of texts, in order.
    ///
    /// # Errors
    /// When the batch cannot be computed.
    async fn forward_texts(&self, batch: Vec<String>, role: TextRole) -> Result<Vec<Encoded>, EncodeError>;
}

/// An encoder that gathers the inputs of its callers into batches of one model.
#[derive(Debug)]
pub struct BatchingEncoder<M: BatchModel> {
    model: Arc<M>,
    pictures: Lane<M::Picture>,
    documents: Lane<String>,
    queries: Lane<String>,
    inputs: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    max_inputs: usize,
    decoders: Arc<Semaphore>,
    decoders_a_call: usize,
    calls: AtomicU64,
    metrics: EncodingMetrics,
}

/// The places of a call's inputs, given out one by one.
#[derive(Debug)]
struct Places {
    inputs: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl Places {
    /// Those of one input of so many bytes.
    fn of(&mut self, bytes: usize) -> Vec<OwnedSemaphorePermit> {
        let bytes = self.bytes.split(steps(bytes));
        self.inputs.split(1).into_iter().chain(bytes).collect()
    }
}

fn steps(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_STEP).max(1)
}

impl<M: BatchModel> BatchingEncoder<M> {
    /// Starts the lanes of a model, on the runtime that it is called on.
    #[must_use]
    pub fn start(model: M, config: &BatchingConfig, metrics: EncodingMetrics) -> Self {
        let model = Arc::new(model);
        let texts = |role| {
            let model = Arc::clone(&model);
            let options = LaneOptions {
                kind: "text",
                max_batch: config.max_batch,
                max_wait: config.max_wait(),
                length: String::len,
            };
            let forward = move |batch| {
                let model = Arc::clone(&model);
                Box::pin(async move { model.forward_texts(batch, role).await }) as _
            };
            Lane::start(options, metrics.clone(), Arc::new(forward))
        };
        let (documents, queries) = (texts(TextRole::Document), texts(TextRole::Query));
        let options = LaneOptions {
            kind: "image",
            max_batch: config.max_batch,
            max_wait: config.max_wait(),
            length: |_| 0,
        };
        let computing = Arc::clone(&model);
        let forward = move |batch| {
            let model = Arc::clone(&computing);
            Box::pin(async move { model.forward_pictures(batch).await }) as _
        };
        let max_steps = (config.max_bytes / BYTES_STEP).min(Semaphore::MAX_PERMITS);
        Self {
            pictures: Lane::start(options, metrics.clone(), Arc::new(forward)),
            documents,
            queries,
            inputs: Arc::new(Semaphore::new(config.max_inputs)),
            bytes: Arc::new(Semaphore::new(max_steps)),
            max_inputs: config.max_inputs,
            decoders: Arc::new(Semaphore::new(config.decoders)),
            decoders_a_call: config.decoders,
            calls: AtomicU64::new(0),
            metrics,
            model,
        }
    }

    fn side(&self, field: VectorField) -> Result<&FieldDescription, EncodeError> {
        let own = self.model.description();
        own.fields.get(&field).ok_or_else(|| EncodeError::NoSide {
            model: own.model.to_string(),
            field,
        })
    }

    /// Places for a call's inputs, or a refusal at once.
    fn admit(&self, lengths: impl Iterator<Item = usize>) -> Result<Places, EncodeError> {
        let (count, bytes) = lengths.fold((0, 0), |(count, sum), length| (count + 1, sum + steps(length)));
        let acquire = |semaphore: &Arc<Semaphore>, permits: usize, limit, what: &str| {
            let permits = u32::try_from(permits).unwrap_or(u32::MAX);
            Arc::clone(semaphore).try_acquire_many_owned(permits).map_err(|_| {
                self.metrics.refused(limit);
                EncodeError::Busy {
                    what: what.to_owned(),
                    retry_after: BUSY_RETRY,
                }
            })
        };
        let places = Places {
            inputs: acquire(&self.inputs, count, "inputs", "inputs of other calls")?,
            bytes: acquire(&self.bytes, bytes, "bytes", "bytes of other calls")?,
        };
        let waiting = self.max_inputs.saturating_sub(self.inputs.available_permits());
        self.metrics.waiting(waiting);
        Ok(places)
    }

    fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Decodes a picture and has it join a batch; the answer comes later.
    async fn join(&self, call: u64, file: Bytes, places: Vec<OwnedSemaphorePermit>) -> Result<Joined, EncodeError> {
        let stopped = |error: &dyn ToString| EncodeError::Model(error.to_string());
        let decoder = Arc::clone(&self.decoders).acquire_owned().await;
        let decoder = decoder.map_err(|error| stopped(&error))?;
        let model = Arc::clone(&self.model);
        let decoding = tokio::task::spawn_blocking(move || {
            // Held by the work rather than by who waits for it, who may be gone sooner.
            let (_decoder, places) = (decoder, places);
            (model.prepare(&file), places)
        });
        let (prepared, places) = decoding.await.map_err(|error| stopped(&error))?;
        Ok(match prepared {
            Ok(picture) => Joined::Waits(self.pictures.submit(call, picture, places)),
            Err(error) => Joined::Failed(error),
        })
    }
}

enum Joined {
    Waits(Answer),
    Failed(InputError),
}

async fn wait(answer: Answer) -> Result<Encoded, EncodeError> {
    let gone = || EncodeError::Model("its batches have ended: start the process again".into());
    answer.await.unwrap_or_else(|_| Err(gone()))
}

#[async_trait]
impl<M: BatchModel> Encoder for BatchingEncoder<M> {
    fn description(&self) -> Arc<ModelDescription> {
        Arc::clone(self.model.description())
    }

    #[tracing::instrument(skip_all, fields(inputs = images.len()))]
    async fn encode_images(
        &self,
        _described: &ModelDescription,
        images: Vec<Bytes>,
    ) -> Result<Vec<Encoded>, EncodeError> {
        self.side(VectorField::Image)?;
        let mut places = self.admit(images.iter().map(Bytes::len))?;
        let call = self.next_call();
        let given = images.into_iter().map(|file| {
            let own = places.of(file.len());
            (file, own)
        });
        let given: Vec<_> = given.collect();
        // No more of a call's pictures wait for a decoder than decode, so that calls take turns there too.
        let joining = stream::iter(given).map(|(file, own)| self.join(call, file, own));
        let joined: Vec<Joined> = joining.buffered(self.decoders_a_call).try_collect().await?;
        let mut encoded = Vec::with_capacity(joined.len());
        for input in joined {
            encoded.push(match input {
                Joined::Waits(answer) => wait(answer).await?,
                Joined::Failed(error) => Err(error),
            });
        }
        Ok(encoded)
    }

    #[tracing::instrument(skip_all, fields(inputs = texts.len()))]
    async fn encode_texts(
        &self,
        _described: &ModelDescription,
        texts: Vec<String>,
        role: TextRole,
    ) -> Result<Vec<Encoded>, EncodeError> {
        self.side(VectorField::Text)?;
        let mut places = self.admit(texts.iter().map(String::len))?;
        let call = self.next_call();
        let lane = match role {
            TextRole::Document => &self.documents,
            TextRole::Query => &self.queries,
        };
        let answers: Vec<Answer> = texts
            .into_iter()
            .map(|text| {
                let own = places.of(text.len());
                lane.submit(call, text, own)
            })
            .collect();
        let mut encoded = Vec::with_capacity(answers.len());
        for answer in answers {
            encoded.push(wait(answer).await?);
        }
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests;
