//! Reading objects in the fetch stage: in turn, again where that can help, and beside another one where the object alone may be
//! to blame.

use super::beside::{Beside, Verdict, Witness};
use super::fail;
use super::item::{Passage, Stopped, ending, failed};
use super::pipeline::Pipeline;
use super::stages::Waiting;
use super::tokens::Again;
use crate::ipc::{Interruption, Job};
use crate::journal::JournalStage;
use bytes::Bytes;
use sightline_core::{FailureReason, Item, ObjectRef, Outcome, SkipReason};
use sightline_objects::{ObjectError, ObjectStore, Symptom};
use std::ops::Range;
use std::sync::Arc;

/// What is read: an object, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) key: String,
    /// None for all of it.
    pub(crate) range: Option<Range<u64>>,
}

/// What is read, and where it lies.
#[derive(Debug)]
pub(super) struct Source<'a> {
    store: &'a dyn ObjectStore,
    wanted: Wanted,
}

impl<'a> Source<'a> {
    pub(super) fn new(store: &'a dyn ObjectStore, key: &str, range: Option<Range<u64>>) -> Self {
        let key = key.to_owned();
        Self {
            store,
            wanted: Wanted { key, range },
        }
    }
}

impl Passage<'_> {
    /// Reads a picture that is an object.
    pub(super) async fn fetch(&mut self, item: &Item, image: &ObjectRef, waiting: Waiting) -> Result<Bytes, Stopped> {
        let store = self.open_store().await?;
        let etag = Some(image.etag.as_str()).filter(|etag| !etag.is_empty());
        let source = Source::new(store.as_ref(), &image.key, None);
        let read = async || whole(image, store.get(&image.key, etag).await?);
        self.read_in_turn(item, 1, source, waiting, read).await?.map_err(unread)
    }

    /// Reads in the fetch stage, when its turn has come. So many items are served by it, this one among them, and what it took
    /// all of them counts as this one's. An error that is given back is that of the object for good.
    pub(super) async fn read_in_turn<F>(
        &mut self,
        item: &Item,
        items: usize,
        source: Source<'_>,
        waiting: Waiting,
        read: impl FnMut() -> F,
    ) -> Result<Result<Bytes, ObjectError>, Stopped>
    where
        F: Future<Output = Result<Bytes, ObjectError>>,
    {
        // Another item of the work lies there, too: it is not tried all over again.
        if let Some(why) = self.work.unreadable(&source.wanted) {
            return Err(failed(FailureReason::UnreadableObject, why));
        }
        let pipeline: &Pipeline = self.pipeline;
        let _turn = pipeline.fetches.acquire().await.map_err(|_| ending())?;
        self.slot.enter(JournalStage::Fetch);
        fail::point(&item.key, JournalStage::Fetch, &self.slot);
        drop(waiting);
        let stage = pipeline.stages.enter(JournalStage::Fetch, items);
        let result = self.read_or_judge(source, read).await;
        let took_us = stage.share_us() * items as u64;
        drop(stage);
        self.took(JournalStage::Fetch, took_us);
        self.slot.enter(JournalStage::Queued);
        result
    }

    async fn read_or_judge<F>(
        &self,
        source: Source<'_>,
        mut read: impl FnMut() -> F,
    ) -> Result<Result<Bytes, ObjectError>, Stopped>
    where
        F: Future<Output = Result<Bytes, ObjectError>>,
    {
        let (pipeline, work) = (self.pipeline, self.work);
        let mut tries = 0_u32;
        let mut counted = || {
            tries += 1;
            read()
        };
        let result = pipeline.retry.run(Again::of_store, &mut counted).await;
        let verdict = match result {
            Err(error) if error.symptom() == Some(Symptom::Answered) => {
                let beside = Beside {
                    store: source.store,
                    key: &source.wanted.key,
                    neighbours: work.neighbours(),
                    delivery: work.job.attempt,
                    retry: &pipeline.retry,
                    probes: &pipeline.probes,
                };
                beside.judge(error, &mut counted).await
            }
            result => Verdict::Read(result),
        };
        match verdict {
            Verdict::Read(Err(error)) if error.is_retryable() => Err(unread(error)),
            Verdict::Read(result) => Ok(result),
            Verdict::Later(error, witness) => {
                let why = format!("{error}, though {witness}");
                Err(Stopped::Interrupted(Interruption::Unreadable(why)))
            }
            Verdict::Never(error, witness) => {
                let why = given_up(&work.job, &source.wanted, &error, &witness, tries);
                work.found_unreadable(source.wanted, why.clone());
                Err(failed(FailureReason::UnreadableObject, why))
            }
        }
    }

    /// The store that the dataset's objects lie in.
    pub(super) async fn open_store(&self) -> Result<Arc<dyn ObjectStore>, Stopped> {
        let opened = self.pipeline.datasets.open(&self.work.job.root).await;
        opened.map_err(|error| {
            let message = format!("the dataset's root cannot be opened: {error}");
            Stopped::Interrupted(match error {
                ObjectError::Unavailable { .. } => Interruption::Waiting(message),
                _ => Interruption::DatasetUnreadable(message),
            })
        })
    }
}

/// What is said of an object that is given up.
fn given_up(job: &Job, wanted: &Wanted, error: &ObjectError, witness: &Witness, tries: u32) -> String {
    let said = match error {
        ObjectError::Unavailable { message, .. } => message.clone(),
        error => error.to_string(),
    };
    format!(
        "{:?} cannot be read: in delivery {} of its shard it was asked for {tries} times, and each time the store's answer was \
         {said:?}, while {witness}. Mend or replace the object, then try it again with `sightline runs retry {}`",
        wanted.key, job.attempt, job.run
    )
}

/// The object's bytes, if they are as many as were planned. Of one version no other number can be right, and a shorter
/// body would be taken for a damaged picture, or worse for a whole one.
fn whole(image: &ObjectRef, bytes: Bytes) -> Result<Bytes, ObjectError> {
    if image.etag.is_empty() || bytes.len() as u64 == image.size {
        return Ok(bytes);
    }
    Err(short(&image.key, &bytes, image.size))
}

/// An answer has fewer bytes than there are.
pub(super) fn short(key: &str, bytes: &Bytes, wanted: u64) -> ObjectError {
    ObjectError::Unavailable {
        action: "read",
        key: key.to_owned(),
        message: format!("the answer holds {} of {wanted} bytes", bytes.len()),
        symptom: Symptom::Answered,
    }
}

/// What an object that could not be read means for its item.
pub(super) fn unread(error: ObjectError) -> Stopped {
    let message = error.to_string();
    match error {
        ObjectError::NotFound { .. } => Stopped::Ended(Outcome::skipped(SkipReason::Gone, message)),
        ObjectError::Changed { .. } => Stopped::Ended(Outcome::skipped(SkipReason::Changed, message)),
        ObjectError::AccessDenied { .. } => failed(FailureReason::AccessDenied, message),
        ObjectError::Invalid { .. } => failed(FailureReason::NotFound, message),
        ObjectError::Unavailable { .. } => Stopped::Interrupted(Interruption::Waiting(message)),
    }
}
