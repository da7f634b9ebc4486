//! Imports, and runs into aliases, that are refused when they are asked for.

use crate::fixture::Fixture;
use sightline_core::{CollectionDescription, CollectionName, FieldDescription, IndexKind, ModelName, VectorField};
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use tonic::{Code, Request};

/// An import of pictures' vectors in a column of a table below the dataset's root.
fn import(fixture: &Fixture, path: &str) -> v1::RunSpec {
    let source = v1::EmbeddingsSource {
        path: path.into(),
        image_column: "v".into(),
        ..v1::EmbeddingsSource::default()
    };
    let mut spec = v1::RunSpec {
        kind: v1::JobKind::Import.into(),
        model: "medsiglip".into(),
        ..fixture.spec()
    };
    spec.dataset.as_mut().unwrap().source = Some(v1::dataset::Source::Embeddings(source));
    spec
}

/// A collection of pictures' vectors of two values.
pub(crate) async fn collection(fixture: &Fixture, name: &str) {
    let field = FieldDescription::imported(ModelName::new("medsiglip").unwrap(), 2, None);
    let description = CollectionDescription {
        name: CollectionName::new(name).unwrap(),
        fields: [(VectorField::Image, field)].into(),
        index: IndexKind::Flat,
    };
    fixture.index.create(&description).await.unwrap();
}

#[tokio::test]
async fn an_import_of_vectors_of_another_length_than_the_collections_is_refused_at_once_with_both() {
    let fixture = Fixture::new(0).await;
    let write =
        |name: &str, rows: &str| std::fs::write(fixture.folder.path().join("dataset").join(name), rows).unwrap();
    write("3.jsonl", "{\"key\":\"a\",\"v\":[1,0,0]}\n");
    write("2.jsonl", "{\"key\":\"a\",\"v\":null}\n{\"key\":\"b\",\"v\":[1,0]}\n");
    collection(&fixture, "there").await;
    let into = |collection: &str, path: &str| v1::RunSpec {
        collection: format!("collections/{collection}"),
        ..import(&fixture, path)
    };
    let refused = fixture.create("long", into("there", "3.jsonl")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    for said in ["3 values", "collection there have 2"] {
        assert!(refused.message().contains(said), "{refused}");
    }
    // Into a collection that is not there yet any vectors may go.
    fixture.create("new", into("new", "3.jsonl")).await.unwrap();
    fixture.create("same", into("there", "2.jsonl")).await.unwrap();
}

#[tokio::test]
async fn an_import_of_vectors_of_another_length_than_the_named_models_is_refused_at_once_with_both() {
    let fixture = Fixture::new(0).await;
    let table = fixture.folder.path().join("dataset/m.jsonl");
    std::fs::write(table, "{\"key\":\"a\",\"v\":[1,0,0]}\n").unwrap();
    let create = async |request_id: &str, length: i32, validate_only: bool| {
        let request = v1::CreateRunRequest {
            spec: Some(import(&fixture, "m.jsonl")),
            request_id: request_id.into(),
            validate_only,
            dimensions: [("image_embedding".to_owned(), length)].into(),
        };
        fixture.api().create_run(Request::new(request)).await
    };
    for validate_only in [true, false] {
        let refused = create("short", 2, validate_only).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        for said in ["have 3 values", "this model have 2"] {
            assert!(refused.message().contains(said), "{refused}");
        }
    }
    assert_eq!(
        create("none", 0, false).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let made = create("same", 3, false).await.unwrap().into_inner();
    // Which model it was said to be is no part of the specification: the same request finds its run.
    assert_eq!(create("same", 2, false).await.unwrap().into_inner().name, made.name);
}

#[tokio::test]
async fn an_import_that_cannot_be_read_is_taken_and_its_run_says_why() {
    let fixture = Fixture::new(0).await;
    collection(&fixture, "pictures").await;
    let run = fixture
        .create("absent", import(&fixture, "absent.jsonl"))
        .await
        .unwrap();
    let failed = fixture.until(&run.name, |run| run.end_time.is_some()).await;
    assert!(
        failed.state_message.contains("absent.jsonl"),
        "{}",
        failed.state_message
    );
}

#[tokio::test]
async fn a_run_into_an_alias_is_refused_at_once_and_names_the_collection_behind_it() {
    let fixture = Fixture::new(1).await;
    collection(&fixture, "behind").await;
    let [alias, behind] = ["front", "behind"].map(|name| CollectionName::new(name).unwrap());
    fixture.index.set_alias(&alias, &behind).await.unwrap();
    for spec in [fixture.spec(), import(&fixture, "absent.jsonl")] {
        let spec = v1::RunSpec {
            collection: "collections/front".into(),
            ..spec
        };
        let refused = fixture.create("alias", spec).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let said = refused.message();
        assert!(said.contains("front is an alias of collection behind"), "{said}");
    }
    // The collection itself takes the run.
    let spec = v1::RunSpec {
        collection: "collections/behind".into(),
        ..fixture.spec()
    };
    fixture.create("behind", spec).await.unwrap();
}
