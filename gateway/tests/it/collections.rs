use crate::encoder::field;
use crate::rows::{described, row};
use crate::search::{picture, request};
use crate::world::World;
use sightline_core::{CollectionDescription, FieldDescription, ModelName, VectorField};
use sightline_proto::v1;
use tonic::Code;

async fn page(world: &World, page_size: i32, page_token: String) -> v1::ListCollectionsResponse {
    let asked = v1::ListCollectionsRequest { page_size, page_token };
    world.search().await.list_collections(asked).await.unwrap().into_inner()
}

#[tokio::test]
async fn collections_are_listed_by_name_page_by_page_each_once() {
    let world = World::new().await;
    let names: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
    for name in names.iter().rev() {
        world.fill(&described(name, &[VectorField::Image]), &[]).await;
    }
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let answer = page(&world, 3, token).await;
        assert!(answer.collections.len() <= 3);
        listed.extend(answer.collections.into_iter().map(|collection| collection.name));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = names.iter().map(|name| format!("collections/{name}")).collect();
    assert_eq!(listed, expected);
    let asked = v1::ListCollectionsRequest {
        page_size: -1,
        page_token: "?".into(),
    };
    let status = world.search().await.list_collections(asked).await.unwrap_err();
    assert!(
        status.message().contains("page_size") && status.message().contains("page_token"),
        "{status}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_collection_says_its_counts_its_models_and_which_fields_are_served() {
    let world = World::new().await;
    let mut description = described("stamps", &VectorField::ALL);
    description
        .fields
        .insert(VectorField::Text, field("another", "text", b"canary"));
    let rows = [
        row("a", Some("a"), Some("a")),
        row("b", Some("b"), None),
        row("c", None, Some("c")),
        row("d", Some("d"), None),
    ];
    world.fill(&description, &rows).await;
    let asked = v1::GetCollectionRequest {
        name: "collections/stamps".into(),
    };
    let collection = world.search().await.get_collection(asked).await.unwrap().into_inner();
    assert_eq!(
        (collection.row_count, collection.image_count, collection.text_count),
        (4, 3, 2)
    );
    assert_eq!(collection.index, "IVF_FLAT nlist=128");
    let fields: Vec<_> = collection
        .fields
        .iter()
        .map(|f| (f.field.as_str(), f.model.as_str(), f.dimension, f.served))
        .collect();
    assert_eq!(
        fields,
        [
            ("image_embedding", "counter", 8, true),
            ("text_embedding", "another", 8, false)
        ]
    );
    assert_eq!(
        collection.fields[0].fingerprint,
        description.fields[&VectorField::Image].fingerprint.as_str()
    );
    world.end().await;
}

#[tokio::test]
async fn a_field_of_another_length_than_the_model_s_is_not_served_though_it_declares_its_fingerprint() {
    let world = World::new().await;
    let mut description = described("stamps", &[VectorField::Image]);
    let ours = description.fields[&VectorField::Image].fingerprint.clone();
    let declared = FieldDescription::imported(ModelName::new("counter").unwrap(), 4, Some(ours));
    description.fields.insert(VectorField::Image, declared);
    world.fill(&description, &[]).await;
    let mut client = world.search().await;
    let asked = v1::GetCollectionRequest {
        name: "collections/stamps".into(),
    };
    let collection = client.get_collection(asked).await.unwrap().into_inner();
    assert!(!collection.fields[0].served, "{collection:?}");
    let asked = v1::SearchRequest {
        image: picture("aab"),
        ..request("stamps")
    };
    let status = client.search(asked).await.unwrap_err();
    assert_eq!(sightline_service::reason(&status).as_deref(), Some("MODEL_MISMATCH"));
    assert!(status.message().contains("4-d"), "{status}");
    world.end().await;
}

#[tokio::test]
async fn a_dropped_collection_is_gone_and_one_that_is_not_there_is_not_found() {
    let world = World::new().await;
    world.fill(&described("stamps", &[VectorField::Image]), &[]).await;
    let mut client = world.search().await;
    let asked = v1::DeleteCollectionRequest {
        name: "collections/stamps".into(),
    };
    client.delete_collection(asked.clone()).await.unwrap();
    let left: Option<CollectionDescription> = world.index.describe(&crate::rows::collection("stamps")).await.unwrap();
    assert_eq!(left, None);
    assert_eq!(
        client.delete_collection(asked).await.unwrap_err().code(),
        Code::NotFound
    );
    let asked = v1::GetCollectionRequest {
        name: "collections/stamps".into(),
    };
    assert_eq!(client.get_collection(asked).await.unwrap_err().code(), Code::NotFound);
    world.end().await;
}
