//! Columns that exports write, which say by their names how they are read.

use super::Mapping;
use serde::Deserialize;
use serde_json::{Map, Value};
use sightline_core::{BoundingBox, DatasetName, ItemKey, RowId};

const ATTRIBUTES: &str = "attributes";
const BOXES: &str = "boxes";
const CONTENT_HASH: &str = "content_hash";
const ID: &str = "id";
const DATASET: &str = "dataset";

/// The columns that say which row of which dataset a row was.
pub(super) const ORIGIN: [&str; 2] = [ID, DATASET];

impl Mapping {
    /// Whether an export wrote the row, so that [`ORIGIN`] is no more than what its key and the collection say: its id is
    /// that of its dataset and its key.
    pub(super) fn is_exported(&self, key: &ItemKey, values: &[Value]) -> bool {
        let text = |name: &str| {
            let (at, _) = self.attributes.iter().find(|(_, found)| found == name)?;
            values.get(*at)?.as_str()
        };
        let Some((id, dataset)) = text(ID).zip(text(DATASET)) else {
            return false;
        };
        DatasetName::new(dataset).is_ok_and(|dataset| RowId::of_item(&dataset, key).as_str() == id)
    }
}

/// The attributes in a column of that name, which holds them as one object, or as its JSON. Else the value, as it was.
pub(super) fn fields_of(column: &str, value: Value) -> Result<Map<String, Value>, Value> {
    match value {
        Value::Object(fields) if column == ATTRIBUTES => Ok(fields),
        Value::String(text) if column == ATTRIBUTES => serde_json::from_str(&text).map_err(|_| Value::String(text)),
        value => Err(value),
    }
}

/// The boxes in a column of that name, which holds them as a list of objects, or as its JSON. None where it holds anything
/// else.
pub(super) fn boxes_of(column: &str, value: &Value) -> Option<Vec<BoundingBox>> {
    let boxes: Vec<BoundingBox> = match value {
        Value::Array(_) if column == BOXES => Vec::deserialize(value).ok()?,
        Value::String(text) if column == BOXES => serde_json::from_str(text).ok()?,
        _ => return None,
    };
    let has_area = |found: &BoundingBox| found.width > 0.0 && found.height > 0.0;
    boxes.iter().all(has_area).then_some(boxes)
}

/// The SHA-256 of a picture in a column of that name. None where it holds anything else.
pub(super) fn hash_of(column: &str, value: &Value) -> Option<String> {
    let text = value.as_str().filter(|_| column == CONTENT_HASH)?;
    let is_hash = text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_hash.then(|| text.to_owned())
}
