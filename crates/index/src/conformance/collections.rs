//! Creating, describing, listing, dropping.

use super::{Subject, fixture};
use crate::{FieldSearch, IndexError, Projection};
use sightline_core::{Canary, CollectionDescription, IndexKind, Row, VectorField};

pub async fn a_collection_is_created_once_and_the_same_again_changes_nothing(subject: &Subject) {
    let description = subject.create(4).await;
    let row = fixture::row(1, &subject.fields, 4);
    subject.index.upsert(&description.name, &[row]).await.unwrap();
    subject.index.create(&description).await.unwrap();
    assert_eq!(
        subject.index.describe(&description.name).await.unwrap().as_ref(),
        Some(&description)
    );
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 1);
    subject.drop(&description.name).await;
}

pub async fn two_creators_at_once_both_succeed(subject: &Subject) {
    let description = subject.description(4);
    let (one, other) = futures::join!(subject.index.create(&description), subject.index.create(&description));
    one.unwrap();
    other.unwrap();
    assert_eq!(subject.index.count(&description.name, None).await.unwrap(), 0);
    subject.drop(&description.name).await;
}

pub async fn another_description_under_the_same_name_is_a_conflict(subject: &Subject) {
    let description = subject.create(4).await;
    let mut other_model = description.clone();
    let field = other_model.fields.get_mut(&VectorField::Image).unwrap();
    field.space.weights = "others".into();
    field.fingerprint = field.space.fingerprint();
    let mut other_index = description.clone();
    other_index.index = IndexKind::IvfFlat { nlist: 16 };
    let other_dimension = fixture::description(&description.name, &subject.fields, 5, IndexKind::Flat);
    for other in [other_model, other_index, other_dimension] {
        match subject.index.create(&other).await {
            Err(error @ IndexError::Conflict { .. }) => assert!(!error.is_retryable()),
            result => panic!("{result:?}"),
        }
    }
    assert_eq!(
        subject.index.describe(&description.name).await.unwrap(),
        Some(description.clone())
    );
    subject.drop(&description.name).await;
}

pub async fn a_description_with_large_canaries_reads_back_bit_for_bit(subject: &Subject) {
    let mut description = subject.description(1152);
    for field in description.fields.values_mut() {
        field.canaries = (0..4)
            .map(|seed| Canary {
                input: format!("입력 \"{seed}\""),
                vector: fixture::unit_vector(seed, 1152),
            })
            .collect();
    }
    subject.index.create(&description).await.unwrap();
    assert_eq!(
        subject.index.describe(&description.name).await.unwrap().as_ref(),
        Some(&description)
    );
    subject.drop(&description.name).await;
}

pub async fn only_collections_that_exist_are_listed(subject: &Subject) {
    let one = subject.create(4).await;
    let other = subject.create(4).await;
    let names = subject.index.list().await.unwrap();
    assert!(names.is_sorted());
    assert!(names.contains(&one.name) && names.contains(&other.name), "{names:?}");
    subject.drop(&one.name).await;
    assert!(!subject.index.list().await.unwrap().contains(&one.name));
    assert_eq!(subject.index.describe(&one.name).await.unwrap(), None);
    subject.drop(&other.name).await;
}

pub async fn an_unknown_collection_is_named_by_every_operation(subject: &Subject) {
    let name = subject.new_name();
    let row: Row = fixture::row(1, &subject.fields, 4);
    let ids = [row.id.clone()];
    let search = FieldSearch {
        field: VectorField::Image,
        vector: vec![1.0; 4],
        limit: 1,
        filter: None,
        effort: None,
    };
    let index = &subject.index;
    assert_eq!(index.describe(&name).await.unwrap(), None);
    let errors = [
        index.upsert(&name, &[row]).await.unwrap_err(),
        index.delete(&name, &ids).await.unwrap_err(),
        index.get(&name, &ids, Projection::Metadata).await.unwrap_err(),
        index
            .scan(&name, None, None, 1, Projection::Metadata)
            .await
            .unwrap_err(),
        index.count(&name, None).await.unwrap_err(),
        index.search(&name, &search).await.unwrap_err(),
    ];
    for (operation, error) in errors.iter().enumerate() {
        assert!(
            matches!(error, IndexError::NoCollection(found) if *found == name),
            "{operation}: {error}"
        );
    }
}

