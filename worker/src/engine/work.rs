//! A shard's work as the engine sees it.

use super::outbox::{Note, Outbox};
use super::stages::ItemTimes;
use crate::ipc::{Interruption, ItemEnded, Job, WorkId};
use crate::model::Reading;
use sightline_core::{Outcome, PreviewSpec};
use sightline_telemetry::TraceparentExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
            interrupted: AtomicBool::new(false),
            outbox,
        }
    }

    /// Bytes of a picture's preview, at most; 0 where none are written.
    pub(crate) fn preview_bytes(&self) -> u64 {
        self.job.previews.as_ref().map_or(0, PreviewSpec::most_bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

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
