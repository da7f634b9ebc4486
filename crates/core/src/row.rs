//! A row of the index.

use crate::clock::Timestamp;
use crate::ids::{DatasetName, RowId, RunId};
use crate::item::{BoundingBox, Item};
use crate::preview::PREVIEW_ATTRIBUTE;
use crate::tar_path;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest text of a row in bytes (a VARCHAR of Milvus counts bytes).
pub const MAX_TEXT_BYTES: usize = 65_535;
/// Longest image id or uid in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest file name in bytes.
pub const MAX_FILENAME_BYTES: usize = 512;
/// Longest image path in bytes: the longest key, and room for the root.
pub const MAX_PATH_BYTES: usize = 2048;
/// Labels in a row.
pub const MAX_LABELS: usize = 256;
/// Longest label in bytes.
pub const MAX_LABEL_BYTES: usize = 512;
/// Longest JSON field in bytes: labels, boxes and attributes each. Milvus ends at 64 KiB, of which the object that it
/// keeps a list in takes some.
pub const MAX_JSON_BYTES: usize = 65_500;

/// Attribute that marks a row whose text was cut to [`MAX_TEXT_BYTES`].
pub const TEXT_CUT_ATTRIBUTE: &str = "sightline_text_cut";

/// One row. Vectors are L2-normalised; a missing side is stored as zeros with its flag false: it is no hit of that
/// leg, contributes 0, and is `None` here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Primary key.
    pub id: RowId,
    /// The item's key within its dataset.
    pub key: String,
    /// The user's name for the picture; the file name where there was none.
    pub image_id: String,
    /// The user's name for study or patient; "" where there was none.
    pub uid: String,
    /// Last part of the image's path.
    pub filename: String,
    /// Where the picture lies: the dataset's root and the object's key; within a tar, see [`tar_path`]; or as an import
    /// says it.
    pub image_path: String,
    /// Report or caption; "" where there was none.
    pub report_text: String,
    /// Findings or categories.
    pub labels: Vec<String>,
    /// Where the findings are.
    pub boxes: Vec<BoundingBox>,
    /// Anything else.
    pub attributes: BTreeMap<String, Value>,
    /// The dataset.
    pub dataset: DatasetName,
    /// SHA-256 of the object's bytes, "" where there is no picture, or an import does not say it.
    pub content_hash: String,
    /// See [`Item::source_digest`].
    pub source_digest: String,
    /// The run that wrote the row.
    pub run_id: RunId,
    /// When it was written.
    pub indexed_at: Timestamp,
    /// The picture's vector.
    pub image_embedding: Option<Vec<f32>>,
    /// The text's vector.
    pub text_embedding: Option<Vec<f32>>,
}

/// A row that the index could not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} has {actual} {unit}, more than the {limit} that a row can hold")]
pub struct RowTooLarge {
    /// Which field.
    pub field: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// How many there are.
    pub actual: usize,
    /// How many there may be.
    pub limit: usize,
}

