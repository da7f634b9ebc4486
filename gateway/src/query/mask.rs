//! Which of an item's fields are returned.

use super::violations::Violations;
use std::collections::BTreeSet;

/// The names of `Item`'s fields, in the order of the proto.
pub(crate) const ITEM_FIELDS: [&str; 20] = [
    "id",
    "key",
    "dataset",
    "image_id",
    "uid",
    "filename",
    "image_path",
    "report_text",
    "labels",
    "boxes",
    "attributes",
    "content_hash",
    "source_digest",
    "run",
    "index_time",
    "has_image",
    "has_text",
    "image_embedding",
    "text_embedding",
    "preview_uri",
];
const VECTORS: [&str; 2] = ["image_embedding", "text_embedding"];

/// The fields that are returned. The id always is: an item without it can be asked for by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadMask(BTreeSet<&'static str>);

impl ReadMask {
    /// The named fields; all but the vectors where none is named.
    pub(crate) fn parse(names: &[String], violations: &mut Violations) -> Self {
        if names.is_empty() {
            return Self(ITEM_FIELDS.into_iter().filter(|name| !VECTORS.contains(name)).collect());
        }
        let mut fields = BTreeSet::from(["id"]);
        for (position, name) in names.iter().enumerate() {
            match ITEM_FIELDS.into_iter().find(|known| known == name) {
                Some(known) => {
                    fields.insert(known);
                }
                None => {
                    let name: String = name.chars().take(100).collect();
                    let known = ITEM_FIELDS.join(", ");
                    violations.add(
                        format!("fields[{position}]"),
                        format!("{name:?} is no field of an item: {known}"),
                    );
                }
            }
        }
        Self(fields)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.contains(field)
    }

    /// Whether a vector is among them.
    pub(crate) fn has_vectors(&self) -> bool {
        VECTORS.iter().any(|vector| self.has(vector))
    }

    /// Whether anything is that the id alone does not tell.
    pub(crate) fn is_more_than_id(&self) -> bool {
        self.0.len() > 1
    }
}
