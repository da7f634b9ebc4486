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
    let message = match here.as_slice() {
        [] => return Ok(()),
        [alias] => format!("the alias {alias} points at it: point it at another collection first, or delete the alias"),
        several => format!(
            "the aliases {} point at it: point them at another collection first, or delete the aliases",
            several.join(" and ")
        ),
    };
    Err(IndexError::refused("drop the collection", collection, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_held_by_one_alias_or_by_several_and_each_is_named() {
        let name = |text: &str| CollectionName::new(text).unwrap();
        let told = |aliases: &[&str]| {
            let aliases = aliases.iter().copied().map(|alias| (name(alias), name("held")));
            let others = [(name("elsewhere"), name("another"))];
            check_unused(&name("held"), &aliases.chain(others).collect())
        };
        assert!(told(&[]).is_ok());
        let one = told(&["live"]).unwrap_err().to_string();
        assert!(one.contains("the alias live points at it"), "{one}");
        let two = told(&["live", "live2"]).unwrap_err().to_string();
        assert!(two.contains("the aliases live and live2 point at it"), "{two}");
        assert!(two.contains("point them at another"), "{two}");
    }
}
