//! An engine's calls to the index, kept until the supervisor is told of them, which counts for its engine, too: nobody
//! scrapes an engine.

use crate::ipc::IndexCallReport;
use sightline_index::{CallRecorder, IndexCall};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most calls of one report; of those beyond nobody is told. A second has some hundreds.
const MOST_CALLS: usize = 10_000;

/// Calls that the supervisor was not told of yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct UntoldCalls(Arc<Mutex<Vec<IndexCallReport>>>);

impl UntoldCalls {
    /// Who keeps calls here.
    pub(crate) fn recorder(&self) -> CallRecorder {
        let untold = self.clone();
        CallRecorder::new(move |call| untold.keep(call))
    }

    fn keep(&self, call: &IndexCall<'_>) {
        let mut calls = self.lock();
        if calls.len() < MOST_CALLS {
            calls.push(IndexCallReport {
                system: call.system.to_owned(),
                operation: call.operation.to_owned(),
                collection: call.collection.clone(),
                error: call.error.map(str::to_owned),
                took_us: u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX),
            });
        }
    }

    /// All that were kept since the last time.
    pub(crate) fn take(&self) -> Vec<IndexCallReport> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IndexCallReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::CollectionName;
    use std::time::Duration;

    #[test]
    fn each_call_is_told_once_and_no_more_of_them_than_a_report_has_room_for() {
        let (untold, collection) = (UntoldCalls::default(), CollectionName::new("stamps").unwrap());
        let call = IndexCall {
            system: "milvus",
            operation: "upsert",
            collection: &collection,
            error: Some("unavailable"),
            took: Duration::from_micros(1500),
        };
        untold.keep(&call);
        let told = IndexCallReport {
            system: "milvus".into(),
            operation: "upsert".into(),
            collection: collection.clone(),
            error: Some("unavailable".into()),
            took_us: 1500,
        };
        assert_eq!(untold.take(), [told]);
        assert_eq!(untold.take(), []);
        for _ in 0..=MOST_CALLS {
            untold.keep(&call);
        }
        assert_eq!(untold.take().len(), MOST_CALLS);
    }
}
