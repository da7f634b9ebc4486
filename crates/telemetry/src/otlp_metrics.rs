//! Metrics on their way to an OTLP collector: the numbers that `/metrics` has, by the names of [`crate::otlp_names`].

use crate::error::TelemetryError;
use crate::export::{OtlpOptions, refused, tls};
use crate::exposition::{Family, Kind, Sample, parse};
use crate::metrics::Metrics;
use crate::otlp_names::{attribute as attribute_name, name_and_unit};
use crate::telemetry::{Options, ServiceIdentity};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

/// Sends a process's metrics at an interval.
#[derive(Debug)]
pub struct MetricsExport {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What every export needs.
struct Exporter {
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    metrics: Metrics,
    service: ServiceIdentity,
    started: SystemTime,
}

impl MetricsExport {
    /// Starts to send, where that is wanted; none where it is not. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// Where the endpoint is malformed. One that does not answer is no error: the log says so, and the next export has
    /// all numbers again.
    pub fn start(options: &Options, metrics: Metrics, interval: Duration) -> Result<Option<Self>, TelemetryError> {
        let Some(otlp) = options.otlp.as_ref().filter(|otlp| otlp.metrics) else {
            return Ok(None);
        };
        let mut exporter = Exporter {
            client: MetricsServiceClient::new(channel(otlp)?),
            headers: otlp.headers.metadata(),
            metrics,
            service: options.service.clone(),
            started: SystemTime::now(),
        };
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                let last = tokio::select! {
                    _ = &mut stopped => true,
                    () = tokio::time::sleep(interval) => false,
                };
                exporter.export().await;
                if last {
                    return;
                }
            }
        });
        Ok(Some(Self { stop, task }))
    }

    /// Sends the last numbers, for at most `limit`, and stops.
    ///
    /// # Errors
    /// Where the collector did not take them in time.
    pub async fn shutdown(self, limit: Duration) -> Result<(), TelemetryError> {
        // Nobody listens where the task has ended.
        let _told = self.stop.send(());
        let flush = |reason: String| TelemetryError::Flush { limit, reason };
        match tokio::time::timeout(limit, self.task).await {
            Ok(ended) => ended.map_err(|join| flush(join.to_string())),
            Err(_) => Err(flush("the collector did not answer in time".to_owned())),
        }
    }
}

fn channel(otlp: &OtlpOptions) -> Result<Channel, TelemetryError> {
    let endpoint = Endpoint::from_shared(otlp.endpoint.clone()).map_err(|source| refused(otlp, &source))?;
    let endpoint = endpoint.timeout(otlp.timeout).connect_timeout(otlp.timeout);
    let endpoint = match tls(otlp) {
        Some(tls) => endpoint.tls_config(tls).map_err(|source| refused(otlp, &source))?,
        None => endpoint,
    };
    Ok(endpoint.connect_lazy())
}

impl Exporter {
    async fn export(&mut self) {
        let request = request(
            &self.service,
            &parse(&self.metrics.encode()),
            self.started,
            SystemTime::now(),
        );
        let mut request = Request::new(request);
        *request.metadata_mut() = self.headers.clone();
        if let Err(status) = self.client.export(request).await {
            tracing::warn!(code = ?status.code(), error = status.message(), "metrics were not exported");
        }
    }
}

/// All numbers as one request.
fn request(
    service: &ServiceIdentity,
    families: &[Family],
    started: SystemTime,
    now: SystemTime,
) -> ExportMetricsServiceRequest {
    let attributes = service.resource().into_iter();
    let resource = Resource {
        attributes: attributes.map(|(key, value)| attribute(key, value)).collect(),
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "sightline".to_owned(),
        version: service.version.clone(),
        ..InstrumentationScope::default()
    };
    let times = (nanos(started), nanos(now));
    let metrics = families.iter().filter_map(|family| metric(family, times)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// A family as a metric; none where it has no numbers.
fn metric(family: &Family, times: (u64, u64)) -> Option<Metric> {
    let first = family.samples.first()?;
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let (scraped, data) = match family.kind {
        Kind::Counter => {
            let sum = Sum {
                data_points: numbers(family, times),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            };
            (&family.name, Data::Sum(sum))
        }
        Kind::Gauge => {
            let gauge = Gauge {
                data_points: numbers(family, times),
            };
            // Of the constants that describe the process this is more than the family's.
            (&first.name, Data::Gauge(gauge))
        }
        Kind::Histogram => {
            let histogram = Histogram {
                data_points: distributions(family, times),
                aggregation_temporality: cumulative,
            };
            (&family.name, Data::Histogram(histogram))
        }
    };
    let (name, unit) = name_and_unit(scraped);
    Some(Metric {
        name,
        unit: unit.to_owned(),
        description: family.help.clone(),
        data: Some(data),
        ..Metric::default()
    })
}

fn numbers(family: &Family, (start, now): (u64, u64)) -> Vec<NumberDataPoint> {
    let point = |sample: &Sample| NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    };
    family.samples.iter().map(point).collect()
}

/// Buckets of a scrape hold all values up to their bound; those of OTLP only their own.
fn distributions(family: &Family, (start, now): (u64, u64)) -> Vec<HistogramDataPoint> {
    let mut points: BTreeMap<Vec<(String, String)>, HistogramDataPoint> = BTreeMap::new();
    for sample in &family.samples {
        let bound = sample
            .labels
            .iter()
            .find(|(name, _)| name == "le")
            .map(|(_, bound)| bound);
        let labels: Vec<_> = sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect();
        let point = points.entry(labels.clone()).or_insert_with(|| HistogramDataPoint {
            attributes: attributes(&labels),
            start_time_unix_nano: start,
            time_unix_nano: now,
            ..HistogramDataPoint::default()
        });
        if sample.name.ends_with("_sum") {
            point.sum = Some(sample.value);
        } else if sample.name.ends_with("_count") {
            point.count = whole(sample.value);
        } else if let Some(bound) = bound {
            let below: u64 = point.bucket_counts.iter().sum();
            point.bucket_counts.push(whole(sample.value).saturating_sub(below));
            if let Some(bound) = bound.parse::<f64>().ok().filter(|bound| bound.is_finite()) {
                point.explicit_bounds.push(bound);
            }
        }
    }
    points.into_values().collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

fn attributes(labels: &[(String, String)]) -> Vec<KeyValue> {
    let told = |(label, value): &(String, String)| attribute(attribute_name(label), value);
    labels.iter().map(told).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
