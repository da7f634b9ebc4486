//! Threads that decode and preprocess.
//!
//! Promises: what a picture holds of the budget stays with its bytes, so that who is cancelled gives nothing back that still
//! stands in the queue; a picture that nobody waits for any more is not decoded.

use super::around::Decoding;
use super::fail;
use super::room::{Fetched, Room};
use super::spans::Span;
use super::stages::{Stages, Waiting};
use crate::journal::{JournalStage, Slot};
use crate::model::{EmbeddingModel, InputError, Prepared, Reading};
use bytes::Bytes;
use sightline_core::digest::sha256_hex;
use sightline_core::{FailureReason, ItemKey};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What a picture holds of the budget.
#[derive(Debug)]
pub(crate) struct Hold {
    /// For its bytes and its preview, where it was read alone.
    pub(crate) room: Option<Fetched>,
    /// What it was read with, which has room for all that is in it.
    pub(crate) span: Option<Arc<Span>>,
    /// For the picture as the model takes it.
    pub(crate) place: OwnedSemaphorePermit,
}

/// A picture that was decoded.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// As the model takes it, or why it cannot.
    pub(crate) prepared: Result<Prepared, InputError>,
    /// SHA-256 of the object's bytes.
    pub(crate) content_hash: String,
    /// Microseconds that it took.
    pub(crate) took_us: u64,
    /// What it still holds.
    pub(crate) hold: Hold,
}

pub(crate) struct DecodeJob {
    key: ItemKey,
    bytes: Bytes,
    // Behind the bytes, which are dropped first.
    hold: Hold,
    reading: Arc<Reading>,
    slot: Arc<Slot>,
    waiting: Waiting,
    reply: oneshot::Sender<Decoded>,
}

/// What decoding takes.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    model: Arc<dyn EmbeddingModel>,
    stages: Arc<Stages>,
    room: Arc<Room>,
}

/// Where pictures are decoded.
#[derive(Debug)]
pub(crate) enum DecodePool {
    /// On the pool's threads, which end when it is dropped.
    Threads(SyncSender<DecodeJob>),
    /// On the task that asks.
    Tasks(Decoder),
}

impl DecodePool {
    /// Starts the threads. As many jobs may wait as items are in the pipeline.
    pub(crate) fn start(
        decoding: Decoding,
        threads: u32,
        waiting: u32,
        model: &Arc<dyn EmbeddingModel>,
        stages: &Arc<Stages>,
        room: &Arc<Room>,
    ) -> std::io::Result<Self> {
        let decoder = Decoder {
            model: Arc::clone(model),
            stages: Arc::clone(stages),
            room: Arc::clone(room),
        };
        if decoding == Decoding::Tasks {
            return Ok(Self::Tasks(decoder));
        }
        let (jobs, queue) = sync_channel(usize::try_from(waiting).unwrap_or(usize::MAX));
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let (queue, decoder) = (Arc::clone(&queue), decoder.clone());
            std::thread::Builder::new()
                .name(format!("decode-{number}"))
                .spawn(move || decoder.decode_all(&queue))?;
        }
        Ok(Self::Threads(jobs))
    }

    /// Decodes one picture, which has been `waiting` for it. None where the pool is gone or its thread died.
    pub(crate) async fn decode(
        &self,
        key: &ItemKey,
        bytes: Bytes,
        hold: Hold,
        reading: &Arc<Reading>,
        slot: &Arc<Slot>,
        waiting: Waiting,
    ) -> Option<Decoded> {
        let (reply, decoded) = oneshot::channel();
        let job = DecodeJob {
            key: key.clone(),
            bytes,
            hold,
            reading: Arc::clone(reading),
            slot: Arc::clone(slot),
            waiting,
            reply,
        };
        match self {
            // There is room for every item of the pipeline, so this never waits.
            Self::Threads(jobs) => jobs.try_send(job).ok()?,
            Self::Tasks(decoder) => decoder.decode(job),
        }
        decoded.await.ok()
    }
}

impl Decoder {
    fn decode_all(&self, queue: &Mutex<Receiver<DecodeJob>>) {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            if !job.reply.is_closed() {
                self.decode(job);
            }
        }
    }

    fn decode(&self, job: DecodeJob) {
        // Waited for before the stage is entered, or a picture that waits for a large one would count as hung.
        let room = self.room.take(estimate(self.model.as_ref(), &job.bytes, &job.reading));
        // That may have been long.
        if job.reply.is_closed() {
            return;
        }
        let DecodeJob {
            key,
            bytes,
            hold,
            reading,
            slot,
            waiting,
            reply,
        } = job;
        slot.enter(JournalStage::Decode);
        drop(waiting);
        let stage = self.stages.enter(JournalStage::Decode, 1);
        fail::point(&key, JournalStage::Decode, &slot);
        let prepared = prepare(self.model.as_ref(), &bytes, &reading);
        let content_hash = sha256_hex(&bytes);
        let took_us = stage.share_us();
        drop((stage, room, bytes));
        slot.enter(JournalStage::Queued);
        // A work that is over does not wait for its pictures.
        let _sent = reply.send(Decoded {
            prepared,
            content_hash,
            took_us,
            hold,
        });
    }
}

/// A panic in a decoder is that picture's failure, not the engine's death.
fn prepare(model: &dyn EmbeddingModel, bytes: &[u8], reading: &Reading) -> Result<Prepared, InputError> {
    catch_unwind(AssertUnwindSafe(|| model.prepare(bytes, reading))).unwrap_or_else(|panic| {
        let message = format!(
            "the decoder panicked: {}; please report it with the picture",
            panic_text(panic.as_ref())
        );
        Err(InputError {
            reason: FailureReason::Internal,
            message,
        })
    })
}

/// Nothing where the header makes it panic: decoding says so in words.
fn estimate(model: &dyn EmbeddingModel, bytes: &[u8], reading: &Reading) -> u64 {
    catch_unwind(AssertUnwindSafe(|| model.decode_bytes(bytes, reading))).unwrap_or(0)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;
