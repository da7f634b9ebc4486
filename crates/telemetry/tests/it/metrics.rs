use crate::collector::Collector;
use crate::{LIMIT, options};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyText;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use sightline_telemetry::{
    AnsweredCall, DbCall, DbClientMetrics, MessagingMetrics, Metrics, MetricsExport, RpcServerMetrics,
};
use std::time::Duration;

/// Longer than any test: only the end sends.
const NEVER: Duration = Duration::from_secs(3600);

fn sent(collector: &Collector) -> Vec<Metric> {
    let requests = collector.metrics();
    let resources = requests.into_iter().flat_map(|request| request.resource_metrics);
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

#[tokio::test]
async fn numbers_reach_the_collector_by_their_names_units_and_labels() {
    let (collector, endpoint) = Collector::start().await;
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    metrics.counter("indexed_items", "Items indexed").unwrap().inc_by(7);
    metrics.gauge("open_shards", "Shards").unwrap().set(-2);
    let times = metrics.histogram("decode_seconds", "Time", [0.1, 1.0]).unwrap();
    for time in [0.05, 0.5, 0.6, 30.0] {
        times.observe(time);
    }
    let options = options("sightline-worker", Some(endpoint));
    let export = MetricsExport::start(&options, metrics, NEVER).unwrap().unwrap();
    export.shutdown(LIMIT).await.unwrap();

    let sent = sent(&collector);
    let found = |name: &str| sent.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &found("sightline.indexed.items").data else {
        panic!("{sent:?}");
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
    assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(7.0)));
    assert!(sum.data_points[0].start_time_unix_nano <= sum.data_points[0].time_unix_nano);
    let Some(Data::Gauge(gauge)) = &found("sightline.open.shards").data else {
        panic!("{sent:?}");
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(-2.0)));
    let decode = found("sightline.decode");
    assert_eq!((decode.unit.as_str(), decode.description.as_str()), ("s", "Time."));
    let Some(Data::Histogram(histogram)) = &decode.data else {
        panic!("{sent:?}");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.as_slice()), (4, [1, 2, 1].as_slice()));
    assert_eq!(
        (point.explicit_bounds.as_slice(), point.sum),
        ([0.1, 1.0].as_slice(), Some(31.15))
    );
    let Some(Data::Gauge(build)) = &found("sightline.build.info").data else {
        panic!("{sent:?}");
    };
    let labels: Vec<&str> = build.data_points[0]
        .attributes
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert_eq!(labels, ["service", "version"]);
}

/// The attributes of a metric's only series; none where they are no texts.
fn attributes(metric: &Metric) -> Option<Vec<String>> {
    let pairs = match metric.data.as_ref()? {
        Data::Sum(sum) => &sum.data_points[0].attributes,
        Data::Histogram(histogram) => &histogram.data_points[0].attributes,
        _ => return None,
    };
    let text = |pair: &KeyValue| match pair.value.as_ref()?.value.as_ref()? {
        AnyText::StringValue(text) => Some(format!("{}={text}", pair.key)),
        _ => None,
    };
    pairs.iter().map(text).collect()
}

#[tokio::test]
async fn calls_databases_and_messages_have_the_names_that_opentelemetry_has_for_them() {
    let (collector, endpoint) = Collector::start().await;
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    RpcServerMetrics::new(&metrics).unwrap().answered(&AnsweredCall {
        system: "grpc",
        method: "sightline.v1.Worker/GetStatus",
        status: "INTERNAL",
        failed: true,
        took: Duration::from_millis(3),
    });
    DbClientMetrics::new(&metrics).unwrap().called(&DbCall {
        system: "milvus",
        operation: "upsert",
        collection: "stamps",
        error: None,
        took: Duration::from_millis(3),
    });
    let messages = MessagingMetrics::new(&metrics).unwrap();
    messages.published("rabbitmq", "sightline.plan", Duration::from_millis(3), None);
    messages.delivered("rabbitmq", "sightline.plan");
    messages.processing("rabbitmq", "sightline.plan").ended(None);
    let options = options("sightline-worker", Some(endpoint));
    let export = MetricsExport::start(&options, metrics, NEVER).unwrap().unwrap();
    export.shutdown(LIMIT).await.unwrap();

    let sent = sent(&collector);
    let message = |operation: &str| {
        vec![
            "messaging.system=rabbitmq".to_owned(),
            format!("messaging.operation.name={operation}"),
            "messaging.destination.name=sightline.plan".to_owned(),
        ]
    };
    let mut operation = message("publish");
    operation.insert(2, "messaging.operation.type=send".to_owned());
    let rpc = [
        "rpc.system.name=grpc",
        "rpc.method=sightline.v1.Worker/GetStatus",
        "rpc.response.status_code=INTERNAL",
        "error.type=INTERNAL",
    ];
    let db = [
        "db.system.name=milvus",
        "db.operation.name=upsert",
        "db.collection.name=stamps",
    ];
    for (name, unit, expected) in [
        ("rpc.server.call.duration", "s", rpc.map(str::to_owned).to_vec()),
        ("db.client.operation.duration", "s", db.map(str::to_owned).to_vec()),
        ("messaging.client.operation.duration", "s", operation),
        ("messaging.client.sent.messages", "{message}", message("publish")),
        ("messaging.client.consumed.messages", "{message}", message("deliver")),
        ("messaging.process.duration", "s", message("process")),
    ] {
        let found = sent.iter().find(|metric| metric.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not among {sent:?}"));
        assert_eq!(
            (found.unit.as_str(), attributes(found)),
            (unit, Some(expected)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn numbers_are_sent_again_and_again_and_none_where_nobody_asked() {
    let (collector, endpoint) = Collector::start().await;
    let metrics = Metrics::new("sightline-worker", "1.2.3");
    let mut options = options("sightline-worker", Some(endpoint));
    let export = MetricsExport::start(&options, metrics.clone(), Duration::from_millis(5)).unwrap();
    let twice = async {
        while collector.metrics().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, twice).await.unwrap();
    export.unwrap().shutdown(LIMIT).await.unwrap();
    if let Some(otlp) = &mut options.otlp {
        otlp.metrics = false;
    }
    assert!(MetricsExport::start(&options, metrics, NEVER).unwrap().is_none());
}
