//! Which dataset an export is of. A dataset's name is part of a row's key and is given anew with an import, so that files
//! with rows of two would make one row of two that have one key.

use crate::error::CliError;
use crate::servers::Searching;
use crate::text::{id_of, plain};
use sightline_core::filter::Literal;
use sightline_proto::v1;

/// The dataset of all items that a filter leaves; none where it leaves nothing.
pub(super) async fn only_one(
    client: &mut Searching,
    collection: &str,
    filter: &str,
) -> Result<Option<String>, CliError> {
    let Some(first) = any(client, collection, filter.to_owned()).await? else {
        return Ok(None);
    };
    let name = Literal::Text(first.clone());
    // AND binds loosest: what is given needs no parentheses.
    let and = if filter.is_empty() { "" } else { " AND " };
    match any(client, collection, format!("{filter}{and}dataset != {name}")).await? {
        None => Ok(Some(first)),
        Some(second) => Err(several(collection, filter, &first, &second)),
    }
}

async fn any(client: &mut Searching, collection: &str, filter: String) -> Result<Option<String>, CliError> {
    let failed = |status: tonic::Status| CliError::call("export the collection", &status);
    let request = v1::ExportItemsRequest {
        parent: collection.to_owned(),
        filter,
        fields: vec!["dataset".into()],
    };
    let mut stream = client.export_items(request).await.map_err(failed)?.into_inner();
    while let Some(message) = stream.message().await.map_err(failed)? {
        if let Some(item) = message.items.into_iter().next() {
            return Ok(Some(item.dataset));
        }
    }
    Ok(None)
}

/// Why rows of two datasets are not written into one folder, and what to do.
pub(super) fn several(collection: &str, filter: &str, one: &str, other: &str) -> CliError {
    let collection = id_of(collection, "collections");
    let name = Literal::Text(plain(one));
    let remedy = match filter {
        "" => format!("--filter 'dataset = {name}'"),
        _ => format!("add AND dataset = {name} to the filter"),
    };
    CliError::Usage(format!(
        "cannot export {collection} at once: it holds items of {name}, of {} and perhaps of more datasets, and an import gives \
         all rows of a folder to one. Export each into a folder of its own: {remedy}; `sightline collections statistics \
         {collection}` counts them",
        Literal::Text(plain(other))
    ))
}
