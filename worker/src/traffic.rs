//! Messages that go through the worker's queues, counted.

use sightline_queue::{Traffic, TrafficRecorder};
use sightline_telemetry::MessagingMetrics;

/// Who counts them.
pub(crate) fn counted_traffic(messages: MessagingMetrics) -> TrafficRecorder {
    TrafficRecorder::new(move |traffic| match *traffic {
        Traffic::Published {
            system,
            queue,
            error,
            took,
        } => messages.published(system, queue, took, error),
        Traffic::Delivered { system, queue } => messages.delivered(system, queue),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sightline_queue::{JobQueue, MemoryQueue, Message, QueueOptions};
    use sightline_telemetry::Metrics;

    #[tokio::test]
    async fn what_goes_through_a_queue_is_counted() {
        let metrics = Metrics::new("test", "1");
        let broker = MemoryQueue::new(QueueOptions {
            traffic: counted_traffic(MessagingMetrics::new(&metrics).unwrap()),
            ..QueueOptions::default()
        });
        let broker = broker.unwrap();
        broker.declare("q").await.unwrap();
        let message = Message {
            id: "a".into(),
            body: Bytes::new(),
            traceparent: None,
        };
        broker.publish("q", message).await.unwrap();
        let mut consumer = broker.consume("q", 1).await.unwrap();
        consumer.next().await.unwrap().receipt.ack().await.unwrap();
        let text = metrics.encode();
        for (metric, operation) in [("sent", "publish"), ("consumed", "deliver")] {
            let of = format!(r#"messaging_system="in_process",messaging_operation_name="{operation}""#);
            let line = format!(r#"messaging_client_{metric}_messages_total{{{of},messaging_destination_name="q"}} 1"#);
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
