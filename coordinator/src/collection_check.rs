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
    /// Refuses what can be seen now: vectors that are not as long as those of the model that is said to have made them, since
    /// a collection of them could be used by nobody; a run into an alias; vectors of another length than the collection's.
    /// What is not said of the model is not compared. What is away or cannot be read is waited for, or told, by planner and
    /// workers.
    pub(crate) async fn check_vectors(&self, spec: &RunSpec, model: &Lengths) -> Result<(), ServiceError> {
        let lengths = tokio::time::timeout(LIMIT, self.lengths(spec)).await;
        let lengths = lengths.ok().flatten().unwrap_or_default();
        check_model(&lengths, model)?;
        match tokio::time::timeout(LIMIT, self.unusable(spec, &lengths)).await {
            Ok(Some(message)) => Err(ServiceError::failed_precondition("COLLECTION_MISMATCH", message)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Why the run could not write into its collection.
    async fn unusable(&self, spec: &RunSpec, lengths: &Lengths) -> Option<String> {
        let index = self.index.as_ref()?.get().await.ok()?;
        let collection = index.describe(&spec.collection).await.ok()??;
        if collection.name != spec.collection {
            let (name, behind) = (&spec.collection, &collection.name);
            return Some(format!(
                "{name} is an alias of collection {behind}, and a run writes through none: name {behind}, or a new collection \
                 to point the alias at when the run has ended"
            ));
        }
        other_dimension(lengths, &collection)
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

fn check_model(lengths: &Lengths, model: &Lengths) -> Result<(), ServiceError> {
    let differs = lengths.iter().find_map(|(field, ours)| {
        let theirs = model.get(field)?;
        (ours != theirs).then_some((field, ours, theirs))
    });
    let Some((field, ours, theirs)) = differs else {
        return Ok(());
    };
    let message = format!(
        "the vectors for {field} have {ours} values, those of this model have {theirs}: it did not make them; name the model \
         that did, or none"
    );
    Err(ServiceError::invalid_argument("spec.model", message))
}

/// What is to be said of a side whose lengths differ.
fn other_dimension(lengths: &Lengths, collection: &CollectionDescription) -> Option<String> {
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
