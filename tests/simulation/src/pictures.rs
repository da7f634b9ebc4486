//! The dataset: what lies in it, what becomes of it while it is listed and read, and between runs.

use crate::machines::Site;
use crate::model::{DAMAGED, DEADLY};
use crate::world::World;
use bytes::Bytes;
use sightline_core::{DatasetName, ItemKey, Row, RowId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of another dataset with the keys of this one's.
const ROWS_OF_OTHERS: usize = 3;

fn picture(world: &World, key: &str) -> Vec<u8> {
    let number = world.number();
    match world.below(40) {
        0 => Vec::new(),
        1 | 2 => [DAMAGED, key.as_bytes(), &number.to_le_bytes()].concat(),
        3 if world.counted("deadly_pictures") < 2 => {
            world.count("deadly_pictures");
            [DEADLY, key.as_bytes(), &number.to_le_bytes()].concat()
        }
        // Some pictures are there twice.
        4 => b"a picture that many have".to_vec(),
        _ => [key.as_bytes(), &number.to_le_bytes()].concat(),
    }
}

fn new_key(world: &World) -> String {
    let folder = ["", "a/", "b/", "b/c/"][usize::try_from(world.below(4)).unwrap()];
    let kind = if world.chance(0.07) { "txt" } else { "png" };
    format!("{folder}{:04}.{kind}", world.below(10_000))
}

pub(crate) fn write(site: &Site, key: &str) {
    site.world.note(format!("{key} is written"));
    site.pictures.put(key, Bytes::from(picture(&site.world, key)));
}

pub(crate) fn delete(site: &Site, key: &str) {
    site.world.note(format!("{key} is deleted"));
    site.pictures.delete(key);
}

/// The first pictures.
pub(crate) fn fill(site: &Site) {
    let world = &site.world;
    let keys: BTreeSet<String> = (0..world.below(60)).map(|_| new_key(world)).collect();
    for key in &keys {
        site.pictures.put(key, Bytes::from(picture(world, key)));
    }
}

/// Changes, deletes and adds objects while they are listed and read.
pub(crate) async fn change(site: Arc<Site>, touched: Arc<Mutex<BTreeSet<String>>>) {
    let world = &site.world;
    let keys = site.pictures.keys("");
    let changes = [0, 0, 3, 12][usize::try_from(world.below(4)).unwrap()];
    for _ in 0..changes {
        tokio::time::sleep(world.millis(1, 5_000)).await;
        if world.is_calm() {
            return;
        }
        let old = keys.get(usize::try_from(world.below(keys.len() as u64)).unwrap());
        let (key, deleted) = match (world.below(3), old) {
            (0, Some(key)) => (key.clone(), true),
            (1, Some(key)) => (key.clone(), false),
            _ => (new_key(world), false),
        };
        world.count("changes");
        touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        if deleted {
            delete(&site, &key);
        } else {
            write(&site, &key);
        }
    }
}

/// What becomes of the dataset between two runs, and what another dataset leaves in the collection meanwhile.
pub(crate) fn alter(site: &Site) {
    let world = &site.world;
    let deleted = if world.chance(0.15) { 0.7 } else { 0.15 };
    for key in site.pictures.keys("") {
        match world.below(100) {
            _ if world.chance(deleted) => delete(site, &key),
            0..15 => write(site, &key),
            _ => {}
        }
    }
    for _ in 0..world.below(4) {
        write(site, &new_key(world));
    }
    let dataset = DatasetName::new("others").unwrap();
    for row in site.rows.all().into_iter().take(ROWS_OF_OTHERS) {
        let id = RowId::of_item(&dataset, &ItemKey::new(&row.key).unwrap());
        site.rows.put(Row {
            id,
            dataset: dataset.clone(),
            ..row
        });
    }
}
