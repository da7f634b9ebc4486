//! Parquet manifests.

use crate::support::{Store, all, manifest, shorts};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sightline_core::{ManifestEntry, ManifestFormat};
use sightline_datasets::{DatasetError, ReaderOptions};
use std::sync::Arc;

/// Row groups of (image, caption, age); an empty caption is a null.
fn file(groups: &[&[(&str, &str, i64)]]) -> Vec<u8> {
    let schema =
        "message m { REQUIRED BYTE_ARRAY image (UTF8); OPTIONAL BYTE_ARRAY caption (UTF8); REQUIRED INT64 age; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    for group in groups {
        let mut rows = writer.next_row_group().unwrap();
        let images: Vec<ByteArray> = group.iter().map(|row| row.0.as_bytes().to_vec().into()).collect();
        let captions: Vec<ByteArray> = group
            .iter()
            .filter(|row| !row.1.is_empty())
            .map(|row| row.1.as_bytes().to_vec().into())
            .collect();
        let defined: Vec<i16> = group.iter().map(|row| i16::from(!row.1.is_empty())).collect();
        let ages: Vec<i64> = group.iter().map(|row| row.2).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&images, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&captions, Some(&defined), None)
            .unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ages, None, None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn a_parquet_manifest_is_read_by_row_groups_in_pages_of_any_size() {
    let bytes = file(&[
        &[("a.png", "one", 1), ("gone.png", "two", 2), ("b.png", "", 3)],
        &[],
        &[("c.png", "사진", -4), ("../x.png", "five", 5)],
    ]);
    let store = Store::with(&[
        ("m.parquet", &bytes),
        ("a.png", b"1"),
        ("b.png", b"22"),
        ("c.png", b"333"),
    ])
    .await;
    let source = manifest("m.parquet", ManifestFormat::Parquet);
    let whole = all(&store, &source, ReaderOptions::default(), 100).await.unwrap();
    assert_eq!(
        shorts(&whole),
        [
            "a.png@1 item 1 one",
            "gone.png@2 failed not_found",
            "b.png@3 item 2 -",
            "c.png@4 item 3 사진",
            "../x.png@5 failed invalid_row",
        ]
    );
    let ManifestEntry::Item(item) = &whole[3] else {
        panic!("an item")
    };
    assert_eq!(item.attributes["age"], -4);
    for limit in [1, 2, 3] {
        let tiny = ReaderOptions {
            chunk_bytes: 16,
            ..ReaderOptions::default()
        };
        assert_eq!(
            all(&store, &source, tiny, limit).await.unwrap(),
            whole,
            "{limit} a page"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_no_parquet_or_is_cut_is_an_error_that_says_so() {
    let bytes = file(&[&[("a.png", "one", 1)]]);
    let cut = &bytes[..bytes.len() - 10];
    let store = Store::with(&[
        ("text.parquet", b"image\na.png\n"),
        ("cut.parquet", cut),
        ("empty.parquet", b""),
    ])
    .await;
    for path in ["text.parquet", "cut.parquet", "empty.parquet", "gone.parquet"] {
        let source = manifest(path, ManifestFormat::Parquet);
        let error = all(&store, &source, ReaderOptions::default(), 10).await.unwrap_err();
        assert!(matches!(error, DatasetError::Unreadable { .. }), "{path}: {error}");
        assert!(!error.is_retryable());
    }
}
