//! Rows as columns, and back.

use super::schema::{ATTRIBUTE_NAMES, ATTRIBUTES, BOXES, INDEXED_AT, LABELS, flag};
use crate::Projection;
use crate::check::{Dimensions, attribute_names, vector};
use milvus::v2::prelude::{FieldData, QueryResults};
use serde_json::{Value, json};
use sightline_core::clock::Timestamp;
use sightline_core::filter::TextField;
use sightline_core::{DatasetName, Row, RowId, RunId, VectorField};

/// Most rows in one message. Milvus limits bytes alone; but its answer has every row's id, and the client takes 4 MiB of it.
const MAX_PART_ROWS: usize = 5000;
/// Most bytes of values in one message. Milvus takes 64 MiB, and parts by itself what is too large for its broker; but the client
/// has a message three times, as columns, message and bytes, and the worker's budget of memory counts with no more.
const MAX_PART_BYTES: usize = 8 << 20;

/// Bytes of a row's values, about.
fn bytes(dimensions: &Dimensions, row: &Row) -> usize {
    let texts: usize = TextField::ALL.iter().map(|field| field.of(row).len()).sum();
    let labels: usize = row.labels.iter().map(String::len).sum();
    let json = |json: serde_json::Result<Vec<u8>>| json.map_or(0, |json| json.len());
    let vectors: usize = dimensions.values().map(|dimension| *dimension as usize * 4).sum();
    texts + labels + json(serde_json::to_vec(&row.boxes)) + json(serde_json::to_vec(&row.attributes)) + vectors
}

/// A batch in parts that each fit into one message.
pub(super) fn parts<'a, 'b>(dimensions: &Dimensions, batch: &'b [&'a Row]) -> Vec<&'b [&'a Row]> {
    let mut parts = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (position, row) in batch.iter().enumerate() {
        let row_bytes = bytes(dimensions, row);
        let is_full = position - start == MAX_PART_ROWS || size + row_bytes > MAX_PART_BYTES;
        if is_full && position > start {
            parts.push(&batch[start..position]);
            (start, size) = (position, 0);
        }
        size += row_bytes;
    }
    if start < batch.len() {
        parts.push(&batch[start..]);
    }
    parts
}

pub(super) fn columns(dimensions: &Dimensions, rows: &[&Row]) -> Result<Vec<FieldData>, String> {
    let json = |value: serde_json::Result<Value>| value.map_err(|error| error.to_string());
    let mut columns: Vec<FieldData> = TextField::ALL
        .iter()
        .map(|field| {
            let texts = rows.iter().map(|row| field.of(row).to_owned()).collect();
            FieldData::varchar(field.as_str(), texts)
        })
        .collect();
    // A JSON column of Milvus 2.3 takes objects only.
    let boxes: Result<_, _> = rows
        .iter()
        .map(|row| json(serde_json::to_value(&row.boxes)).map(|boxes| json!({ BOXES: boxes })))
        .collect();
    let attributes: Result<_, _> = rows
        .iter()
        .map(|row| json(serde_json::to_value(&row.attributes)))
        .collect();
    let times: Result<_, _> = rows.iter().map(|row| i64::try_from(row.indexed_at.0)).collect();
    let labels = rows.iter().map(|row| json!({ LABELS: row.labels })).collect();
    columns.push(FieldData::json(LABELS, labels));
    let names = rows.iter().map(|row| json!({ ATTRIBUTE_NAMES: attribute_names(row) }));
    columns.push(FieldData::json(ATTRIBUTE_NAMES, names.collect()));
    columns.push(FieldData::json(BOXES, boxes?));
    columns.push(FieldData::json(ATTRIBUTES, attributes?));
    columns.push(FieldData::int64(
        INDEXED_AT,
        times.map_err(|error: std::num::TryFromIntError| error.to_string())?,
    ));
    for field in VectorField::ALL {
        let flags = rows.iter().map(|row| vector(row, field).is_some()).collect();
        columns.push(FieldData::boolean(flag(field), flags));
    }
    for (field, dimension) in dimensions {
        let zeros = || vec![0.0; *dimension as usize];
        let vectors = rows
            .iter()
            .map(|row| vector(row, *field).map_or_else(zeros, <[f32]>::to_vec))
            .collect();
        columns.push(FieldData::float_vector(field.as_str(), vectors));
    }
    Ok(columns)
}

