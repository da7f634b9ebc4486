//! What has to be so of rows when all is quiet: they are what results say, and what no run may touch is as it was.

use crate::checks::{Accounted, All, Orphans};
use crate::machines::Site;
use crate::model::{DAMAGED, DEADLY, vector_of};
use crate::scenario::Scenario;
use crate::tree;
use sightline_core::digest::sha256_hex;
use sightline_core::{DatasetName, FailureReason, Item, ItemKey, Outcome, Row, RowId, SkipReason, StopReason};

/// Looks at every item and at every row.
pub(crate) fn check(scenario: &Scenario, accounted: &All, orphans: &Orphans) {
    for (key, found) in accounted {
        outcome(scenario, key, found);
        row(&scenario.site, key, found, orphans);
        stale(scenario, key, found, orphans);
    }
    outsiders(scenario, accounted, orphans);
    older(scenario, accounted, orphans);
    mirrored(scenario, accounted, orphans);
    let others = scenario
        .site
        .rows
        .all()
        .into_iter()
        .filter(|row| row.dataset.as_str() != "pictures");
    if others.collect::<Vec<_>>() != scenario.others {
        scenario
            .site
            .world
            .violation("rows of another dataset are not as they were");
    }
}

fn bytes_of(site: &Site, item: &Item) -> Vec<u8> {
    let image = item.image.as_ref().unwrap();
    site.pictures.version(&image.etag).unwrap().to_vec()
}

/// An item ended as its picture is, and was skipped only where it changed.
fn outcome(scenario: &Scenario, key: &str, found: &Accounted) {
    let site = &scenario.site;
    let wrong = |why: &str| {
        site.world
            .violation(format!("{key} ended as {:?}: {why}", found.outcome))
    };
    let Some(outcome) = &found.outcome else { return };
    let Some(item) = &found.item else {
        let Outcome::Skipped { reason, .. } = outcome else {
            return wrong("it was not to be worked on");
        };
        // What is tried again is looked up again.
        let gone = *reason == SkipReason::Gone && scenario.takes.is_some() && !scenario.untouched.contains(key);
        if !gone && *reason != SkipReason::UnsupportedType {
            wrong("it was not to be worked on");
        }
        return;
    };
    let bytes = bytes_of(site, item);
    let expected = if bytes.is_empty() {
        Some(FailureReason::EmptyObject)
    } else if bytes.starts_with(DAMAGED) {
        Some(FailureReason::CorruptImage)
    } else if bytes.starts_with(DEADLY) {
        Some(FailureReason::EngineKilled)
    } else {
        None
    };
    match (outcome, expected) {
        (
            Outcome::Skipped {
                reason: SkipReason::Gone | SkipReason::Changed,
                ..
            },
            _,
        ) if !scenario.untouched.contains(key) => {}
        (Outcome::Indexed { .. }, None) => {}
        (Outcome::Unchanged { digest }, None)
            if scenario.before.get(key).is_some_and(|row| row.source_digest == *digest) => {}
        (Outcome::Failed { reason, .. }, Some(expected)) if *reason == expected => {}
        _ => wrong(&format!("its picture is {expected:?}")),
    }
}

/// An item that is indexed has one row, with the digest of the result and the vector of its bytes.
fn row(site: &Site, key: &str, found: &Accounted, orphans: &Orphans) {
    let world = &site.world;
    let (Some(item), Some(Outcome::Indexed { digest } | Outcome::Unchanged { digest })) = (&found.item, &found.outcome)
    else {
        return;
    };
    let rows = rows_of(site, key);
    let [row] = rows.as_slice() else {
        return world.violation(format!("{key} is indexed and has {} rows", rows.len()));
    };
    if row.source_digest != *digest {
        let by_orphan = orphans
            .get(key)
            .is_some_and(|items| items.iter().any(|other| is_of(site, row, other)));
        if by_orphan {
            return world.count("rows_of_orphans");
        }
        return world.violation(format!("{key} has a row of another version than its result says"));
    }
    if !is_of(site, row, item) {
        world.violation(format!("the row of {key} is not what its picture gives"));
    }
}

fn is_of(site: &Site, row: &Row, item: &Item) -> bool {
    let bytes = bytes_of(site, item);
    let right = vector_of(&bytes).ok();
    row.content_hash == sha256_hex(&bytes) && row.image_embedding == right
}

