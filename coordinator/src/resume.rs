//! Rebuilding of messages from objects: after the broker is lost for good, and at each start of a standalone, whose
//! queue is in memory.

use crate::planner::{PlanError, describe};
use crate::publish::{publish_link, publish_shard, publish_split, publish_watch, shard_queue};
use crate::tracker::Tracker;
use sightline_core::RunId;
use sightline_core::message::queues;
use sightline_queue::JobQueue;
use sightline_state::{State, StateError};

/// Publishes every message that a run needs to end: its links without node, its shards without result. What is in
/// the queue already is there twice then, which costs time and changes nothing.
///
/// # Errors
/// When state or queue failed.
pub(crate) async fn resume_run(
    state: &State,
    tracker: &Tracker,
    queue: &dyn JobQueue,
    run: &RunId,
) -> Result<usize, PlanError> {
    let Some(document) = state.run(run).await? else {
        return Ok(0);
    };
    let Some(snapshot) = tracker.snapshot(run).await? else {
        return Ok(0);
    };
    let traceparent = document.traceparent.as_deref();
    queue.declare(queues::PLAN).await?;
    if snapshot.state.is_final() {
        // What is written down to be deleted is deleted, also of a run that was cancelled meanwhile.
        let deletes = snapshot.mirrored.is_none() && state.mirror_plan(run).await?.is_some();
        if deletes {
            publish_watch(queue, &document, traceparent).await?;
        }
        return Ok(usize::from(deletes));
    }
    let (links, shards) = tracker.unfinished(run).await?;
    publish_watch(queue, &document, traceparent).await?;
    for link in &links {
        publish_link(queue, &document, link, traceparent).await?;
    }
    queue.declare(&shard_queue(&document)).await?;
    let messages = links.len() + shards.len();
    let split = state.split_shards(run).await?;
    let mut shards = shards;
    while let Some(shard) = shards.pop() {
        if !split.contains(&shard) {
            publish_shard(queue, &document, &shard, traceparent).await?;
            continue;
        }
        publish_split(queue, &document, &shard, traceparent).await?;
        for part in state
            .split(run, &shard)
            .await?
            .into_iter()
            .flat_map(|split| split.parts)
        {
            if !state.has_result(run, &part.id).await? {
                shards.push(part.id);
            }
        }
    }
    Ok(messages)
}

/// Does so for every run that has not ended. One that cannot be used, of a newer version say, is named and left.
///
/// # Errors
/// When state or queue failed.
pub(crate) async fn resume_unfinished(state: &State, tracker: &Tracker, queue: &dyn JobQueue) -> Result<(), PlanError> {
    let mut after = None;
    loop {
        let page = state.list_runs(after).await?;
        for run in &page.runs {
            let messages = match resume_run(state, tracker, queue, run).await {
                Err(PlanError::State(error @ StateError::Document { .. })) => {
                    tracing::error!(%run, error = describe(&error), "a run is not gone on with");
                    continue;
                }
                messages => messages?,
            };
            if messages > 0 {
                tracing::info!(%run, messages, "resumed");
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
