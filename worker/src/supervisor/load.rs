//! How busy the engine is, as metrics: which stage is the one that the others wait for.

use crate::ipc::{EngineLoad, StageReport};
use crate::journal::JournalStage;
use sightline_telemetry::metric::{EncodeLabelSet, Family, Gauge, Ratio};
use sightline_telemetry::{Metrics, MetricsError};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeviceLabels {
    /// Its place in the list of devices, since several may bear one name.
    number: u64,
    device: String,
}

/// Gauges of the time between the last two reports of the engine.
pub(super) struct LoadMeters {
    utilisation: Family<StageLabels, Ratio>,
    waiting: Family<StageLabels, Gauge>,
    devices: Family<DeviceLabels, Ratio>,
    bytes: Gauge,
    bytes_limit: Gauge,
}

/// What an engine reported.
pub(super) type Report<'a> = (&'a BTreeMap<JournalStage, StageReport>, &'a EngineLoad);

impl LoadMeters {
    pub(super) fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            utilisation: metrics.ratios(
                "worker_stage_utilisation_ratio",
                "Share of a stage's places that were taken in the last second",
            )?,
            waiting: metrics.gauges("worker_stage_waiting_items", "Items that wait for a stage")?,
            devices: metrics.ratios(
                "worker_device_busy_ratio",
                "Share of the last second in which a device had something to compute",
            )?,
            bytes: metrics.gauge(
                "worker_bytes_in_flight",
                "Bytes of objects and of pictures that are being decoded, and those set aside for later stages",
            )?,
            bytes_limit: metrics.gauge("worker_bytes_limit", "Most bytes of them")?,
        })
    }

    /// Notes a report that follows another of the same engine, or nothing.
    pub(super) fn observe(&self, before: Report<'_>, now: Report<'_>, names: &[String]) {
        let elapsed = now.1.elapsed_us.saturating_sub(before.1.elapsed_us);
        for (stage, report) in now.0 {
            let labels = StageLabels { stage: stage.as_str() };
            let busy = report
                .busy_us
                .saturating_sub(before.0.get(stage).map_or(0, |before| before.busy_us));
            let share = share(busy, elapsed.saturating_mul(report.places));
            self.utilisation.get_or_create(&labels).set(share);
            self.waiting.get_or_create(&labels).set(number(report.waiting));
        }
        for (at, busy) in now.1.device_busy_us.iter().enumerate() {
            let labels = DeviceLabels {
                number: at as u64,
                device: names.get(at).cloned().unwrap_or_default(),
            };
            let busy = busy.saturating_sub(before.1.device_busy_us.get(at).copied().unwrap_or(0));
            self.devices.get_or_create(&labels).set(share(busy, elapsed));
        }
        self.bytes.set(number(now.1.bytes_in_flight));
        self.bytes_limit.set(number(now.1.bytes_limit));
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Between 0 and 1; 0 where there was no time.
fn share(busy_us: u64, all_us: u64) -> f64 {
    if all_us == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "shares of some seconds in microseconds")]
    {
        (busy_us as f64 / all_us as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(busy_us: u64, elapsed_us: u64) -> (BTreeMap<JournalStage, StageReport>, EngineLoad) {
        let decode = StageReport {
            places: 2,
            waiting: 7,
            busy_us,
            ..StageReport::default()
        };
        let load = EngineLoad {
            elapsed_us,
            device_busy_us: vec![elapsed_us / 4],
            bytes_in_flight: 4096,
            bytes_limit: 8192,
            waiting_for: None,
        };
        (BTreeMap::from([(JournalStage::Decode, decode)]), load)
    }

    #[test]
    fn a_stage_s_utilisation_is_the_share_of_its_places_since_the_last_report() {
        let metrics = Metrics::new("test", "1");
        let meters = LoadMeters::new(&metrics).unwrap();
        let (before, now) = (report(500_000, 1_000_000), report(2_000_000, 2_000_000));
        meters.observe((&before.0, &before.1), (&now.0, &now.1), &["cuda:0".to_owned()]);
        let text = metrics.encode();
        for line in [
            "sightline_worker_stage_utilisation_ratio{stage=\"decode\"} 0.75",
            "sightline_worker_stage_waiting_items{stage=\"decode\"} 7",
            "sightline_worker_device_busy_ratio{number=\"0\",device=\"cuda:0\"} 0.25",
            "sightline_worker_bytes_in_flight 4096",
            "sightline_worker_bytes_limit 8192",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_first_report_after_no_time_is_no_division_by_zero() {
        let metrics = Metrics::new("test", "1");
        let meters = LoadMeters::new(&metrics).unwrap();
        let (none, now) = (report(0, 0), report(0, 0));
        meters.observe((&none.0, &none.1), (&now.0, &now.1), &[]);
        assert!(metrics.encode().contains("utilisation_ratio{stage=\"decode\"} 0.0"));
    }
}
