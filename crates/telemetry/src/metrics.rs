//! The metrics of a process, without globals.

use crate::error::MetricsError;
use crate::instruments::{Attributes, Instrument};
use crate::metric::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Ratio};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The registry of a process's metrics. Clones share it; it is passed to whoever counts something.
///
/// Names are `sightline_<thing>_<unit>`, with `_total` at the end of a counter; the prefix and `_total` are added
/// here. What OpenTelemetry has a name for is counted by that instead: [`RpcServerMetrics`](crate::RpcServerMetrics),
/// [`DbClientMetrics`](crate::DbClientMetrics), [`MessagingMetrics`](crate::MessagingMetrics). Asking twice for one name
/// gives the same metric, so that several services may live in one process.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    registry: Registry,
    handles: HashMap<String, Box<dyn Any + Send>>,
}

/// Before the names of ours.
const PREFIX: &str = "sightline_";

/// Makes a histogram of fixed buckets for each new set of labels.
#[derive(Debug, Clone)]
struct Buckets(Arc<[f64]>);

/// Histograms by their labels.
#[derive(Clone)]
pub struct HistogramFamily<L>(Family<L, Histogram, Buckets>);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl<L: Clone + Hash + Eq> HistogramFamily<L> {
    /// Notes one value under these labels.
    pub fn observe(&self, labels: &L, value: f64) {
        self.0.get_or_create(labels).observe(value);
    }
}

impl<L> fmt::Debug for HistogramFamily<L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HistogramFamily")
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Metrics")
            .field("names", &self.lock().handles.len())
            .finish()
    }
}

impl Metrics {
    /// An empty registry that names the service and its version as `sightline_build_info`.
    #[must_use]
    pub fn new(service: &str, version: &str) -> Self {
        let mut registry = Registry::default();
        let labels = vec![
            ("service".to_owned(), service.to_owned()),
            ("version".to_owned(), version.to_owned()),
        ];
        let help = "Which service runs, and in which version";
        registry.register(format!("{PREFIX}build"), help, Info::new(labels));
        Self {
            inner: Arc::new(Mutex::new(Inner {
                registry,
                handles: HashMap::new(),
            })),
        }
    }

