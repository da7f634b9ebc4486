//! What is wrong with a run's collection or vectors and can be told when the run is asked for: the collection is an alias,
//! or cannot hold the vectors that are imported, or these are not of the model that is named.

use crate::service::CoordinatorService;
use sightline_core::{CollectionDescription, RunSpec, VectorField};
use sightline_datasets::{Reader, ReaderOptions};
use sightline_service::ServiceError;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long it may take to see. Whoever works on the run sees it in any case.
const LIMIT: Duration = Duration::from_secs(5);

/// How long the vectors of each side are.
pub(crate) type Lengths = BTreeMap<VectorField, u32>;

impl CoordinatorService {
    /// Refuses an import of vectors that are not as long as those of the model that is said to have made them: a collection
    /// made of them could be used by nobody. What is not said of the model, or cannot be seen now, is not compared.
    pub(crate) async fn check_model(&self, spec: &RunSpec, model: &Lengths) -> Result<(), ServiceError> {
        if model.is_empty() {
            return Ok(());
        }
        let Ok(Some(lengths)) = tokio::time::timeout(LIMIT, self.lengths(spec)).await else {
            return Ok(());
        };
        let differs = |(field, ours): (VectorField, u32)| {
            let theirs = *model.get(&field)?;
            (ours != theirs).then_some((field, ours, theirs))
        };
        match lengths.into_iter().find_map(differs) {
            None => Ok(()),
            Some((field, ours, theirs)) => Err(ServiceError::invalid_argument(
                "spec.model",
                format!(
                    "the vectors for {field} have {ours} values, those of this model have {theirs}: it did not make them; name \
                     the model that did, or none"
                ),
            )),
        }
    }

    /// Refuses a run into an alias, and an import whose vectors are of another length than the collection's, where that
    /// can be seen now. What is away or cannot be read is waited for, or told, by planner and workers.
    pub(crate) async fn check_collection(&self, spec: &RunSpec) -> Result<(), ServiceError> {
        match tokio::time::timeout(LIMIT, self.unusable(spec)).await {
            Ok(Some(message)) => Err(ServiceError::failed_precondition("COLLECTION_MISMATCH", message)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Why the run could not write into its collection.
    async fn unusable(&self, spec: &RunSpec) -> Option<String> {
        let index = self.index.as_ref()?.get().await.ok()?;
        let collection = index.describe(&spec.collection).await.ok()??;
        if collection.name != spec.collection {
            let (name, behind) = (&spec.collection, &collection.name);
            return Some(format!(
                "{name} is an alias of collection {behind}, and a run writes through none: name {behind}, or a new collection \
                 to point the alias at when the run has ended"
            ));
        }
        self.other_dimension(spec, &collection).await
    }

    /// What is to be said of a side whose lengths differ.
    async fn other_dimension(&self, spec: &RunSpec, collection: &CollectionDescription) -> Option<String> {
        let lengths = self.lengths(spec).await?;
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

    /// How long the vectors are that a run imports; none where it imports none, or where that cannot be seen now.
    async fn lengths(&self, spec: &RunSpec) -> Option<Lengths> {
        // The items of another run have been planned already.
        if !spec.dataset.source.has_vectors() || spec.selection.is_some() {
            return None;
        }
        let store = self.datasets.open(&spec.dataset.root).await.ok()?;
        let reader = Reader::new(store, spec.dataset.source.clone(), ReaderOptions::default());
        reader.dimensions().await.ok()
    }
}
