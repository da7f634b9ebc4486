//! What requests for imports say of their sources.

use crate::request::{Violations, check_path, columns, manifest_format, vector_field};
use sightline_core::{JobKind, ManifestFormat, Source, VectorField, VectorsAt};
use sightline_proto::v1;
use sightline_proto::v1::manifest_source::Format;
use std::collections::{BTreeMap, HashMap};

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

/// How long the vectors of the model are that a request names, as far as it says.
pub(crate) fn dimensions(given: &HashMap<String, i32>, wrong: &mut Violations) -> BTreeMap<VectorField, u32> {
    let mut lengths = BTreeMap::new();
    for (name, dimension) in given {
        let field = vector_field(name, "dimensions", wrong);
        match u32::try_from(*dimension) {
            Ok(length) if length > 0 => lengths.extend(field.map(|field| (field, length))),
            _ => wrong.add(
                "dimensions",
                format!("{name:?} has {dimension}: give the length of the model's vectors, 1 or more"),
            ),
        }
    }
    lengths
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
    let format = match embeddings.path.ends_with('/') {
        true => folder_format(field, embeddings.format(), &vectors, wrong)?,
        false => manifest_format(field, &embeddings.path, embeddings.format(), wrong)?,
    };
    let named = embeddings.columns.as_ref();
    Some(Source::Embeddings {
        path: embeddings.path.clone(),
        format,
        columns: named.map(|named| columns(field, named, wrong)).unwrap_or_default(),
        vectors,
        normalize: embeddings.normalize,
    })
}

/// How the tables of a folder are written, whose vectors lie in columns: an array belongs to one table.
fn folder_format(
    field: &str,
    format: Format,
    vectors: &BTreeMap<VectorField, VectorsAt>,
    wrong: &mut Violations,
) -> Option<ManifestFormat> {
    if vectors.values().any(|at| matches!(at, VectorsAt::Array { .. })) {
        wrong.add(
            &format!("{field}.path"),
            "is a folder of tables, and an array belongs to one table: name that one, or columns in place of arrays",
        );
    }
    match format {
        Format::Unspecified | Format::Parquet => Some(ManifestFormat::Parquet),
        Format::Csv | Format::Jsonl => {
            wrong.add(
                &format!("{field}.format"),
                "is not PARQUET, and of a folder only Parquet tables are read: name one table",
            );
            None
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_of_a_vector_field_and_above_0() {
        let read = |name: &str, length: i32| {
            let mut wrong = Violations::default();
            let lengths = dimensions(&[(name.to_owned(), length)].into(), &mut wrong);
            (lengths, wrong.0.len())
        };
        assert_eq!(
            read("image_embedding", 384),
            (BTreeMap::from([(VectorField::Image, 384)]), 0)
        );
        assert_eq!(read("image_embedding", 0), (BTreeMap::new(), 1));
        assert_eq!(read("image", 384), (BTreeMap::new(), 1));
    }

    #[test]
    fn a_folder_holds_tables_of_parquet_and_none_that_an_array_could_belong_to() {
        let read = |change: &dyn Fn(&mut v1::EmbeddingsSource)| {
            let mut source = v1::EmbeddingsSource {
                path: "x/".into(),
                image_column: "v".into(),
                ..v1::EmbeddingsSource::default()
            };
            change(&mut source);
            let mut wrong = Violations::default();
            let read = embeddings(&source, &[], &mut wrong);
            let is_parquet =
                matches!(&read, Some(Source::Embeddings { format, .. }) if *format == ManifestFormat::Parquet);
            (is_parquet, wrong.0)
        };
        assert_eq!(read(&|_| ()), (true, Vec::new()));
        let (_, wrong) = read(&|source| source.text_array = "t.npy".into());
        assert!(wrong[0].1.contains("an array belongs to one table"), "{wrong:?}");
        let (_, wrong) = read(&|source| source.format = Format::Csv.into());
        assert_eq!(wrong[0].0, "spec.dataset.embeddings.format");
    }

    #[test]
    fn an_attribute_that_is_asked_for_has_a_name() {
        let source = v1::EmbeddingsSource {
            path: "x.parquet".into(),
            image_column: "v".into(),
            columns: Some(v1::manifest_source::Columns {
                attributes: vec!["age".into(), String::new()],
                ..v1::manifest_source::Columns::default()
            }),
            ..v1::EmbeddingsSource::default()
        };
        let mut wrong = Violations::default();
        embeddings(&source, &[], &mut wrong);
        assert_eq!(wrong.0.len(), 1, "{wrong:?}");
        assert_eq!(wrong.0[0].0, "spec.dataset.embeddings.columns.attributes");
    }
}
