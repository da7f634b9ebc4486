//! What every implementation refuses before it writes or searches, in the same words.

use crate::{FieldSearch, IndexError, MAX_HITS, MAX_SCAN_ROWS};
use serde::Serialize;
use sightline_core::filter::TextField;
use sightline_core::row::{
    MAX_FILENAME_BYTES, MAX_ID_BYTES, MAX_JSON_BYTES, MAX_LABEL_BYTES, MAX_LABELS, MAX_PATH_BYTES, MAX_TEXT_BYTES,
};
use sightline_core::{CollectionDescription, CollectionName, Row, RowId, VectorField};
use std::collections::{BTreeMap, HashSet};

/// Longest value of a text field in bytes.
pub(crate) fn max_bytes(field: TextField) -> usize {
    match field {
        TextField::Id | TextField::RunId => 32,
        TextField::Key => 1024,
        TextField::ImageId | TextField::Uid => MAX_ID_BYTES,
        TextField::Filename => MAX_FILENAME_BYTES,
        TextField::ImagePath => MAX_PATH_BYTES,
        TextField::ReportText => MAX_TEXT_BYTES,
        TextField::Dataset => 63,
        TextField::ContentHash | TextField::SourceDigest => 128,
    }
}

/// Names of the attributes that count as there: those that are not null.
pub(crate) fn attribute_names(row: &Row) -> Vec<&str> {
    let present = row.attributes.iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, _)| name.as_str()).collect()
}

/// Vector fields of a collection and their dimensions.
pub(crate) type Dimensions = BTreeMap<VectorField, u32>;

pub(crate) fn dimensions(description: &CollectionDescription) -> Dimensions {
    let of =
        |(field, described): (&VectorField, &sightline_core::FieldDescription)| (*field, described.space.dimension);
    description.fields.iter().map(of).collect()
}

/// Refuses a collection that no engine could index as it says, before anything of it is made.
pub(crate) fn new_collection(description: &CollectionDescription) -> Result<(), IndexError> {
    for (field, dimension) in dimensions(description) {
        let refused =
            |message| IndexError::refused("create a collection", &description.name, format!("{field}: {message}"));
        description.index.check_dimension(dimension).map_err(refused)?;
    }
    Ok(())
}

/// The vector of one side of a row.
pub(crate) fn vector(row: &Row, field: VectorField) -> Option<&[f32]> {
    match field {
        VectorField::Image => row.image_embedding.as_deref(),
        VectorField::Text => row.text_embedding.as_deref(),
    }
}

/// Checks a whole batch; of one id twice the last row counts.
pub(crate) fn batch<'a>(
    collection: &CollectionName,
    dimensions: &Dimensions,
    rows: &'a [Row],
) -> Result<Vec<&'a Row>, IndexError> {
    for row in rows {
        check_row(dimensions, row)
            .map_err(|message| IndexError::refused("write rows", collection, format!("row {}: {message}", row.id)))?;
    }
    let mut seen: HashSet<&RowId> = HashSet::with_capacity(rows.len());
    let mut last: Vec<&Row> = rows.iter().rev().filter(|row| seen.insert(&row.id)).collect();
    last.reverse();
    Ok(last)
}

fn check_row(dimensions: &Dimensions, row: &Row) -> Result<(), String> {
    for field in VectorField::ALL {
        match (dimensions.get(&field), vector(row, field)) {
            (_, None) => {}
            (None, Some(_)) => return Err(format!("the collection has no field {field}")),
            (Some(dimension), Some(vector)) => check_vector(*dimension, vector).map_err(|m| format!("{field} {m}"))?,
        }
    }
    let at_most = |what: &str, unit: &str, actual: usize, limit: usize| {
        if actual > limit {
            Err(format!("{what} has {actual} {unit}, more than {limit}"))
        } else {
            Ok(())
        }
    };
    for field in TextField::ALL {
        at_most(field.as_str(), "bytes", field.of(row).len(), max_bytes(field))?;
    }
    at_most("labels", "labels", row.labels.len(), MAX_LABELS)?;
    for label in &row.labels {
        at_most("a label", "bytes", label.len(), MAX_LABEL_BYTES)?;
    }
    at_most("boxes", "bytes", json_bytes(&row.boxes)?, MAX_JSON_BYTES)?;
    at_most("labels", "bytes", json_bytes(&row.labels)?, MAX_JSON_BYTES)?;
    at_most("attributes", "bytes", json_bytes(&row.attributes)?, MAX_JSON_BYTES)?;
    i64::try_from(row.indexed_at.0)
        .map(|_| ())
        .map_err(|_| "indexed_at is beyond 2^63 - 1".to_owned())
}

/// Length of a value as JSON.
fn json_bytes(value: &impl Serialize) -> Result<usize, String> {
    let json = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    Ok(json.len())
}

fn check_vector(dimension: u32, vector: &[f32]) -> Result<(), String> {
    if u32::try_from(vector.len()) != Ok(dimension) {
        return Err(format!("has {} values, not {dimension}", vector.len()));
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Err("holds NaN or infinity".into());
    }
    if vector.iter().all(|value| *value == 0.0) {
        return Err("has no length: every value is 0".into());
    }
    Ok(())
}

pub(crate) fn search(
    collection: &CollectionName,
    dimensions: &Dimensions,
    search: &FieldSearch,
) -> Result<(), IndexError> {
    let refused = |message: String| IndexError::refused("search", collection, message);
    let Some(dimension) = dimensions.get(&search.field) else {
        return Err(refused(format!("the collection has no field {}", search.field)));
    };
    check_vector(*dimension, &search.vector).map_err(|message| refused(format!("the query's vector {message}")))?;
    if !(1..=MAX_HITS).contains(&search.limit) {
        return Err(refused(format!("the limit is {}, not 1 to {MAX_HITS}", search.limit)));
    }
    Ok(())
}

pub(crate) fn scan(collection: &CollectionName, limit: usize) -> Result<(), IndexError> {
    if (1..=MAX_SCAN_ROWS).contains(&limit) {
        return Ok(());
    }
    Err(IndexError::refused(
        "scan",
        collection,
        format!("the limit is {limit}, not 1 to {MAX_SCAN_ROWS}"),
    ))
}

/// Whether a collection that exists is the one that is asked for.
pub(crate) fn same_description(
    wanted: &CollectionDescription,
    existing: &CollectionDescription,
) -> Result<(), IndexError> {
    let message = if wanted == existing {
        return Ok(());
    } else if wanted.name != existing.name {
        format!("it is an alias of collection {}", existing.name)
    } else if wanted.fields.keys().ne(existing.fields.keys()) {
        let names = |description: &CollectionDescription| {
            let names: Vec<_> = description.fields.keys().map(|field| field.as_str()).collect();
            names.join(" and ")
        };
        format!("it has {}, not {}", names(existing), names(wanted))
    } else if let Some((field, described)) = wanted.fields.iter().find(|(field, described)| {
        existing.fields.get(field).map(|other| &other.fingerprint) != Some(&described.fingerprint)
    }) {
        match existing.check_space(*field, &described.space) {
            Err(mismatch) => mismatch.to_string(),
            Ok(()) => format!("{field} has another fingerprint"),
        }
    } else if wanted.index != existing.index {
        format!("its index is {:?}, not {:?}", existing.index, wanted.index)
    } else {
        "its model's name or canaries differ".into()
    };
    Err(IndexError::Conflict {
        collection: wanted.name.clone(),
        message,
    })
}
