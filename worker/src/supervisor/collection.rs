//! Proves, before anything is written, that a collection holds exactly the model's vector spaces.

use super::host::LoadedModel;
use sightline_core::vector::cosine;
use sightline_core::{
    Canary, CollectionDescription, FieldDescription, IndexKind, RunDocument, StopReason, VectorField,
};
use sightline_index::{IndexError, VectorIndex};
use std::collections::BTreeMap;

/// How often a collection is looked for and then created: another worker may be faster, or drop it in between. What is
/// still in the way after that is another program's.
const CREATE_ATTEMPTS: u32 = 3;

/// Why a run cannot be worked on with this model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) reason: StopReason,
    pub(crate) message: String,
}

/// Why a collection was not proven.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// It never will be.
    Mismatch(Mismatch),
    /// The index is away.
    Away(String),
}

fn model_mismatch(message: String) -> Mismatch {
    Mismatch {
        reason: StopReason::ModelMismatch,
        message,
    }
}

/// The fields that a run fills, as the worker's model makes them; or why it does not make what the run expects.
pub(crate) fn fields_of_run(
    run: &RunDocument,
    model: &LoadedModel,
) -> Result<BTreeMap<VectorField, FieldDescription>, Mismatch> {
    let spec = &run.spec;
    let wanted: Vec<VectorField> = if spec.fields.is_empty() {
        model.fields.keys().copied().collect()
    } else {
        spec.fields.clone()
    };
    for (field, expected) in &spec.fingerprints {
        let ours = model.fields.get(field).map(|field| &field.fingerprint);
        if ours != Some(expected) {
            let ours = ours.map_or("none", |ours| ours.short());
            return Err(model_mismatch(format!(
                "the run expects {} with fingerprint {} for {field}; this worker's model {} has {ours}: \
                 give run and workers the same model",
                spec.model.as_ref().map_or("a model", |model| model.as_str()),
                expected.short(),
                model.name
            )));
        }
    }
    let mut fields = BTreeMap::new();
    for field in wanted {
        let Some(description) = model.fields.get(&field) else {
            let message = format!(
                "model {} makes no vectors for {field}, which the run is to fill",
                model.name
            );
            return Err(model_mismatch(message));
        };
        fields.insert(field, description.clone());
    }
    Ok(fields)
}

/// Creates the run's collection, or proves that the one that is there may take these fields.
pub(crate) async fn prove(
    index: &dyn VectorIndex,
    run: &RunDocument,
    fields: &BTreeMap<VectorField, FieldDescription>,
    compare: impl Fn(&CollectionDescription) -> Result<(), Mismatch> + Send,
) -> Result<(), Unproven> {
    let name = &run.spec.collection;
    let away = |error: IndexError| Unproven::Away(error.to_string());
    let refused = |message: String| {
        Unproven::Mismatch(Mismatch {
            reason: StopReason::CollectionMismatch,
            message,
        })
    };
    // The number of rows is not known before the run ends; the smallest index suits the most collections.
    let kind = run.spec.index.unwrap_or_else(|| IndexKind::by_size(0));
    let description = CollectionDescription {
        name: name.clone(),
        fields: fields.clone(),
        index: kind,
    };
    let mut in_the_way = String::new();
    for _ in 0..CREATE_ATTEMPTS {
        if let Some(existing) = index.describe(name).await.map_err(away)? {
            if existing.name != *name {
                let behind = existing.name;
                return Err(refused(format!(
                    "{name} is an alias of collection {behind}, and a run writes through none: name {behind}, or a new collection \
                     to point the alias at when the run has ended"
                )));
            }
            return compare(&existing).map_err(Unproven::Mismatch);
        }
        match index.create(&description).await {
            Ok(()) => return Ok(()),
            // Another worker was faster: its canaries may differ in the last bits, so they are compared, not equal. Or
            // the collection is another program's, which is never described.
            Err(error @ IndexError::Conflict { .. }) => in_the_way = error.to_string(),
            Err(error @ IndexError::Refused { .. }) => {
                return Err(refused(format!("collection {name} cannot be created: {error}")));
            }
            Err(error) => return Err(away(error)),
        }
    }
    Err(refused(in_the_way))
}

