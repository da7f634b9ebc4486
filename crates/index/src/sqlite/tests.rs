//! What only a file can show.

use super::SqliteIndex;
use crate::conformance::fixture;
use crate::{FieldSearch, IndexError, OpenOptions, Projection, VectorIndex, open};
use sightline_core::filter::{MAX_FILTER_BYTES, MAX_FILTER_DEPTH, parse};
use sightline_core::{IndexKind, VectorField};

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

/// As many different values as a filter can have: the shortest first.
fn shortest_values() -> impl Iterator<Item = String> {
    let letters: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let digits = letters.clone();
    let longer = letters
        .clone()
        .into_iter()
        .flat_map(move |one| digits.clone().into_iter().map(move |other| format!("{one}{other}")));
    // Three bytes with the comma, as two letters are.
    let others = ('\u{80}'..'\u{800}').filter(|c| c.is_alphanumeric()).map(String::from);
    let numbers = (100..).map(|number: u32| number.to_string());
    let letters = letters.into_iter().map(String::from);
    let values = letters.chain(longer).chain(others).chain(numbers);
    values.filter(|value| value != "OR")
}

/// `before`, then values with commas between them up to the longest filter that is one.
fn longest(before: &str, values: impl Iterator<Item = String>) -> String {
    let mut filter = before.to_owned();
    for value in values {
        if filter.len() + value.len() + 1 > MAX_FILTER_BYTES {
            break;
        }
        filter = filter + &value + ",";
    }
    filter.pop();
    filter + ")"
}

#[tokio::test]
async fn the_filters_with_the_most_values_and_the_most_parts_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let index = open_file(&folder.path().join("i.db")).await.unwrap();
    let name = fixture::collection_name("c");
    index
        .create(&fixture::description(&name, &[VectorField::Image], 4, IndexKind::Flat))
        .await
        .unwrap();
    let mut rows = fixture::rows(3, &[VectorField::Image], 4);
    rows[1].attributes.insert("a".into(), 7.into());
    rows[1].labels.push("z".into());
    rows[2].uid = "z".into();
    index.upsert(&name, &rows).await.unwrap();
    let many: Vec<String> = (0..MAX_FILTER_DEPTH).map(|_| "(-uid:*".to_owned()).collect();
    let nested = "uid:* OR ".repeat(100) + &many.join(" OR ") + &")".repeat(MAX_FILTER_DEPTH);
    let filters = [
        longest("uid IN(", shortest_values()),
        longest("uid IN(", std::iter::repeat_n("z".into(), MAX_FILTER_BYTES)),
        longest("attributes.a IN(", shortest_values()),
        longest("attributes.a IN(", std::iter::repeat_n("7".into(), MAX_FILTER_BYTES)),
        longest("labels IN(", shortest_values()),
        "uid<z OR ".repeat(7_000) + "uid=z",
        "attributes.a:* OR ".repeat(3_000) + "attributes.a=7",
        nested,
    ];
    for filter in filters {
        let shown: String = filter.chars().take(30).collect();
        let filter = parse(&filter).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let expected = rows.iter().filter(|row| filter.matches(row)).count();
        assert!(expected > 0, "{shown}");
        let search = FieldSearch {
            field: VectorField::Image,
            vector: vec![1.0; 4],
            limit: 10,
            filter: Some(filter.clone()),
            effort: None,
        };
        let found = index.search(&name, &search).await;
        let found = found.unwrap_or_else(|error| panic!("{shown}: {error}")).hits;
        assert_eq!(found.len(), expected, "{shown}");
        let counted = index.count(&name, Some(&filter)).await;
        assert_eq!(counted.unwrap(), expected as u64, "{shown}");
    }
}
