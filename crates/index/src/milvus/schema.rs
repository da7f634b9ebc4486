//! A collection as Milvus knows it: columns, indexes, and how widely a search looks.

use crate::check::max_bytes;
use milvus::v2::prelude::{CollectionSchema, DataType, FieldSchema, IndexParam, IndexType, MetricType};
use sightline_core::document::Document;
use sightline_core::filter::TextField;
use sightline_core::{CollectionDescription, IndexKind, VectorField};
use std::collections::HashMap;

/// Lists probed where a search does not say.
const DEFAULT_NPROBE: u32 = 16;
/// Candidates kept where a search does not say, or as many as hits are asked for.
const DEFAULT_EF: u32 = 100;

/// Column of labels: `{"labels": […]}`. JSON, as a column of arrays comes back without the type of its elements from
/// servers that we use, and the client cannot read it then; an object, as Milvus 2.3 takes nothing else.
pub(super) const LABELS: &str = "labels";
/// Column of boxes: `{"boxes": […]}`.
pub(super) const BOXES: &str = "boxes";
/// Column of the names of the attributes that are not null: `{"attribute_names": […]}`. What `exists` says differs
/// between versions, and milvus-lite does not have it.
pub(super) const ATTRIBUTE_NAMES: &str = "attribute_names";
/// Column of attributes.
pub(super) const ATTRIBUTES: &str = "attributes";
/// Column of times of writing, milliseconds since the epoch.
pub(super) const INDEXED_AT: &str = "indexed_at";

/// Column that says whether a row has a side.
pub(super) fn flag(field: VectorField) -> &'static str {
    match field {
        VectorField::Image => "has_image",
        VectorField::Text => "has_text",
    }
}

pub(super) fn schema(description: &CollectionDescription) -> CollectionSchema {
    let document = String::from_utf8(description.to_bytes()).unwrap_or_default();
    let column = |name: &str, data_type| FieldSchema::new().name(name).data_type(data_type);
    let mut schema = CollectionSchema::new()
        .description(document)
        .enable_dynamic_field(false);
    for field in TextField::ALL {
        let length = u32::try_from(max_bytes(field)).unwrap_or(u32::MAX);
        let text = column(field.as_str(), DataType::VarChar).max_length(length);
        schema = schema.add_field(text.primary_key(field == TextField::Id));
    }
    for name in [LABELS, BOXES, ATTRIBUTES, ATTRIBUTE_NAMES] {
        schema = schema.add_field(column(name, DataType::Json));
    }
    schema = schema.add_field(column(INDEXED_AT, DataType::Int64));
    for field in VectorField::ALL {
        schema = schema.add_field(column(flag(field), DataType::Bool));
    }
    for (field, described) in &description.fields {
        schema = schema.add_field(column(field.as_str(), DataType::FloatVector).dimension(described.space.dimension));
    }
    schema
}

pub(super) fn index(field: VectorField, kind: IndexKind) -> IndexParam {
    let (index_type, parameters) = match kind {
        IndexKind::Flat => (IndexType::Flat, vec![]),
        IndexKind::IvfFlat { nlist } => (IndexType::IvfFlat, vec![("nlist", nlist)]),
        IndexKind::IvfSq8 { nlist } => (IndexType::IvfSq8, vec![("nlist", nlist)]),
        IndexKind::IvfPq { nlist, m } => (IndexType::IvfPq, vec![("nlist", nlist), ("m", m)]),
        IndexKind::Hnsw { m, ef_construction } => {
            (IndexType::Hnsw, vec![("M", m), ("efConstruction", ef_construction)])
        }
        IndexKind::Diskann => (IndexType::DiskAnn, vec![]),
    };
    IndexParam::new()
        .field_name(field.as_str())
        .index_name(field.as_str())
        .index_type(index_type)
        .metric_type(MetricType::Ip)
        .extra_params(texts(parameters))
}

fn texts(parameters: Vec<(&str, u32)>) -> HashMap<String, String> {
    let text = |(name, value): (&str, u32)| (name.to_owned(), value.to_string());
    parameters.into_iter().map(text).collect()
}

/// How a search is carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breadth {
    /// The engine's parameters.
    pub(super) parameters: HashMap<String, String>,
    /// Whether every vector is looked at, at its full precision.
    pub(super) exact: bool,
}

/// The engine's parameters for an effort, within what each kind of index takes.
pub(super) fn breadth(kind: IndexKind, effort: Option<u32>, limit: usize) -> Breadth {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let probes = |nlist: u32| effort.unwrap_or(DEFAULT_NPROBE).clamp(1, nlist);
    let candidates = || effort.unwrap_or(DEFAULT_EF).max(limit);
    let (parameters, exact) = match kind {
        IndexKind::Flat => (vec![], true),
        // All lists of them are not all rows: those that it has not indexed yet Milvus searches through lists of its own,
        // sixteen of them, whatever is asked for (`queryNode.segcore.interimIndex`). Only FLAT has no such lists.
        IndexKind::IvfFlat { nlist } | IndexKind::IvfSq8 { nlist } | IndexKind::IvfPq { nlist, .. } => {
            (vec![("nprobe", probes(nlist))], false)
        }
        IndexKind::Hnsw { .. } => (vec![("ef", candidates())], false),
        IndexKind::Diskann => (vec![("search_list", candidates())], false),
    };
    Breadth {
        parameters: texts(parameters),
        exact,
    }
}
