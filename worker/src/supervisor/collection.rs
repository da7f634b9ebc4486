//! Proves, before anything is written, that a collection holds exactly the model's vector spaces.

use super::host::LoadedModel;
use sightline_core::vector::cosine;
use sightline_core::{
    Canary, CollectionDescription, FieldDescription, IndexKind, RunDocument, StopReason, VectorField,
};
use sightline_index::{IndexError, VectorIndex};
use std::collections::BTreeMap;

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

/// Creates the run's collection, or proves that the one that is there holds these fields.
pub(crate) async fn prove(
    index: &dyn VectorIndex,
    run: &RunDocument,
    model: &LoadedModel,
    fields: &BTreeMap<VectorField, FieldDescription>,
) -> Result<(), Unproven> {
    let name = &run.spec.collection;
    let away = |error: IndexError| Unproven::Away(error.to_string());
    if let Some(existing) = index.describe(name).await.map_err(away)? {
        return compare(&existing, model, fields).map_err(Unproven::Mismatch);
    }
    // The number of rows is not known before the run ends; the smallest index suits the most collections.
    let kind = run.spec.index.unwrap_or_else(|| IndexKind::by_size(0));
    let description = CollectionDescription {
        name: name.clone(),
        fields: fields.clone(),
        index: kind,
    };
    match index.create(&description).await {
        Ok(()) => Ok(()),
        Err(IndexError::Conflict { .. }) => {
            // Another worker was faster. Its canaries may differ in the last bits: compared, not equal.
            let existing = index.describe(name).await.map_err(away)?;
            let existing = existing.ok_or_else(|| Unproven::Away(format!("collection {name} comes and goes")))?;
            compare(&existing, model, fields).map_err(Unproven::Mismatch)
        }
        Err(error @ IndexError::Refused { .. }) => Err(Unproven::Mismatch(Mismatch {
            reason: StopReason::CollectionMismatch,
            message: format!("collection {name} cannot be created: {error}"),
        })),
        Err(error) => Err(away(error)),
    }
}

fn compare(
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
