//! Rows and collections for tests.

use crate::encoder::{field, vector_of};
use sightline_core::{
    CollectionDescription, CollectionName, DatasetName, IndexKind, Item, ItemKey, Row, RowId, RunId, Timestamp,
    VectorField,
};

pub(crate) fn collection(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

/// A collection of these sides of model `counter`.
pub(crate) fn described(name: &str, sides: &[VectorField]) -> CollectionDescription {
    let of = |side: &VectorField| {
        let word = if *side == VectorField::Image { "image" } else { "text" };
        (*side, field("counter", word, b"canary"))
    };
    CollectionDescription {
        name: collection(name),
        fields: sides.iter().map(of).collect(),
        index: IndexKind::by_size(0),
    }
}

pub(crate) fn row_id(key: &str) -> RowId {
    RowId::of_item(&DatasetName::new("d").unwrap(), &ItemKey::new(key).unwrap())
}

/// A row without vectors.
pub(crate) fn bare_row(key: &str) -> Row {
    let item = Item::new(ItemKey::new(key).unwrap());
    let run = RunId::of_request("test", "1");
    Row::of_item(
        &item,
        &DatasetName::new("d").unwrap(),
        "s3://b",
        &run,
        "x".into(),
        Timestamp(1_500),
    )
    .unwrap()
}

/// A row with the vectors of a picture and of a text.
pub(crate) fn row(key: &str, image: Option<&str>, text: Option<&str>) -> Row {
    let vector = |input: &str| vector_of(input.as_bytes());
    Row {
        image_embedding: image.map(vector),
        text_embedding: text.map(vector),
        report_text: text.unwrap_or_default().into(),
        ..bare_row(key)
    }
}
