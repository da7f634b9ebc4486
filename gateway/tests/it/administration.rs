//! Making collections, counting and deleting what is in them, and taking it out.

use crate::encoder::CountingEncoder;
use crate::refusals::violated;
use crate::rows::{bare_row, collection, described, row, row_id};
use crate::world::World;
use serde_json::json;
use sightline_core::{IndexKind, Row, VectorField};
use sightline_proto::v1;
use tonic::Code;

type FieldSpec = v1::create_collection_request::VectorFieldSpec;

fn create(name: &str) -> v1::CreateCollectionRequest {
    v1::CreateCollectionRequest {
        collection_id: name.into(),
        ..v1::CreateCollectionRequest::default()
    }
}

fn field(name: &str, dimension: i32) -> FieldSpec {
    FieldSpec {
        field: name.into(),
        dimension,
        model: "medsiglip".into(),
        fingerprint: String::new(),
    }
}

#[tokio::test]
async fn a_collection_is_made_with_the_index_of_its_size_and_made_again_it_is_the_same() {
    let world = World::with_encoder(None).await;
    let asked = v1::CreateCollectionRequest {
        fields: vec![field("image_embedding", 1152), field("text_embedding", 1152)],
        expected_rows: 500_000,
        ..create("medical")
    };
    let mut client = world.search().await;
    let only_checked = v1::CreateCollectionRequest {
        validate_only: true,
        ..asked.clone()
    };
    let checked = client.create_collection(only_checked).await.unwrap().into_inner();
    assert_eq!(
        (checked.index.as_str(), checked.fields.len()),
        ("IVF_FLAT nlist=1024", 2)
    );
    assert_eq!(world.index.describe(&collection("medical")).await.unwrap(), None);
    let made = client.create_collection(asked.clone()).await.unwrap().into_inner();
    assert_eq!(made, client.create_collection(asked).await.unwrap().into_inner());
    assert_eq!(made.name, "collections/medical");
    assert!(
        made.fields
            .iter()
            .all(|field| field.model == "medsiglip" && !field.served)
    );
    let other = v1::CreateCollectionRequest {
        fields: vec![field("image_embedding", 512)],
        ..create("medical")
    };
    let status = client.create_collection(other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    world.end().await;
}

#[tokio::test]
async fn without_fields_the_served_model_s_are_meant_and_its_rows_are_found() {
    let world = World::with_encoder(Some(CountingEncoder::new("counter", true))).await;
    let index = v1::IndexSpec {
        r#type: "HNSW".into(),
        ..v1::IndexSpec::default()
    };
    let asked = v1::CreateCollectionRequest {
        index: Some(index),
        ..create("c")
    };
    let made = world
        .search()
        .await
        .create_collection(asked)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.index, "HNSW M=16 efConstruction=200");
    assert!(made.fields.len() == 2 && made.fields.iter().all(|field| field.served));
    let mut same = described("c", &VectorField::ALL);
    same.index = IndexKind::Hnsw {
        m: 16,
        ef_construction: 200,
    };
    world.index.create(&same).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn every_mistake_of_a_new_collection_is_told_with_its_field() {
    let world = World::with_encoder(None).await;
    let mut twice = field("image_embedding", 0);
    twice.fingerprint = "short".into();
    let asked = v1::CreateCollectionRequest {
        fields: vec![
            field("image_embedding", 8),
            twice,
            field("sound", 8),
            field("image_embedding", 9),
        ],
        index: Some(v1::IndexSpec {
            r#type: "BEST".into(),
            nlist: Some(-1),
            ..v1::IndexSpec::default()
        }),
        ..create("1c")
    };
    let status = world.search().await.create_collection(asked).await.unwrap_err();
    for part in [
        "collection_id",
        "fields[1].dimension",
        "fields[1].fingerprint",
        "fields[2].field",
        "fields[3].field: is given twice",
        "index.type",
        "index.nlist",
    ] {
        assert!(status.message().contains(part), "{part}: {status}");
    }
    let asked = v1::CreateCollectionRequest {
        fields: vec![field("image_embedding", 16)],
        index: Some(v1::IndexSpec {
            r#type: "IVF_PQ".into(),
            m: Some(7),
            ..v1::IndexSpec::default()
        }),
        validate_only: true,
        ..create("pq")
    };
    let status = world.search().await.create_collection(asked).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("index.m"), "{status}");
    let status = world.search().await.create_collection(create("c")).await.unwrap_err();
    assert!(status.message().contains("no model is served"), "{status}");
    world.end().await;
}