fn rows_of(site: &Site, key: &str) -> Vec<Row> {
    let dataset = DatasetName::new("pictures").unwrap();
    site.rows.with(&RowId::of_item(&dataset, &ItemKey::new(key).unwrap()))
}

/// An item that failed says whether an older row of it stays.
fn stale(scenario: &Scenario, key: &str, found: &Accounted, orphans: &Orphans) {
    let Some(Outcome::Failed { stale, .. }) = &found.outcome else {
        return;
    };
    let stays = !rows_of(&scenario.site, key).is_empty();
    if *stale != stays && !orphans.contains_key(key) {
        let world = &scenario.site.world;
        world.violation(format!(
            "{key} failed, stale is {stale}, and that a row of it stays is {stays}"
        ));
    }
}

/// Rows of what is not indexed: they are as they were before the run.
fn outsiders(scenario: &Scenario, accounted: &All, orphans: &Orphans) {
    let world = &scenario.site.world;
    for row in scenario.site.rows.all() {
        let indexed = accounted.get(&row.key).is_some_and(|found| {
            matches!(
                found.outcome,
                None | Some(Outcome::Indexed { .. } | Outcome::Unchanged { .. })
            )
        });
        if indexed || row.dataset.as_str() != "pictures" || scenario.before.get(&row.key) == Some(&row) {
            continue;
        }
        if orphans.contains_key(&row.key) {
            world.count("rows_of_orphans");
        } else {
            world.violation(format!("{} has a row of this run, and is not indexed", row.key));
        }
    }
}

/// Rows that were there before are still there, unless the run was to delete them.
fn older(scenario: &Scenario, accounted: &All, orphans: &Orphans) {
    let (world, disk) = (&scenario.site.world, &scenario.site.state);
    let planned = tree::mirror_is_planned(disk, &scenario.run);
    let done = tree::mirror_is_done(disk, &scenario.run);
    for key in scenario.before.keys() {
        let is_there = !rows_of(&scenario.site, key).is_empty();
        let named = accounted.contains_key(key);
        if !is_there && (named || !planned) {
            world.violation(format!("{key} had a row before the run, and has none"));
        }
        if is_there && done && !named && !orphans.contains_key(key) {
            world.violation(format!("the dataset holds {key} no more, and its row is there"));
        }
    }
}

/// What was deleted is what was told, and nothing was where that would have been dangerous.
fn mirrored(scenario: &Scenario, accounted: &All, orphans: &Orphans) {
    let (world, disk) = (&scenario.site.world, &scenario.site.state);
    let mirror = tree::document(disk, &scenario.run).and_then(|document| document.spec.mirror);
    let Some(mirror) = mirror else { return };
    let gone = scenario.before.keys().filter(|key| !accounted.contains_key(*key));
    let (gone, by_orphans): (Vec<&String>, Vec<&String>) = gone.partition(|key| !orphans.contains_key(*key));
    let told = usize::try_from(scenario.ended.deleted_rows).unwrap();
    let refused = tree::stop(disk, &scenario.run).is_some_and(|stop| stop.reason == StopReason::MirrorRefused);
    if tree::mirror_is_done(disk, &scenario.run) {
        world.count("mirrored_runs");
        world.add("mirrored_rows", told as u64);
        // One that ended as it was cancelled was told of before.
        let expected = gone.len()..=gone.len() + by_orphans.len();
        if !expected.contains(&told) && !scenario.stopped {
            world.violation(format!(
                "{told} rows are deleted, as is told, and {} were to be",
                gone.len()
            ));
        }
    } else if !scenario.stopped && !refused {
        world.violation("the run ended before it deleted what its dataset holds no more");
    }
    if !orphans.is_empty() || scenario.stopped {
        return;
    }
    let items = accounted.values().filter(|found| found.item.is_some()).count();
    // With the run's own rows, a wrong root that holds enough would pass.
    let of = scenario.before.len();
    let too_many = mirror.max_share.is_exceeded(gone.len() as u64, of as u64);
    let dangerous = !gone.is_empty() && (items == 0 || too_many);
    world.count(if refused { "refused_mirrors" } else { "mirrors_allowed" });
    if refused != dangerous {
        world.violation(format!(
            "of {of} rows {} go, {items} items are there, and that this is refused is {refused}",
            gone.len()
        ));
    }
}
