//! What requests for imports say of their sources.

use crate::request::{Violations, check_path, columns, manifest_format};
use sightline_core::{JobKind, Source, VectorField, VectorsAt};
use sightline_proto::v1;
use std::collections::BTreeMap;

/// Imports take vectors that were made elsewhere, and nothing else does.
pub(crate) fn check_kind(kind: JobKind, source: &Source, wrong: &mut Violations) {
    match (kind, source.has_vectors()) {
        (JobKind::Import, false) => wrong.add(
            "spec.dataset.source",
            "holds no vectors: a run of kind IMPORT takes embeddings or clip_retrieval",
        ),
        (JobKind::Import, true) | (_, false) => {}
        (_, true) => wrong.add(
            "spec.kind",
            "is not IMPORT, and the dataset's vectors were made elsewhere: use IMPORT",
        ),
    }
}

/// A table beside vectors.
pub(crate) fn embeddings(
    embeddings: &v1::EmbeddingsSource,
    fields: &[VectorField],
    wrong: &mut Violations,
) -> Option<Source> {
    let field = "spec.dataset.embeddings";
    check_path(&format!("{field}.path"), &embeddings.path, wrong);
    let mut vectors = BTreeMap::new();
    let sides = [
        (
            VectorField::Image,
            "image",
            &embeddings.image_array,
            &embeddings.image_column,
        ),
        (
            VectorField::Text,
            "text",
            &embeddings.text_array,
            &embeddings.text_column,
        ),
    ];
    for (side, name, array, column) in sides {
        check_path(&format!("{field}.{name}_array"), array, wrong);
        let at = match (array.as_str(), column.as_str()) {
            ("", "") => continue,
            (path, "") => VectorsAt::Array { path: path.into() },
            ("", column) => VectorsAt::Column { name: column.into() },
            _ => {
                wrong.add(
                    &format!("{field}.{name}_column"),
                    format!("is given beside {name}_array: the vectors are in one of them"),
                );
                continue;
            }
        };
        vectors.insert(side, at);
    }
    if vectors.is_empty() {
        wrong.add(
            field,
            "names no vectors: give image_array, text_array, image_column or text_column",
        );
    }
    if let Some(missing) = fields.iter().find(|field| !vectors.contains_key(*field)) {
        wrong.add("spec.fields", format!("has {missing}, for which no vectors are named"));
    }
    if !fields.is_empty() {
        vectors.retain(|field, _| fields.contains(field));
    }
    let format = manifest_format(field, &embeddings.path, embeddings.format(), wrong)?;
    Some(Source::Embeddings {
        path: embeddings.path.clone(),
        format,
        columns: embeddings.columns.as_ref().map(columns).unwrap_or_default(),
        vectors,
        normalize: embeddings.normalize,
    })
}

/// What clip-retrieval wrote.
pub(crate) fn clip_retrieval(clip: &v1::ClipRetrievalSource, fields: &[VectorField], wrong: &mut Violations) -> Source {
    check_path("spec.dataset.clip_retrieval.folder", &clip.folder, wrong);
    let fields = if fields.is_empty() {
        &VectorField::ALL[..]
    } else {
        fields
    };
    Source::ClipRetrieval {
        folder: clip.folder.clone(),
        fields: fields.to_vec(),
        normalize: clip.normalize,
    }
}
