//! Reads by id, in pages, and of nothing.

use super::{Subject, fixture};
use crate::{FieldSearch, IndexError, Projection};
use sightline_core::VectorField;
use sightline_core::filter::parse;

pub async fn what_is_written_is_read_at_once_by_every_read(subject: &Subject) {
    let description = subject.create(4).await;
    let name = &description.name;
    for number in 0..5 {
        let row = fixture::row(number, &subject.fields, 4);
        subject.index.upsert(name, std::slice::from_ref(&row)).await.unwrap();
        let ids = [row.id.clone()];
        let got = subject.index.get(name, &ids, Projection::WithVectors).await.unwrap();
        assert_eq!(got, std::slice::from_ref(&row));
        assert_eq!(subject.index.count(name, None).await.unwrap(), number + 1);
        let scanned = subject
            .index
            .scan(name, None, None, 10, Projection::Metadata)
            .await
            .unwrap();
        assert!(scanned.contains(&fixture::without_vectors(&row)));
        let search = FieldSearch {
            field: VectorField::Image,
            vector: row.image_embedding.clone().unwrap(),
            limit: 1,
            filter: None,
            effort: None,
        };
        assert_eq!(subject.index.search(name, &search).await.unwrap().hits[0].id, row.id);
    }
    subject.drop(name).await;
}

pub async fn rows_come_in_the_order_asked_for_and_missing_ones_are_left_out(subject: &Subject) {
    let description = subject.create(4).await;
    let rows = fixture::rows(700, &subject.fields, 4);
    subject.index.upsert(&description.name, &rows[..690]).await.unwrap();
    let wanted: Vec<_> = rows.iter().rev().map(|row| row.id.clone()).collect();
    let found = subject
        .index
        .get(&description.name, &wanted, Projection::Metadata)
        .await
        .unwrap();
    let expected: Vec<_> = rows[..690].iter().rev().map(fixture::without_vectors).collect();
    assert_eq!(found, expected);
    subject.drop(&description.name).await;
}

pub async fn ten_thousand_rows_are_scanned_without_loss_or_repeat(subject: &Subject) {
    let description = subject.create(2).await;
    let rows = fixture::rows(10_050, &subject.fields, 2);
    for batch in rows.chunks(2000) {
        subject.index.upsert(&description.name, batch).await.unwrap();
    }
    // Written twice, so that an engine that keeps old versions shows them.
    subject
        .index
        .upsert(&description.name, &rows[4000..6000])
        .await
        .unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 10_050);
    let expected = fixture::sorted_ids(&rows);
    for limit in [10_000, 3333] {
        let mut found = Vec::new();
        loop {
            let page = subject
                .index
                .scan(&description.name, None, found.last(), limit, Projection::Metadata)
                .await
                .unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|row| row.id));
        }
        assert_eq!(found.len(), expected.len());
        assert!(found == expected, "rows are missing, repeated or out of order");
    }
    let filter = parse("image_id = image-3").unwrap();
    let found = subject
        .index
        .scan(&description.name, Some(&filter), None, 10_000, Projection::Metadata)
        .await
        .unwrap();
    let expected = fixture::sorted_ids(rows.iter().filter(|row| filter.matches(row)));
    assert_eq!(fixture::sorted_ids(&found), expected);
    subject.drop(&description.name).await;
}

pub async fn pages_with_long_texts_and_vectors_come_whole(subject: &Subject) {
    let description = subject.create(1152).await;
    let mut rows = fixture::rows(200, &subject.fields, 1152);
    for row in &mut rows {
        row.report_text = "가".repeat(21_000);
    }
    subject.index.upsert(&description.name, &rows).await.unwrap();
    let mut expected = rows.clone();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let scanned = subject
        .index
        .scan(&description.name, None, None, 1000, Projection::WithVectors)
        .await
        .unwrap();
    assert!(scanned == expected, "{} rows scanned", scanned.len());
    let ids: Vec<_> = expected.iter().map(|row| row.id.clone()).collect();
    let got = subject
        .index
        .get(&description.name, &ids, Projection::WithVectors)
        .await
        .unwrap();
    assert!(got == expected, "{} rows got", got.len());
    subject.drop(&description.name).await;
}

pub async fn an_empty_collection_answers_with_nothing(subject: &Subject) {
    let description = subject.create(4).await;
    let name = &description.name;
    let missing = [fixture::row(1, &subject.fields, 4).id];
    assert_eq!(subject.index.count(name, None).await.unwrap(), 0);
    let filter = parse("uid = a").unwrap();
    assert_eq!(subject.index.count(name, Some(&filter)).await.unwrap(), 0);
    assert!(
        subject
            .index
            .get(name, &missing, Projection::WithVectors)
            .await
            .unwrap()
            .is_empty()
    );
    let scanned = subject
        .index
        .scan(name, None, None, 10, Projection::Metadata)
        .await
        .unwrap();
    assert!(scanned.is_empty());
    for field in &subject.fields {
        let search = FieldSearch {
            field: *field,
            vector: vec![1.0; 4],
            limit: 10,
            filter: None,
            effort: None,
        };
        assert!(subject.index.search(name, &search).await.unwrap().hits.is_empty());
    }
    subject.drop(name).await;
}

pub async fn limits_outside_their_range_are_refused(subject: &Subject) {
    let description = subject.create(4).await;
    for limit in [0, 10_001] {
        let result = subject
            .index
            .scan(&description.name, None, None, limit, Projection::Metadata)
            .await;
        assert!(matches!(result, Err(IndexError::Refused { .. })), "{limit}: {result:?}");
    }
    subject.drop(&description.name).await;
}
