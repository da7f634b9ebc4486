//! The filter parser under libFuzzer: what it reads shows itself so that it reads back the same, and is decided on a row;
//! what it refuses has its place and what was expected there. Nothing panics, nothing takes long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sightline_core::filter::{MAX_FILTER_BYTES, parse};
use sightline_core::{DatasetName, Item, ItemKey, Row, RunId, Timestamp};
use std::sync::LazyLock;

static ROW: LazyLock<Row> = LazyLock::new(|| {
    let dataset = DatasetName::new("chest").unwrap();
    let item = Item::new(ItemKey::new("k").unwrap());
    let run = RunId::of_request("a", "b");
    let row = Row::of_item(&item, &dataset, "s3://b", &run, "digest".into(), Timestamp(1_700_000_000_000));
    let attributes = r#"{"View Position": "PA", "age": 58, "smoker": true, "codes": ["a", "b"], "a.b": 1.5}"#;
    Row {
        uid: "1000".into(),
        report_text: "폐렴 소견".into(),
        labels: vec!["Pleural Effusion".into(), "폐렴".into()],
        attributes: serde_json::from_str(attributes).unwrap(),
        image_embedding: Some(vec![1.0]),
        ..row.unwrap()
    }
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(filter) => {
            let shown = filter.to_string();
            // What is shown is longer than what was read, and may nest more deeply.
            if shown.len() <= MAX_FILTER_BYTES {
                match parse(&shown) {
                    Ok(again) => assert_eq!(again, filter, "{text:?} shows as {shown:?}"),
                    Err(error) => assert!(error.expected.contains("nested parentheses"), "{text:?}: {error}"),
                }
            }
            std::hint::black_box(filter.matches(&ROW));
        }
        Err(error) => {
            assert!(error.position <= text.len(), "{error}");
            assert!(text.len() > MAX_FILTER_BYTES || text.is_char_boundary(error.position), "{error}");
            assert!(!error.expected.is_empty() && error.to_string().len() < 1000, "{error}");
        }
    }
});
