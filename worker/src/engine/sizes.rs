//! How many of each there may be at once, and how many bytes: from configuration, cores, memory and devices.

use super::blocks;
use super::budget::{Budget, Later};
use crate::config::PipelineConfig;
use crate::devices::{is_accelerator, prefetch_for};
use crate::machine::Machine;
use crate::model::EmbeddingModel;

/// How often rows that are written are in memory: themselves, and what clients make of them. That of Milvus makes columns, a
/// message and the message's bytes, of 8 MiB at once; the embedded index takes one copy.
const WRITTEN: u64 = 3;

/// What the pipeline is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Objects that are read at once.
    pub(crate) fetches: usize,
    /// Lookups that are asked of the index at once.
    pub(crate) lookups: usize,
    /// Threads that decode.
    pub(crate) decode_threads: u32,
    /// Batches that the devices have.
    pub(crate) batches: usize,
    /// Prepared pictures, and those that become one.
    pub(crate) prepared: usize,
    /// Bytes of all that is in flight.
    pub(crate) budget: Budget,
}

/// Batches that a device has at once: one that is computed, one that is ready when it ends; before a device of its own one
/// more, which is prepared while it computes.
fn batches_at_once(device: &str) -> usize {
    if is_accelerator(device) { 3 } else { 2 }
}

/// Objects that are read at once for processors.
const FETCHES: usize = 32;
/// And for each accelerator: what a fast one computes (4,000 a second) in the 30 ms that a store takes for a small object.
const ACCELERATOR_FETCHES: usize = 128;
/// More than that a worker does not ask of a store by itself.
const MOST_FETCHES: usize = 1024;

fn fetches(configured: u32, devices: &[String]) -> usize {
    if configured > 0 {
        return count(configured);
    }
    let accelerators = devices.iter().filter(|device| is_accelerator(device)).count();
    (ACCELERATOR_FETCHES * accelerators).clamp(FETCHES, MOST_FETCHES)
}

/// As many as the devices need shards in hand: no shard of the usual size waits for another's lookup, and those of larger ones,
/// which come in parts, are no more. And no fewer than writes, which are work of the same server: where a processor's two shards
/// are large and all their rows are there already, nothing but lookups is done.
fn lookups(config: &PipelineConfig, devices: &[String]) -> usize {
    usize::from(prefetch_for(devices, config.batch_items)).max(count(config.upserts))
}

pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Sizes {
    /// # Errors
    /// In words, where the configured memory is too little for the other sizes.
    pub(crate) fn of(config: &PipelineConfig, model: &dyn EmbeddingModel, machine: Machine) -> Result<Self, String> {
        let decode_threads = if config.decode_threads == 0 {
            machine.cores
        } else {
            config.decode_threads
        };
        let devices = model.devices();
        let batches: usize = devices.iter().map(|device| batches_at_once(device)).sum();
        let batches = batches.max(1);
        // Beside the batches that devices have one is being filled, and the threads decode.
        let prepared = count(config.batch_items) * (batches + 1) + count(decode_threads);
        let of_batches = u64::from(config.batch_items).saturating_mul(batches as u64);
        let later = Later {
            pictures: model.prepared_bytes().saturating_mul(prepared as u64),
            batches: model.batch_bytes().saturating_mul(of_batches),
            // Beside those that are written one batch is being filled.
            rows: config
                .upsert_bytes
                .saturating_mul(u64::from(config.upserts) * WRITTEN + 1),
            arrays: blocks::MAX_BYTES,
        };
        Ok(Self {
            fetches: fetches(config.fetches, &devices),
            lookups: lookups(config, &devices),
            decode_threads,
            batches,
            prepared,
            budget: Budget::of(config.memory_bytes, machine.memory, later)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NoModel;
    use sightline_core::ModelName;

    const MACHINE: Machine = Machine {
        cores: 6,
        memory: Some(64 << 30),
    };

    fn of(config: &PipelineConfig) -> Result<Sizes, String> {
        Sizes::of(config, &NoModel(ModelName::new("none").unwrap()), MACHINE)
    }

    #[test]
    fn sizes_follow_from_cores_and_memory_where_none_are_given() {
        let sizes = of(&PipelineConfig::default()).unwrap();
        assert_eq!(
            (sizes.decode_threads, sizes.batches, sizes.prepared),
            (6, 1, 32 * 2 + 6)
        );
        assert_eq!(sizes.fetches, 32);
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
        let at_once = |devices: &[&str]| {
            let devices: Vec<String> = devices.iter().map(|device| (*device).to_owned()).collect();
            fetches(0, &devices)
        };
        assert_eq!(at_once(&["cpu", "cpu"]), 32);
        assert_eq!(at_once(&["cuda:0"]), 128);
        assert_eq!(at_once(&["cuda:0", "cpu", "cuda:1"]), 256);
        assert_eq!(at_once(&["cuda:0"; 16]), 1024);
    }

    #[test]
    fn as_many_lookups_are_asked_at_once_as_shards_are_in_hand_or_writes_are_made() {
        let config = PipelineConfig::default();
        let at_once = |devices: &[&str]| {
            let devices: Vec<String> = devices.iter().map(|device| (*device).to_owned()).collect();
            lookups(&config, &devices)
        };
        assert_eq!([at_once(&[]), at_once(&["cpu"])], [4, 4]);
        assert_eq!([at_once(&["cuda:0"]), at_once(&["cuda:0", "cuda:1"])], [9, 17]);
    }

    #[test]
    fn a_device_of_its_own_has_a_batch_more() {
        assert_eq!((batches_at_once("cpu"), batches_at_once("cuda:1")), (2, 3));
    }
}
