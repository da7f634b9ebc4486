//! Tables beside vectors that were made elsewhere.

use crate::support::{Store, all};
use parquet::data_type::{ByteArrayType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sightline_core::plan::Range;
use sightline_core::run::Columns;
use sightline_core::{
    FailureReason, Item, ManifestEntry, ManifestFormat, Outcome, SkipReason, Source, StoredVector, VectorField,
    VectorsAt,
};
use sightline_datasets::{Reader, ReaderOptions, pin_again};
use sightline_npy::NpyWriter;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

const REPORTS: &str = "uid,filename,image_path,report\n\
    7,a.png,a.png,\"two\nlines\"\n\
    7,b.png,/data/xrays/b.png,\n\
    9,c.png,c.png,normal\n";

fn array(rows: &[[f32; 2]]) -> Vec<u8> {
    let mut writer = NpyWriter::<_, f32>::new(Cursor::new(Vec::new()), &[2]).unwrap();
    for row in rows {
        writer.push(row).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn source(path: &str, format: ManifestFormat, vectors: &[(VectorField, VectorsAt)]) -> Source {
    Source::Embeddings {
        path: path.into(),
        format,
        columns: Columns::default(),
        vectors: vectors.iter().cloned().collect(),
        normalize: false,
    }
}

fn at(path: &str) -> VectorsAt {
    VectorsAt::Array { path: path.into() }
}

fn column(name: &str) -> VectorsAt {
    VectorsAt::Column { name: name.into() }
}

fn items(entries: &[ManifestEntry]) -> Vec<&Item> {
    entries
        .iter()
        .map(|entry| match entry {
            ManifestEntry::Item(item) => item,
            ManifestEntry::Ended(ended) => panic!("{ended:?}"),
        })
        .collect()
}

/// The numbers that a vector points at.
fn read(file: &[u8], vector: &StoredVector) -> Vec<f32> {
    let StoredVector::Row { offset, dimension, .. } = vector else {
        return vector.inline_values().unwrap();
    };
    let from = usize::try_from(*offset).unwrap();
    let bytes = &file[from..from + *dimension as usize * 4];
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

#[tokio::test]
async fn a_row_has_the_vectors_in_its_place_whatever_the_pages_and_its_picture_is_only_named() {
    let (images, texts) = (
        array(&[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]),
        array(&[[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]),
    );
    let store = Store::with(&[("m.csv", REPORTS.as_bytes()), ("i.npy", &images), ("t.npy", &texts)]).await;
    let vectors = [(VectorField::Image, at("i.npy")), (VectorField::Text, at("t.npy"))];
    let source = source("m.csv", ManifestFormat::Csv, &vectors);
    let whole = all(&store, &source, ReaderOptions::default(), 100).await.unwrap();
    for limit in [1, 2] {
        assert_eq!(
            all(&store, &source, ReaderOptions::default(), limit).await.unwrap(),
            whole
        );
    }
    let items = items(&whole);
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(keys, ["a.png", "/data/xrays/b.png", "c.png"]);
    assert_eq!(items[0].text.as_deref(), Some("two\nlines"));
    assert_eq!(items[0].image.as_ref().unwrap().etag, "");
    assert_eq!(
        (items[1].image.is_none(), &items[1].attributes["image_path"]),
        (true, &"/data/xrays/b.png".into())
    );
    assert_eq!(read(&images, &items[2].vectors[&VectorField::Image]), [0.6, 0.8]);
    assert_eq!(read(&texts, &items[0].vectors[&VectorField::Text]), [0.0, 1.0]);
}

#[tokio::test]
async fn arrays_that_do_not_fit_the_table_fail_before_the_first_row_by_what_is_wrong() {
    let good = array(&[[1.0, 0.0]; 3]);
    let short = array(&[[1.0, 0.0]; 2]);
    let cut = &good[..good.len() - 1];
    let store = Store::with(&[
        ("m.csv", REPORTS.as_bytes()),
        ("short.npy", &short),
        ("cut.npy", cut),
        ("none.npy", b"PK"),
    ])
    .await;
    for (path, expected) in [
        ("short.npy", "has 2 rows and \"m.csv\" has 3"),
        ("cut.npy", "was cut short"),
        ("none.npy", "numpy.save"),
        ("gone.npy", "does not exist"),
    ] {
        let source = source("m.csv", ManifestFormat::Csv, &[(VectorField::Image, at(path))]);
        let error = all(&store, &source, ReaderOptions::default(), 1).await.unwrap_err();
        assert!(
            error.to_string().contains(expected) && !error.is_retryable(),
            "{path}: {error}"
        );
    }
}

#[tokio::test]
async fn an_array_that_is_replaced_while_it_is_read_is_an_error_and_a_retry_takes_nothing_from_the_new_one() {
    let images = array(&[[1.0, 0.0]; 3]);
    let store = Store::with(&[("m.csv", REPORTS.as_bytes()), ("i.npy", &images)]).await;
    let source = source("m.csv", ManifestFormat::Csv, &[(VectorField::Image, at("i.npy"))]);
    let reader = sightline_datasets::Reader::new(Arc::clone(&store), source.clone(), ReaderOptions::default());
    let range = sightline_core::Range::default();
    let page = reader.page(&range, None, 1).await.unwrap();
    let other = array(&[[0.0, 1.0]; 3]);
    store.put("i.npy", other.into()).await.unwrap();
    let error = reader.page(&range, page.next.as_deref(), 1).await.unwrap_err();
    assert!(error.to_string().contains("was replaced"), "{error}");

    for (gone, reason, said) in [
        (
            false,
            SkipReason::Changed,
            "\"i.npy\": the arrays changed since the run was planned: start a new import",
        ),
        (true, SkipReason::Gone, "\"i.npy\" was deleted"),
    ] {
        if gone {
            store.delete("i.npy").await.unwrap();
        }
        let again = pin_again(store.as_ref(), page.entries.clone(), 4).await.unwrap();
        let [ManifestEntry::Ended(ended)] = &again[..] else {
            panic!("{again:?}")
        };
        assert_eq!((ended.key.as_str(), ended.line), ("a.png", Some(2)));
        let Outcome::Skipped { reason: found, message } = &ended.outcome else {
            panic!("{ended:?}")
        };
        assert!(*found == reason && message.contains(said), "{ended:?}");
    }
}

#[tokio::test]
async fn an_item_that_is_tried_again_never_gets_the_vector_of_the_row_that_took_its_place() {
    let images = array(&[[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]]);
    let store = Store::with(&[("m.csv", REPORTS.as_bytes()), ("i.npy", &images)]).await;
    let source = source("m.csv", ManifestFormat::Csv, &[(VectorField::Image, at("i.npy"))]);
    let planned = all(&store, &source, ReaderOptions::default(), 100).await.unwrap();
    let failed = vec![planned[1].clone()];
    assert_eq!(pin_again(store.as_ref(), failed.clone(), 4).await.unwrap(), failed);

    // The row that failed is dropped from both files: the one behind it stands in its place now.
    let shorter = array(&[[1.0, 0.0], [0.0, 1.0]]);
    store.put("i.npy", shorter.into()).await.unwrap();
    let rows = REPORTS.replace("7,b.png,/data/xrays/b.png,\n", "");
    store.put("m.csv", rows.into()).await.unwrap();
    let again = pin_again(store.as_ref(), failed, 4).await.unwrap();
    assert!(matches!(&again[..], [ManifestEntry::Ended(_)]), "{again:?}");
}

#[tokio::test]
async fn lists_in_a_column_are_vectors_and_one_of_another_length_is_its_row_s_failure() {
    let rows = "{\"key\":\"a\",\"v\":[1.0,0.0],\"age\":3}\n\
        {\"key\":\"b\",\"v\":null}\n\
        {\"key\":\"c\",\"v\":[1.0,0.0,0.0]}\n\
        {\"key\":\"d\",\"v\":\"no list\"}\n\
        {\"key\":\"f\",\"v\":[null,1.0]}\n\
        {\"key\":\"e\",\"v\":[0.0,1.0]}\n";
    let store = Store::with(&[("m.jsonl", rows.as_bytes())]).await;
    let source = source("m.jsonl", ManifestFormat::Jsonl, &[(VectorField::Text, column("v"))]);
    let entries = all(&store, &source, ReaderOptions::default(), 2).await.unwrap();
    let ended = |entry: &ManifestEntry| match entry {
        ManifestEntry::Item(item) => Ok(item.vectors[&VectorField::Text].clone()),
        ManifestEntry::Ended(ended) => Err(match &ended.outcome {
            Outcome::Failed { reason, message, .. } => {
                assert!(message.contains("its \"v\" "), "the column is named: {message}");
                *reason
            }
            other => panic!("{other:?}"),
        }),
    };
    let found: Vec<_> = entries.iter().map(ended).collect();
    assert_eq!(
        found,
        [
            Ok(StoredVector::inline(&[1.0, 0.0])),
            Ok(StoredVector::Missing { dimension: 2 }),
            Err(FailureReason::InvalidVector),
            Err(FailureReason::InvalidRow),
            Err(FailureReason::InvalidVector),
            Ok(StoredVector::inline(&[0.0, 1.0])),
        ]
    );
    let ManifestEntry::Item(first) = &entries[0] else {
        panic!()
    };
    assert_eq!(first.attributes, BTreeMap::from([("age".into(), 3.into())]));
}

#[tokio::test]
async fn a_list_that_f32_cannot_hold_is_no_list_of_zeros() {
    let rows = "{\"key\":\"a\",\"v\":[3e-300,-4e-300]}\n{\"key\":\"b\",\"v\":[0.0,0.0]}\n";
    let store = Store::with(&[("m.jsonl", rows.as_bytes())]).await;
    let source = source("m.jsonl", ManifestFormat::Jsonl, &[(VectorField::Text, column("v"))]);
    let entries = all(&store, &source, ReaderOptions::default(), 2).await.unwrap();
    let vectors: Vec<_> = items(&entries)
        .iter()
        .map(|item| item.vectors[&VectorField::Text].inline_values().unwrap())
        .collect();
    assert!(vectors[0][0] > 0.0 && vectors[0][1] < 0.0, "{vectors:?}");
    assert_eq!(vectors[1], [0.0, 0.0]);
}

/// A Parquet file of captions and vectors.
fn table(rows: &[(&str, [f32; 2])]) -> Vec<u8> {
    let schema = "message m { REQUIRED BYTE_ARRAY caption (UTF8); \
                  OPTIONAL GROUP v (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let captions: Vec<_> = rows.iter().map(|row| row.0.as_bytes().to_vec().into()).collect();
    let values: Vec<f32> = rows.iter().flat_map(|row| row.1).collect();
    let definitions = vec![2_i16; values.len()];
    let repetitions: Vec<i16> = rows.iter().flat_map(|_| [0, 1]).collect();
    let mut next = group.next_column().unwrap().unwrap();
    next.typed::<ByteArrayType>()
        .write_batch(&captions, None, None)
        .unwrap();
    next.close().unwrap();
    let mut next = group.next_column().unwrap().unwrap();
    let written = next.typed::<FloatType>();
    written
        .write_batch(&values, Some(&definitions), Some(&repetitions))
        .unwrap();
    next.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn a_folder_of_clip_retrieval_is_read_part_by_part() {
    let (first, second) = (
        table(&[("one", [0.1, 0.2]), ("two", [0.3, 0.4])]),
        table(&[("three", [0.5, 0.6])]),
    );
    let (images_0, images_1) = (array(&[[1.0, 0.0], [0.0, 1.0]]), array(&[[0.6, 0.8]]));
    let store = Store::with(&[
        ("out/metadata/metadata_0.parquet", &first),
        ("out/metadata/metadata_1.parquet", &second),
        ("out/metadata/README.md", b"no part"),
        ("out/img_emb/img_emb_0.npy", &images_0),
        ("out/img_emb/img_emb_1.npy", &images_1),
    ])
    .await;
    let clip = |folder: &str| Source::ClipRetrieval {
        folder: folder.into(),
        fields: vec![VectorField::Image],
        normalize: false,
    };
    for limit in [1, 2, 100] {
        let entries = all(&store, &clip("out/"), ReaderOptions::default(), limit)
            .await
            .unwrap();
        let items = items(&entries);
        let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["metadata_0/line:1", "metadata_0/line:2", "metadata_1/line:1"]);
        assert_eq!(items[2].text.as_deref(), Some("three"));
        assert_eq!(read(&images_1, &items[2].vectors[&VectorField::Image]), [0.6, 0.8]);
    }
    let error = all(&store, &clip("other"), ReaderOptions::default(), 1)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("metadata_N.parquet"), "{error}");
    let parquet = source(
        "out/metadata/metadata_0.parquet",
        ManifestFormat::Parquet,
        &[(VectorField::Text, column("v"))],
    );
    let entries = all(&store, &parquet, ReaderOptions::default(), 1).await.unwrap();
    let vectors: Vec<_> = items(&entries)
        .iter()
        .map(|item| read(&[], &item.vectors[&VectorField::Text]))
        .collect();
    assert_eq!(vectors, [[0.1, 0.2], [0.3, 0.4]]);
}

/// A file that is taken away, one that is put there, and what the error says.
type Change<'a> = (&'a str, Option<(&'a str, &'a [u8])>, &'a [&'a str]);

#[tokio::test]
async fn parts_of_clip_retrieval_that_lack_a_file_or_rows_fail_by_name_before_the_first_row() {
    let (metadata, vectors) = (
        table(&[("one", [0.1, 0.2]), ("two", [0.3, 0.4])]),
        array(&[[1.0, 0.0], [0.0, 1.0]]),
    );
    let short = array(&[[1.0, 0.0]]);
    let whole: Vec<(String, &[u8])> = (0..3)
        .flat_map(|number| {
            [
                (format!("metadata/metadata_{number}.parquet"), metadata.as_slice()),
                (format!("img_emb/img_emb_{number}.npy"), vectors.as_slice()),
                (format!("text_emb/text_emb_{number}.npy"), vectors.as_slice()),
            ]
        })
        .collect();
    let both = Source::ClipRetrieval {
        folder: String::new(),
        fields: VectorField::ALL.to_vec(),
        normalize: false,
    };
    let mut longer = NpyWriter::<_, f32>::new(Cursor::new(Vec::new()), &[3]).unwrap();
    for _ in 0..2 {
        longer.push(&[1.0, 0.0, 0.0]).unwrap();
    }
    let longer = longer.finish().unwrap().into_inner();
    let changes: [Change<'_>; 6] = [
        ("", None, &[]),
        (
            "metadata/metadata_1.parquet",
            None,
            &["img_emb/img_emb_1.npy", "metadata/metadata_1.parquet"],
        ),
        (
            "",
            Some(("text_emb/text_emb_99.npy", &vectors)),
            &["text_emb/text_emb_99.npy", "metadata/metadata_99.parquet"],
        ),
        (
            "img_emb/img_emb_2.npy",
            None,
            &["img_emb/img_emb_2.npy", "does not exist"],
        ),
        (
            "text_emb/text_emb_2.npy",
            Some(("text_emb/text_emb_2.npy", &short)),
            &["text_emb/text_emb_2.npy", "1 rows", "has 2"],
        ),
        (
            "text_emb/text_emb_1.npy",
            Some(("text_emb/text_emb_1.npy", &longer)),
            &["text_emb/text_emb_1.npy", "3 values", "text_emb/text_emb_0.npy 2"],
        ),
    ];
    for (without, with, said) in changes {
        let kept = whole.iter().filter(|(path, _)| path != without);
        let mut files: Vec<(&str, &[u8])> = kept.map(|(path, body)| (path.as_str(), *body)).collect();
        files.extend(with);
        let store = Store::with(&files).await;
        let reader = Reader::new(store, both.clone(), ReaderOptions::default());
        let first = reader.page(&Range::default(), None, 1).await;
        let Some(path) = said.first() else {
            assert_eq!(first.unwrap().entries.len(), 1);
            continue;
        };
        let error = first.unwrap_err();
        assert!(
            said.iter().all(|part| error.to_string().contains(part)),
            "{path}: {error}"
        );
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn of_a_side_that_nothing_has_the_error_says_how_to_leave_it_out() {
    let (metadata, images) = (table(&[("one", [0.1, 0.2])]), array(&[[1.0, 0.0]]));
    let store = Store::with(&[
        ("metadata/metadata_0.parquet", &metadata),
        ("img_emb/img_emb_0.npy", &images),
        ("items_0.parquet", &metadata),
    ])
    .await;
    let clip = Source::ClipRetrieval {
        folder: String::new(),
        fields: VectorField::ALL.to_vec(),
        normalize: false,
    };
    let columns = |path: &str| {
        let vectors = [
            (VectorField::Image, column("v")),
            (VectorField::Text, column("text_embedding")),
        ];
        source(path, ManifestFormat::Parquet, &vectors)
    };
    for (source, said) in [
        (clip, ["\"text_emb/text_emb_N.npy\"", "--fields image"]),
        (
            columns("items_0.parquet"),
            ["\"text_embedding\"", "leave --text-column out"],
        ),
        (columns("./"), ["\"text_embedding\"", "leave --text-column out"]),
    ] {
        let error = all(&store, &source, ReaderOptions::default(), 1).await.unwrap_err();
        assert!(said.iter().all(|part| error.to_string().contains(part)), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_folder_of_tables_without_arrays_is_told_that_it_has_none_and_not_to_try_the_other_side() {
    let metadata = table(&[("one", [0.1, 0.2])]);
    let store = Store::with(&[("out/metadata/metadata_0.parquet", &metadata)]).await;
    for fields in [&VectorField::ALL[..], &[VectorField::Image], &[VectorField::Text]] {
        let clip = Source::ClipRetrieval {
            folder: "out".into(),
            fields: fields.to_vec(),
            normalize: false,
        };
        let error = all(&store, &clip, ReaderOptions::default(), 1).await.unwrap_err();
        let said = error.to_string();
        for name in ["out/img_emb/img_emb_N.npy", "out/text_emb/text_emb_N.npy"] {
            assert!(said.contains(name), "{said}");
        }
        assert!(!said.contains("--fields"), "{said}");
        assert!(!error.is_retryable());
    }
}
