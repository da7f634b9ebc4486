//! Creating, describing, listing and dropping collections.

use super::aliases;
use super::client::Client;
use super::error::{Meaning, index_error, meaning};
use super::schema;
use crate::aliases::check_unused;
use crate::{IndexError, check};
use milvus::v2::prelude::{
    ConsistencyLevel, CreateCollectionRequest, CreateIndexRequest, DescribeCollectionRequest, DescribeIndexRequest,
    DropCollectionRequest, GetLoadStateRequest, LoadCollectionRequest, LoadState, ReleaseCollectionRequest,
};
use sightline_core::document::Document;
use sightline_core::{CollectionDescription, CollectionName, VectorField};
use std::time::Duration;

/// How often the server is asked whether a collection is in memory.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn create(client: &Client, description: &CollectionDescription) -> Result<(), IndexError> {
    let collection = &description.name;
    let mut refusal = None;
    let is_new = stored_description(client, collection).await?.is_none();
    if is_new {
        check::new_collection(description)?;
        let call = async {
            let request = CreateCollectionRequest::builder()
                .collection_name(collection.as_str())
                .schema(schema::schema(description))
                .consistency_level(ConsistencyLevel::Strong)
                .build()?;
            client.sdk.create_collection(request).await
        };
        // Another process may have been faster. Servers have many words for that: what is there afterwards decides.
        refusal = client.call("create a collection", collection, call).await.err();
    }
    match (stored_description(client, collection).await?, refusal) {
        (Some(text), _) => {
            let existing = read(collection, &text).ok_or_else(|| IndexError::Conflict {
                collection: collection.clone(),
                message: "it was not made by Sightline; name another collection".into(),
            })??;
            check::same_description(description, &existing)?;
        }
        (None, Some(refusal)) => return Err(refusal),
        (None, None) => {
            return Err(IndexError::Unavailable {
                action: "create a collection",
                message: format!("{collection} is not there after it was created"),
            });
        }
    }
    let prepared = prepare(client, description).await;
    if is_new && matches!(prepared, Err(IndexError::Refused { .. })) {
        // An index that the server does not have: nothing was written yet, and a collection that cannot be searched
        // would only be in the way of another try.
        drop(client, collection).await?;
    }
    prepared
}

/// Sees to it that a collection's fields are indexed and that it is in memory. Can be done twice.
pub(super) async fn prepare(client: &Client, description: &CollectionDescription) -> Result<(), IndexError> {
    let collection = &description.name;
    for field in description.fields.keys() {
        if !is_indexed(client, collection, *field).await? {
            let call = async {
                let request = CreateIndexRequest::builder()
                    .collection_name(collection.as_str())
                    .index_param(schema::index(*field, description.index))
                    .sync(false)
                    .build()?;
                client.sdk.create_index(request).await
            };
            let created = client.call("create an index", collection, call).await;
            if created.is_err() && !is_indexed(client, collection, *field).await? {
                return created;
            }
        }
    }
    load(client, collection).await
}

async fn is_indexed(client: &Client, collection: &CollectionName, field: VectorField) -> Result<bool, IndexError> {
    let call = async {
        let request = DescribeIndexRequest::builder()
            .collection_name(collection.as_str())
            .field_name(field.as_str())
            .index_name(field.as_str())
            .build()?;
        client.sdk.describe_index(request).await
    };
    match client.within(call).await {
        Ok(response) => Ok(response
            .indexes()
            .iter()
            .any(|index| index.get_field_name() == field.as_str())),
        Err(error) if is_no_index(&error) => Ok(false),
        Err(error) => Err(index_error("describe an index", Some(collection), &error)),
    }
}

fn is_no_index(error: &milvus::v2::error::Error) -> bool {
    let text = error.to_string();
    matches!(error, milvus::v2::error::Error::Server(server) if server.code() == 700 || server.legacy_code() == 25)
        || text.contains("index not found")
        || text.contains("index doesn't exist")
        || text.contains("index not exist")
}

