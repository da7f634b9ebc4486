//! What a dataset holds: items with a picture, a text, or both.

use crate::ids::ItemKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An object as it was seen when the run was planned. Reading it later asks for exactly this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// The object's key below the dataset's root.
    pub key: String,
    /// The store's entity tag, without quotes.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
}

/// A finding's box in the source picture, in pixels from the top left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundingBox {
    /// What was found.
    pub label: String,
    /// Left edge, pixels.
    pub x: f64,
    /// Top edge, pixels.
    pub y: f64,
    /// Width, pixels, above 0.
    pub width: f64,
    /// Height, pixels, above 0.
    pub height: f64,
}

/// One item of a dataset. Empty fields are left out when it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What names it within the dataset.
    pub key: ItemKey,
    /// Its picture, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ObjectRef>,
    /// Report or caption, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The user's own name for the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The user's name for the study or patient; several items may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Findings or categories, in the dataset's order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Where the findings are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<BoundingBox>,
    /// Anything else: strings, numbers, booleans, or lists of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Line of the manifest (from 1) that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl Item {
    /// An item with a key and nothing else.
    #[must_use]
    pub fn new(key: ItemKey) -> Self {
        Self {
            key,
            image: None,
            text: None,
            image_id: None,
            uid: None,
            labels: Vec::new(),
            boxes: Vec::new(),
            attributes: BTreeMap::new(),
            line: None,
        }
    }

    /// What "unchanged" means: the digest of the object's version, the text, labels, boxes, attributes, and of how a
    /// picture is made into a tensor (`preprocessing`: any text that identifies it). 32 hexadecimal digits.
    #[must_use]
    pub fn source_digest(&self, preprocessing: &str) -> String {
        let image = self
            .image
            .as_ref()
            .map(|object| format!("{}\n{}", object.etag, object.size))
            .unwrap_or_default();
        // Serialising a map with string keys and finite numbers cannot fail; an empty text would only re-embed.
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        crate::digest::PartsDigest::new("sightline/source/v1")
            .part(image.as_bytes())
            .part(json(serde_json::to_string(&self.text)).as_bytes())
            .part(
                json(serde_json::to_string(&(
                    &self.image_id,
                    &self.uid,
                    &self.labels,
                    &self.boxes,
                    &self.attributes,
                )))
                .as_bytes(),
            )
            .part(preprocessing.as_bytes())
            .short_hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_that_a_row_would_show_changes_the_source_digest() {
        let mut item = Item::new(ItemKey::new("a.png").unwrap());
        item.image = Some(ObjectRef {
            key: "a.png".into(),
            etag: "e1".into(),
            size: 3,
        });
        let before = item.source_digest("p1");
        assert_ne!(before, item.source_digest("p2"));
        let mut changed = item.clone();
        changed.labels.push("Nodule".into());
        assert_ne!(before, changed.source_digest("p1"));
        let mut changed = item.clone();
        changed.text = Some(String::new());
        assert_ne!(before, changed.source_digest("p1"), "no text and an empty text differ");
        item.line = Some(7);
        assert_eq!(
            before,
            item.source_digest("p1"),
            "where a row stands in its manifest is not part of it"
        );
    }
}
