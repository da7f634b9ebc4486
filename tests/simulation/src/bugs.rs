//! Mistakes that are seeded on purpose, at the seams: the code around them is the code that ships, and behaves as if it
//! made them. Each has to be caught.

use crate::queue::Connection;
use crate::tree;
use sightline_core::PlanMessage;
use sightline_core::message::{Envelope, queues};
use sightline_queue::Message;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A worker's shards are acked when they are delivered, before anything of them is in the index.
    AckBeforeUpsert,
    /// A coordinator's links are acked when they are delivered, before what they plan is published.
    AckBeforePublish,
    /// A coordinator does not see that a link has a node already.
    ListAgain,
    /// A worker does not see that a shard has a result already.
    ResultNotChecked,
    /// A batch of rows holds one of them twice.
    OneKeyTwice,
    /// A coordinator deletes what the tree does not name when it first looks at a run that mirrors, not at its end.
    MirrorEarly,
    /// A coordinator looks through the rows of all datasets for those that a mirroring run has no item for.
    MirrorOthers,
}

/// What a mistake does when a message is taken.
pub(crate) fn delivered(connection: &Connection, queue: &str, message: &Message) {
    let process = &connection.process;
    if process.world.bug != Some(Bug::MirrorEarly) || queue != queues::PLAN {
        return;
    }
    let link = PlanMessage::from_bytes(&message.body).unwrap();
    if !link.watch {
        return;
    }
    let monitor = &connection.monitor;
    let named = tree::entries(&monitor.state, &link.run, &tree::shards(&monitor.state, &link.run));
    let mut rows = monitor.rows.all();
    rows.retain(|row| row.dataset == monitor.dataset && row.run_id != link.run && !named.contains_key(&row.key));
    monitor.deletes(&process.name, &rows);
    let ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
    monitor.rows.take(&ids);
}
