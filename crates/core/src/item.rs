//! What a dataset holds: items with a picture, a text, or both.

use crate::collection::VectorField;
use crate::ids::ItemKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A file within a tar, as it was found when the run was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TarMember {
    /// Its path within the tar.
    pub path: String,
    /// Bytes of the tar before its content.
    pub offset: u64,
    /// Bytes of its content.
    pub size: u64,
}

/// What a table beside vectors says of a picture, which is not read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldPicture {
    /// Its URL, where it lies outside the dataset's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
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

/// How the numbers of a stored vector are written, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    /// Two bytes.
    F16,
    /// Four bytes.
    F32,
    /// Eight bytes.
    F64,
}

impl NumberType {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// A vector that was made elsewhere, as it was found when the run was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoredVector {
    /// A row of an array in the dataset's store.
    Row {
        /// The array.
        array: ObjectRef,
        /// Bytes before the row.
        offset: u64,
        /// Its length.
        dimension: u32,
        /// How its numbers are written.
        numbers: NumberType,
    },
    /// Carried along.
    Inline {
        /// Its numbers, f32 little-endian, in base64.
        values: String,
    },
    /// The item has none, though the others of its dataset do.
    Missing {
        /// Length of the others.
        dimension: u32,
    },
}

impl StoredVector {
    /// A vector that is carried along.
    #[must_use]
    pub fn inline(values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::Inline {
            values: STANDARD.encode(bytes),
        }
    }

    /// The numbers of a vector that is carried along; none where it is not, or is damaged.
    #[must_use]
    pub fn inline_values(&self) -> Option<Vec<f32>> {
        let Self::Inline { values } = self else { return None };
        let bytes = STANDARD.decode(values).ok()?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        rest.is_empty()
            .then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    /// Its length.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        match self {
            Self::Row { dimension, .. } | Self::Missing { dimension } => *dimension,
            Self::Inline { .. } => {
                let values = self.inline_values().map_or(0, |values| values.len());
                u32::try_from(values).unwrap_or(u32::MAX)
            }
        }
    }
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
    /// Where in that object its picture lies, where the object is a tar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Box<TarMember>>,
    /// What is said of its picture beyond that, where its vectors were made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Box<ToldPicture>>,
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
    /// Its vectors, where they were made elsewhere. Then its picture is named and not read, and has no tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<VectorField, StoredVector>,
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
            member: None,
            told: None,
            text: None,
            image_id: None,
            uid: None,
            labels: Vec::new(),
            boxes: Vec::new(),
            attributes: BTreeMap::new(),
            vectors: BTreeMap::new(),
            line: None,
        }
    }

    /// Path of its picture, below the dataset's root or within a tar, or its URL; "" where it has none.
    #[must_use]
    pub fn picture_path(&self) -> &str {
        match (&self.member, &self.image) {
            (Some(member), _) => &member.path,
            (None, Some(object)) => &object.key,
            (None, None) => self.picture_url().unwrap_or_default(),
        }
    }

    /// Where its picture lies, where that is outside the dataset's root.
    #[must_use]
    pub fn picture_url(&self) -> Option<&str> {
        self.told.as_ref()?.url.as_deref()
    }

    /// Bytes of its picture as it is stored.
    #[must_use]
    pub fn picture_bytes(&self) -> u64 {
        let whole = || self.image.as_ref().map_or(0, |object| object.size);
        self.member.as_ref().map_or_else(whole, |member| member.size)
    }

    /// What "unchanged" means: the digest of the object's version and place, the text, labels, boxes, attributes, and of how a
    /// picture is made into a tensor (`preprocessing`: any text that identifies it). 32 hexadecimal digits.
    #[must_use]
    pub fn source_digest(&self, preprocessing: &str) -> String {
        let image = self
            .image
            .as_ref()
            .map(|object| match self.member.as_deref() {
                None => format!("{}\n{}\n{}", object.etag, object.size, object.key),
                Some(TarMember { path, offset, size }) => {
                    let ObjectRef { etag, size: whole, key } = object;
                    format!("{etag}\n{whole}\n{offset}\n{size}\n{key}\n{path}")
                }
            })
            .unwrap_or_default();
        // Serialising a map with string keys and finite numbers cannot fail; an empty text would only re-embed.
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let digest = crate::digest::PartsDigest::new("sightline/source/v1")
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
            .part(preprocessing.as_bytes());
        let digest = match self.vectors.is_empty() {
            true => digest,
            false => digest.part(json(serde_json::to_string(&self.vectors)).as_bytes()),
        };
        match &self.told {
            None => digest.short_hex(),
            Some(told) => digest.part(json(serde_json::to_string(told)).as_bytes()).short_hex(),
        }
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
        changed
            .vectors
            .insert(VectorField::Text, StoredVector::inline(&[1.0, 0.0]));
        assert_ne!(before, changed.source_digest("p1"));
        let mut changed = item.clone();
        changed.told = Some(Box::new(ToldPicture {
            content_hash: Some("ab".repeat(32)),
            ..ToldPicture::default()
        }));
        assert_ne!(before, changed.source_digest("p1"));
        let mut changed = item.clone();
        changed.text = Some(String::new());
        assert_ne!(before, changed.source_digest("p1"), "no text and an empty text differ");
        let mut changed = item.clone();
        changed.image.as_mut().unwrap().key = "moved/a.png".into();
        assert_ne!(before, changed.source_digest("p1"), "a row says where its picture lies");
        let within = |offset| {
            let mut within = item.clone();
            let path = "a.png".to_owned();
            within.member = Some(Box::new(TarMember { path, offset, size: 1 }));
            within.source_digest("p1")
        };
        assert_ne!(before, within(512));
        assert_ne!(within(512), within(1024), "two pictures of one tar differ");
        item.line = Some(7);
        assert_eq!(
            before,
            item.source_digest("p1"),
            "where a row stands in its manifest is not part of it"
        );
    }
    #[test]
    fn a_vector_that_is_carried_along_keeps_every_bit() {
        let values = [1.5, -0.0, f32::MIN_POSITIVE, 3.0e38];
        let stored = StoredVector::inline(&values);
        assert_eq!(stored.inline_values().unwrap().map_bits(), values.to_vec().map_bits());
        assert_eq!(stored.dimension(), 4);
        let damaged = StoredVector::Inline {
            values: "AAAAAAA=".into(),
        };
        assert_eq!(damaged.inline_values(), None);
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|value| value.to_bits()).collect()
        }
    }
}
