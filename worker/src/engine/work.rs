//! A shard's work as the engine sees it.

use super::beside::OTHERS;
use super::outbox::{Note, Outbox};
use super::read::Wanted;
use super::stages::ItemTimes;
use crate::ipc::{Interruption, ItemEnded, Job, WorkId};
use crate::model::Reading;
use sightline_core::{Item, Outcome, PreviewSpec, StoredVector};
use sightline_telemetry::TraceparentExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// How many of a work's items that were given may still bring a row. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowsToCome(Arc<AtomicUsize>);

impl RowsToCome {
    /// Items were given. To be said before any of them goes on, or the first could pass for the last.
    pub(crate) fn given(&self, items: usize) {
        self.0.fetch_add(items, Ordering::Relaxed);
    }

    /// An item's row came, or never will. Answers whether no other is to come for now.
    pub(crate) fn one_less(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// An open work.
#[derive(Debug)]
pub(crate) struct Work {
    /// Its number.
    pub(crate) id: WorkId,
    /// What its items share.
    pub(crate) job: Job,
    /// What identifies how inputs become vectors; part of every row's `source_digest`.
    pub(crate) preprocessing: String,
    /// What is taken from pictures' files.
    pub(crate) reading: Arc<Reading>,
    /// What is done for the work happens in it.
    pub(crate) span: tracing::Span,
    /// Cancelled when the work is over.
    pub(crate) over: CancellationToken,
    /// So that no row waits for others when the last one has come.
    pub(crate) rows: RowsToCome,
    /// Some of the objects that its items lie in.
    objects: Mutex<Vec<String>>,
    /// What was found to be unreadable, and what is said of it.
    unreadable: Mutex<HashMap<Wanted, String>>,
    interrupted: AtomicBool,
    outbox: Outbox,
}

impl Work {
    pub(crate) fn new(id: WorkId, job: Job, preprocessing: String, outbox: Outbox) -> Self {
        let span = tracing::info_span!("embed shard", run = %job.run, shard = %job.shard);
        if let Some(traceparent) = &job.traceparent {
            span.set_parent_from(traceparent);
        }
        let over = CancellationToken::new();
        let reading = Reading {
            dicom: job.dicom.clone(),
            preview: job.previews.clone(),
        };
        Self {
            span,
            id,
            reading: Arc::new(reading),
            job,
            preprocessing,
            over,
            rows: RowsToCome::default(),
            objects: Mutex::default(),
            unreadable: Mutex::default(),
            interrupted: AtomicBool::new(false),
            outbox,
        }
    }

    /// Bytes of a picture's preview, at most; 0 where none are written.
    pub(crate) fn preview_bytes(&self) -> u64 {
        self.job.previews.as_ref().map_or(0, PreviewSpec::most_bytes)
    }

    /// Notes where items lie: one object more than are ever asked for beside another.
    pub(crate) fn note_objects<'a>(&self, items: impl IntoIterator<Item = &'a Item>) {
        let mut known = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut known, items);
    }

    /// Some of the objects that its items lie in.
    pub(crate) fn neighbours(&self) -> Vec<String> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is said of something that was found to be unreadable.
    pub(crate) fn unreadable(&self, wanted: &Wanted) -> Option<String> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.get(wanted).cloned()
    }

    /// Something was found to be unreadable.
    pub(crate) fn found_unreadable(&self, wanted: Wanted, why: String) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.insert(wanted, why);
    }

    /// An item ended.
    pub(crate) async fn ended(&self, index: u32, outcome: Outcome, times: ItemTimes) {
        self.outbox
            .send(Note::Ended {
                work: self.id,
                item: ItemEnded { index, outcome },
                times,
            })
            .await;
    }

    /// The work cannot go on. The first reason is told.
    pub(crate) async fn interrupt(&self, why: Interruption) {
        if !self.interrupted.swap(true, Ordering::Relaxed) {
            tracing::warn!(parent: &self.span, ?why, "the shard cannot go on for now");
            self.outbox.send(Note::Interrupted { work: self.id, why }).await;
            self.over.cancel();
        }
    }
}

/// The objects that an item lies in.
fn objects(item: &Item) -> impl Iterator<Item = &str> {
    let arrays = item.vectors.values().filter_map(|vector| match vector {
        StoredVector::Row { array, .. } => Some(array.key.as_str()),
        StoredVector::Inline { .. } | StoredVector::Missing { .. } => None,
    });
    let image = item.image.as_ref().map(|image| image.key.as_str());
    image.into_iter().chain(arrays)
}

fn note<'a>(known: &mut Vec<String>, items: impl IntoIterator<Item = &'a Item>) {
    for key in items.into_iter().flat_map(objects) {
        if known.len() > OTHERS {
            return;
        }
        if !known.iter().any(|known| known == key) {
            known.push(key.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::{ItemKey, NumberType, ObjectRef, VectorField};

    fn object(key: String) -> ObjectRef {
        ObjectRef {
            key,
            etag: "e".into(),
            size: 1,
        }
    }

    #[test]
    fn a_few_of_the_objects_that_items_lie_in_are_noted_each_once() {
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.image = Some(object("t.tar".into()));
        let row = StoredVector::Row {
            array: object("a.npy".into()),
            offset: 0,
            dimension: 1,
            numbers: NumberType::F32,
        };
        item.vectors.insert(VectorField::Image, row);
        let mut known = Vec::new();
        note(&mut known, [&item, &item]);
        assert_eq!(known, ["t.tar", "a.npy"]);
        let many = (0..100).map(|at| {
            item.image = Some(object(format!("{at}.png")));
            item.clone()
        });
        let many: Vec<Item> = many.collect();
        note(&mut known, &many);
        assert_eq!(
            known.len(),
            OTHERS + 1,
            "one of them may be the one that cannot be read"
        );
    }

    #[test]
    fn the_last_row_is_known_whichever_it_is_and_items_without_one_are_not_waited_for() {
        let rows = RowsToCome::default();
        rows.given(2);
        assert!(!rows.one_less());
        rows.given(1);
        assert!(!rows.one_less());
        assert!(rows.one_less(), "nothing else was given");
    }
}
