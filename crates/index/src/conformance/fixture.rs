//! Descriptions and rows made from numbers.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sightline_core::{
    BoundingBox, Canary, CollectionDescription, CollectionName, DatasetName, FieldDescription, IndexKind, ItemKey,
    ModelName, Row, RowId, RunId, Timestamp, VectorField, VectorSpace, vector,
};
use std::collections::BTreeMap;

/// Texts that break what is not written with care.
pub const HOSTILE: [&str; 20] = [
    "",
    "\"",
    "'",
    "\\",
    "\\\"",
    "' OR '1'='1",
    "\" or id != \"",
    "x\"); DROP TABLE rows; --",
    "a\nb\r\tc",
    "{id}",
    "100%_",
    "폐렴 의심 소견",
    "🩻👩🏽‍⚕️",
    "Ünïcödé\u{202e}abc",
    "\u{1}\u{7f}",
    "/a~b~1",
    "[0]",
    "true",
    "null",
    "5",
];

/// A checked collection name.
#[must_use]
pub fn collection_name(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

/// A description whose fields hold spaces of a made-up model.
#[must_use]
pub fn description(
    name: &CollectionName,
    fields: &[VectorField],
    dimension: u32,
    index: IndexKind,
) -> CollectionDescription {
    let space = |field: VectorField| VectorSpace {
        model: ModelName::new("conformance").unwrap(),
        weights: format!("weights of {field}"),
        preprocessing: "{}".into(),
        decode: "exact".into(),
        pooling: "mean".into(),
        prefix: String::new(),
        dimension,
        normalized: true,
    };
    let canaries = || {
        vec![Canary {
            input: "grey".into(),
            vector: unit_vector(7, dimension),
        }]
    };
    CollectionDescription {
        name: name.clone(),
        fields: fields
            .iter()
            .map(|field| (*field, FieldDescription::new(space(*field), canaries())))
            .collect(),
        index,
    }
}

/// A vector of length 1 that depends on the seed only.
#[must_use]
pub fn unit_vector(seed: u64, dimension: u32) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut values: Vec<f32> = (0..dimension).map(|_| random.random_range(-1.0..1.0)).collect();
    vector::normalize(&mut values).unwrap();
    values
}

/// Row number `number` of a dataset, with vectors for these fields. Rows differ in every column; some have no labels,
/// no boxes, or no attributes.
#[must_use]
pub fn row(number: u64, fields: &[VectorField], dimension: u32) -> Row {
    let dataset = DatasetName::new("conformance").unwrap();
    let key = format!("folder/{number:06}.png");
    let hostile = |offset: u64| HOSTILE[usize::try_from((number + offset) % 20).unwrap()].to_owned();
    let embedding = |field: VectorField, seed| fields.contains(&field).then(|| unit_vector(seed, dimension));
    Row {
        id: RowId::of_item(&dataset, &ItemKey::new(key.as_str()).unwrap()),
        key,
        image_id: format!("image-{}", number % 17),
        uid: hostile(3),
        filename: format!("{number:06}.png"),
        image_path: format!("s3://bucket/path/{number:06}.png"),
        report_text: format!("report {} {}", number, hostile(0)),
        labels: (0..number % 4).map(|index| hostile(index * 7 + 1)).collect(),
        boxes: (0..number % 3).map(|index| a_box(number + index)).collect(),
        attributes: attributes(number),
        dataset,
        content_hash: format!("{number:064x}"),
        source_digest: format!("{number:032x}"),
        run_id: RunId::of_request("conformance", &(number % 3).to_string()),
        indexed_at: Timestamp(1_700_000_000_000 + number),
        image_embedding: embedding(VectorField::Image, number * 2 + 1),
        text_embedding: embedding(VectorField::Text, number * 2 + 2),
    }
}

fn a_box(number: u64) -> BoundingBox {
    let number = f64::from(u32::try_from(number).unwrap());
    BoundingBox {
        label: format!("finding {number}"),
        x: number / 3.0,
        y: 0.1 + number,
        width: 86.779_661_016_949_1,
        height: 1e-7 + number,
    }
}

/// Attributes of every type, each missing, or of another type, in some rows.
fn attributes(number: u64) -> BTreeMap<String, Value> {
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    let hostile = HOSTILE[usize::try_from(number % 20).unwrap()];
    match number % 5 {
        0 => put("age", json!(number)),
        1 => put("age", json!(number as f64 / 7.0)),
        2 => put("age", json!(number.to_string())),
        3 => put("age", json!(-5)),
        _ => None,
    };
    if number.is_multiple_of(2) {
        put(
            "View Position",
            json!(if number.is_multiple_of(4) { "PA" } else { "AP" }),
        );
    }
    match number % 7 {
        0 => put("smoker", json!(true)),
        1 => put("smoker", json!(false)),
        2 => put("smoker", json!("true")),
        _ => None,
    };
    if number.is_multiple_of(3) {
        put("note", json!(hostile));
    }
    if number.is_multiple_of(11) {
        put("list", json!(["a", "b"]));
    }
    // A name for each hostile text that can be one.
    if !hostile.is_empty() {
        put(hostile, json!(hostile));
    }
    put("large", json!(9_007_199_254_740_992_u64 + number % 4));
    put("small", json!(1e-300 * (number as f64)));
    attributes
}

/// Rows 0 to `count`, with vectors for these fields.
#[must_use]
pub fn rows(count: u64, fields: &[VectorField], dimension: u32) -> Vec<Row> {
    (0..count).map(|number| row(number, fields, dimension)).collect()
}

/// The row without its vectors, as it is read without them.
#[must_use]
pub fn without_vectors(row: &Row) -> Row {
    Row {
        image_embedding: None,
        text_embedding: None,
        ..row.clone()
    }
}

/// Ids of rows, sorted.
#[must_use]
pub fn sorted_ids<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<RowId> {
    let mut ids: Vec<RowId> = rows.into_iter().map(|row| row.id.clone()).collect();
    ids.sort();
    ids
}
