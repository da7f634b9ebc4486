//! Collections as people read them.

use crate::text::{bytes, count, id_of, items, plain};
use sightline_proto::v1;

/// A count of a collection; `-` of one that is not in the index's memory and so was not counted.
pub(super) fn counted(collection: &v1::Collection, number: i64) -> String {
    if collection.loaded { count(number) } else { "-".into() }
}

/// How many rows a collection has, in words.
pub(super) fn rows(collection: &v1::Collection) -> String {
    if collection.loaded {
        items(collection.row_count)
    } else {
        "all its items, which are not counted: it is not in the index's memory".into()
    }
}

/// A collection in a few lines.
pub(super) fn text(collection: &v1::Collection) -> String {
    let mut lines = vec![
        format!(
            "{}: {}",
            id_of(&collection.name, "collections"),
            items(collection.row_count)
        ),
        format!(
            "  with a picture {}, with a text {}",
            count(collection.image_count),
            count(collection.text_count)
        ),
        format!(
            "  index {}, {} of vectors",
            plain(&collection.index),
            bytes(collection.vector_bytes)
        ),
    ];
    if !collection.loaded {
        lines = vec![format!(
            "{}: not in the index's memory, and not counted; index {}",
            id_of(&collection.name, "collections"),
            plain(&collection.index)
        )];
    }
    if !collection.aliases.is_empty() {
        let names = collection.aliases.iter().map(|alias| id_of(alias, "aliases"));
        lines.push(format!("  alias {}", names.collect::<Vec<_>>().join(", ")));
    }
    for field in &collection.fields {
        let served = if field.served {
            ""
        } else {
            "; this gateway has no such model: it can be searched by item and by vector only"
        };
        let print: String = field.fingerprint.chars().take(12).collect();
        lines.push(format!(
            "  {}: {} numbers by {} ({print}…){served}",
            plain(&field.field),
            field.dimension,
            plain(&field.model)
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_not_shown_as_no_rows() {
        let released = v1::Collection::default();
        assert_eq!(counted(&released, released.row_count), "-");
        assert!(rows(&released).contains("not counted"));
        let empty = v1::Collection {
            loaded: true,
            ..v1::Collection::default()
        };
        assert_eq!([counted(&empty, 0), counted(&empty, 1200)], ["0", "1,200"]);
    }

    #[test]
    fn vectors_of_a_model_that_is_not_served_are_searched_by_item_too() {
        let field = v1::collection::Field {
            field: "image_embedding".into(),
            dimension: 8,
            model: "other".into(),
            fingerprint: "ab".into(),
            ..v1::collection::Field::default()
        };
        let collection = v1::Collection {
            name: "collections/xrays".into(),
            fields: vec![field],
            loaded: true,
            ..v1::Collection::default()
        };
        let text = text(&collection);
        assert!(text.contains("it can be searched by item and by vector only"), "{text}");
    }
}