pub async fn dropping_what_is_not_there_is_no_error(subject: &Subject) {
    subject.drop(&subject.new_name()).await;
    let description = subject.create(4).await;
    subject.drop(&description.name).await;
    subject.drop(&description.name).await;
    // The name is free for another.
    let other = fixture::description(&description.name, &subject.fields, 6, IndexKind::Flat);
    subject.index.create(&other).await.unwrap();
    let row = fixture::row(1, &subject.fields, 6);
    subject.index.upsert(&other.name, &[row]).await.unwrap();
    assert_eq!(subject.index.count(&other.name, None).await.unwrap(), 1);
    subject.drop(&other.name).await;
}

/// What collections of these fields and dimensions there are under one name, one after the other: other dimensions, a
/// side fewer, a side more.
fn lives(subject: &Subject) -> Vec<CollectionDescription> {
    let name = subject.new_name();
    let fewer = &subject.fields[..1];
    [
        (&subject.fields[..], 4),
        (&subject.fields[..], 6),
        (fewer, 6),
        (&subject.fields[..], 6),
        (fewer, 9),
    ]
    .map(|(fields, dimension)| fixture::description(&name, fields, dimension, IndexKind::Flat))
    .into()
}

/// Makes the collection anew, as another process does.
async fn remake(subject: &Subject, life: &CollectionDescription) {
    subject.elsewhere.drop_collection(&life.name).await.unwrap();
    subject.elsewhere.create(life).await.unwrap();
}

/// Rows with all sides that the collection has.
fn rows_of(life: &CollectionDescription) -> Vec<Row> {
    let fields: Vec<VectorField> = life.fields.keys().copied().collect();
    let dimension = life.fields[&VectorField::Image].space.dimension;
    fixture::rows(3, &fields, dimension)
}

pub async fn a_collection_made_anew_with_other_fields_by_another_process_takes_its_rows(subject: &Subject) {
    let lives = lives(subject);
    let name = lives[0].name.clone();
    let index = &subject.index;
    for (number, life) in lives.iter().enumerate() {
        remake(subject, life).await;
        let mut rows = rows_of(life);
        // One that has but the side that all of them have.
        rows[0].text_embedding = None;
        for row in &rows {
            let written = index.upsert(&name, std::slice::from_ref(row)).await;
            assert!(written.is_ok(), "{number}: {written:?}");
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        let found = index.get(&name, &ids, Projection::WithVectors).await.unwrap();
        assert!(found == rows, "{number}: {} rows", found.len());
        // What does not fit the collection as it is now is refused all the same, and changes nothing.
        let misfit = fixture::row(1, &subject.fields, 5);
        let refused = index.upsert(&name, &[misfit]).await;
        assert!(
            matches!(refused, Err(IndexError::Refused { .. })),
            "{number}: {refused:?}"
        );
        assert_eq!(index.count(&name, None).await.unwrap(), 3, "{number}");
    }
    subject.drop(&name).await;
}

pub async fn a_collection_made_anew_with_other_fields_by_another_process_is_read_as_what_it_is(subject: &Subject) {
    let lives = lives(subject);
    let name = lives[0].name.clone();
    let index = &subject.index;
    for (number, life) in lives.iter().enumerate() {
        remake(subject, life).await;
        let rows = rows_of(life);
        subject.elsewhere.upsert(&name, &rows).await.unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        let found = index.get(&name, &ids, Projection::Metadata).await.unwrap();
        assert_eq!(found.len(), 3, "{number}");
        let search = FieldSearch {
            field: VectorField::Image,
            vector: rows[1].image_embedding.clone().unwrap(),
            limit: 3,
            filter: None,
            effort: None,
        };
        let searched = index.search(&name, &search).await;
        assert!(searched.is_ok(), "{number}: {searched:?}");
        let found = index.get(&name, &ids, Projection::WithVectors).await.unwrap();
        assert!(found == rows, "{number}: {} rows", found.len());
    }
    subject.drop(&name).await;
}
