//! What OpenTelemetry says of a span in which a message is processed.

use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A message of a queue, by OpenTelemetry's conventions for messaging.
#[derive(Debug, Clone, Copy)]
pub struct ProcessedMessage<'a> {
    /// `messaging.system`.
    pub system: &'static str,
    /// `messaging.destination.name`.
    pub queue: &'a str,
    /// `messaging.message.id`.
    pub id: &'a str,
    /// `messaging.message.body.size`.
    pub bytes: usize,
}

impl ProcessedMessage<'_> {
    /// Says so of a span, in traces alone: log lines have no use for it. The span itself has to be of the kind
    /// `consumer` (the field `otel.kind`), which cannot be said later.
    pub fn describe(&self, span: &Span) {
        span.set_attribute("messaging.system", self.system);
        span.set_attribute("messaging.operation.name", "process");
        span.set_attribute("messaging.operation.type", "process");
        span.set_attribute("messaging.destination.name", self.queue.to_owned());
        span.set_attribute("messaging.message.id", self.id.to_owned());
        span.set_attribute(
            "messaging.message.body.size",
            i64::try_from(self.bytes).unwrap_or(i64::MAX),
        );
    }
}