/// Whether a collection that is there holds what the worker's model makes.
pub(crate) fn compare(
    existing: &CollectionDescription,
    model: &LoadedModel,
    fields: &BTreeMap<VectorField, FieldDescription>,
) -> Result<(), Mismatch> {
    use sightline_core::collection::SpaceMismatch;
    for (field, ours) in fields {
        existing.check_space(*field, &ours.space).map_err(|error| Mismatch {
            reason: match error {
                SpaceMismatch::MissingField { .. } => StopReason::CollectionMismatch,
                SpaceMismatch::OtherSpace { .. } => StopReason::ModelMismatch,
            },
            message: error.to_string(),
        })?;
        let Some(theirs) = existing.fields.get(field) else {
            continue;
        };
        if let Some((input, cosine)) = first_difference(&theirs.canaries, &ours.canaries) {
            return Err(model_mismatch(format!(
                "this worker's model {} computes other vectors for {field} than collection {} was made with: \
                 cosine {cosine:.4} for the built-in input {input:?}, at least {} is needed. The fingerprints agree, \
                 so libtorch, device or precision of this worker is at fault",
                model.name,
                existing.name,
                Canary::MIN_COSINE
            )));
        }
    }
    Ok(())
}

fn first_difference(theirs: &[Canary], ours: &[Canary]) -> Option<(String, f64)> {
    theirs.iter().find_map(|theirs| {
        let ours = ours.iter().find(|ours| ours.input == theirs.input)?;
        let same_length = ours.vector.len() == theirs.vector.len();
        let cosine = if same_length {
            cosine(&ours.vector, &theirs.vector)
        } else {
            0.0
        };
        (cosine < f64::from(Canary::MIN_COSINE)).then(|| (theirs.input.clone(), cosine))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_index::{Answering, Answers};
    use async_trait::async_trait;
    use sightline_core::document::Document;
    use sightline_core::{CollectionName, ModelName, VectorSpace};
    use std::collections::VecDeque;
    use std::sync::Mutex;

    /// An index that describes as it is told, in turn, and has something in the way of every collection.
    #[derive(Debug)]
    struct Taken(Mutex<VecDeque<Option<CollectionDescription>>>);

    #[async_trait]
    impl Answers for Taken {
        async fn create(&self, description: &CollectionDescription) -> Result<(), IndexError> {
            Err(IndexError::Conflict {
                collection: description.name.clone(),
                message: "it was not made by Sightline".into(),
            })
        }

        async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionDescription>, IndexError> {
            Ok(self.0.lock().unwrap().pop_front().flatten())
        }
    }

    fn run() -> RunDocument {
        let text = include_bytes!("../../../crates/core/tests/frozen/run-v1.json");
        RunDocument::from_bytes(text).unwrap()
    }

    fn model() -> LoadedModel {
        let name = ModelName::new("m").unwrap();
        let space = VectorSpace {
            model: name.clone(),
            weights: "w".into(),
            preprocessing: "p".into(),
            decode: String::new(),
            pooling: "none".into(),
            prefix: String::new(),
            dimension: 8,
            normalized: true,
        };
        LoadedModel {
            name,
            fields: [(VectorField::Image, FieldDescription::new(space, vec![]))].into(),
            devices: vec![],
            batch_items: 32,
        }
    }

    async fn proven(described: Vec<Option<CollectionDescription>>) -> Result<(), Unproven> {
        let model = model();
        let index = Answering(Taken(Mutex::new(described.into())));
        let same = |existing: &CollectionDescription| compare(existing, &model, &model.fields);
        prove(&index, &run(), &model.fields, same).await
    }

    #[tokio::test]
    async fn a_collection_of_another_program_ends_the_run_and_is_not_waited_for() {
        let Err(Unproven::Mismatch(why)) = proven(vec![]).await else {
            panic!("another program's collection is no mismatch");
        };
        assert_eq!(why.reason, StopReason::CollectionMismatch);
        assert!(why.message.contains("it was not made by Sightline"), "{}", why.message);
    }

    #[tokio::test]
    async fn a_run_into_an_alias_ends_and_names_the_collection_behind_it() {
        let behind = CollectionDescription {
            name: CollectionName::new("behind").unwrap(),
            fields: model().fields,
            index: IndexKind::Flat,
        };
        let Err(Unproven::Mismatch(why)) = proven(vec![Some(behind)]).await else {
            panic!("an alias is no mismatch");
        };
        assert_eq!(why.reason, StopReason::CollectionMismatch);
        assert!(why.message.contains("alias of collection behind"), "{}", why.message);
    }

    #[tokio::test]
    async fn a_collection_that_another_worker_makes_meanwhile_is_compared() {
        let theirs = CollectionDescription {
            name: run().spec.collection,
            fields: model().fields,
            index: IndexKind::Flat,
        };
        assert!(proven(vec![None, Some(theirs)]).await.is_ok());
    }
}
