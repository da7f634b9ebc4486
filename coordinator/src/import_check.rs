//! What is wrong with an import and can be told when it is asked for: vectors that the collection cannot hold.

use crate::service::CoordinatorService;
use sightline_core::RunSpec;
use sightline_datasets::{Reader, ReaderOptions};
use sightline_service::ServiceError;
use std::time::Duration;

/// How long it may take to see. Whoever works on the run sees it in any case.
const LIMIT: Duration = Duration::from_secs(5);

impl CoordinatorService {
    /// Refuses an import whose vectors are of another length than the collection's, where both can be seen now. What is
    /// away or cannot be read is waited for, or told, by planner and workers.
    pub(crate) async fn check_dimensions(&self, spec: &RunSpec) -> Result<(), ServiceError> {
        // The items of another run have been planned already.
        if !spec.dataset.source.has_vectors() || spec.selection.is_some() {
            return Ok(());
        }
        match tokio::time::timeout(LIMIT, self.other_dimension(spec)).await {
            Ok(Some(message)) => Err(ServiceError::failed_precondition("COLLECTION_MISMATCH", message)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// What is to be said of a side whose lengths differ.
    async fn other_dimension(&self, spec: &RunSpec) -> Option<String> {
        let index = self.index.as_ref()?.get().await.ok()?;
        let collection = index.describe(&spec.collection).await.ok()??;
        let store = self.datasets.open(&spec.dataset.root).await.ok()?;
        let reader = Reader::new(store, spec.dataset.source.clone(), ReaderOptions::default());
        let lengths = reader.dimensions().await.ok()?;
        lengths.iter().find_map(|(field, ours)| {
            let theirs = collection.fields.get(field)?.space.dimension;
            (theirs != *ours).then(|| {
                format!(
                    "the vectors for {field} have {ours} values, those of collection {} have {theirs}: they are of another \
                     model, so import them into another collection",
                    collection.name
                )
            })
        })
    }
}
