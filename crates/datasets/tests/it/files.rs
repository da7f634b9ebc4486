//! Prefixes, and NIH's boxes.

use crate::support::{Store, all, shorts};
use sightline_core::{ManifestEntry, Source};
use sightline_datasets::{DatasetError, ReaderOptions};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_prefix_gives_its_pictures_and_skips_other_files() {
    let files: Vec<(&str, &[u8])> = vec![
        ("b/사진 1.JPG", b"123"),
        ("a.png", b"1"),
        ("notes.txt", b"x"),
        ("README", b"x"),
        ("scan.dcm", b"x"),
        ("b/x.dcm.png", b"12"),
    ];
    let store = Store::with(&files).await;
    for limit in [1, 2, 100] {
        let entries = all(&store, &Source::Prefix {}, ReaderOptions::default(), limit)
            .await
            .unwrap();
        assert_eq!(
            shorts(&entries),
            [
                "README skipped unsupported_type",
                "a.png item 1 -",
                "b/x.dcm.png item 2 -",
                "b/사진 1.JPG item 3 -",
                "notes.txt skipped unsupported_type",
                "scan.dcm item 1 -",
            ]
        );
    }
}

fn nih(descriptions: &[(&str, &str)]) -> Source {
    Source::NihBoxes {
        boxes: "BBox_List_2017.csv".into(),
        images: "images".into(),
        descriptions: descriptions
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// The header's nine fields, rows with and without commas at their end, an image named in several places.
const BOXES: &str = "Image Index,Finding Label,Bbox [x,y,w,h],,,\r\n\
    00013118_008.png,Atelectasis,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661,,,\r\n\
    00014716_007.png,Infiltrate,686.101694915254,131.543498411017,185.491525423729,313.492063492063\r\n\
    \r\n\
    00029817_009.png,Mass,221.830508474576,317.053115068644,155.118644067797,216.949152542373,,,\r\n\
    00013118_008.png,Nodule,10,20,30,40\r\n\
    00013118_008.png,Nodule,1,2,3,0\r\n\
    00013118_008.png,Atelectasis,1,2,three,4\r\n\
    00013118_008.png,Atelectasis,5,6,7,8\r\n\
    gone.png,Mass,1,2,3,4";

#[tokio::test]
async fn nih_boxes_give_an_item_an_image_with_all_that_was_found_in_it() {
    let store = Store::with(&[
        ("BBox_List_2017.csv", BOXES.as_bytes()),
        ("images/00013118_008.png", b"1"),
        ("images/00014716_007.png", b"22"),
        ("images/00029817_009.png", b"333"),
    ])
    .await;
    let source = nih(&[
        ("Atelectasis", "{label}: 폐 일부가 쪼그라듦."),
        ("Nodule", "A {label}."),
    ]);
    let whole = all(&store, &source, ReaderOptions::default(), 100).await.unwrap();
    assert_eq!(
        shorts(&whole),
        [
            "images/00013118_008.png@2 item 1 Atelectasis: 폐 일부가 쪼그라듦. A Nodule.",
            "images/00014716_007.png@3 item 2 -",
            "images/00029817_009.png@5 item 3 -",
            "line:7@7 failed invalid_row",
            "line:8@8 failed invalid_row",
            "images/gone.png@10 failed not_found",
        ]
    );
    for limit in [1, 2, 4] {
        assert_eq!(
            all(&store, &source, ReaderOptions::default(), limit).await.unwrap(),
            whole
        );
    }
    let ManifestEntry::Item(first) = &whole[0] else {
        panic!("an item")
    };
    assert_eq!(first.labels, ["Atelectasis", "Nodule"]);
    assert_eq!(first.boxes.len(), 3);
    assert_eq!(
        (first.boxes[0].x, first.boxes[0].height),
        (225.084745762712, 79.1864406779661)
    );
    assert_eq!(first.image_id.as_deref(), Some("00013118_008.png"));
    let expected = serde_json::json!({
        "label_count": 2,
        "primary_label": "Atelectasis",
        "bbox": "225,547,312,626;10,20,40,60;5,6,12,14",
        "description": "Atelectasis: 폐 일부가 쪼그라듦. A Nodule.",
    });
    assert_eq!(serde_json::to_value(&first.attributes).unwrap(), expected);
    let ManifestEntry::Item(second) = &whole[1] else {
        panic!("an item")
    };
    assert_eq!(second.labels, ["Infiltrate"], "labels stay as they are spelt");
}

#[tokio::test]
async fn a_boxes_file_that_is_missing_another_or_too_large_is_an_error_that_says_so() {
    let empty = Store::with(&[]).await;
    let options = ReaderOptions::default();
    let missing = all(&empty, &nih(&[]), options, 10).await.unwrap_err();
    assert!(
        matches!(&missing, DatasetError::Unreadable { .. }) && !missing.is_retryable(),
        "{missing}"
    );
    let other = Store::with(&[("BBox_List_2017.csv", b"Image Index,Finding Labels\na,b\n")]).await;
    let error = all(&other, &nih(&[]), options, 10).await.unwrap_err().to_string();
    assert!(error.contains("is it the boxes file?"), "{error}");
    let large = Store::with(&[("BBox_List_2017.csv", BOXES.as_bytes())]).await;
    let small = ReaderOptions {
        max_boxes_bytes: 100,
        ..options
    };
    let error = all(&large, &nih(&[]), small, 10).await.unwrap_err().to_string();
    assert!(error.contains("more than the limit of 100"), "{error}");
}
