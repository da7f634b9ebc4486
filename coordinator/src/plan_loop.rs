//! Takes planning links from the queue until shutdown.

use crate::metrics::CoordinatorMetrics;
use crate::planner::{Followed, PlanError, Planner, describe};
use crate::waiting::Waiting;
use bytes::Bytes;
use sightline_core::message::{Envelope, queues};
use sightline_core::{Clock, Link, PlanMessage};
use sightline_queue::{Delivery, JobQueue, Message, QueueError};
use sightline_telemetry::{ProcessedMessage, TraceparentExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Links that one coordinator follows at a time.
const CONCURRENT_LINKS: u16 = 6;
/// How long a link waits that found its run's window full.
const WINDOW_DELAY: Duration = Duration::from_secs(1);
/// How long a run that is watched is left alone: what it does at its end begins so much later.
const WATCH_DELAY: Duration = Duration::from_secs(1);
/// How long a message waits that only a newer coordinator knows.
const HAND_BACK_DELAY: Duration = Duration::from_secs(15);
/// How long a link waits at first after something was away; twice as long each time, up to the longest.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(60);

/// What following links takes.
#[derive(Debug)]
pub(crate) struct PlanLoop {
    pub(crate) planner: Arc<Planner>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) metrics: CoordinatorMetrics,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Follows links until shutdown; those in hand are followed to their end.
///
/// # Errors
/// When the queue refuses to be consumed for good.
pub(crate) async fn run(plan: Arc<PlanLoop>, shutdown: CancellationToken) -> Result<(), QueueError> {
    while !shutdown.is_cancelled() {
        match consume(&plan, &shutdown).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "cannot take planning links: trying again");
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(RETRY_DELAY) => {}
                }
            }
            other => other?,
        }
    }
    Ok(())
}

async fn consume(plan: &Arc<PlanLoop>, shutdown: &CancellationToken) -> Result<(), QueueError> {
    plan.queue.declare(queues::PLAN).await?;
    let mut consumer = plan.queue.consume(queues::PLAN, CONCURRENT_LINKS).await?;
    let mut links = JoinSet::new();
    loop {
        let delivery = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = links.join_next() => continue,
            delivery = consumer.next() => delivery?,
        };
        let plan = Arc::clone(plan);
        links.spawn(async move {
            if let Err(error) = take(&plan, delivery).await {
                tracing::warn!(%error, "a planning link will be delivered again");
            }
        });
    }
    // Handed back as copies, so that no delivery is counted. Receipts live as long as their consumer.
    for Delivery { message, receipt, .. } in consumer.stop().await {
        plan.queue.publish(queues::PLAN, message).await?;
        receipt.ack().await?;
    }
    while links.join_next().await.is_some() {}
    Ok(())
}

/// A message with another body.
fn again(message: Message, body: PlanMessage) -> Message {
    Message {
        body: Bytes::from(body.to_bytes()),
        ..message
    }
}

/// The span in which a link is followed.
fn span(system: &'static str, message: &Message, link: &PlanMessage) -> tracing::Span {
    let span = tracing::info_span!(
        "plan link",
        otel.kind = "consumer",
        run = %link.run,
        prefix = link.link.range.prefix,
        attempt = link.attempt
    );
    if let Some(traceparent) = &link.traceparent {
        span.set_parent_from(traceparent);
    }
    let processed = ProcessedMessage {
        system,
        queue: queues::PLAN,
        id: &message.id,
        bytes: message.body.len(),
    };
    processed.describe(&span);
    span
}

/// What kept a link from being followed, in short.
fn error_type(error: &PlanError) -> &'static str {
    if error.is_retryable() {
        "unavailable"
    } else if error.dataset_is_unreadable() {
        "dataset_unreadable"
    } else {
        "unusable"
    }
}

