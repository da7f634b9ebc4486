//! How many of each there may be at once, and how many bytes: from configuration, cores, memory and devices.

use super::blocks;
use super::budget::{Budget, Later};
use crate::config::{MOST_ITEMS, PipelineConfig};
use crate::devices::{is_accelerator, prefetch_for};
use crate::machine::Machine;
use crate::model::EmbeddingModel;

/// How often rows that are written are in memory: themselves, and what clients make of them. That of Milvus makes columns, a
/// message and the message's bytes, of 8 MiB at once; the embedded index takes one copy.
const WRITTEN: u64 = 3;

/// What the pipeline is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Items in the pipeline.
    pub(crate) max_items: u32,
    /// Items in a batch.
    pub(crate) batch_items: u32,
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

/// Items of a batch of an accelerator: a fast one computes them in less time than it takes to prepare the next.
const ACCELERATOR_BATCH: u32 = 64;
/// And of a processor's, between these: each thread takes whole pictures through a vision transformer, and the last of four
/// keeps the others waiting for little.
const ITEMS_A_THREAD: u32 = 4;
const LEAST_BATCH: u32 = 32;
const MOST_BATCH: u32 = 256;

/// Items of a batch where it is not said; devices of both kinds share batches that suit the one with the larger.
fn batch_items(devices: &[String], threads: u16) -> u32 {
    let of_device = |device: &String| {
        if is_accelerator(device) {
            ACCELERATOR_BATCH
        } else {
            (ITEMS_A_THREAD * u32::from(threads)).clamp(LEAST_BATCH, MOST_BATCH)
        }
    };
    devices.iter().map(of_device).max().unwrap_or(LEAST_BATCH)
}

/// Batches for each device that are in the pipeline where it is not said: those that it has, and what the next are made of.
const BATCHES_IN_PIPELINE: u32 = 5;
const LEAST_ITEMS: u32 = 1024;

/// Enough for the devices, and for an index that is slower than they: its writes, and the one that becomes fuller meanwhile, share
/// what is in the pipeline, and with fewer items none would ever be full.
fn max_items(config: &PipelineConfig, devices: &[String], batch_items: u32) -> u32 {
    if config.max_items > 0 {
        return config.max_items;
    }
    let devices = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    let batches = devices.saturating_mul(BATCHES_IN_PIPELINE);
    let written = config.upsert_rows.saturating_mul(config.upserts.saturating_add(1));
    batches
        .saturating_mul(batch_items)
        .max(written)
        .clamp(LEAST_ITEMS, MOST_ITEMS)
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
fn lookups(upserts: u32, devices: &[String], batch_items: u32) -> usize {
    usize::from(prefetch_for(devices, batch_items)).max(count(upserts))
}

pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Sizes {
    /// `threads`: those of the model, where a processor computes it.
    ///
    /// # Errors
    /// In words, where the configured memory is too little for the other sizes.
    pub(crate) fn of(
        config: &PipelineConfig,
        model: &dyn EmbeddingModel,
        machine: Machine,
        threads: u16,
    ) -> Result<Self, String> {
        if config.batch_items > 0 {
            return Self::with_batches(config, model, machine, config.batch_items);
        }
        // Nobody asked for batches of that size: they fit into the memory that was given, or leave the rest of the machine half.
        let half = machine
            .memory
            .filter(|_| config.memory_bytes == 0)
            .map(|bytes| bytes / 2);
        let fits = |sizes: &Self| half.is_none_or(|half| sizes.budget.bytes() <= half);
        let mut items = batch_items(&model.devices(), threads);
        loop {
            match Self::with_batches(config, model, machine, items) {
                Ok(sizes) if fits(&sizes) => return Ok(sizes),
                result if items <= LEAST_BATCH => return result,
                _ => items = (items / 2).max(LEAST_BATCH),
            }
        }
    }

    fn with_batches(
        config: &PipelineConfig,
        model: &dyn EmbeddingModel,
        machine: Machine,
        batch_items: u32,
    ) -> Result<Self, String> {
        let decode_threads = if config.decode_threads == 0 {
            machine.cores
        } else {
            config.decode_threads
        };
        let devices = model.devices();
        let batches: usize = devices.iter().map(|device| batches_at_once(device)).sum();
        let batches = batches.max(1);
        // Beside the batches that devices have one is being filled, and the threads decode.
        let prepared = count(batch_items) * (batches + 1) + count(decode_threads);
        let of_batches = u64::from(batch_items).saturating_mul(batches as u64);
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
            max_items: max_items(config, &devices, batch_items),
            batch_items,
            fetches: fetches(config.fetches, &devices),
            lookups: lookups(config.upserts, &devices, batch_items),
            decode_threads,
            batches,
            prepared,
            budget: Budget::of(config.memory_bytes, machine.memory, later)?,
        })
    }
}

#[cfg(test)]
mod tests;
