//! A shard that killed every worker that took it, in two parts that are worked in its place.

use crate::document::Document;
use crate::ids::{RunId, ShardId};
use crate::manifest::ManifestEntry;
use crate::plan::PlannedShard;
use serde::{Deserialize, Serialize};

/// `splits/<shard>.json`: the parts of a shard. They follow from its manifest alone, so that whoever splits it writes
/// the same bytes. The shard has a result when its parts have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardSplit {
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardId,
    /// Its parts, whose entries one after the other are its own.
    pub parts: Vec<PlannedShard>,
}

impl Document for ShardSplit {
    const FORMAT: &'static str = "sightline.split";
}

/// Cuts a manifest's entries in two, each with half of the items that are to be worked on.
///
/// # Errors
/// Gives them back where fewer than two are to be worked on: then there is nothing to cut.
pub fn halves(entries: Vec<ManifestEntry>) -> Result<[Vec<ManifestEntry>; 2], Vec<ManifestEntry>> {
    let places = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| matches!(entry, ManifestEntry::Item(_)));
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    match places.get(places.len() / 2) {
        Some(at) if places.len() > 1 => {
            let mut first = entries;
            let second = first.split_off(*at);
            Ok([first, second])
        }
        _ => Err(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemKey;
    use crate::item::Item;
    use crate::outcome::{Outcome, SkipReason};
    use proptest::prelude::*;

    fn entries(kinds: &[bool]) -> Vec<ManifestEntry> {
        let entry = |(at, item): (usize, &bool)| {
            let key = ItemKey::new(format!("{at:04}")).unwrap();
            if *item {
                ManifestEntry::Item(Item::new(key))
            } else {
                ManifestEntry::ended(key, None, Outcome::skipped(SkipReason::UnsupportedType, "a text"))
            }
        };
        kinds.iter().enumerate().map(entry).collect()
    }

    fn items(entries: &[ManifestEntry]) -> usize {
        entries
            .iter()
            .filter(|entry| matches!(entry, ManifestEntry::Item(_)))
            .count()
    }

    proptest! {
        #[test]
        fn halves_are_the_whole_in_its_order_and_halve_its_items(kinds in prop::collection::vec(any::<bool>(), 0..40)) {
            let whole = entries(&kinds);
            match halves(whole.clone()) {
                Ok([first, second]) => {
                    prop_assert!(items(&first) >= 1 && items(&second) - items(&first) <= 1);
                    prop_assert_eq!([first, second].concat(), whole);
                }
                Err(back) => {
                    prop_assert!(items(&back) < 2);
                    prop_assert_eq!(back, whole);
                }
            }
        }
    }
}
