//! What every index says of aliases.

use crate::IndexError;
use sightline_core::CollectionName;
use std::collections::BTreeMap;

/// This server has no aliases.
pub(crate) fn none_here(alias: &CollectionName) -> IndexError {
    IndexError::refused(
        "set the alias",
        alias,
        "this kind of index has no aliases: use Milvus or the embedded index",
    )
}

/// A collection has the alias's name.
pub(crate) fn name_taken(alias: &CollectionName) -> IndexError {
    IndexError::Conflict {
        collection: alias.clone(),
        message: "it is a collection and cannot be an alias: give the alias another name".into(),
    }
}

/// Refuses to drop a collection that aliases point at.
pub(crate) fn check_unused(
    collection: &CollectionName,
    aliases: &BTreeMap<CollectionName, CollectionName>,
) -> Result<(), IndexError> {
    let here = aliases.iter().filter(|(_, behind)| *behind == collection);
    let here: Vec<&str> = here.map(|(alias, _)| alias.as_str()).collect();
    if here.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the alias {} points at it: point it at another collection first, or delete it",
        here.join(" and ")
    );
    Err(IndexError::refused("drop the collection", collection, message))
}