/// Brings a collection into memory and waits until it is there.
pub(super) async fn load(client: &Client, collection: &CollectionName) -> Result<(), IndexError> {
    let call = async {
        let request = LoadCollectionRequest::builder()
            .collection_name(collection.as_str())
            .sync(false)
            .build()?;
        client.sdk.load_collection(request).await?;
        loop {
            let request = GetLoadStateRequest::builder()
                .collection_name(collection.as_str())
                .build()?;
            if client.sdk.get_load_state(request).await?.state() == LoadState::Loaded {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    client.call("load a collection", collection, call).await
}

pub(super) async fn release(client: &Client, collection: &CollectionName) -> Result<(), IndexError> {
    let call = async {
        let request = ReleaseCollectionRequest::builder()
            .collection_name(collection.as_str())
            .build()?;
        client.sdk.release_collection(request).await
    };
    client.call("release a collection", collection, call).await
}

pub(super) async fn is_loaded(client: &Client, collection: &CollectionName) -> Result<bool, IndexError> {
    let call = async {
        let request = GetLoadStateRequest::builder()
            .collection_name(collection.as_str())
            .build()?;
        Ok(client.sdk.get_load_state(request).await?.state() == LoadState::Loaded)
    };
    client.call("ask for the state of a collection", collection, call).await
}

/// The text that was stored with a collection; none where there is no such collection.
pub(super) async fn stored_description(
    client: &Client,
    collection: &CollectionName,
) -> Result<Option<String>, IndexError> {
    let call = async {
        let request = DescribeCollectionRequest::builder()
            .collection_name(collection.as_str())
            .build()?;
        client.sdk.describe_collection(request).await
    };
    match client.within(call).await {
        Ok(response) => Ok(Some(response.description().get_description().to_owned())),
        Err(error) if meaning(&error) == Meaning::NoCollection => Ok(None),
        Err(error) => Err(index_error("describe a collection", Some(collection), &error)),
    }
}

/// Reads a stored text; none where it is no document of ours.
pub(super) fn read(collection: &CollectionName, text: &str) -> Option<Result<CollectionDescription, IndexError>> {
    use sightline_core::DocumentError;
    match CollectionDescription::from_bytes(text.as_bytes()) {
        Ok(description) => Some(Ok(description)),
        // A text of another program is seldom JSON, and never says that it is ours.
        Err(DocumentError::OtherFormat { .. }) => None,
        Err(DocumentError::Malformed { .. }) if !text.contains(CollectionDescription::FORMAT) => None,
        Err(error) => Some(Err(IndexError::refused(
            "describe a collection",
            collection,
            error.to_string(),
        ))),
    }
}

pub(super) async fn describe(
    client: &Client,
    collection: &CollectionName,
) -> Result<Option<CollectionDescription>, IndexError> {
    let text = stored_description(client, collection).await?;
    text.and_then(|text| read(collection, &text)).transpose()
}

pub(super) async fn list(client: &Client) -> Result<Vec<CollectionName>, IndexError> {
    let found = client.collection_names().await?;
    let mut names = Vec::new();
    for name in &found {
        // A name beyond our rules is none of ours. One that is damaged or newer is: it is listed, and says so itself.
        let Ok(name) = CollectionName::new(name.as_str()) else {
            continue;
        };
        let text = stored_description(client, &name).await?;
        if text.is_some_and(|text| read(&name, &text).is_some()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(super) async fn drop(client: &Client, collection: &CollectionName) -> Result<(), IndexError> {
    match describe(client, collection).await? {
        Some(found) if found.name == *collection => {}
        _ => return Ok(()),
    }
    check_unused(collection, &aliases::all(client).await?)?;
    let call = async {
        let request = DropCollectionRequest::builder()
            .collection_name(collection.as_str())
            .build()?;
        client.sdk.drop_collection(request).await
    };
    match client.call("drop a collection", collection, call).await {
        Err(IndexError::NoCollection(_)) => Ok(()),
        other => other,
    }
}
