//! Messages of a run, and the queues that they go into.

use bytes::Bytes;
use sightline_core::message::{Envelope, queues};
use sightline_core::{Link, PlanMessage, RunDocument, ShardId, ShardMessage};
use sightline_queue::{JobQueue, Message, QueueError, dead_letters};

/// Publishes a shard of a run into its (declared) queue.
///
/// # Errors
/// When the queue did not take it.
pub(crate) async fn publish_shard(
    queue: &dyn JobQueue,
    document: &RunDocument,
    shard: &ShardId,
    traceparent: Option<&str>,
) -> Result<(), QueueError> {
    let message = shard_message(document, shard, traceparent);
    queue.publish(&shard_queue(document), message).await
}

/// Publishes a shard that was split where its letter lies until its parts have results.
///
/// # Errors
/// When the queue did not take it.
pub(crate) async fn publish_split(
    queue: &dyn JobQueue,
    document: &RunDocument,
    shard: &ShardId,
    traceparent: Option<&str>,
) -> Result<(), QueueError> {
    let message = shard_message(document, shard, traceparent);
    queue.publish(&dead_letters(&shard_queue(document)), message).await
}

fn shard_message(document: &RunDocument, shard: &ShardId, traceparent: Option<&str>) -> Message {
    let message = ShardMessage {
        kind: document.spec.kind,
        run: document.run.clone(),
        shard: shard.clone(),
        attempt: 1,
        traceparent: traceparent.map(Into::into),
    };
    envelope(format!("{}/{shard}", document.run), &message, traceparent)
}

/// Publishes a link of a run.
///
/// # Errors
/// When the queue did not take it.
pub(crate) async fn publish_link(
    queue: &dyn JobQueue,
    document: &RunDocument,
    link: &Link,
    traceparent: Option<&str>,
) -> Result<(), QueueError> {
    let message = PlanMessage {
        kind: document.spec.kind,
        run: document.run.clone(),
        link: link.clone(),
        watch: false,
        attempt: 1,
        traceparent: traceparent.map(Into::into),
    };
    let id = format!("{}/{}", document.run, link.id(&document.run));
    queue.publish(queues::PLAN, envelope(id, &message, traceparent)).await
}

/// Publishes that a run is to be watched, where it has something to be watched for.
///
/// # Errors
/// When the queue did not take it.
pub(crate) async fn publish_watch(
    queue: &dyn JobQueue,
    document: &RunDocument,
    traceparent: Option<&str>,
) -> Result<(), QueueError> {
    if !document.spec.is_watched() {
        return Ok(());
    }
    let message = PlanMessage {
        kind: document.spec.kind,
        run: document.run.clone(),
        link: Link::default(),
        watch: true,
        attempt: 1,
        traceparent: traceparent.map(Into::into),
    };
    let id = format!("{}/watch", document.run);
    queue.publish(queues::PLAN, envelope(id, &message, traceparent)).await
}

fn envelope(id: String, message: &impl Envelope, traceparent: Option<&str>) -> Message {
    Message {
        id,
        body: Bytes::from(message.to_bytes()),
        traceparent: traceparent.map(Into::into),
    }
}

/// The queue that a run's shards go through.
pub(crate) fn shard_queue(document: &RunDocument) -> String {
    let model = document.spec.model.as_ref();
    let model = model.filter(|_| document.spec.kind.needs_model());
    model.map_or_else(|| queues::SHARDS_ANY.to_owned(), queues::shards)
}
