//! Rows as the API shows them.

use crate::query::mask::ReadMask;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value};
use serde_json::Value as Json;
use sightline_core::preview::PREVIEW_ATTRIBUTE;
use sightline_core::{BoundingBox, Row};
use sightline_index::Projection;
use sightline_proto::v1;

/// How much of a row [`item`] needs. Whether a side is there shows in its vector alone.
pub(crate) fn projection(mask: &ReadMask) -> Projection {
    if mask.has_vectors() || mask.has("has_image") || mask.has("has_text") {
        Projection::WithVectors
    } else {
        Projection::Metadata
    }
}

/// The fields of a row, read with [`projection`], that the mask names.
pub(crate) fn item(row: Row, mask: &ReadMask) -> v1::Item {
    let preview = row.attributes.get(PREVIEW_ATTRIBUTE).and_then(Json::as_str);
    let preview = preview.unwrap_or_default().to_owned();
    let has_image = row.image_embedding.is_some();
    let has_text = row.text_embedding.is_some();
    let vector = |values: Vec<f32>| v1::Vector { values };
    v1::Item {
        id: row.id.to_string(),
        key: pick(mask, "key", row.key),
        dataset: pick(mask, "dataset", row.dataset.to_string()),
        image_id: pick(mask, "image_id", row.image_id),
        uid: pick(mask, "uid", row.uid),
        filename: pick(mask, "filename", row.filename),
        image_path: pick(mask, "image_path", row.image_path),
        report_text: pick(mask, "report_text", row.report_text),
        labels: pick(mask, "labels", row.labels),
        boxes: pick(mask, "boxes", row.boxes.into_iter().map(bounding_box).collect()),
        attributes: pick(mask, "attributes", Some(structure(row.attributes))),
        content_hash: pick(mask, "content_hash", row.content_hash),
        source_digest: pick(mask, "source_digest", row.source_digest),
        run: pick(mask, "run", format!("runs/{}", row.run_id)),
        index_time: pick(mask, "index_time", Some(timestamp(row.indexed_at))),
        has_image: pick(mask, "has_image", has_image),
        has_text: pick(mask, "has_text", has_text),
        image_embedding: pick(mask, "image_embedding", row.image_embedding.map(vector)),
        text_embedding: pick(mask, "text_embedding", row.text_embedding.map(vector)),
        preview_uri: pick(mask, "preview_uri", preview),
    }
}

fn pick<T: Default>(mask: &ReadMask, field: &str, value: T) -> T {
    if mask.has(field) { value } else { T::default() }
}

fn bounding_box(found: BoundingBox) -> v1::item::Box {
    v1::item::Box {
        label: found.label,
        x: found.x,
        y: found.y,
        width: found.width,
        height: found.height,
    }
}

fn timestamp(time: sightline_core::Timestamp) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(time.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % 1000).unwrap_or_default() * 1_000_000,
    }
}

fn structure(fields: impl IntoIterator<Item = (String, Json)>) -> Struct {
    Struct {
        fields: fields.into_iter().map(|(name, json)| (name, value(json))).collect(),
    }
}

fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(truth),
        // Whole numbers beyond 2^53 lose digits: a Struct knows no others.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}
