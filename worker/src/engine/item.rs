//! The way of one item through the stages.

use super::decode::{Decoded, Hold};
use super::fail;
use super::forward::Embedded;
use super::lookup::{Existing, LookedUp};
use super::pipeline::Pipeline;
use super::spans::Span;
use super::stages::ItemTimes;
use super::upsert::UpsertError;
use super::work::{RowsToCome, Work};
use crate::ipc::Interruption;
use crate::journal::{JournalStage, Slot};
use crate::model::{ForwardError, Prepared};
use sightline_core::row::RowTooLarge;
use sightline_core::{FailureReason, Item, ObjectRef, Outcome, Row, VectorField};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an item goes no further.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It ended.
    Ended(Outcome),
    /// Its work cannot go on.
    Interrupted(Interruption),
    /// The engine is ending, or has to.
    Engine(String),
}

/// What becomes of a picture's file.
struct EmbeddedPicture {
    vector: Vec<f32>,
    content_hash: String,
    /// What the file says of itself.
    tags: BTreeMap<String, serde_json::Value>,
    /// Where its preview lies.
    preview: Option<String>,
}

/// One item on its way.
pub(crate) struct Passage<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) work: &'a Work,
    pub(crate) slot: Arc<Slot>,
    /// What its picture is read with, where that lies in a tar.
    pub(crate) span: Option<Arc<Span>>,
    /// Whether nothing follows that a batch of the model could wait for.
    pub(crate) urgent: bool,
    /// Until its row comes to the writes.
    pub(crate) to_come: Option<RowsToCome>,
    pub(crate) times: ItemTimes,
}

pub(super) fn failed(reason: FailureReason, message: impl Into<String>) -> Stopped {
    Stopped::Ended(Outcome::failed(reason, message))
}

fn too_large(error: RowTooLarge) -> Stopped {
    failed(FailureReason::RowTooLarge, error.to_string())
}

pub(super) fn ending() -> Stopped {
    Stopped::Engine("a part of the engine is gone".into())
}

