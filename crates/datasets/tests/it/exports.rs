//! Parquet tables with vectors in columns, as exports write them.

use crate::support::{Store, all};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use sightline_core::run::Columns;
use sightline_core::{Item, ManifestEntry, ManifestFormat, Source, StoredVector, VectorField, VectorsAt};
use sightline_datasets::ReaderOptions;
use std::sync::Arc;

const LIST: &str = "(LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }";

/// A row's key, and its picture's and its text's vector.
type Row = (Option<&'static str>, Option<[f32; 2]>, Option<[f32; 2]>);

/// A picture's vector, and a text's.
const ONE: Option<[f32; 2]> = Some([1.0, 0.0]);
const OTHER: Option<[f32; 2]> = Some([0.0, 1.0]);

/// A file with these row groups.
fn file(groups: &[&[Row]]) -> Vec<u8> {
    let schema = format!(
        "message items {{ OPTIONAL BYTE_ARRAY key (UTF8); OPTIONAL GROUP image_embedding {LIST} \
         OPTIONAL GROUP text_embedding {LIST} }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new())).unwrap();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let keys: Vec<ByteArray> = rows.iter().filter_map(|row| row.0).map(ByteArray::from).collect();
        let defined: Vec<i16> = rows.iter().map(|row| i16::from(row.0.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let written = column.typed::<ByteArrayType>();
        written.write_batch(&keys, Some(&defined), None).unwrap();
        column.close().unwrap();
        lists(&mut group, rows.iter().map(|row| row.1));
        lists(&mut group, rows.iter().map(|row| row.2));
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// Writes a column of lists, in which what is not there is a null.
fn lists(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, vectors: impl Iterator<Item = Option<[f32; 2]>>) {
    let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for vector in vectors {
        values.extend(vector.iter().flatten().copied());
        let (levels, starts) = match vector {
            Some(_) => (vec![2_i16, 2], vec![0_i16, 1]),
            None => (vec![0], vec![0]),
        };
        defined.extend(levels);
        repeated.extend(starts);
    }
    let mut column = group.next_column().unwrap().unwrap();
    let written = column.typed::<FloatType>();
    written.write_batch(&values, Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
}

/// An import of both sides of what lies at a path.
fn both(path: &str, format: ManifestFormat) -> Source {
    let column = |field: VectorField| {
        let name = field.as_str().to_owned();
        (field, VectorsAt::Column { name })
    };
    Source::Embeddings {
        path: path.into(),
        format,
        columns: Columns::default(),
        vectors: VectorField::ALL.into_iter().map(column).collect(),
        normalize: false,
    }
}

fn items(entries: Vec<ManifestEntry>) -> Vec<Item> {
    let item = |entry| match entry {
        ManifestEntry::Item(item) => item,
        ManifestEntry::Ended(ended) => panic!("{ended:?}"),
    };
    entries.into_iter().map(item).collect()
}

#[tokio::test]
async fn a_column_in_which_the_first_list_comes_late_is_a_missing_side_until_then_whatever_the_pages() {
    let none: Row = (None, ONE, None);
    let bytes = file(&[&[none; 3], &[none, none, (None, ONE, OTHER)], &[none]]);
    let store = Store::with(&[("m.parquet", &bytes)]).await;
    let source = both("m.parquet", ManifestFormat::Parquet);
    let whole = items(all(&store, &source, ReaderOptions::default(), 100).await.unwrap());
    let texts: Vec<_> = whole.iter().map(|item| &item.vectors[&VectorField::Text]).collect();
    let missing = StoredVector::Missing { dimension: 2 };
    let there = StoredVector::inline(&[0.0, 1.0]);
    assert_eq!(
        texts,
        [&missing, &missing, &missing, &missing, &missing, &there, &missing]
    );
    for limit in [1, 2, 3, 4] {
        let paged = all(&store, &source, ReaderOptions::default(), limit).await.unwrap();
        assert_eq!(items(paged), whole, "{limit} a page");
    }
}

#[tokio::test]
async fn of_a_table_with_an_empty_column_the_other_side_is_imported_and_one_without_any_vector_is_refused() {
    let bytes = file(&[&[(None, ONE, None); 3], &[(None, ONE, None)]]);
    let nothing = file(&[&[(None, None, None); 2]]);
    let store = Store::with(&[("m.parquet", &bytes), ("nothing.parquet", &nothing)]).await;
    for limit in [1, 100] {
        let source = both("m.parquet", ManifestFormat::Parquet);
        let found = items(all(&store, &source, ReaderOptions::default(), limit).await.unwrap());
        assert_eq!(found.len(), 4);
        for item in found {
            assert_eq!(item.vectors.into_keys().collect::<Vec<_>>(), [VectorField::Image]);
        }
        let source = both("nothing.parquet", ManifestFormat::Parquet);
        let error = all(&store, &source, ReaderOptions::default(), limit).await.unwrap_err();
        assert!(error.to_string().contains("no list of numbers in any row"), "{error}");
    }
}

#[tokio::test]
async fn the_tables_of_a_folder_are_read_as_one_and_a_side_that_only_a_later_one_has_is_missing_before() {
    let none: Row = (None, ONE, None);
    let first = file(&[&[(Some("a"), ONE, None), none]]);
    let (empty, last) = (file(&[]), file(&[&[none, (Some("b"), None, OTHER)]]));
    let inner = file(&[&[(Some("inner"), ONE, ONE)]]);
    let store = Store::with(&[
        ("x/items_0.parquet", &first),
        ("x/items_1.parquet", &empty),
        ("x/items_10.parquet", &last),
        ("x/inner/items_0.parquet", &inner),
        ("x/README.md", b"no table"),
        ("items_0.parquet", &inner),
    ])
    .await;
    for limit in [1, 2, 100] {
        let source = both("x/", ManifestFormat::Parquet);
        let found = items(all(&store, &source, ReaderOptions::default(), limit).await.unwrap());
        let keys: Vec<_> = found.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["a", "items_0/line:2", "items_10/line:1", "b"], "{limit} a page");
        let missing = StoredVector::Missing { dimension: 2 };
        let there = StoredVector::inline(&[0.0, 1.0]);
        let texts: Vec<_> = found.iter().map(|item| &item.vectors[&VectorField::Text]).collect();
        assert_eq!(texts, [&missing, &missing, &missing, &there]);
        assert_eq!(found[3].vectors[&VectorField::Image], missing);
    }
    let root = both("./", ManifestFormat::Parquet);
    let found = items(all(&store, &root, ReaderOptions::default(), 1).await.unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key.as_str(), "inner");
}

#[tokio::test]
async fn a_folder_without_tables_or_with_one_that_lacks_a_column_fails_by_name_before_the_first_row() {
    let good = file(&[&[(None, ONE, OTHER); 2]]);
    let schema = Arc::new(parse_message_type("message m { REQUIRED FLOAT other; }").unwrap());
    let bad = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new())).unwrap();
    let bad = bad.into_inner().unwrap();
    for (name, body) in [
        ("x/items_1.parquet", bad.as_slice()),
        ("x/items_2.parquet", b"PAR1".as_slice()),
    ] {
        let store = Store::with(&[("x/items_0.parquet", &good), (name, body)]).await;
        let source = both("x/", ManifestFormat::Parquet);
        let error = all(&store, &source, ReaderOptions::default(), 1).await.unwrap_err();
        assert!(error.to_string().contains(name) && !error.is_retryable(), "{error}");
        let source = both("y/", ManifestFormat::Parquet);
        let error = all(&store, &source, ReaderOptions::default(), 1).await.unwrap_err();
        assert!(error.to_string().contains("no .parquet file"), "{error}");
    }
}

#[tokio::test]
async fn a_column_that_no_line_of_jsonl_fills_may_be_misspelt_and_is_refused_by_its_name() {
    let rows = "{\"key\":\"a\",\"image_embedding\":[1.0,0.0],\"text_embeding\":[1.0,0.0]}\n";
    let store = Store::with(&[("m.jsonl", rows.as_bytes())]).await;
    let source = both("m.jsonl", ManifestFormat::Jsonl);
    let error = all(&store, &source, ReaderOptions::default(), 10).await.unwrap_err();
    assert!(error.to_string().contains("\"text_embedding\""), "{error}");
}
