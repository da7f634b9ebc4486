//! What only a file can show.

use super::SqliteIndex;
use crate::conformance::fixture;
use crate::{FieldSearch, IndexError, OpenOptions, Projection, VectorIndex, open};
use proptest::prelude::*;
use sightline_core::filter::{Comparison, Field, Filter, Literal, TextField};
use sightline_core::{IndexKind, Row, VectorField};
use std::sync::Arc;

async fn open_file(path: &std::path::Path) -> Result<SqliteIndex, IndexError> {
    SqliteIndex::open(path, &OpenOptions::default()).await
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/index.db");
    let name = fixture::collection_name("c");
    let description = fixture::description(&name, &VectorField::ALL, 4, IndexKind::Flat);
    let rows = fixture::rows(10, &VectorField::ALL, 4);
    {
        let index = open_file(&path).await.unwrap();
        index.create(&description).await.unwrap();
        index.upsert(&name, &rows).await.unwrap();
    }
    let index = open_file(&path).await.unwrap();
    assert_eq!(index.describe(&name).await.unwrap(), Some(description));
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(index.get(&name, &ids, Projection::WithVectors).await.unwrap(), rows);
}

#[tokio::test]
async fn collections_whose_names_differ_in_case_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let index = open_file(&folder.path().join("i.db")).await.unwrap();
    for (name, count) in [("chest", 1), ("Chest", 2)] {
        let name = fixture::collection_name(name);
        let description = fixture::description(&name, &[VectorField::Image], 4, IndexKind::Flat);
        index.create(&description).await.unwrap();
        index
            .upsert(&name, &fixture::rows(count, &[VectorField::Image], 4))
            .await
            .unwrap();
    }
    assert_eq!(index.count(&fixture::collection_name("chest"), None).await.unwrap(), 1);
    assert_eq!(index.count(&fixture::collection_name("Chest"), None).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_openers_of_one_file_write_at_once_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i.db");
    let name = fixture::collection_name("c");
    let description = fixture::description(&name, &[VectorField::Image], 4, IndexKind::Flat);
    let writers = (0..2).map(|half: u64| {
        let (path, name, description) = (path.clone(), name.clone(), description.clone());
        tokio::spawn(async move {
            let index = open_file(&path).await.unwrap();
            index.create(&description).await.unwrap();
            for number in half * 50..half * 50 + 50 {
                let row = fixture::row(number, &[VectorField::Image], 4);
                index.upsert(&name, &[row]).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(open_file(&path).await.unwrap().count(&name, None).await.unwrap(), 100);
}

#[tokio::test]
async fn a_file_of_another_program_or_of_a_newer_sightline_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "a text long enough to have been a database\n".repeat(40)).unwrap();
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE mine (a)")
        .unwrap();
    let newer = folder.path().join("newer.db");
    drop(open_file(&newer).await.unwrap());
    rusqlite::Connection::open(&newer)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    for path in [&text, &other, &newer] {
        let error = open_file(path).await.unwrap_err();
        assert!(matches!(error, IndexError::BadAddress { .. }), "{error}");
        assert!(!error.is_retryable());
    }
    assert!(std::fs::read(&text).unwrap().starts_with(b"a text"));
}

#[tokio::test]
async fn an_address_without_a_file_or_of_an_unknown_scheme_is_refused() {
    for address in ["sqlite:", "sqlite://host/path", "postgres://x", "", "index.db"] {
        let error = open(address, &OpenOptions::default()).await.unwrap_err();
        assert!(matches!(error, IndexError::BadAddress { .. }), "{address}: {error}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let names = [
        "age",
        "View Position",
        "smoker",
        "note",
        "list",
        "large",
        "small",
        "missing",
        "\"",
        "[0]",
    ];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let text = prop_oneof![
        prop::sample::select(fixture::HOSTILE.to_vec()).prop_map(str::to_owned),
        Just("PA".to_owned()),
        any::<String>(),
    ];
    let number = prop_oneof![
        -10.0..250.0_f64,
        (0..220_i32).prop_map(f64::from),
        Just(9_007_199_254_740_993.0)
    ];
    let op = prop::sample::select(Comparison::ALL.to_vec());
    let literal = prop_oneof![
        text.clone().prop_map(Literal::Text),
        number.prop_map(Literal::Number),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Number(1_700_000_000_100.0)),
    ];
    let field = prop_oneof![
        prop::sample::select(TextField::ALL.to_vec()).prop_map(Field::Text),
        prop::sample::select(vec![Field::HasImage, Field::HasText, Field::IndexedAt]),
        name.clone().prop_map(Field::Attribute),
    ];
    let leaf = prop_oneof![
        text.prop_map(Filter::HasLabel),
        name.prop_map(Filter::HasAttribute),
        (field, op, literal).prop_map(|(field, op, value)| Filter::Compare { field, op, value }),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

#[test]
fn any_filter_means_the_same_in_sql_as_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = fixture::collection_name("c");
    let mut rows: Vec<Row> = fixture::rows(220, &VectorField::ALL, 4);
    rows.iter_mut().step_by(3).for_each(|row| row.image_embedding = None);
    rows.iter_mut().step_by(5).for_each(|row| row.text_embedding = None);
    let index = runtime.block_on(async {
        let index = open_file(&folder.path().join("i.db")).await.unwrap();
        let description = fixture::description(&name, &VectorField::ALL, 4, IndexKind::Flat);
        index.create(&description).await.unwrap();
        index.upsert(&name, &rows).await.unwrap();
        Arc::new(index)
    });
    proptest!(|(filter in any_filter())| {
        let found = runtime
            .block_on(index.scan(&name, Some(&filter), None, 1000, Projection::Metadata))
            .unwrap();
        let expected = fixture::sorted_ids(rows.iter().filter(|row| filter.matches(row)));
        prop_assert_eq!(fixture::sorted_ids(&found), expected);
    });
}

#[tokio::test]
async fn a_search_whose_caller_is_gone_leaves_its_connection_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let index = open_file(&folder.path().join("i.db")).await.unwrap();
    let name = fixture::collection_name("c");
    let description = fixture::description(&name, &[VectorField::Image], 4, IndexKind::Flat);
    index.create(&description).await.unwrap();
    let search = FieldSearch {
        field: VectorField::Image,
        vector: vec![1.0; 4],
        limit: 1,
        filter: None,
        effort: None,
    };
    for _ in 0..50 {
        // Most are still pending, and are dropped so; a fast machine may have answered.
        let mut abandoned = std::pin::pin!(index.search(&name, &search));
        if let std::task::Poll::Ready(answer) = futures::poll!(abandoned.as_mut()) {
            assert!(answer.unwrap().hits.is_empty());
        }
    }
    assert!(index.search(&name, &search).await.unwrap().hits.is_empty());
}
