//! Spans of publishing, with the names that OpenTelemetry has for messaging.

use crate::{Message, QueueError};
use std::future::Future;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// `messaging.system`.
pub(super) const SYSTEM: &str = "rabbitmq";

/// The call that publishes a message, in a span of its own: `publish sightline.plan`. Outside any span there is no trace
/// to add to.
pub(super) async fn traced(
    queue: &str,
    message: &Message,
    call: impl Future<Output = Result<(), QueueError>>,
) -> Result<(), QueueError> {
    if Span::current().is_none() {
        return call.await;
    }
    let span = tracing::info_span!(
        "publish",
        otel.name = format!("publish {queue}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = SYSTEM,
        messaging.operation.name = "publish",
        "messaging.operation.type" = "send",
        messaging.destination.name = queue,
        messaging.message.id = message.id,
        messaging.message.body.size = message.body.len(),
        "error.type" = Empty,
    );
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error.kind());
    }
    result
}