impl Passage<'_> {
    /// Takes the item through all stages. A failure says whether an older row stays.
    pub(crate) async fn run(&mut self, looked_up: LookedUp) -> Stopped {
        let older = looked_up.existing == Existing::Older;
        let stopped = match self.embed_and_write(&looked_up.item.item, looked_up.digest).await {
            Ok(outcome) => Stopped::Ended(outcome),
            Err(stopped) => stopped,
        };
        match stopped {
            Stopped::Ended(Outcome::Failed { reason, message, .. }) => Stopped::Ended(Outcome::Failed {
                reason,
                message,
                stale: older,
            }),
            stopped => stopped,
        }
    }

    async fn embed_and_write(&mut self, item: &Item, digest: String) -> Result<Outcome, Stopped> {
        let job = &self.work.job;
        let now = self.pipeline.clock.now();
        let row = Row::of_item(item, &job.dataset, &job.root, &job.run, digest.clone(), now);
        let mut row = row.map_err(too_large)?;
        if let Some(imported) = &job.imported {
            self.load_vectors(item, imported, &mut row).await?;
            return self.write(item, row, digest).await;
        }
        let wants = |field| job.fields.contains(&field);
        let image = item.image.as_ref().filter(|_| wants(VectorField::Image));
        let text = item
            .text
            .as_deref()
            .filter(|text| wants(VectorField::Text) && !text.trim().is_empty());
        if image.is_none() && text.is_none() {
            let fields: Vec<&str> = job.fields.iter().map(|field| field.as_str()).collect();
            let message = format!("it has neither a picture nor a text for {}", fields.join(", "));
            return Err(failed(FailureReason::NothingToEmbed, message));
        }
        if let Some(image) = image {
            let picture = self.embed_image(item, image).await?;
            row.image_embedding = Some(picture.vector);
            row.content_hash = picture.content_hash;
            if let Some(uri) = picture.preview {
                row.name_preview(uri).map_err(too_large)?;
            }
            row.add_attributes(picture.tags);
        }
        if let Some(text) = text {
            row.text_embedding = Some(self.embed_text(text).await?);
        }
        self.write(item, row, digest).await
    }

    async fn write(&mut self, item: &Item, row: Row, digest: String) -> Result<Outcome, Stopped> {
        fail::point(&item.key, JournalStage::Upsert, &self.slot);
        let to_come = self.to_come.take().unwrap_or_default();
        let upserted = self
            .pipeline
            .upserts
            .write(&self.work.job.collection, row, to_come, &self.slot)
            .await;
        match upserted.ok_or_else(ending)? {
            Ok(us) => {
                self.took(JournalStage::Upsert, us);
                Ok(Outcome::Indexed { digest })
            }
            Err(UpsertError::Refused(message)) => Err(failed(FailureReason::IndexRefused, message)),
            Err(UpsertError::Waiting(message)) => Err(Stopped::Interrupted(Interruption::Waiting(message))),
        }
    }

    async fn embed_image(&mut self, item: &Item, image: &ObjectRef) -> Result<EmbeddedPicture, Stopped> {
        let limit = self.pipeline.config.max_object_bytes;
        let size = item.picture_bytes();
        if size > limit {
            let message = format!("the object has {size} bytes, more than the {limit} that are read");
            return Err(failed(FailureReason::ObjectTooLarge, message));
        }
        // Either is held until the picture is decoded: the encoded bytes are in memory for so long. What a preview can take
        // is waited for at once, since two that each hold what the other waits for would wait for ever; a span waits for
        // that of all its pictures.
        let span = self.span.take();
        let (bytes, room) = match &span {
            Some(span) => (self.fetch_member(item, span).await?, None),
            None => {
                let waiting = self.pipeline.stages.wait(JournalStage::Fetch);
                let room = self.pipeline.room_for(size + self.work.preview_bytes()).await;
                let room = room.ok_or_else(ending)?;
                (self.fetch(item, image, waiting).await?, Some(room))
            }
        };
        if bytes.is_empty() {
            return Err(failed(FailureReason::EmptyObject, "the object has no bytes"));
        }
        let waiting = self.pipeline.stages.wait(JournalStage::Decode);
        // Held until the vector is there: pictures as tensors are large.
        let place = Arc::clone(&self.pipeline.tensors).acquire_owned().await;
        let place = place.map_err(|_| ending())?;
        let hold = Hold { room, span, place };
        let decoded = self
            .pipeline
            .decode
            .decode(&item.key, bytes, hold, &self.work.reading, &self.slot, waiting)
            .await
            .ok_or_else(ending)?;
        let Decoded {
            prepared,
            content_hash,
            took_us,
            hold: Hold { room, span, place },
        } = decoded;
        self.took(JournalStage::Decode, took_us);
        let prepared = prepared.map_err(|error| failed(error.reason, error.message))?;
        let Prepared { pixels, tags, preview } = prepared;
        let room = room.map(|room| room.kept(preview.as_ref().map_or(0, Vec::len)));
        fail::point(&item.key, JournalStage::Forward, &self.slot);
        let images = &self.pipeline.images;
        let embedding = images.embed(pixels, Some(place), self.urgent, &self.slot);
        let previewing = async {
            let written = self.write_preview(&content_hash, preview).await;
            drop((room, span));
            written
        };
        let (embedded, written) = tokio::join!(embedding, previewing);
        let embedded = embedded.ok_or_else(ending)?;
        Ok(EmbeddedPicture {
            vector: self.checked(VectorField::Image, embedded)?,
            content_hash,
            tags,
            preview: written?,
        })
    }

    async fn embed_text(&mut self, text: &str) -> Result<Vec<f32>, Stopped> {
        let texts = &self.pipeline.texts;
        let embedded = texts
            .embed(text.to_owned(), None, self.urgent, &self.slot)
            .await
            .ok_or_else(ending)?;
        self.checked(VectorField::Text, embedded)
    }

    /// A vector as it is stored: of length 1, and of the field's dimension.
    fn checked(&mut self, field: VectorField, embedded: Embedded) -> Result<Vec<f32>, Stopped> {
        let (embedding, us) = embedded.map_err(|error| match error {
            ForwardError::Refused(_) => failed(FailureReason::Internal, error.to_string()),
            ForwardError::OutOfMemory(_) | ForwardError::Device(_) => Stopped::Engine(error.to_string()),
        })?;
        self.took(JournalStage::Forward, us);
        let vector = embedding.map_err(|error| failed(FailureReason::InvalidVector, format!("{field}: {error}")))?;
        if self.pipeline.dimension(field) == Some(vector.len()) {
            return Ok(vector);
        }
        let message = format!("the model gave a vector of {} values for {field}", vector.len());
        Err(failed(FailureReason::InvalidVector, message))
    }

    pub(super) fn took(&mut self, stage: JournalStage, us: u64) {
        *self.times.entry(stage).or_default() += us;
    }
}
