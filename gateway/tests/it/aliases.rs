//! Second names of collections, and collections that are not in memory.

use crate::between::{Between, OnTheWay};
use crate::rows::{collection, described, row};
use crate::search::{by_legs, leg};
use crate::world::World;
use async_trait::async_trait;
use sightline_core::VectorField;
use sightline_gateway::config::GatewayConfig;
use sightline_index::{IndexError, VectorIndex};
use sightline_proto::v1;
use sightline_proto::v1::leg::Query;
use std::sync::Arc;
use tonic::Code;

fn to(collection: &str) -> v1::UpdateAliasRequest {
    let alias = v1::Alias {
        name: "aliases/live".into(),
        collection: format!("collections/{collection}"),
    };
    v1::UpdateAliasRequest { alias: Some(alias) }
}

fn by_item() -> v1::SearchRequest {
    let values = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let leg = leg("image_embedding", 1.0, Query::Vector(v1::Vector { values }));
    v1::SearchRequest {
        top_k: Some(10),
        ..by_legs("live", vec![leg])
    }
}

/// Two collections, with one row and with two.
async fn world() -> World {
    let world = World::with_encoder(None).await;
    for (name, keys) in [("old", &["a"][..]), ("new", &["b", "c"])] {
        world.index.create(&described(name, &VectorField::ALL)).await.unwrap();
        let rows: Vec<_> = keys.iter().map(|key| row(key, Some("a"), None)).collect();
        world.index.upsert(&collection(name), &rows).await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_page_of_an_alias_never_goes_on_in_another_collection() {
    let world = world().await;
    let mut client = world.search().await;
    let page = |page_token| v1::SearchRequest {
        page_size: 1,
        page_token,
        top_k: None,
        ..by_item()
    };
    client.update_alias(to("new")).await.unwrap();
    let token = client
        .search(page(String::new()))
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    let second = client.search(page(token.clone())).await.unwrap().into_inner();
    assert_eq!(second.hits.len(), 1);
    client.update_alias(to("old")).await.unwrap();
    let refused = client.search(page(token)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("begin again"), "{refused}");
    world.end().await;
}

#[tokio::test]
async fn an_alias_is_searched_described_and_emptied_as_the_collection_that_it_points_at() {
    let world = world().await;
    let mut client = world.search().await;
    for (name, rows) in [("old", 1), ("new", 2)] {
        let set = client.update_alias(to(name)).await.unwrap().into_inner();
        assert_eq!(set.collection, format!("collections/{name}"));
        let hits = client.search(by_item()).await.unwrap().into_inner().hits;
        assert_eq!(hits.len(), rows);
        let request = v1::GetCollectionRequest {
            name: "collections/live".into(),
        };
        let behind = client.get_collection(request).await.unwrap().into_inner();
        assert_eq!(behind.name, format!("collections/{name}"));
        assert_eq!((behind.loaded, behind.aliases), (true, vec!["aliases/live".to_owned()]));
    }
    let request = v1::DeleteItemsRequest {
        parent: "collections/live".into(),
        filter: "key:*".into(),
        ..v1::DeleteItemsRequest::default()
    };
    let deleted = client.delete_items(request).await.unwrap().into_inner();
    assert_eq!(deleted.item_count, 2);
    assert_eq!(world.index.count(&collection("old"), None).await.unwrap(), 1);
    world.end().await;
}

#[tokio::test]
async fn aliases_are_listed_and_forgotten_and_hold_their_collection_meanwhile() {
    let world = world().await;
    let mut client = world.search().await;
    client.update_alias(to("old")).await.unwrap();
    let listed = client.list_aliases(v1::ListAliasesRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().aliases.len(), 1);
    for name in ["collections/old", "collections/live"] {
        let request = v1::DeleteCollectionRequest { name: name.into() };
        let status = client.delete_collection(request).await.unwrap_err();
        assert!(status.message().contains("alias"), "{status}");
    }
    let delete = || v1::DeleteAliasRequest {
        name: "aliases/live".into(),
    };
    client.delete_alias(delete()).await.unwrap();
    assert_eq!(client.delete_alias(delete()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.search(by_item()).await.unwrap_err().code(), Code::NotFound);
    world.end().await;
}

#[tokio::test]
async fn an_alias_that_cannot_be_is_refused_with_the_reason() {
    let world = world().await;
    let mut client = world.search().await;
    let status = client.update_alias(to("nothing")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let mut taken = to("old");
    if let Some(alias) = &mut taken.alias {
        alias.name = "aliases/new".into();
    }
    let status = client.update_alias(taken).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains("it is a collection"), "{status}");
    let status = client
        .update_alias(v1::UpdateAliasRequest::default())
        .await
        .unwrap_err();
    for part in ["alias.name", "alias.collection"] {
        assert!(status.message().contains(part), "{status}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_new_collection_takes_no_alias_s_name_and_is_told_what_it_points_at() {
    let world = world().await;
    let mut client = world.search().await;
    client.update_alias(to("old")).await.unwrap();
    for validate_only in [true, false] {
        let request = v1::CreateCollectionRequest {
            validate_only,
            ..named_live()
        };
        let status = client.create_collection(request).await.unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists, "{status}");
        let said = status.message();
        assert!(said.contains("live is an alias of collection old"), "{status}");
        assert!(said.contains("another name"), "{status}");
    }
    world.end().await;
}

/// A new collection with the alias's name.
fn named_live() -> v1::CreateCollectionRequest {
    let field = v1::create_collection_request::VectorFieldSpec {
        field: "image_embedding".into(),
        dimension: 8,
        ..v1::create_collection_request::VectorFieldSpec::default()
    };
    v1::CreateCollectionRequest {
        collection_id: "live".into(),
        fields: vec![field],
        ..v1::CreateCollectionRequest::default()
    }
}

/// Points the alias at a collection when a new one is about to be made.
#[derive(Debug)]
struct Faster(Arc<dyn VectorIndex>);

#[async_trait]
impl OnTheWay for Faster {
    async fn before(&self, call: &'static str) -> Result<(), IndexError> {
        match call {
            "create" => self.0.set_alias(&collection("live"), &collection("old")).await,
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn an_alias_that_appears_while_a_collection_of_its_name_is_made_is_told_as_the_alias_that_it_is() {
    let wrap = |index: Arc<dyn VectorIndex>| -> Arc<dyn VectorIndex> {
        let way = Faster(Arc::clone(&index));
        Arc::new(Between { index, way })
    };
    let world = World::start(None, GatewayConfig::default(), wrap).await;
    world.fill(&described("old", &VectorField::ALL), &[]).await;
    let status = world.search().await.create_collection(named_live()).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    let said = status.message();
    assert!(said.contains("live is an alias of collection old"), "{status}");
    world.end().await;
}

#[tokio::test]
async fn a_collection_is_released_and_loaded_again_by_its_name_or_alias() {
    let world = world().await;
    let mut client = world.search().await;
    client.update_alias(to("new")).await.unwrap();
    for name in ["collections/new", "collections/live"] {
        let request = v1::ReleaseCollectionRequest { name: name.into() };
        let released = client.release_collection(request).await.unwrap().into_inner();
        assert_eq!(released.name, "collections/new");
        let request = v1::LoadCollectionRequest { name: name.into() };
        let loaded = client.load_collection(request).await.unwrap().into_inner();
        assert!(loaded.loaded && loaded.row_count == 2, "{loaded:?}");
    }
    let request = v1::LoadCollectionRequest {
        name: "collections/nothing".into(),
    };
    let status = client.load_collection(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    world.end().await;
}