/// The columns to ask for.
pub(super) fn columns_of(dimensions: &Dimensions, projection: Projection) -> Vec<&'static str> {
    let mut columns: Vec<&str> = TextField::ALL.iter().map(|field| field.as_str()).collect();
    columns.extend([LABELS, BOXES, ATTRIBUTES, INDEXED_AT]);
    if projection == Projection::WithVectors {
        columns.extend(VectorField::ALL.map(flag));
        columns.extend(dimensions.keys().map(|field| field.as_str()));
    }
    columns
}

/// Takes one column of an answer apart.
macro_rules! column {
    ($results:expr, $name:expr, $kind:ident) => {
        match $results.get_output_field($name).map(FieldData::inner) {
            Some(FieldData::$kind { values, .. }) => Ok(values.as_slice()),
            Some(_) => Err(format!("column {} is of another type", $name)),
            None => Err(format!("column {} is missing", $name)),
        }
    };
}

pub(super) fn rows(
    dimensions: &Dimensions,
    projection: Projection,
    results: &QueryResults,
) -> Result<Vec<Row>, String> {
    // An answer without rows may come without columns.
    if results.get_output_fields().is_empty() {
        return Ok(Vec::new());
    }
    let ids = column!(results, TextField::Id.as_str(), VarChar)?;
    (0..ids.len())
        .map(|position| row(dimensions, projection, results, position))
        .collect()
}

fn row(
    dimensions: &Dimensions,
    projection: Projection,
    results: &QueryResults,
    position: usize,
) -> Result<Row, String> {
    fn at<T>(values: &[T], position: usize) -> Result<&T, String> {
        values.get(position).ok_or_else(|| "a column is too short".to_owned())
    }
    let text = |field: TextField| -> Result<String, String> {
        Ok(at(column!(results, field.as_str(), VarChar)?, position)?.clone())
    };
    let json = |name: &str| -> Result<Value, String> { Ok(at(column!(results, name, Json)?, position)?.clone()) };
    let wrong = |error: &dyn std::error::Error| error.to_string();
    let mut row = Row {
        id: RowId::new(text(TextField::Id)?).map_err(|error| wrong(&error))?,
        key: text(TextField::Key)?,
        image_id: text(TextField::ImageId)?,
        uid: text(TextField::Uid)?,
        filename: text(TextField::Filename)?,
        image_path: text(TextField::ImagePath)?,
        report_text: text(TextField::ReportText)?,
        labels: serde_json::from_value(json(LABELS)?[LABELS].take()).map_err(|error| wrong(&error))?,
        boxes: serde_json::from_value(json(BOXES)?[BOXES].take()).map_err(|error| wrong(&error))?,
        attributes: serde_json::from_value(json(ATTRIBUTES)?).map_err(|error| wrong(&error))?,
        dataset: DatasetName::new(text(TextField::Dataset)?).map_err(|error| wrong(&error))?,
        content_hash: text(TextField::ContentHash)?,
        source_digest: text(TextField::SourceDigest)?,
        run_id: RunId::new(text(TextField::RunId)?).map_err(|error| wrong(&error))?,
        indexed_at: Timestamp(
            u64::try_from(*at(column!(results, INDEXED_AT, Int64)?, position)?).map_err(|error| wrong(&error))?,
        ),
        image_embedding: None,
        text_embedding: None,
    };
    if projection == Projection::WithVectors {
        for field in &VectorField::ALL {
            if !*at(column!(results, flag(*field), Bool)?, position)? {
                continue;
            }
            // Another process made the collection anew, with this side: refused, so that it is described again.
            if !dimensions.contains_key(field) {
                return Err(format!("a row has a vector of {field}, which the collection had not"));
            }
            let vector = at(column!(results, field.as_str(), FloatVector)?, position)?.clone();
            match field {
                VectorField::Image => row.image_embedding = Some(vector),
                VectorField::Text => row.text_embedding = Some(vector),
            }
        }
    }
    Ok(row)
}
