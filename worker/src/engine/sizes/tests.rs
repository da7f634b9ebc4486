use super::*;
use crate::model::{Embedding, ForwardError, InputError, NoModel, Pixels, Prepared, Reading};
use async_trait::async_trait;
use sightline_core::{FieldDescription, ModelName, VectorField};
use std::collections::BTreeMap;

const MACHINE: Machine = Machine {
    cores: 6,
    memory: Some(64 << 30),
};

fn none() -> NoModel {
    NoModel(ModelName::new("none").unwrap())
}

fn of(config: &PipelineConfig) -> Result<Sizes, String> {
    Sizes::of(config, &none(), MACHINE, 6)
}

/// A model on a processor whose pictures take a mebibyte each.
#[derive(Debug)]
struct Large(NoModel);

#[async_trait]
impl EmbeddingModel for Large {
    fn name(&self) -> &ModelName {
        self.0.name()
    }

    fn fields(&self) -> &BTreeMap<VectorField, FieldDescription> {
        self.0.fields()
    }

    fn devices(&self) -> Vec<String> {
        named(&["cpu"])
    }

    fn prepared_bytes(&self) -> u64 {
        1 << 20
    }

    fn prepare(&self, bytes: &[u8], reading: &Reading) -> Result<Prepared, InputError> {
        self.0.prepare(bytes, reading)
    }

    async fn embed_images(&self, device: usize, batch: Vec<Pixels>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_images(device, batch).await
    }

    async fn embed_texts(&self, device: usize, batch: Vec<String>) -> Result<Vec<Embedding>, ForwardError> {
        self.0.embed_texts(device, batch).await
    }
}

fn named(devices: &[&str]) -> Vec<String> {
    devices.iter().map(|device| (*device).to_owned()).collect()
}

#[test]
fn sizes_follow_from_cores_and_memory_where_none_are_given() {
    let sizes = of(&PipelineConfig::default()).unwrap();
    assert_eq!(
        (sizes.decode_threads, sizes.batches, sizes.prepared),
        (6, 1, 32 * 2 + 6)
    );
    assert_eq!((sizes.max_items, sizes.batch_items, sizes.fetches), (5000, 32, 32));
    assert_eq!(sizes.budget.bytes(), 1 << 30);
    // Four writes of 16 MiB, three times each, what the next is filled with, and blocks of arrays.
    assert_eq!(sizes.budget.set_aside(), (4 * 3 * 16 + 16 + 64) << 20);
}

#[test]
fn what_is_given_counts_and_too_little_memory_for_it_is_an_error() {
    let given = PipelineConfig {
        decode_threads: 3,
        fetches: 7,
        memory_bytes: 336 << 20,
        ..PipelineConfig::default()
    };
    let sizes = of(&given).unwrap();
    assert_eq!((sizes.decode_threads, sizes.fetches), (3, 7));
    assert_eq!(sizes.budget.shared(), 64 << 20);
    let more = PipelineConfig { upserts: 5, ..given };
    assert!(of(&more).unwrap_err().contains("rows 256"));
}

#[test]
fn more_objects_are_read_at_once_for_devices_that_compute_more() {
    let at_once = |devices: &[&str]| fetches(0, &named(devices));
    assert_eq!(at_once(&["cpu", "cpu"]), 32);
    assert_eq!(at_once(&["cuda:0"]), 128);
    assert_eq!(at_once(&["cuda:0", "cpu", "cuda:1"]), 256);
    assert_eq!(at_once(&["cuda:0"; 16]), 1024);
}

#[test]
fn as_many_lookups_are_asked_at_once_as_shards_are_in_hand_or_writes_are_made() {
    let at_once = |devices: &[&str]| lookups(4, &named(devices), 32);
    assert_eq!([at_once(&[]), at_once(&["cpu"])], [4, 4]);
    assert_eq!([at_once(&["cuda:0"]), at_once(&["cuda:0", "cuda:1"])], [9, 17]);
}

#[test]
fn batches_suit_the_devices_and_the_pipeline_holds_five_of_each() {
    let config = |max_items| PipelineConfig {
        max_items,
        upsert_rows: 1,
        ..PipelineConfig::default()
    };
    let of = |devices: &[&str], threads| {
        let devices = named(devices);
        let batch = batch_items(&devices, threads);
        (batch, max_items(&config(0), &devices, batch))
    };
    assert_eq!([of(&["cpu"], 2), of(&["cpu"], 9)], [(32, 1024), (36, 1024)]);
    assert_eq!([of(&["cpu"], 64), of(&["cpu"], 512)], [(256, 1280), (256, 1280)]);
    assert_eq!([of(&["cuda:0"], 16), of(&["cuda:0"; 8], 16)], [(64, 1024), (64, 2560)]);
    assert_eq!(of(&["cpu", "cuda:0"], 32).0, 128);
    assert_eq!(max_items(&config(7), &named(&["cpu"; 60]), 4096), 7);
    assert_eq!(max_items(&config(0), &named(&["cpu"; 60]), 4096), MOST_ITEMS);
}

#[test]
fn the_pipeline_holds_the_rows_of_all_writes_and_of_one_more() {
    let of = |upsert_rows, upserts| {
        let config = PipelineConfig {
            upsert_rows,
            upserts,
            ..PipelineConfig::default()
        };
        max_items(&config, &named(&["cuda:0"]), 64)
    };
    assert_eq!([of(1000, 4), of(5000, 2), of(8, 4)], [5000, 15_000, 1024]);
    assert_eq!(of(10_000, 64), MOST_ITEMS);
}

#[test]
fn batches_that_nobody_asked_for_are_no_larger_than_the_memory_allows() {
    let of = |batch_items, memory_bytes, memory| {
        let config = PipelineConfig {
            batch_items,
            memory_bytes,
            ..PipelineConfig::default()
        };
        let machine = Machine {
            memory: Some(memory),
            ..MACHINE
        };
        Sizes::of(&config, &Large(none()), machine, 64).map(|sizes| sizes.batch_items)
    };
    assert_eq!(of(0, 0, 64 << 30), Ok(256));
    // 272 MiB of rows and arrays, 256 MiB of what is read and decoded, and a mebibyte for each of 3 × 128 + 6 pictures.
    assert_eq!(of(0, 0, 2 << 30), Ok(128));
    assert_eq!(of(0, 0, 1 << 30), Ok(32));
    // At least 64 MiB of what is read and decoded, and a mebibyte for each of 3 × 64 + 6 pictures.
    let given = (272 + 64 + 198) << 20;
    assert_eq!(of(0, given, 1 << 30), Ok(64));
    assert!(of(128, given, 64 << 30).unwrap_err().contains("batch_items"));
    assert!(of(0, 300 << 20, 64 << 30).unwrap_err().contains("memory_bytes"));
}

#[test]
fn a_device_of_its_own_has_a_batch_more() {
    assert_eq!((batches_at_once("cpu"), batches_at_once("cuda:1")), (2, 3));
}
