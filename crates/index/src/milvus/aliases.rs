//! Aliases, which the server keeps and switches in one step.

use super::client::Client;
use super::collections::describe;
use super::error::{index_error, is_no_alias, is_unimplemented};
use crate::IndexError;
use crate::aliases::{name_taken, none_here};
use milvus::v2::prelude::{
    AlterAliasRequest, CreateAliasRequest, DescribeAliasRequest, DropAliasRequest, ListAliasesRequest,
};
use sightline_core::CollectionName;
use std::collections::BTreeMap;

pub(super) async fn set(
    client: &Client,
    alias: &CollectionName,
    collection: &CollectionName,
) -> Result<(), IndexError> {
    let named = |found: Option<sightline_core::CollectionDescription>| found.map(|found| found.name);
    if named(describe(client, collection).await?).as_ref() != Some(collection) {
        return Err(IndexError::NoCollection(collection.clone()));
    }
    let before = named(describe(client, alias).await?);
    if before.as_ref() == Some(alias) {
        return Err(name_taken(alias));
    }
    let call = async {
        if before.is_some() {
            let request = AlterAliasRequest::builder()
                .alias(alias.as_str())
                .collection_name(collection.as_str())
                .build()?;
            return client.sdk.alter_alias(request).await;
        }
        let request = CreateAliasRequest::builder()
            .alias(alias.as_str())
            .collection_name(collection.as_str())
            .build()?;
        client.sdk.create_alias(request).await
    };
    match client.within(call).await {
        Ok(()) => Ok(()),
        Err(error) if is_unimplemented(&error) => Err(none_here(alias)),
        Err(error) => Err(index_error("set an alias", Some(alias), &error)),
    }
}

pub(super) async fn drop(client: &Client, alias: &CollectionName) -> Result<(), IndexError> {
    let call = async {
        let request = DropAliasRequest::builder().alias(alias.as_str()).build()?;
        client.sdk.drop_alias(request).await
    };
    match client.within(call).await {
        Ok(()) => Ok(()),
        Err(error) if is_no_alias(&error) || is_unimplemented(&error) => Ok(()),
        Err(error) => Err(index_error("drop an alias", Some(alias), &error)),
    }
}

pub(super) async fn all(client: &Client) -> Result<BTreeMap<CollectionName, CollectionName>, IndexError> {
    let listing = async {
        let request = ListAliasesRequest::builder().collection_name("").build()?;
        client.sdk.list_aliases(request).await
    };
    let listed = match client.within(listing).await {
        Ok(listed) => listed,
        Err(error) if is_unimplemented(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(index_error("list aliases", None, &error)),
    };
    let mut aliases = BTreeMap::new();
    for alias in listed.aliases() {
        // Another program's names are none of ours.
        let Ok(alias) = CollectionName::new(alias.as_str()) else {
            continue;
        };
        let describing = async {
            let request = DescribeAliasRequest::builder().alias(alias.as_str()).build()?;
            client.sdk.describe_alias(request).await
        };
        match client.within(describing).await {
            Ok(described) => {
                if let Ok(collection) = CollectionName::new(described.collection_name()) {
                    aliases.insert(alias, collection);
                }
            }
            // Dropped since it was listed.
            Err(error) if is_no_alias(&error) => {}
            Err(error) => return Err(index_error("describe an alias", Some(&alias), &error)),
        }
    }
    Ok(aliases)
}