#[tokio::test]
async fn a_number_of_the_index_that_is_0_or_beyond_its_range_is_refused_at_its_field_with_the_range() {
    let world = World::with_encoder(None).await;
    let graph = |m, ef_construction| v1::IndexSpec {
        r#type: "HNSW".into(),
        m,
        ef_construction,
        ..v1::IndexSpec::default()
    };
    let lists = |nlist| v1::IndexSpec {
        r#type: "IVF_FLAT".into(),
        nlist: Some(nlist),
        ..v1::IndexSpec::default()
    };
    for (index, path, range) in [
        (lists(0), "index.nlist", "1 to 65536"),
        (lists(65_537), "index.nlist", "1 to 65536"),
        (graph(Some(0), None), "index.m", "2 to 2048"),
        (graph(None, Some(0)), "index.ef_construction", "1 to 65535"),
        (graph(None, Some(i32::MAX)), "index.ef_construction", "1 to 65535"),
    ] {
        let asked = v1::CreateCollectionRequest {
            fields: vec![field("image_embedding", 16)],
            index: Some(index),
            ..create("c")
        };
        let status = world.search().await.create_collection(asked).await.unwrap_err();
        assert_eq!(violated(&status), [path], "{status}");
        assert!(status.message().contains(range), "{status}");
    }
    assert!(world.index.list().await.unwrap().is_empty());
    world.end().await;
}

#[tokio::test]
async fn the_fingerprint_of_the_served_model_is_not_taken_for_vectors_of_another_length() {
    let world = World::new().await;
    let fingerprint = described("any", &VectorField::ALL).fields[&VectorField::Image]
        .fingerprint
        .to_string();
    let asked = |dimension| v1::CreateCollectionRequest {
        fields: vec![FieldSpec {
            fingerprint: fingerprint.clone(),
            ..field("image_embedding", dimension)
        }],
        ..create("c")
    };
    let mut client = world.search().await;
    let status = client.create_collection(asked(32)).await.unwrap_err();
    assert_eq!(violated(&status), ["fields[0].dimension"], "{status}");
    assert!(status.message().contains("has 8"), "{status}");
    let made = client.create_collection(asked(8)).await.unwrap().into_inner();
    assert!(made.fields[0].served, "{made:?}");
    world.end().await;
}

/// Twenty rows: labels by number, an age, and a view.
fn labelled() -> Vec<Row> {
    let labelled = |number: u32| Row {
        labels: ["Mass", "Nodule"]
            .into_iter()
            .take(number as usize % 3)
            .map(str::to_owned)
            .collect(),
        attributes: [
            ("age".to_owned(), json!(number)),
            (
                "view".to_owned(),
                json!(if number.is_multiple_of(4) { "LATERAL" } else { "PA" }),
            ),
        ]
        .into(),
        ..row(&format!("k{number:02}"), Some("a"), None)
    };
    (0..20).map(labelled).collect()
}

#[tokio::test]
async fn labels_and_attributes_are_counted_over_all_rows_or_those_of_a_filter() {
    let world = World::new().await;
    world.fill(&described("c", &VectorField::ALL), &labelled()).await;
    let asked = v1::GetCollectionStatisticsRequest {
        name: "collections/c".into(),
        filter: String::new(),
        top_values: 1,
    };
    let mut client = world.search().await;
    let counted = client
        .get_collection_statistics(asked.clone())
        .await
        .unwrap()
        .into_inner();
    let value = |value: &str, count| v1::ValueCount {
        value: value.into(),
        count,
    };
    assert_eq!(
        (counted.row_count, counted.unlabelled_count, counted.other_label_count),
        (20, 7, 6)
    );
    assert_eq!(counted.labels, [value("Mass", 13)]);
    assert_eq!(counted.datasets, [value("d", 20)]);
    let [age, view] = &counted.attributes[..] else {
        panic!("{counted:?}")
    };
    assert_eq!(
        (age.count, age.minimum, age.maximum, age.mean),
        (20, Some(0.0), Some(19.0), Some(9.5))
    );
    assert_eq!((&view.values[..], view.other_count), (&[value("PA", 15)][..], 5));
    let filtered = v1::GetCollectionStatisticsRequest {
        filter: "attributes.age < 4".into(),
        ..asked
    };
    let counted = client.get_collection_statistics(filtered).await.unwrap().into_inner();
    assert_eq!(counted.row_count, 4);
    let alias = collection("other");
    world.index.set_alias(&alias, &collection("c")).await.unwrap();
    let by_alias = v1::GetCollectionStatisticsRequest {
        name: "collections/other".into(),
        ..v1::GetCollectionStatisticsRequest::default()
    };
    let counted = client.get_collection_statistics(by_alias).await.unwrap().into_inner();
    assert_eq!((counted.name.as_str(), counted.row_count), ("collections/c", 20));
    world.end().await;
}

