//! What goes through the seams, counted. Index and queue tell of it, and know nothing of metrics.

use sightline_index::CallRecorder;
use sightline_queue::{Traffic, TrafficRecorder};
use sightline_telemetry::{DbCall, DbClientMetrics, MessagingMetrics, Metrics, MetricsError};

/// Who counts calls to the index.
///
/// # Errors
/// Where the name of their metric is taken by another type.
pub fn index_calls(metrics: &Metrics) -> Result<CallRecorder, MetricsError> {
    let calls = DbClientMetrics::new(metrics)?;
    Ok(CallRecorder::new(move |call| {
        calls.called(&DbCall {
            system: call.system,
            operation: call.operation,
            collection: call.collection.as_str(),
            error: call.error,
            took: call.took,
        });
    }))
}

/// Who counts messages.
///
/// # Errors
/// Where the name of one of their metrics is taken by another type.
pub fn traffic(metrics: &Metrics) -> Result<TrafficRecorder, MetricsError> {
    let messages = MessagingMetrics::new(metrics)?;
    Ok(TrafficRecorder::new(move |traffic| match *traffic {
        Traffic::Published {
            system,
            queue,
            error,
            took,
        } => messages.published(system, queue, took, error),
        Traffic::Delivered { system, queue } => messages.delivered(system, queue),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sightline_queue::{JobQueue, MemoryQueue, Message, QueueOptions};

    #[tokio::test]
    async fn what_goes_through_a_queue_is_counted() {
        let metrics = Metrics::new("test", "1");
        let broker = MemoryQueue::new(QueueOptions {
            traffic: traffic(&metrics).unwrap(),
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
