//! Rebuilding of messages from objects: after the broker is lost for good, and at each start of a standalone, whose
//! queue is in memory.

use crate::planner::PlanError;
use crate::publish::{publish_link, publish_shard, shard_queue};
use crate::tracker::Tracker;
use sightline_core::RunId;
use sightline_core::message::queues;
use sightline_queue::JobQueue;
use sightline_state::State;

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
    if tracker
        .snapshot(run)
        .await?
        .is_none_or(|snapshot| snapshot.state.is_final())
    {
        return Ok(0);
    }
    let (links, shards) = tracker.unfinished(run).await?;
    let traceparent = document.traceparent.as_deref();
    queue.declare(queues::PLAN).await?;
    for link in &links {
        publish_link(queue, &document, link, traceparent).await?;
    }
    queue.declare(&shard_queue(&document)).await?;
    for shard in &shards {
        publish_shard(queue, &document, shard, traceparent).await?;
    }
    Ok(links.len() + shards.len())
}

/// Does so for every run that has not ended.
///
/// # Errors
/// When state or queue failed.
pub(crate) async fn resume_unfinished(state: &State, tracker: &Tracker, queue: &dyn JobQueue) -> Result<(), PlanError> {
    let mut after = None;
    loop {
        let page = state.list_runs(after).await?;
        for run in &page.runs {
            let messages = resume_run(state, tracker, queue, run).await?;
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