#[tokio::test]
async fn items_are_deleted_by_id_and_by_filter_and_only_counted_where_that_is_asked() {
    let world = World::new().await;
    world.fill(&described("c", &VectorField::ALL), &labelled()).await;
    let request = || v1::DeleteItemsRequest {
        parent: "collections/c".into(),
        ..v1::DeleteItemsRequest::default()
    };
    let left = async || world.index.count(&collection("c"), None).await.unwrap();
    let mut client = world.search().await;
    let filter = "labels:\"Nodule\" AND attributes.age >= 10".to_owned();
    let only_counted = v1::DeleteItemsRequest {
        filter: filter.clone(),
        validate_only: true,
        ..request()
    };
    let counted = client.delete_items(only_counted).await.unwrap().into_inner();
    assert_eq!((counted.item_count, left().await), (3, 20));
    let asked = v1::DeleteItemsRequest { filter, ..request() };
    let deleted = client.delete_items(asked).await.unwrap().into_inner();
    assert_eq!((deleted.item_count, left().await), (3, 17));
    let id = row_id("k00").to_string();
    // More than are deleted at once.
    let only_counted = v1::DeleteItemsRequest {
        ids: vec![id.clone(); 2500],
        validate_only: true,
        ..request()
    };
    let counted = client.delete_items(only_counted).await.unwrap().into_inner();
    assert_eq!((counted.item_count, left().await), (1, 17));
    let asked = v1::DeleteItemsRequest {
        ids: vec![id.clone(), id, row_id("never").to_string()],
        ..request()
    };
    let deleted = client.delete_items(asked).await.unwrap().into_inner();
    assert_eq!((deleted.item_count, left().await), (1, 16));
    for wrong in [
        request(),
        v1::DeleteItemsRequest {
            ids: vec!["?".into()],
            ..request()
        },
        v1::DeleteItemsRequest {
            filter: "labels".into(),
            ..request()
        },
    ] {
        let status = client.delete_items(wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(left().await, 16);
    world.end().await;
}

#[tokio::test]
async fn an_export_streams_every_item_once_with_the_fields_that_were_asked_for() {
    let world = World::new().await;
    // Long texts: several messages a page, and several pages.
    let rows: Vec<Row> = (0..600)
        .map(|number| Row {
            report_text: "x".repeat(20_000),
            ..if number % 2 == 0 {
                row(&format!("k{number}"), Some("ab"), None)
            } else {
                bare_row(&format!("k{number}"))
            }
        })
        .collect();
    world.fill(&described("c", &VectorField::ALL), &rows).await;
    let asked = v1::ExportItemsRequest {
        parent: "collections/c".into(),
        filter: String::new(),
        fields: vec!["key".into(), "report_text".into(), "image_embedding".into()],
    };
    let mut client = world.search().await;
    let mut stream = client.export_items(asked.clone()).await.unwrap().into_inner();
    let (mut items, mut messages) = (Vec::new(), 0);
    while let Some(message) = stream.message().await.unwrap() {
        messages += 1;
        items.extend(message.items);
    }
    assert!(messages > 3, "{messages}");
    assert!(items.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(
        (
            items.len(),
            items.iter().filter(|item| item.image_embedding.is_some()).count()
        ),
        (600, 300)
    );
    assert!(
        items
            .iter()
            .all(|item| item.report_text.len() == 20_000 && item.dataset.is_empty())
    );
    let none = v1::ExportItemsRequest {
        filter: "key = \"never\"".into(),
        ..asked.clone()
    };
    let mut stream = client.export_items(none).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_none());
    let gone = v1::ExportItemsRequest {
        parent: "collections/gone".into(),
        ..asked
    };
    assert_eq!(client.export_items(gone).await.unwrap_err().code(), Code::NotFound);
    world.end().await;
}