/// Cuts a text to at most `limit` bytes, at a character's border.
#[must_use]
pub fn cut_text(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

impl Row {
    /// A row for an item, without vectors. A text that is too long is cut at a character's border and flagged.
    ///
    /// # Errors
    /// When any other field is longer than the index takes.
    pub fn of_item(
        item: &Item,
        dataset: &DatasetName,
        root: &str,
        run: &RunId,
        source_digest: String,
        indexed_at: Timestamp,
    ) -> Result<Self, RowTooLarge> {
        let filename = item.picture_path().rsplit('/').next().unwrap_or_default();
        let url = |key: &str| format!("{}/{key}", root.trim_end_matches('/'));
        let image_path = match (&item.image, &item.member) {
            (Some(tar), Some(member)) => tar_path::write(&url(&tar.key), member),
            (Some(object), None) if !object.key.is_empty() => url(&object.key),
            _ => item.picture_url().unwrap_or_default().to_owned(),
        };
        let told_hash = item.told.as_ref().and_then(|told| told.content_hash.clone());
        let text = item.text.as_deref().unwrap_or_default();
        let cut = cut_text(text, MAX_TEXT_BYTES);
        let mut attributes = item.attributes.clone();
        if cut.len() < text.len() {
            attributes.insert(TEXT_CUT_ATTRIBUTE.into(), Value::Bool(true));
        }
        let row = Self {
            id: RowId::of_item(dataset, &item.key),
            key: item.key.to_string(),
            image_id: item
                .image_id
                .clone()
                .unwrap_or_else(|| cut_text(filename, MAX_ID_BYTES).to_owned()),
            uid: item.uid.clone().unwrap_or_default(),
            filename: cut_text(filename, MAX_FILENAME_BYTES).to_owned(),
            image_path,
            report_text: cut.to_owned(),
            labels: item.labels.clone(),
            boxes: item.boxes.clone(),
            attributes,
            dataset: dataset.clone(),
            content_hash: told_hash.unwrap_or_default(),
            source_digest,
            run_id: run.clone(),
            indexed_at,
            image_embedding: None,
            text_embedding: None,
        };
        row.check()?;
        Ok(row)
    }

    /// Adds attributes that its own do not name already, as far as there is room for them.
    pub fn add_attributes(&mut self, more: BTreeMap<String, Value>) {
        let json_len =
            |value: &BTreeMap<String, Value>| serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
        let mut taken = json_len(&self.attributes);
        for (name, value) in more {
            // Its braces are what a comma takes, and one byte to spare.
            let with = taken.saturating_add(json_len(&BTreeMap::from([(name.clone(), value.clone())])));
            if with <= MAX_JSON_BYTES && !self.attributes.contains_key(&name) {
                self.attributes.insert(name, value);
                taken = with;
            }
        }
    }

    /// Says where its preview lies, over what its item says of one: a manifest that was exported names an older one.
    ///
    /// # Errors
    /// When its attributes leave no room for that. Without it the row would count as one that has its preview, for ever.
    pub fn name_preview(&mut self, uri: String) -> Result<(), RowTooLarge> {
        self.attributes.insert(PREVIEW_ATTRIBUTE.into(), Value::String(uri));
        self.check()
    }

    fn check(&self) -> Result<(), RowTooLarge> {
        let check = |field, unit, actual, limit| {
            if actual > limit {
                Err(RowTooLarge {
                    field,
                    unit,
                    actual,
                    limit,
                })
            } else {
                Ok(())
            }
        };
        check("image_id", "bytes", self.image_id.len(), MAX_ID_BYTES)?;
        check("uid", "bytes", self.uid.len(), MAX_ID_BYTES)?;
        check("image_path", "bytes", self.image_path.len(), MAX_PATH_BYTES)?;
        check("labels", "labels", self.labels.len(), MAX_LABELS)?;
        check(
            "a label",
            "bytes",
            self.labels.iter().map(String::len).max().unwrap_or(0),
            MAX_LABEL_BYTES,
        )?;
        // Strings, numbers and maps with string keys: serialising them cannot fail.
        let json_len = |json: serde_json::Result<Vec<u8>>| json.map_or(0, |bytes| bytes.len());
        check(
            "labels",
            "bytes",
            json_len(serde_json::to_vec(&self.labels)),
            MAX_JSON_BYTES,
        )?;
        check(
            "boxes",
            "bytes",
            json_len(serde_json::to_vec(&self.boxes)),
            MAX_JSON_BYTES,
        )?;
        check(
            "attributes",
            "bytes",
            json_len(serde_json::to_vec(&self.attributes)),
            MAX_JSON_BYTES,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemKey;
    use crate::item::ToldPicture;

    fn row_of(item: &Item) -> Result<Row, RowTooLarge> {
        Row::of_item(
            item,
            &DatasetName::new("d").unwrap(),
            "s3://b/p/",
            &RunId::of_request("a", "b"),
            "x".into(),
            Timestamp(1),
        )
    }

    #[test]
    fn a_long_korean_text_is_cut_between_characters_and_flagged() {
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.text = Some("가".repeat(30_000));
        let row = row_of(&item).unwrap();
        assert_eq!(row.report_text.len(), 65_535);
        assert_eq!(row.attributes[TEXT_CUT_ATTRIBUTE], true);
    }

    #[test]
    fn a_picture_outside_the_root_is_named_by_its_url_and_its_file_by_the_last_part() {
        let mut item = Item::new(ItemKey::new("train/0.tar/a/1.jpg").unwrap());
        let url = "s3://other/train/0.tar#bytes=1536-2047/a/1.jpg";
        item.told = Some(Box::new(ToldPicture {
            url: Some(url.into()),
            content_hash: Some("ab".repeat(32)),
        }));
        let row = row_of(&item).unwrap();
        assert_eq!((row.image_path.as_str(), row.filename.as_str()), (url, "1.jpg"));
        assert_eq!((row.image_id.as_str(), row.content_hash), ("1.jpg", "ab".repeat(32)));
    }

    #[test]
    fn added_attributes_leave_the_items_own_alone_and_never_make_a_row_too_large() {
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.attributes.insert("Modality".into(), "chest".into());
        item.attributes
            .insert("big".into(), "x".repeat(MAX_JSON_BYTES - 100).into());
        let mut row = row_of(&item).unwrap();
        let more = [
            ("Long", "y".repeat(80)),
            ("Modality", "CR".into()),
            ("Rows", "7".into()),
        ];
        let more = more.map(|(name, value)| (name.to_owned(), Value::from(value)));
        row.add_attributes(BTreeMap::from(more));
        assert_eq!(row.attributes["Modality"], "chest");
        assert_eq!(row.attributes["Rows"], "7");
        assert_eq!(row.attributes.get("Long"), None);
        row.check().unwrap();
    }

    #[test]
    fn a_preview_is_named_over_what_its_item_says_and_has_room_before_all_that_is_added() {
        let uri = "s3://pages/previews/new.jpg";
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.attributes.insert(PREVIEW_ATTRIBUTE.into(), "old".into());
        let mut row = row_of(&item).unwrap();
        row.name_preview(uri.into()).unwrap();
        assert_eq!(row.attributes[PREVIEW_ATTRIBUTE], uri);
        let again = BTreeMap::from([(PREVIEW_ATTRIBUTE.to_owned(), Value::from("of a tag"))]);
        row.add_attributes(again);
        assert_eq!(row.attributes[PREVIEW_ATTRIBUTE], uri);

        item.attributes.clear();
        item.attributes
            .insert("big".into(), "x".repeat(MAX_JSON_BYTES - 75).into());
        let mut row = row_of(&item).unwrap();
        row.name_preview(uri.into()).unwrap();
        row.add_attributes(BTreeMap::from([("Modality".to_owned(), Value::from("CR"))]));
        assert_eq!(row.attributes[PREVIEW_ATTRIBUTE], uri);
        assert_eq!(row.attributes.get("Modality"), None);
    }

    #[test]
    fn a_row_that_has_no_room_for_its_preview_is_an_error_and_not_a_row_without() {
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.attributes
            .insert("big".into(), "x".repeat(MAX_JSON_BYTES - 40).into());
        let mut row = row_of(&item).unwrap();
        let error = row.name_preview("s3://pages/previews/new.jpg".into()).unwrap_err();
        assert_eq!(error.field, "attributes");
    }

    #[test]
    fn attributes_that_the_index_cannot_hold_are_an_error_that_names_them() {
        let mut item = Item::new(ItemKey::new("k").unwrap());
        item.attributes.insert("big".into(), "x".repeat(70_000).into());
        assert_eq!(row_of(&item).unwrap_err().field, "attributes");
    }
}
