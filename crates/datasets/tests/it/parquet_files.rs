//! Parquet manifests.

use crate::support::{Store, all, manifest, shorts};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sightline_core::plan::Range;
use sightline_core::{ManifestEntry, ManifestFormat};
use sightline_datasets::{DatasetError, OpenTables, Page, Reader, ReaderOptions};
use sightline_objects::ObjectStore;
use std::sync::Arc;

/// Row groups of (image, caption, age); an empty caption is a null.
fn file(groups: &[&[(&str, &str, i64)]]) -> Vec<u8> {
    file_with(groups, WriterProperties::new())
}

fn file_with(groups: &[&[(&str, &str, i64)]], properties: WriterProperties) -> Vec<u8> {
    let schema =
        "message m { REQUIRED BYTE_ARRAY image (UTF8); OPTIONAL BYTE_ARRAY caption (UTF8); REQUIRED INT64 age; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
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

const ROWS: usize = 600;

/// A table of texts with two row groups of many pages each.
async fn many_pages() -> Arc<Store> {
    let names: Vec<String> = (0..ROWS).map(|row| format!("text {row}")).collect();
    let rows: Vec<(&str, &str, i64)> = names.iter().map(|name| ("", name.as_str(), 1)).collect();
    let (first, second) = rows.split_at(ROWS / 2);
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_write_batch_size(10)
        .set_data_page_row_count_limit(10);
    Store::counting(&[("m.parquet", &file_with(&[first, second], properties.build()))]).await
}

/// One page, read as any link's is: by a reader of its own, which shares no more than the tables.
async fn page(store: &Arc<Store>, tables: &Arc<OpenTables>, cursor: Option<&str>, limit: usize) -> Page {
    let store: Arc<dyn ObjectStore> = Arc::<Store>::clone(store);
    let source = manifest("m.parquet", ManifestFormat::Parquet);
    let reader = Reader::new(store, source, ReaderOptions::default()).with_tables(Arc::clone(tables));
    reader.page(&Range::default(), cursor, limit).await.unwrap()
}

async fn in_pages(store: &Arc<Store>, tables: &Arc<OpenTables>, limit: usize) -> Vec<ManifestEntry> {
    let (mut entries, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(store, tables, cursor.as_deref(), limit).await;
        entries.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return entries;
        }
    }
}

#[tokio::test]
async fn pages_that_follow_each_other_read_and_decode_a_row_group_once() {
    let store = many_pages().await;
    let whole = in_pages(&store, &Arc::default(), ROWS).await;
    let at_once = store.ranges();
    assert_eq!(whole.len(), ROWS);
    for limit in [7, 100, 299] {
        assert_eq!(in_pages(&store, &Arc::default(), limit).await, whole);
        assert_eq!(store.ranges(), at_once, "{limit} a page");
    }
    // Nothing may be kept: every page reads all that lies before it in its row group.
    assert_eq!(in_pages(&store, &Arc::new(OpenTables::new(8, 0)), 100).await, whole);
    assert!(store.ranges() > at_once * 3 / 2, "tables were kept beyond the bound");
}

#[tokio::test]
async fn runs_that_read_one_table_side_by_side_and_a_cursor_that_is_used_again_get_their_own_rows() {
    let store = many_pages().await;
    let whole = in_pages(&store, &Arc::default(), ROWS).await;
    let tables = Arc::default();
    let (mut ahead, mut behind) = (
        page(&store, &tables, None, 90).await,
        page(&store, &tables, None, 40).await,
    );
    let (mut first, mut second) = (ahead.entries.clone(), behind.entries.clone());
    while let (Some(one), Some(other)) = (&ahead.next, &behind.next) {
        ahead = page(&store, &tables, Some(one), 90).await;
        let again = page(&store, &Arc::default(), Some(other), 40).await;
        behind = page(&store, &tables, Some(other), 40).await;
        assert_eq!(again, behind);
        first.extend(ahead.entries.clone());
        second.extend(behind.entries.clone());
    }
    assert_eq!(first, whole);
    assert_eq!(second, whole[..second.len()]);
}
