//! Resource names: `collections/{collection}`, `collections/{collection}/items/{item}`.

use sightline_core::{CollectionName, RowId};

/// Reads `collections/{collection}`.
pub(crate) fn collection_name(name: &str) -> Result<CollectionName, String> {
    let Some(collection) = name.strip_prefix("collections/") else {
        let shown: String = name.chars().take(100).collect();
        return Err(format!("{shown:?} is no collection's name: give collections/NAME"));
    };
    CollectionName::new(collection).map_err(|error| error.to_string())
}

/// Reads `aliases/{alias}`.
pub(crate) fn alias_name(name: &str) -> Result<CollectionName, String> {
    let Some(alias) = name.strip_prefix("aliases/") else {
        let shown: String = name.chars().take(100).collect();
        return Err(format!("{shown:?} is no alias's name: give aliases/NAME"));
    };
    CollectionName::new(alias).map_err(|error| error.to_string())
}

/// `aliases/{alias}`.
pub(crate) fn of_alias(alias: &CollectionName) -> String {
    format!("aliases/{alias}")
}

/// Reads `collections/{collection}/items/{item}`.
pub(crate) fn item_name(name: &str) -> Result<(CollectionName, RowId), String> {
    let Some((collection, item)) = name.split_once("/items/") else {
        let shown: String = name.chars().take(100).collect();
        return Err(format!("{shown:?} is no item's name: give collections/NAME/items/ID"));
    };
    let item = RowId::new(item).map_err(|error| error.to_string())?;
    Ok((collection_name(collection)?, item))
}

/// `collections/{collection}`.
pub(crate) fn of_collection(collection: &CollectionName) -> String {
    format!("collections/{collection}")
}

/// `collections/{collection}/items/{item}`.
pub(crate) fn of_item(collection: &CollectionName, item: &RowId) -> String {
    format!("collections/{collection}/items/{item}")
}
