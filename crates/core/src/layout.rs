//! Where the durable objects of a run lie below the state root.

use crate::ids::{LinkId, RowId, RunId, ShardId};

/// All runs.
pub const RUNS: &str = "runs/";

/// Everything of one run.
#[must_use]
pub fn run_prefix(run: &RunId) -> String {
    format!("{RUNS}{run}/")
}

/// What was asked.
#[must_use]
pub fn run_document(run: &RunId) -> String {
    format!("{RUNS}{run}/run.json")
}

/// That the run was stopped.
#[must_use]
pub fn stop_document(run: &RunId) -> String {
    format!("{RUNS}{run}/stop.json")
}

/// All that one link made.
#[must_use]
pub fn plan_link(run: &RunId, link: &LinkId) -> String {
    format!("{RUNS}{run}/plan/{link}/")
}

/// All nodes of the plan, and the frozen tree.
#[must_use]
pub fn plan(run: &RunId) -> String {
    format!("{RUNS}{run}/plan/")
}

/// The link and the digest of a node's key.
#[must_use]
pub fn node_of_plan(run: &RunId, key: &str) -> Option<(LinkId, String)> {
    let (link, file) = key.strip_prefix(&plan(run))?.split_once('/')?;
    Some((LinkId::new(link).ok()?, file.strip_suffix(".json")?.to_owned()))
}

/// One node of the plan; `digest` is the SHA-256 of its bytes.
#[must_use]
pub fn plan_node(run: &RunId, link: &LinkId, digest: &str) -> String {
    format!("{RUNS}{run}/plan/{link}/{digest}.json")
}

/// The frozen tree.
#[must_use]
pub fn plan_complete(run: &RunId) -> String {
    format!("{RUNS}{run}/plan/complete.json")
}

/// All roll-ups that start with a link.
#[must_use]
pub fn roll_ups(run: &RunId, link: &LinkId) -> String {
    format!("{RUNS}{run}/rollups/{link}/")
}

/// One roll-up; `digest` is the SHA-256 of its bytes.
#[must_use]
pub fn roll_up(run: &RunId, link: &LinkId, digest: &str) -> String {
    format!("{RUNS}{run}/rollups/{link}/{digest}.json")
}

/// A shard's manifest.
#[must_use]
pub fn shard_manifest(run: &RunId, shard: &ShardId) -> String {
    format!("{RUNS}{run}/shards/{shard}.jsonl.gz")
}

/// All shards of a run that were split.
#[must_use]
pub fn splits(run: &RunId) -> String {
    format!("{RUNS}{run}/splits/")
}

/// The parts of a shard that was split.
#[must_use]
pub fn shard_split(run: &RunId, shard: &ShardId) -> String {
    format!("{RUNS}{run}/splits/{shard}.json")
}

/// The shard whose parts a key holds.
#[must_use]
pub fn shard_of_split(run: &RunId, key: &str) -> Option<ShardId> {
    ShardId::new(key.strip_prefix(&splits(run))?.strip_suffix(".json")?).ok()
}

/// All lists of rows that a run deletes because the dataset holds their items no more.
#[must_use]
pub fn mirrored_rows(run: &RunId) -> String {
    format!("{RUNS}{run}/mirror/rows/")
}

/// One list of such rows, named after its first.
#[must_use]
pub fn mirrored_rows_from(run: &RunId, first: &RowId) -> String {
    format!("{RUNS}{run}/mirror/rows/{first}.json")
}

/// That all such rows are written down.
#[must_use]
pub fn mirror_plan(run: &RunId) -> String {
    format!("{RUNS}{run}/mirror/mirror.json")
}

/// That all of them are deleted.
#[must_use]
pub fn mirror_done(run: &RunId) -> String {
    format!("{RUNS}{run}/mirror/mirrored.json")
}

/// All results of a run.
#[must_use]
pub fn results(run: &RunId) -> String {
    format!("{RUNS}{run}/results/")
}

/// All results of a shard.
#[must_use]
pub fn shard_results(run: &RunId, shard: &ShardId) -> String {
    format!("{RUNS}{run}/results/{shard}/")
}

/// One result of a shard. `attempt` differs between any two writers.
#[must_use]
pub fn shard_result(run: &RunId, shard: &ShardId, attempt: &str) -> String {
    format!("{RUNS}{run}/results/{shard}/{attempt}.json")
}

/// The shard that a result's key belongs to.
#[must_use]
pub fn shard_of_result(run: &RunId, key: &str) -> Option<ShardId> {
    let (shard, _) = key.strip_prefix(&results(run))?.split_once('/')?;
    ShardId::new(shard).ok()
}
