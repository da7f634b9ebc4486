//! Every implementation passes the suite: the embedded one, and Milvus as it runs.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "addresses of test servers come from the environment, and a test fails by panicking"
)]

mod generated;

use sightline_core::VectorField;
use sightline_index::conformance::Subject;
use sightline_index::{CallRecorder, FieldSearch, OpenOptions, Projection, conformance_suite, open};
use std::sync::{Arc, Mutex};

async fn embedded(fields: &[VectorField]) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("new/index.db").display());
    Subject {
        index: open(&address, &OpenOptions::default()).await.unwrap(),
        elsewhere: open(&address, &OpenOptions::default()).await.unwrap(),
        fields: fields.into(),
        aliases: true,
        line_breaks_in_filters: true,
        guard: Box::new(folder),
    }
}

async fn server(variable: &str, fields: &[VectorField]) -> Subject {
    let address = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `make test`, or start the servers with `make up`")
    });
    Subject {
        index: open(&address, &OpenOptions::default()).await.unwrap(),
        elsewhere: open(&address, &OpenOptions::default()).await.unwrap(),
        fields: fields.into(),
        aliases: true,
        line_breaks_in_filters: true,
        guard: Box::new(()),
    }
}

#[tokio::test]
async fn on_the_embedded_index_any_filter_means_what_it_means_in_memory() {
    generated::any_filter_means_the_same(sqlite_two_fields().await, 250).await;
}

#[tokio::test]
async fn on_milvus_lite_any_filter_means_what_it_means_in_memory() {
    generated::any_filter_means_the_same(milvus_lite_two_fields().await, 100).await;
}

#[tokio::test]
async fn on_milvus_any_filter_means_what_it_means_in_memory() {
    generated::any_filter_means_the_same(milvus_image_only().await, 250).await;
}

/// What another process than ours writes: the client remembers the times of its writes by the server's name.
#[tokio::test]
async fn what_another_process_has_just_written_is_found_by_id_though_no_read_of_ours_waited_for_it() {
    use sightline_index::conformance::fixture;
    let ours = milvus_image_only().await;
    let address = std::env::var("SIGHTLINE_TEST_MILVUS_URL").unwrap();
    let elsewhere = address.replace("127.0.0.1", "localhost");
    assert_ne!(address, elsewhere, "the test's server is on 127.0.0.1");
    let theirs = open(&elsewhere, &OpenOptions::default()).await.unwrap();
    let description = ours.create(4).await;
    let name = &description.name;
    for number in 0..10 {
        let rows = [
            fixture::row(2 * number, &ours.fields, 4),
            fixture::row(2 * number + 1, &ours.fields, 4),
        ];
        ours.index.upsert(name, &rows[..1]).await.unwrap();
        theirs.upsert(name, &rows[1..]).await.unwrap();
        let missing = fixture::row(1000, &ours.fields, 4).id;
        let ids = [rows[1].id.clone(), missing, rows[0].id.clone()];
        let found = ours.index.get_found(name, &ids, Projection::WithVectors).await.unwrap();
        assert!(
            found == [rows[1].clone(), rows[0].clone()],
            "{number}: {} rows",
            found.len()
        );
    }
    ours.drop(name).await;
}

/// What is searched as exactly as its index does, whoever made it.
async fn is_searched_as_what_another_made_of_it(ours: Subject, theirs: Subject) {
    use sightline_core::IndexKind;
    use sightline_index::conformance::fixture;
    let mut description = ours.create(8).await;
    let name = description.name.clone();
    let rows = fixture::rows(40, &ours.fields, 8);
    ours.index.upsert(&name, &rows).await.unwrap();
    let search = FieldSearch {
        field: VectorField::Image,
        vector: rows[0].image_embedding.clone().unwrap(),
        limit: 5,
        filter: None,
        effort: None,
    };
    let before = ours.index.search(&name, &search).await.unwrap();
    theirs.index.drop_collection(&name).await.unwrap();
    description.index = IndexKind::IvfFlat { nlist: 4 };
    theirs.index.create(&description).await.unwrap();
    theirs.index.upsert(&name, &rows).await.unwrap();
    assert_eq!(ours.index.describe(&name).await.unwrap(), Some(description));
    let after = ours.index.search(&name, &search).await.unwrap();
    assert!(before.exact, "a search of all vectors is exact");
    assert!(!after.exact, "a search of some lists is not");
    ours.drop(&name).await;
}

#[tokio::test]
async fn on_milvus_a_collection_that_another_made_anew_is_searched_as_what_it_is() {
    is_searched_as_what_another_made_of_it(milvus_image_only().await, milvus_image_only().await).await;
}

#[tokio::test]
async fn on_milvus_lite_a_collection_that_another_made_anew_is_searched_as_what_it_is() {
    is_searched_as_what_another_made_of_it(milvus_lite_image_only().await, milvus_lite_image_only().await).await;
}

#[tokio::test]
async fn each_call_to_milvus_is_told_once_by_its_operation_and_collection() {
    use sightline_index::conformance::fixture;
    let ours = milvus_image_only().await;
    let name = ours.create(4).await.name;
    let told = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&told);
    let options = OpenOptions {
        calls: CallRecorder::new(move |call| {
            let line = (call.system, call.operation, call.collection.clone(), call.error);
            record.lock().unwrap().push(line);
        }),
        ..OpenOptions::default()
    };
    let address = std::env::var("SIGHTLINE_TEST_MILVUS_URL").unwrap();
    let index = open(&address, &options).await.unwrap();
    let rows = fixture::rows(3, &ours.fields, 4);
    let ids = [rows[0].id.clone()];
    index.upsert(&name, &rows).await.unwrap();
    index.get(&name, &ids, Projection::Metadata).await.unwrap();
    index.get_found(&name, &ids, Projection::Metadata).await.unwrap();
    index.scan(&name, None, None, 1, Projection::Metadata).await.unwrap();
    index.count(&name, None).await.unwrap();
    index.delete(&name, &ids).await.unwrap();
    let operations = ["upsert", "get", "get", "scan", "count", "delete"];
    let expected = operations.map(|operation| ("milvus", operation, name.clone(), None::<&str>));
    assert_eq!(*told.lock().unwrap(), expected);
    ours.drop(&name).await;
}

async fn sqlite_two_fields() -> Subject {
    embedded(&VectorField::ALL).await
}

async fn sqlite_image_only() -> Subject {
    embedded(&[VectorField::Image]).await
}

async fn milvus_lite(fields: &[VectorField]) -> Subject {
    Subject {
        // Its grammar has no escape for them.
        aliases: false,
        line_breaks_in_filters: false,
        ..server("SIGHTLINE_TEST_MILVUS_LITE_URL", fields).await
    }
}

async fn milvus_lite_two_fields() -> Subject {
    milvus_lite(&VectorField::ALL).await
}

async fn milvus_lite_image_only() -> Subject {
    milvus_lite(&[VectorField::Image]).await
}

// The 2.3 line has one vector field a collection.
async fn milvus_image_only() -> Subject {
    server("SIGHTLINE_TEST_MILVUS_URL", &[VectorField::Image]).await
}

conformance_suite!(sqlite_two, sqlite_two_fields);
conformance_suite!(sqlite_one, sqlite_image_only);
conformance_suite!(milvus_lite_two, milvus_lite_two_fields);
conformance_suite!(milvus_lite_one, milvus_lite_image_only);
conformance_suite!(milvus_one, milvus_image_only);
