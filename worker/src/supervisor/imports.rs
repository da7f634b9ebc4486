//! Proves, before anything of an import is written, that the collection may hold its vectors.

use super::collection::Mismatch;
use crate::ipc::{Imported, ImportedField};
use sightline_core::{
    CollectionDescription, FieldDescription, Manifest, ManifestEntry, ModelName, RunDocument, Source, StopReason,
    VectorField,
};
use std::collections::BTreeMap;

/// The model's name where the caller names none.
const UNNAMED: &str = "imported";

/// The fields that an import fills, as the first item of a shard has them: every item of a run has all of them. None
/// where the shard has nothing to load.
pub(crate) fn fields_of_import(
    run: &RunDocument,
    manifest: &Manifest,
) -> Option<BTreeMap<VectorField, FieldDescription>> {
    let first = manifest.entries.iter().find_map(|entry| match entry {
        ManifestEntry::Item(item) => Some(item),
        ManifestEntry::Ended(_) => None,
    })?;
    let model = run.spec.model.clone().or_else(|| ModelName::new(UNNAMED).ok())?;
    let field = |field: &VectorField, dimension: u32| {
        let declared = run.spec.fingerprints.get(field).cloned();
        (*field, FieldDescription::imported(model.clone(), dimension, declared))
    };
    let fields = first.vectors.iter().map(|(of, vector)| field(of, vector.dimension()));
    Some(fields.collect())
}

/// What the engine is told of them.
pub(crate) fn imported(run: &RunDocument, fields: &BTreeMap<VectorField, FieldDescription>) -> Imported {
    let normalize = match &run.spec.dataset.source {
        Source::Embeddings { normalize, .. } | Source::ClipRetrieval { normalize, .. } => *normalize,
        Source::Prefix {} | Source::NihBoxes { .. } | Source::Manifest { .. } | Source::Webdataset { .. } => false,
    };
    let field = |(field, described): (&VectorField, &FieldDescription)| {
        let imported = ImportedField {
            dimension: described.space.dimension,
            fingerprint: described.fingerprint.clone(),
        };
        (*field, imported)
    };
    Imported {
        normalize,
        fields: fields.iter().map(field).collect(),
    }
}

/// Whether a collection that is there may take the vectors of an import.
pub(crate) fn compare(
    existing: &CollectionDescription,
    fields: &BTreeMap<VectorField, FieldDescription>,
) -> Result<(), Mismatch> {
    let name = &existing.name;
    for (field, ours) in fields {
        let Some(theirs) = existing.fields.get(field) else {
            return Err(Mismatch {
                reason: StopReason::CollectionMismatch,
                message: format!("collection {name} has no field {field}: import that side into another collection"),
            });
        };
        if theirs.space.dimension != ours.space.dimension {
            return Err(Mismatch {
                reason: StopReason::CollectionMismatch,
                message: format!(
                    "the vectors for {field} have {} values, those of collection {name} have {}: they are of another \
                     model, so import them into another collection",
                    ours.space.dimension, theirs.space.dimension
                ),
            });
        }
        if theirs.fingerprint != ours.fingerprint {
            return Err(Mismatch {
                reason: StopReason::ModelMismatch,
                message: format!(
                    "field {field} of collection {name} holds vectors of model {} ({}); the import's are declared to be \
                     of {} ({}): if they are of the same model, name it as the collection does or declare its \
                     fingerprint, {}; if not, use another collection",
                    theirs.space.model,
                    theirs.fingerprint.short(),
                    ours.space.model,
                    ours.fingerprint.short(),
                    theirs.fingerprint
                ),
            });
        }
    }
    Ok(())
}
