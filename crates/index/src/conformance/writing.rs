//! Upserts and deletes.

use super::{Subject, fixture};
use crate::{IndexError, Projection};
use serde_json::json;
use sightline_core::{Row, Timestamp, VectorField};

pub async fn an_upsert_replaces_every_field(subject: &Subject) {
    let description = subject.create(4).await;
    let before = fixture::row(1, &subject.fields, 4);
    let after = Row {
        id: before.id.clone(),
        ..fixture::row(2, &subject.fields, 4)
    };
    for row in [&before, &after, &after] {
        subject
            .index
            .upsert(&description.name, std::slice::from_ref(row))
            .await
            .unwrap();
    }
    let ids = [before.id.clone()];
    let found = subject
        .index
        .get(&description.name, &ids, Projection::WithVectors)
        .await
        .unwrap();
    assert_eq!(found, [after]);
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 1);
    subject.drop(&description.name).await;
}

pub async fn one_key_twice_in_a_batch_leaves_the_last_row_once(subject: &Subject) {
    let description = subject.create(4).await;
    let mut batch = fixture::rows(6, &subject.fields, 4);
    let last = Row {
        id: batch[2].id.clone(),
        ..fixture::row(9, &subject.fields, 4)
    };
    batch.push(last.clone());
    subject.index.upsert(&description.name, &batch).await.unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 6);
    let found = subject
        .index
        .get(
            &description.name,
            std::slice::from_ref(&last.id),
            Projection::WithVectors,
        )
        .await
        .unwrap();
    assert_eq!(found, [last]);
    subject.drop(&description.name).await;
}

pub async fn an_empty_batch_changes_nothing(subject: &Subject) {
    let description = subject.create(4).await;
    subject.index.upsert(&description.name, &[]).await.unwrap();
    subject.index.delete(&description.name, &[]).await.unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 0);
    let found = subject
        .index
        .get(&description.name, &[], Projection::Metadata)
        .await
        .unwrap();
    assert!(found.is_empty());
    subject.drop(&description.name).await;
}

pub async fn a_batch_with_one_bad_vector_is_refused_whole(subject: &Subject) {
    let description = subject.create(4).await;
    let good = fixture::row(1, &subject.fields, 4);
    let mut bad_vectors = vec![
        vec![1.0; 5],
        vec![1.0; 3],
        vec![],
        vec![f32::NAN, 0.0, 0.0, 1.0],
        vec![f32::INFINITY, 0.0, 0.0, 1.0],
        vec![0.0; 4],
    ]
    .into_iter()
    .map(|vector| Row {
        image_embedding: Some(vector),
        ..fixture::row(2, &subject.fields, 4)
    })
    .collect::<Vec<_>>();
    if !subject.has(VectorField::Text) {
        bad_vectors.push(fixture::row(2, &VectorField::ALL, 4));
    }
    for bad in bad_vectors {
        let vectors = (bad.image_embedding.clone(), bad.text_embedding.clone());
        let error = subject
            .index
            .upsert(&description.name, &[good.clone(), bad.clone()])
            .await
            .unwrap_err();
        assert!(matches!(error, IndexError::Refused { .. }), "{vectors:?}: {error}");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(bad.id.as_str()), "{error}");
    }
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 0);
    subject.drop(&description.name).await;
}

pub async fn a_row_that_no_index_could_hold_is_refused(subject: &Subject) {
    let description = subject.create(4).await;
    let row = || fixture::row(1, &subject.fields, 4);
    let long = |bytes: usize| "x".repeat(bytes);
    let attributes = |bytes: usize| [("a".to_owned(), json!(long(bytes)))].into();
    for row in [
        Row {
            report_text: long(65_536),
            ..row()
        },
        Row {
            key: long(1025),
            ..row()
        },
        Row {
            image_id: long(257),
            ..row()
        },
        Row {
            labels: vec![long(513)],
            ..row()
        },
        Row {
            labels: vec!["x".into(); 257],
            ..row()
        },
        Row {
            attributes: attributes(65_530),
            ..row()
        },
        Row {
            labels: (0..200).map(|_| long(400)).collect(),
            ..row()
        },
        Row {
            indexed_at: Timestamp(1 << 63),
            ..row()
        },
    ] {
        let error = subject.index.upsert(&description.name, &[row]).await.unwrap_err();
        assert!(matches!(error, IndexError::Refused { .. }), "{error}");
    }
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 0);
    subject.drop(&description.name).await;
}