/// Follows one delivered link and answers it: acked only after what it planned is safe.
async fn take(plan: &PlanLoop, delivery: Delivery) -> Result<(), QueueError> {
    let PlanLoop {
        planner,
        queue,
        waiting,
        metrics,
        clock,
    } = plan;
    let Delivery { message, receipt, .. } = delivery;
    let link = match PlanMessage::from_bytes(&message.body) {
        Ok(link) => link,
        Err(error) if error.hand_back() => {
            metrics.link("handed_back");
            tracing::warn!(%error, id = message.id, "a planning link is handed back");
            queue.publish_after(queues::PLAN, message, HAND_BACK_DELAY).await?;
            return receipt.ack().await;
        }
        Err(error) => {
            metrics.link("dead_lettered");
            tracing::error!(%error, id = message.id, "a planning link goes to the dead letters");
            return receipt.reject().await;
        }
    };
    let span = span(queue.system(), &message, &link);
    // Until the link is answered, as the span.
    let mut processing = metrics.processing(queue.system());
    let followed = {
        use tracing::Instrument as _;
        let following = async {
            if link.watch {
                planner.watch(&link).await
            } else {
                planner.follow(&link).await
            }
        };
        following.instrument(span.clone()).await
    };
    processing.ended(followed.as_ref().err().map(error_type));
    match followed {
        Ok(Followed::Done | Followed::Stopped) => {
            metrics.link("followed");
            waiting.planning(&link.run, None, clock.now());
        }
        Ok(Followed::WindowFull) => {
            metrics.link("window_full");
            waiting.planning(&link.run, None, clock.now());
            queue.publish_after(queues::PLAN, message, WINDOW_DELAY).await?;
        }
        Ok(Followed::Watching) => {
            metrics.link("watching");
            waiting.planning(&link.run, None, clock.now());
            let copy = again(message, PlanMessage { attempt: 1, ..link });
            queue.publish_after(queues::PLAN, copy, WATCH_DELAY).await?;
        }
        Ok(Followed::GoesOn(cursor)) => {
            metrics.link("watching");
            waiting.planning(&link.run, None, clock.now());
            let from = Link {
                start_after: Some(cursor),
                ..Link::default()
            };
            let copy = PlanMessage {
                link: from,
                attempt: 1,
                ..link
            };
            queue.publish(queues::PLAN, again(message, copy)).await?;
        }
        Err(error) if error.is_retryable() => {
            metrics.link("waiting");
            let delay = RETRY_DELAY
                .saturating_mul(1 << link.attempt.min(6))
                .min(LONGEST_RETRY_DELAY);
            tracing::warn!(parent: &span, error = describe(&error), ?delay, "planning waits");
            waiting.planning(&link.run, Some(describe(&error)), clock.now());
            let copy = PlanMessage {
                attempt: link.attempt.saturating_add(1),
                ..link
            };
            queue.publish_after(queues::PLAN, again(message, copy), delay).await?;
        }
        // The run is stopped with the reason, if the dataset is to blame; nothing else is left to do with the link.
        Err(error) if error.dataset_is_unreadable() => {
            metrics.link("dataset_unreadable");
            tracing::error!(parent: &span, error = describe(&error), "the dataset cannot be read");
        }
        Err(error) => {
            metrics.link("dead_lettered");
            tracing::error!(parent: &span, error = describe(&error), "a planning link goes to the dead letters");
            return receipt.reject().await;
        }
    }
    receipt.ack().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::DocumentError;
    use sightline_queue::QueueOptions;
    use sightline_state::StateError;

    #[test]
    fn an_error_that_passes_is_told_from_one_that_stays() {
        let cursor = String::new();
        assert_eq!(error_type(&PlanError::NoIndex), "unavailable");
        assert_eq!(error_type(&PlanError::Cursor { cursor }), "unavailable");
        let source = DocumentError::Malformed {
            format: "run",
            message: String::new(),
        };
        let key = String::new();
        let damaged = PlanError::State(StateError::Document { key, source });
        assert_eq!(error_type(&damaged), "unusable");
    }

    #[test]
    fn a_message_waits_no_longer_than_is_said_here() {
        let steps = QueueOptions::default().delay_steps;
        // A queue rounds up what is none of its steps.
        for delay in [
            WINDOW_DELAY,
            WATCH_DELAY,
            HAND_BACK_DELAY,
            RETRY_DELAY,
            LONGEST_RETRY_DELAY,
        ] {
            assert!(steps.contains(&delay), "{delay:?} is none of {steps:?}");
        }
    }
}
