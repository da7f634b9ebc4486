use crate::collector::Collector;
use crate::{LIMIT, Lines, options};
use sightline_telemetry::{
    Metrics, MetricsExport, OtlpHeaders, ProcessedMessage, Telemetry, current_trace_id, resource_attributes,
};
use std::time::Duration;
use tracing::dispatcher::with_default;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_event_reaches_the_collector_with_its_run_and_its_trace_and_none_of_the_exporters_own() {
    let (collector, endpoint) = Collector::start().await;
    let telemetry = Telemetry::new(&options("sightline-worker", Some(endpoint)), Lines::default()).unwrap();
    let trace = with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_worker", "shard", run = "r-1", prefix = "secret/");
        span.in_scope(|| {
            tracing::warn!(target: "sightline_worker", rows = 3, "rows are late");
            tracing::debug!(target: "sightline_worker", "below the level");
            tracing::warn!(target: "h2::codec", "of the exporter");
            current_trace_id().unwrap()
        })
    });
    telemetry.shutdown(LIMIT).await.unwrap();

    let records = collector.logs();
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0];
    assert_eq!(record.severity_text, "WARN");
    assert!(format!("{:?}", record.body).contains("rows are late"), "{record:?}");
    let attributes: Vec<&str> = record.attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert!(
        attributes.contains(&"run") && attributes.contains(&"rows"),
        "{attributes:?}"
    );
    assert!(!attributes.contains(&"prefix"), "{attributes:?}");
    let id: String = record.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(id, trace);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processed_message_is_described_by_the_conventions_of_messaging() {
    let (collector, endpoint) = Collector::start().await;
    let telemetry = Telemetry::new(&options("sightline-worker", Some(endpoint)), Lines::default()).unwrap();
    with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_worker", "shard", otel.kind = "consumer");
        let message = ProcessedMessage {
            system: "rabbitmq",
            queue: "sightline.shards.m",
            id: "m-1",
            bytes: 17,
        };
        message.describe(&span);
        drop(span.entered());
    });
    telemetry.shutdown(LIMIT).await.unwrap();

    let spans = collector.spans();
    let (span, _) = &spans[0];
    assert_eq!(span.kind, 5, "not a consumer: {span:?}");
    let said: Vec<String> = span
        .attributes
        .iter()
        .filter(|pair| pair.key.starts_with("messaging."))
        .map(|pair| {
            format!(
                "{}={:?}",
                pair.key,
                pair.value.as_ref().unwrap().value.as_ref().unwrap()
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "messaging.system=StringValue(\"rabbitmq\")",
            "messaging.operation.name=StringValue(\"process\")",
            "messaging.operation.type=StringValue(\"process\")",
            "messaging.destination.name=StringValue(\"sightline.shards.m\")",
            "messaging.message.id=StringValue(\"m-1\")",
            "messaging.message.body.size=IntValue(17)",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_events_and_metrics_come_with_the_headers_and_the_attributes_that_were_given() {
    let (collector, endpoint) = Collector::start().await;
    let mut options = options("sightline-worker", Some(endpoint));
    options.otlp.as_mut().unwrap().headers =
        OtlpHeaders::parse("Authorization=Bearer%20hunter2,x-tenant=search").unwrap();
    let given = "k8s.pod.name=worker-0,deployment.environment.name=a%2Cb,service.name=other";
    options.service.attributes = resource_attributes(given).unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
    let telemetry = Telemetry::new(&options, Lines::default()).unwrap();
    with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "sightline_worker", "shard");
        span.in_scope(|| tracing::warn!(target: "sightline_worker", "rows are late"));
    });
    telemetry.shutdown(LIMIT).await.unwrap();
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    let export = MetricsExport::start(&options, metrics, Duration::from_secs(3600)).unwrap();
    export.unwrap().shutdown(LIMIT).await.unwrap();

    let calls = collector.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    for call in calls {
        let header = |name: &str| call.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("authorization"), "Bearer hunter2");
        assert_eq!(header("x-tenant"), "search");
        assert_eq!(call.resource["k8s.pod.name"], "worker-0");
        assert_eq!(call.resource["deployment.environment.name"], "a,b");
        assert_eq!(
            call.resource["service.name"], "sightline-worker",
            "what the process says of itself"
        );
    }
}