    /// A number that only grows, `sightline_<name>_total`.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, MetricsError> {
        self.own(name, help, Counter::default)
    }

    /// Counters by their labels.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn counters<L: Labels>(&self, name: &str, help: &str) -> Result<Family<L, Counter>, MetricsError> {
        self.own(name, help, Family::default)
    }

    /// A number that rises and falls, `sightline_<name>`.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.own(name, help, Gauge::default)
    }

    /// Gauges by their labels.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn gauges<L: Labels>(&self, name: &str, help: &str) -> Result<Family<L, Gauge>, MetricsError> {
        self.own(name, help, Family::default)
    }

    /// Shares by their labels, `sightline_<name>`.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn ratios<L: Labels>(&self, name: &str, help: &str) -> Result<Family<L, Ratio>, MetricsError> {
        self.own(name, help, Family::default)
    }

    /// A distribution over the buckets with these upper bounds, `sightline_<name>`. Asked for twice, the first
    /// bounds stay.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = f64>,
    ) -> Result<Histogram, MetricsError> {
        self.own(name, help, || Histogram::new(buckets))
    }

    /// Distributions by their labels.
    ///
    /// # Errors
    /// Where the name breaks the convention or is taken by another type.
    pub fn histograms<L: Labels>(
        &self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = f64>,
    ) -> Result<HistogramFamily<L>, MetricsError> {
        let buckets = Buckets(buckets.into_iter().collect());
        self.own(name, help, || Family::new_with_constructor(buckets))
            .map(HistogramFamily)
    }

    /// Distributions that OpenTelemetry's conventions name.
    pub(crate) fn conventional_histograms(
        &self,
        instrument: &Instrument,
    ) -> Result<HistogramFamily<Attributes>, MetricsError> {
        let buckets = Buckets(instrument.buckets.into());
        self.get_or_register(&instrument.scraped(), instrument.help, || {
            Family::new_with_constructor(buckets)
        })
        .map(HistogramFamily)
    }

    /// Counters that OpenTelemetry's conventions name.
    pub(crate) fn conventional_counters(
        &self,
        instrument: &Instrument,
    ) -> Result<Family<Attributes, Counter>, MetricsError> {
        self.get_or_register(&instrument.scraped(), instrument.help, Family::default)
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _written = prometheus_client::encoding::text::encode(&mut text, &self.lock().registry);
        text
    }

    /// A metric of ours.
    fn own<M>(&self, name: &str, help: &str, make: impl FnOnce() -> M) -> Result<M, MetricsError>
    where
        M: prometheus_client::registry::Metric + TypedMetric + Clone,
    {
        check_name(name, matches!(M::TYPE, MetricType::Counter))?;
        if help.contains('\n') {
            return Err(MetricsError::Name {
                name: name.to_owned(),
                rule: "its help is one line",
            });
        }
        self.get_or_register(&format!("{PREFIX}{name}"), help, make)
    }

    fn get_or_register<M>(&self, name: &str, help: &str, make: impl FnOnce() -> M) -> Result<M, MetricsError>
    where
        M: prometheus_client::registry::Metric + Clone,
    {
        let mut inner = self.lock();
        if let Some(known) = inner.handles.get(name) {
            return known
                .downcast_ref::<M>()
                .cloned()
                .ok_or_else(|| MetricsError::Taken(name.to_owned()));
        }
        let metric = make();
        inner.registry.register(name, help, metric.clone());
        inner.handles.insert(name.to_owned(), Box::new(metric.clone()));
        Ok(metric)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the registry whole: registering is one insertion.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set of labels: a struct with `#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]`.
pub trait Labels: Clone + Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static {}

impl<L: Clone + Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static> Labels for L {}

fn check_name(name: &str, counter: bool) -> Result<(), MetricsError> {
    let broken = |rule| {
        Err(MetricsError::Name {
            name: name.to_owned(),
            rule,
        })
    };
    let words = || name.split('_');
    if name.is_empty() || words().any(str::is_empty) {
        return broken("words are joined by one underscore");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        return broken("only lower-case letters, digits and underscores, a letter first");
    }
    if words().next() == Some("sightline") {
        return broken("the prefix sightline_ is added by the registry");
    }
    if words().next_back() == Some("total") {
        return broken(if counter {
            "_total is added by the registry"
        } else {
            "_total is for counters"
        });
    }
    if words().any(|word| {
        matches!(
            word,
            "ms" | "millis" | "milliseconds" | "micros" | "kib" | "mib" | "percent"
        )
    }) {
        return broken("units are base units: seconds, bytes, ratio");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::LabelText;

    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Reason {
        reason: LabelText,
    }

    #[test]
    fn one_name_asked_for_twice_is_one_metric() {
        let metrics = Metrics::new("test", "1");
        metrics.counter("indexed_items", "Items indexed").unwrap().inc();
        metrics.counter("indexed_items", "Items indexed").unwrap().inc();
        let text = metrics.encode();
        assert!(text.contains("\nsightline_indexed_items_total 2\n"), "{text}");
        assert_eq!(text.matches("# TYPE sightline_indexed_items").count(), 1);
    }

    #[test]
    fn a_name_taken_by_another_type_is_refused() {
        let metrics = Metrics::new("test", "1");
        metrics.counter("waiting_shards", "").unwrap();
        assert_eq!(
            metrics.gauge("waiting_shards", "").unwrap_err(),
            MetricsError::Taken("sightline_waiting_shards".to_owned())
        );
    }

    #[test]
    fn names_that_break_the_convention_are_refused() {
        let metrics = Metrics::new("test", "1");
        for name in [
            "",
            "Items",
            "items__read",
            "sightline_items",
            "items_total",
            "decode_ms",
            "1st",
            "a-b",
            "_a",
        ] {
            assert!(metrics.counter(name, "").is_err(), "{name}");
        }
        for name in ["items", "decode_seconds", "fetched_bytes", "f32_vectors"] {
            assert!(metrics.counter(name, "").is_ok(), "{name}");
        }
    }

    #[test]
    fn labels_and_buckets_reach_the_text() {
        let metrics = Metrics::new("test", "1.2");
        let failures = metrics.counters::<Reason>("failed_items", "Items failed").unwrap();
        failures
            .get_or_create(&Reason {
                reason: "too \"large\"\n폐\\".into(),
            })
            .inc();
        let times = metrics
            .histograms::<Reason>("decode_seconds", "Time", [0.1, 1.0])
            .unwrap();
        times.observe(&Reason { reason: "png".into() }, 0.5);
        let text = metrics.encode();
        assert!(
            text.contains(r#"sightline_failed_items_total{reason="too \"large\"\n폐\\"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"sightline_decode_seconds_bucket{le="0.1",reason="png"} 0"#),
            "{text}"
        );
        assert!(
            text.contains(r#"sightline_decode_seconds_bucket{le="1.0",reason="png"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"sightline_build_info{service="test",version="1.2"} 1"#),
            "{text}"
        );
    }
}
