//! CSV and JSONL manifests.

use crate::support::{Store, all, manifest, shorts};
use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop};
use sightline_core::plan::Range;
use sightline_core::run::Columns;
use sightline_core::{ManifestEntry, ManifestFormat, Source};
use sightline_datasets::{DatasetError, ReaderOptions, read_page};
use std::sync::Arc;

const TINY: ReaderOptions = ReaderOptions {
    max_row_bytes: 200,
    max_boxes_bytes: 1000,
    chunk_bytes: 7,
    lookups: 2,
};

#[tokio::test]
async fn each_mistake_in_a_csv_row_is_that_rows_failure_with_its_line() {
    let mut csv = b"\xEF\xBB\xBFimage,caption,age\r\n\
        a.png,\"one, \"\"two\"\"\r\nthree\",47\r\n\
        gone.png,x,1\r\n\
        \r\n\
        a.png,again,1\r\n\
        too,few\r\n\
        bad\xFF.png,x,1\r\n\
        ../out.png,x,1\r\n\
        denied.png,x,1\r\n\
        scan.pdf,x,1\r\n\
        ,only words,2\r\n\
        long.png,"
        .to_vec();
    csv.extend([b'x'; 300]);
    csv.extend(b",1\r\n,,\r\nb.png,last,007");
    let store = Store::with(&[("m.csv", &csv), ("a.png", b"1"), ("b.png", b"22")]).await;
    let source = manifest("m.csv", ManifestFormat::Csv);
    let whole = all(&store, &source, TINY, 100).await.unwrap();
    assert_eq!(
        shorts(&whole),
        [
            "a.png@2 item 1 one, \"two\"\r\nthree",
            "gone.png@4 failed not_found",
            "a.png@6 failed duplicate_key",
            "line:7@7 failed invalid_row",
            "line:8@8 failed invalid_row",
            "../out.png@9 failed invalid_row",
            "denied.png@10 failed access_denied",
            "scan.pdf@11 failed unsupported_format",
            "line:12@12 item - only words",
            "line:13@13 failed invalid_row",
            "line:14@14 failed invalid_row",
            "b.png@15 item 2 last",
        ]
    );
    let ManifestEntry::Item(last) = &whole[11] else {
        panic!("an item")
    };
    assert_eq!(last.attributes["age"], "007");
}

#[tokio::test]
async fn a_quote_that_is_never_closed_fails_its_row_and_no_other() {
    let csv = "image,text\na.png,\"open\nb.png,fine\na.png,\"it \"\"is\"\" closed\"\n";
    let store = Store::with(&[("m.csv", csv.as_bytes()), ("a.png", b"1"), ("b.png", b"1")]).await;
    for limit in [1, 100] {
        let entries = all(&store, &manifest("m.csv", ManifestFormat::Csv), TINY, limit)
            .await
            .unwrap();
        assert_eq!(entries.len(), 3, "{:?}", shorts(&entries));
        assert_eq!(shorts(&entries)[0], "line:2@2 failed invalid_row");
        assert_eq!(shorts(&entries)[1], "b.png@3 item 1 fine");
    }
}

