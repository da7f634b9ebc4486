//! What OpenTelemetry says of messages: of spans in which one is processed, and of how many there are.

use crate::error::MetricsError;
use crate::instruments::{
    Attributes, ERROR_TYPE, MESSAGING_CLIENT_CONSUMED_MESSAGES, MESSAGING_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_SENT_MESSAGES, MESSAGING_DESTINATION_NAME, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE,
    MESSAGING_PROCESS_DURATION, MESSAGING_SYSTEM, attributes,
};
use crate::metric::{Counter, Family};
use crate::metrics::{HistogramFamily, Metrics};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `messaging.operation.name` of what puts a message into a queue, as spans have it.
const PUBLISH: &str = "publish";
/// Of what hands a message to a consumer: AMQP's own word.
const DELIVER: &str = "deliver";
/// Of what is done with it then.
const PROCESS: &str = "process";
/// `error.type` of work on a message that was dropped before its end.
const CANCELLED: &str = "cancelled";

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
        span.set_attribute("messaging.operation.name", PROCESS);
        span.set_attribute("messaging.operation.type", PROCESS);
        span.set_attribute("messaging.destination.name", self.queue.to_owned());
        span.set_attribute("messaging.message.id", self.id.to_owned());
        span.set_attribute(
            "messaging.message.body.size",
            i64::try_from(self.bytes).unwrap_or(i64::MAX),
        );
    }
}

/// Messages by OpenTelemetry's conventions: `messaging.client.operation.duration`, `messaging.client.sent.messages`,
/// `messaging.client.consumed.messages` and `messaging.process.duration`.
///
/// A message that waits for a delay first is one for the queue that it ends in.
#[derive(Debug, Clone)]
pub struct MessagingMetrics {
    operations: HistogramFamily<Attributes>,
    sent: Family<Attributes, Counter>,
    consumed: Family<Attributes, Counter>,
    processed: HistogramFamily<Attributes>,
}

impl MessagingMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Where a name is taken by another type.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            operations: metrics.conventional_histograms(&MESSAGING_CLIENT_OPERATION_DURATION)?,
            sent: metrics.conventional_counters(&MESSAGING_CLIENT_SENT_MESSAGES)?,
            consumed: metrics.conventional_counters(&MESSAGING_CLIENT_CONSUMED_MESSAGES)?,
            processed: metrics.conventional_histograms(&MESSAGING_PROCESS_DURATION)?,
        })
    }

    /// The broker was asked to take a message, and has it or, with an `error.type`, may not have it.
    pub fn published(&self, system: &'static str, queue: &str, took: Duration, error: Option<&'static str>) {
        let of = of(system, PUBLISH, queue, error);
        self.sent.get_or_create(&of).inc();
        let of = attributes([
            (MESSAGING_SYSTEM, Some(system)),
            (MESSAGING_OPERATION_NAME, Some(PUBLISH)),
            (MESSAGING_OPERATION_TYPE, Some("send")),
            (MESSAGING_DESTINATION_NAME, Some(queue)),
            (ERROR_TYPE, error),
        ]);
        self.operations.observe(&of, took.as_secs_f64());
    }

    /// A message came into the hands of a consumer.
    pub fn delivered(&self, system: &'static str, queue: &str) {
        let of = of(system, DELIVER, queue, None);
        self.consumed.get_or_create(&of).inc();
    }

    /// Begins the clock of a message that is worked on.
    #[must_use]
    pub fn processing(&self, system: &'static str, queue: &str) -> Processing {
        Processing {
            processed: self.processed.clone(),
            system,
            queue: queue.to_owned(),
            began: Instant::now(),
            error: Some(CANCELLED),
        }
    }
}

/// A message that is worked on, until this is dropped.
#[derive(Debug)]
pub struct Processing {
    processed: HistogramFamily<Attributes>,
    system: &'static str,
    queue: String,
    began: Instant,
    error: Option<&'static str>,
}

impl Processing {
    /// How the work ended: well, or with an `error.type`. The clock goes on until the message is answered. Where nobody says,
    /// it was cancelled.
    pub fn ended(&mut self, error: Option<&'static str>) {
        self.error = error;
    }
}

impl Drop for Processing {
    fn drop(&mut self) {
        let of = of(self.system, PROCESS, &self.queue, self.error);
        self.processed.observe(&of, self.began.elapsed().as_secs_f64());
    }
}

fn of(system: &str, operation: &str, queue: &str, error: Option<&str>) -> Attributes {
    attributes([
        (MESSAGING_SYSTEM, Some(system)),
        (MESSAGING_OPERATION_NAME, Some(operation)),
        (MESSAGING_DESTINATION_NAME, Some(queue)),
        (ERROR_TYPE, error),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.encode();
        assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
    }

    #[test]
    fn messages_are_counted_by_their_queue_and_by_the_error_that_sending_ended_with() {
        let metrics = Metrics::new("test", "1");
        let messages = MessagingMetrics::new(&metrics).unwrap();
        messages.published("rabbitmq", "sightline.plan", Duration::from_millis(6), None);
        messages.published(
            "rabbitmq",
            "sightline.plan",
            Duration::from_secs(30),
            Some("unavailable"),
        );
        messages.delivered("rabbitmq", "sightline.plan");
        let publish = r#"messaging_system="rabbitmq",messaging_operation_name="publish""#;
        let queue = r#"messaging_destination_name="sightline.plan""#;
        for line in [
            format!("messaging_client_sent_messages_total{{{publish},{queue}}} 1"),
            format!(r#"messaging_client_sent_messages_total{{{publish},{queue},error_type="unavailable"}} 1"#),
            format!(
                r#"messaging_client_consumed_messages_total{{messaging_system="rabbitmq",messaging_operation_name="deliver",{queue}}} 1"#
            ),
            format!(
                r#"messaging_client_operation_duration_seconds_bucket{{le="0.01",{publish},messaging_operation_type="send",{queue}}} 1"#
            ),
        ] {
            has(&metrics, &line);
        }
    }

    #[test]
    fn work_on_a_message_counts_once_it_is_over_and_as_cancelled_where_it_was_dropped() {
        let metrics = Metrics::new("test", "1");
        let messages = MessagingMetrics::new(&metrics).unwrap();
        let mut done = messages.processing("rabbitmq", "q");
        done.ended(None);
        assert!(!metrics.encode().contains("messaging_process"));
        drop(done);
        drop(messages.processing("rabbitmq", "q"));
        let of = r#"messaging_system="rabbitmq",messaging_operation_name="process",messaging_destination_name="q""#;
        has(&metrics, &format!("messaging_process_duration_seconds_count{{{of}}} 1"));
        has(
            &metrics,
            &format!(r#"messaging_process_duration_seconds_count{{{of},error_type="cancelled"}} 1"#),
        );
    }
}