pub async fn texts_of_every_script_and_length_read_back_unchanged(subject: &Subject) {
    let description = subject.create(4).await;
    let mut rows = fixture::rows(40, &subject.fields, 4);
    let korean = "가".repeat(21_845);
    assert_eq!(korean.len(), 65_535);
    rows[0].report_text = korean;
    rows[1].report_text = "\"\\\n".repeat(21_845);
    rows[2].key = "k\n\"'\u{202e}".repeat(128);
    rows[2].key.truncate(1024);
    rows[3].image_path = "한".repeat(600);
    rows[4].labels = (0..256).map(|number| format!("레이블 {number}")).collect();
    rows[5].labels = vec!["é".repeat(256)];
    rows[6].attributes = [("긴 값".to_owned(), json!("값".repeat(20_000)))].into();
    rows[7].attributes = [
        ("nested".to_owned(), json!({"a": [1, {"b": null}], "": "empty name"})),
        ("number".to_owned(), json!(0.1 + 0.2)),
        ("integer".to_owned(), json!(i64::MIN)),
        ("unsigned".to_owned(), json!(u64::MAX)),
    ]
    .into();
    rows[8].boxes = (0..3).flat_map(|_| fixture::row(2, &[], 4).boxes).collect();
    subject.index.upsert(&description.name, &rows).await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let found = subject
        .index
        .get(&description.name, &ids, Projection::WithVectors)
        .await
        .unwrap();
    assert_eq!(found.len(), rows.len());
    for (number, (found, row)) in found.iter().zip(&rows).enumerate() {
        assert_eq!(found, row, "row {number}");
    }
    subject.drop(&description.name).await;
}

pub async fn a_side_that_is_taken_away_is_gone(subject: &Subject) {
    let description = subject.create(4).await;
    let whole = fixture::row(1, &subject.fields, 4);
    let bare = fixture::without_vectors(&whole);
    let ids = [whole.id.clone()];
    for row in [&whole, &bare, &whole] {
        subject
            .index
            .upsert(&description.name, std::slice::from_ref(row))
            .await
            .unwrap();
        let found = subject
            .index
            .get(&description.name, &ids, Projection::WithVectors)
            .await
            .unwrap();
        assert_eq!(found, std::slice::from_ref(row));
    }
    subject.drop(&description.name).await;
}

pub async fn deleted_rows_are_gone_and_deleting_again_is_no_error(subject: &Subject) {
    let description = subject.create(4).await;
    let rows = fixture::rows(30, &subject.fields, 4);
    subject.index.upsert(&description.name, &rows).await.unwrap();
    let gone: Vec<_> = rows[..10].iter().map(|row| row.id.clone()).collect();
    for _ in 0..2 {
        subject.index.delete(&description.name, &gone).await.unwrap();
        assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 20);
    }
    let found = subject
        .index
        .scan(&description.name, None, None, 100, Projection::Metadata)
        .await
        .unwrap();
    assert_eq!(fixture::sorted_ids(&found), fixture::sorted_ids(&rows[10..]));
    subject.index.upsert(&description.name, &rows[..1]).await.unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 21);
    subject.drop(&description.name).await;
}

pub async fn a_batch_larger_than_a_message_is_written_whole(subject: &Subject) {
    let description = subject.create(4).await;
    let mut rows = fixture::rows(1200, &subject.fields, 4);
    // 300 texts of 60 kB are 18 MB.
    for row in &mut rows[..300] {
        row.report_text = "x".repeat(60_000);
    }
    subject.index.upsert(&description.name, &rows).await.unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 1200);
    subject.drop(&description.name).await;
}
