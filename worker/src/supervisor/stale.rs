//! Failed items of which nobody has looked yet whether they have an older row. Pure.

use sightline_core::{FailureReason, ItemKey, Manifest, ManifestEntry, Outcome};
use std::collections::BTreeMap;

/// Those that failed in planning and those that were condemned: their places in the manifest, keys and outcomes.
pub(super) fn unlooked(manifest: &Manifest, outcomes: &BTreeMap<u32, Outcome>) -> Vec<(u32, ItemKey, Outcome)> {
    let entries = (0..).zip(&manifest.entries);
    let failed = |(index, entry): (u32, &ManifestEntry)| {
        let outcome = match entry {
            ManifestEntry::Ended(ended) => &ended.outcome,
            ManifestEntry::Item(_) => outcomes.get(&index)?,
        };
        let Outcome::Failed { reason, .. } = outcome else {
            return None;
        };
        let unlooked = match entry {
            // The row with that key is another item's.
            ManifestEntry::Ended(_) => *reason != FailureReason::DuplicateKey,
            ManifestEntry::Item(_) => *reason == FailureReason::EngineKilled,
        };
        unlooked.then(|| (index, entry.key().clone(), outcome.clone()))
    };
    entries.filter_map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::{Item, JobKind, RunId, SkipReason};

    #[test]
    fn what_failed_in_planning_or_was_condemned_is_looked_up_and_nothing_else() {
        let key = |text: &str| ItemKey::new(text).unwrap();
        let ended = |text, outcome| ManifestEntry::ended(key(text), None, outcome);
        let failed = |reason| Outcome::failed(reason, "words");
        let item = |text| ManifestEntry::Item(Item::new(key(text)));
        let manifest = Manifest {
            run: RunId::of_request("a", "b"),
            kind: JobKind::Embed,
            entries: vec![
                ended("absent.png", failed(FailureReason::NotFound)),
                ended("twice.png", failed(FailureReason::DuplicateKey)),
                ended("notes.txt", Outcome::skipped(SkipReason::UnsupportedType, "a text")),
                item("deadly.png"),
                item("damaged.png"),
                item("fine.png"),
            ],
        };
        let outcomes = BTreeMap::from([
            (3, failed(FailureReason::EngineKilled)),
            (4, failed(FailureReason::CorruptImage)),
            (5, Outcome::Indexed { digest: "d".into() }),
        ]);
        let found: Vec<_> = unlooked(&manifest, &outcomes)
            .into_iter()
            .map(|(index, key, _)| (index, key.to_string()))
            .collect();
        assert_eq!(found, [(0, "absent.png".into()), (3, "deadly.png".into())]);
    }
}
