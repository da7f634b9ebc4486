use crate::collector::Collector;
use crate::{LIMIT, options};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use sightline_telemetry::{Metrics, MetricsExport};
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
    let Some(Data::Sum(sum)) = &found("sightline_indexed_items_total").data else {
        panic!("{sent:?}");
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
    assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(7.0)));
    assert!(sum.data_points[0].start_time_unix_nano <= sum.data_points[0].time_unix_nano);
    let Some(Data::Gauge(gauge)) = &found("sightline_open_shards").data else {
        panic!("{sent:?}");
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(-2.0)));
    let decode = found("sightline_decode_seconds");
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
    let Some(Data::Gauge(build)) = &found("sightline_build_info").data else {
        panic!("{sent:?}");
    };
    let labels: Vec<&str> = build.data_points[0]
        .attributes
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert_eq!(labels, ["service", "version"]);
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
