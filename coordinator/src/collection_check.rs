//! What is wrong with a run's collection or vectors and can be told when the run is asked for: the collection is an alias,
//! or cannot hold the vectors that are imported, or these are not of the model that is named.

use crate::service::CoordinatorService;
use sightline_core::{CollectionDescription, RunSpec, VectorField};
use sightline_datasets::{Reader, ReaderOptions};
use sightline_service::ServiceError;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

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
        let (lengths, collection) = side_by_side(self.lengths(spec), self.collection(spec)).await;
        let lengths = lengths.unwrap_or_default();
        check_model(&lengths, model)?;
        match collection.and_then(|collection| unusable(spec, &lengths, &collection)) {
            Some(message) => Err(ServiceError::failed_precondition("COLLECTION_MISMATCH", message)),
            None => Ok(()),
        }
    }

    /// The collection that is there under the name that the run writes to.
    async fn collection(&self, spec: &RunSpec) -> Option<CollectionDescription> {
        let index = self.index.as_ref()?.get().await.ok()?;
        index.describe(&spec.collection).await.ok()?
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

/// What two readings find, each as far as it ends in time: whoever asks for a run waits for one limit, also where index
/// and dataset hang both.
async fn side_by_side<A, B>(
    one: impl Future<Output = Option<A>>,
    other: impl Future<Output = Option<B>>,
) -> (Option<A>, Option<B>) {
    let (one, other) = tokio::join!(timeout(LIMIT, one), timeout(LIMIT, other));
    (one.ok().flatten(), other.ok().flatten())
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

/// Why the run could not write into the collection that is there.
fn unusable(spec: &RunSpec, lengths: &Lengths, collection: &CollectionDescription) -> Option<String> {
    let (name, behind) = (&spec.collection, &collection.name);
    if behind != name {
        return Some(format!(
            "{name} is an alias of collection {behind}, and a run writes through none: name {behind}, or a new collection \
             to point the alias at when the run has ended"
        ));
    }
    other_dimension(lengths, collection)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test(start_paused = true)]
    async fn an_index_and_a_dataset_that_both_hang_are_waited_for_at_once() {
        let both = side_by_side(pending::<Option<u8>>(), pending::<Option<u8>>());
        // One after the other they would take two limits.
        let found = timeout(LIMIT * 3 / 2, both).await.unwrap();
        assert_eq!(found, (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_of_them_tells_counts_while_the_other_hangs() {
        let found = side_by_side(ready(Some(1)), pending::<Option<u8>>()).await;
        assert_eq!(found, (Some(1), None));
        let found = side_by_side(pending::<Option<u8>>(), ready(Some(1))).await;
        assert_eq!(found, (None, Some(1)));
    }
}