#[tokio::test]
async fn each_mistake_in_a_jsonl_row_is_that_rows_failure_with_its_line() {
    let mut jsonl = b"\xEF\xBB\xBF{\"image\": \"a.png\", \"text\": \"one\\ntwo\", \"labels\": [\"x\", \"y\"], \"n\": 1.5, \"ok\": true}\r\n\
        {\"image\": \"a.png\",\n\
        \n\
        [1]\n\
        {\"image\": \"\xFF.png\"}\n\
        {\"text\": \"only words\", \"key\": 12}\n\
        {\"image\": [1]}\n\
        {\"other\": 1}\n\
        {\"text\": \""
        .to_vec();
    jsonl.extend([b'x'; 300]);
    jsonl.extend(b"\"}\n{\"image\": \"b.png\", \"deep\": {\"a\": [1]}}");
    let store = Store::with(&[("m.jsonl", &jsonl), ("a.png", b"1"), ("b.png", b"22")]).await;
    let source = manifest("m.jsonl", ManifestFormat::Jsonl);
    let whole = all(&store, &source, TINY, 100).await.unwrap();
    assert_eq!(
        shorts(&whole),
        [
            "a.png@1 item 1 one\ntwo",
            "line:2@2 failed invalid_row",
            "line:4@4 failed invalid_row",
            "line:5@5 failed invalid_row",
            "12@6 item - only words",
            "line:7@7 failed invalid_row",
            "line:8@8 failed invalid_row",
            "line:9@9 failed invalid_row",
            "b.png@10 item 2 -",
        ]
    );
    let ManifestEntry::Item(first) = &whole[0] else {
        panic!("an item")
    };
    assert_eq!(first.labels, ["x", "y"]);
    assert_eq!(
        serde_json::to_value(&first.attributes).unwrap(),
        serde_json::json!({"n": 1.5, "ok": true})
    );
    for limit in [1, 2, 5] {
        assert_eq!(all(&store, &source, TINY, limit).await.unwrap(), whole);
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_says_what_to_do() {
    let store = Store::with(&[
        ("m.csv", b"x,y\n1,2\n"),
        ("empty.csv", b""),
        ("m.jsonl", b"{\"x\": 1}\n"),
    ])
    .await;
    let error = |path: &str, format| {
        let (store, source) = (Arc::clone(&store), manifest(path, format));
        async move {
            read_page(store, &source, &Range::default(), None, 10)
                .await
                .unwrap_err()
        }
    };
    let missing = error("gone.csv", ManifestFormat::Csv).await;
    assert!(missing.to_string().contains("check the path"), "{missing}");
    let empty = error("empty.csv", ManifestFormat::Csv).await;
    assert!(empty.to_string().contains("needs a header"), "{empty}");
    for error in [
        error("m.csv", ManifestFormat::Csv).await,
        error("m.jsonl", ManifestFormat::Jsonl).await,
    ] {
        assert!(
            matches!(&error, DatasetError::Columns { found, .. } if found[0] == "x"),
            "{error}"
        );
        assert!(!error.is_retryable());
    }
    let source = Source::Manifest {
        path: "m.csv".into(),
        format: ManifestFormat::Csv,
        columns: Columns {
            image: Some("Picture".into()),
            ..Columns::default()
        },
    };
    let error = read_page(Arc::clone(&store), &source, &Range::default(), None, 10)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("\"Picture\"") && error.to_string().contains("x, y"),
        "{error}"
    );
    let cursor = read_page(store, &source, &Range::default(), Some("no cursor"), 10)
        .await
        .unwrap_err();
    assert!(matches!(cursor, DatasetError::Cursor { .. }), "{cursor}");
}

#[tokio::test]
async fn a_store_that_is_away_is_no_rows_failure() {
    let store = Store::with(&[("m.csv", b"image\naway.png\n")]).await;
    let error = all(&store, &manifest("m.csv", ManifestFormat::Csv), TINY, 10)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_manifest_that_is_replaced_between_pages_is_an_error_and_no_mixture() {
    let store = Store::with(&[("m.csv", b"text\none\ntwo\n")]).await;
    let source = manifest("m.csv", ManifestFormat::Csv);
    let first = read_page(Arc::clone(&store), &source, &Range::default(), None, 1)
        .await
        .unwrap();
    store
        .put("m.csv", Bytes::from_static(b"text\nONE\nTWO\n"))
        .await
        .unwrap();
    let error = read_page(store, &source, &Range::default(), first.next.as_deref(), 1)
        .await
        .unwrap_err();
    assert!(
        matches!(error, DatasetError::Changed { .. }) && !error.is_retryable(),
        "{error}"
    );
}

fn field() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "가", ",", "\"", "\n", "\r\n", " ", "1", "'", ""]),
        0..6,
    )
    .prop_map(|parts| parts.concat())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    #[test]
    fn csv_pages_of_any_size_give_what_the_csv_crate_reads_whole(
        rows in prop::collection::vec((field(), field()), 0..12),
        crlf in any::<bool>(),
        quote_all in any::<bool>(),
        limit in 1..5_usize,
        chunk_bytes in 1..40_usize,
    ) {
        let mut writer = csv::WriterBuilder::new();
        writer.terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') });
        writer.quote_style(if quote_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary });
        let mut writer = writer.from_writer(Vec::new());
        writer.write_record(["text", "note"]).unwrap();
        for (text, note) in &rows {
            // A text that is not blank, so that each row is an item.
            writer.write_record([format!("t{text}"), note.clone()]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let expected: Vec<(String, String)> = csv::Reader::from_reader(bytes.as_slice())
            .records()
            .map(|record| {
                let record = record.unwrap();
                (record[0].to_owned(), record[1].to_owned())
            })
            .collect();
        let options = ReaderOptions { chunk_bytes, ..ReaderOptions::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (paged, whole) = runtime.block_on(async {
            let store = Store::with(&[("m.csv", &bytes)]).await;
            let source = manifest("m.csv", ManifestFormat::Csv);
            (
                all(&store, &source, options, limit).await.unwrap(),
                all(&store, &source, ReaderOptions::default(), 1000).await.unwrap(),
            )
        });
        assert_eq!(paged, whole);
        let lines: Vec<u64> = whole.iter().map(|entry| match entry {
            ManifestEntry::Item(item) => item.line.unwrap(),
            ManifestEntry::Ended(ended) => panic!("{ended:?}"),
        }).collect();
        let found: Vec<(String, String)> = whole.into_iter().map(|entry| match entry {
            ManifestEntry::Item(item) => {
                let note = item.attributes.get("note").map_or_else(String::new, |note| {
                    note.as_str().map_or_else(|| note.to_string(), str::to_owned)
                });
                (item.text.unwrap(), note)
            }
            ManifestEntry::Ended(ended) => panic!("{ended:?}"),
        }).collect();
        assert_eq!(found, expected);
        let mut line = 2;
        for (at, (text, note)) in expected.iter().enumerate() {
            assert_eq!(lines[at], line, "line of row {at}");
            line += 1 + [text, note].iter().map(|field| field.matches('\n').count() as u64).sum::<u64>();
        }
    }
}
