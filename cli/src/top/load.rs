//! What a worker did between two readings of its status.

use sightline_proto::v1;
use sightline_proto::v1::worker_status::State;

/// From this share of its places on a stage is one that others wait for: reports are a second apart, so that no stage
/// is seen full all the time.
const FULL: f64 = 0.85;

/// A stage between two readings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StageLoad {
    pub(super) name: String,
    /// Share of its places that were taken, 0 to 1.
    pub(super) utilisation: f64,
    pub(super) places: i64,
    pub(super) in_flight: i64,
    pub(super) waiting: i64,
    /// Items a second that left it.
    pub(super) rate: f64,
    pub(super) done: i64,
}

/// A worker between two readings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub(super) status: v1::WorkerStatus,
    /// Items a second that became durable.
    pub(super) rate: f64,
    /// Share of the time in which each device had something to compute.
    pub(super) devices: Vec<(String, f64)>,
    pub(super) stages: Vec<StageLoad>,
    /// What limits it, in words.
    pub(super) limited_by: String,
}

impl Load {
    /// Of a reading and the load that was shown before it. Engines report about once a second: where no report came between the
    /// two, the load is still what it was, and what the worker itself knows is new.
    pub(super) fn after(before: Option<&Self>, now: &v1::WorkerStatus) -> Self {
        match before {
            Some(before) if is_same_report(&before.status, now) => Self {
                limited_by: limited_by(now, &before.stages),
                status: now.clone(),
                ..before.clone()
            },
            _ => Self::between(before.map(|before| &before.status), now),
        }
    }

    /// Before the first reading, and after an engine was started anew, nothing is before: the means since it began.
    pub(super) fn between(before: Option<&v1::WorkerStatus>, now: &v1::WorkerStatus) -> Self {
        let before = before.filter(|before| {
            before.engine_restarts == now.engine_restarts && before.engine_seconds <= now.engine_seconds
        });
        let seconds = now.engine_seconds - before.map_or(0.0, |before| before.engine_seconds);
        let stages: Vec<StageLoad> = now
            .stages
            .iter()
            .map(|stage| {
                let earlier = before.and_then(|before| before.stages.iter().find(|other| other.name == stage.name));
                let busy = stage.busy_seconds - earlier.map_or(0.0, |earlier| earlier.busy_seconds);
                StageLoad {
                    name: stage.name.clone(),
                    utilisation: share(busy, seconds * number(stage.places)),
                    places: stage.places,
                    in_flight: stage.in_flight,
                    waiting: stage.waiting,
                    rate: per(number(stage.done - earlier.map_or(0, |earlier| earlier.done)), seconds),
                    done: stage.done,
                }
            })
            .collect();
        let devices = now
            .device_load
            .iter()
            .enumerate()
            .map(|(at, device)| {
                let earlier = before.and_then(|before| before.device_load.get(at));
                let busy = device.busy_seconds - earlier.map_or(0.0, |earlier| earlier.busy_seconds);
                (device.name.clone(), share(busy, seconds))
            })
            .collect();
        Self {
            rate: stages.last().map_or(0.0, |stage| stage.rate),
            limited_by: limited_by(now, &stages),
            status: now.clone(),
            devices,
            stages,
        }
    }

    /// For programs, with the address that the worker was asked at.
    pub(super) fn json(&self, url: &str) -> serde_json::Value {
        let stages: Vec<serde_json::Value> = self
            .stages
            .iter()
            .map(|stage| {
                serde_json::json!({
                    "name": stage.name, "utilisation": stage.utilisation, "places": stage.places,
                    "in_flight": stage.in_flight, "waiting": stage.waiting, "rate": stage.rate, "done": stage.done,
                })
            })
            .collect();
        let devices: Vec<serde_json::Value> = self
            .devices
            .iter()
            .map(|(name, busy)| serde_json::json!({"name": name, "busy": busy}))
            .collect();
        serde_json::json!({
            "url": url, "worker": self.status.worker, "state": self.status.state().as_str_name(), "rate": self.rate,
            "limited_by": self.limited_by, "devices": devices, "stages": stages,
            "bytes_in_flight": self.status.bytes_in_flight, "bytes_limit": self.status.bytes_limit,
            "shards": self.status.shards.len(),
        })
    }
}

/// An engine's seconds grow with each report, and begin anew with an engine.
fn is_same_report(before: &v1::WorkerStatus, now: &v1::WorkerStatus) -> bool {
    before.engine_restarts == now.engine_restarts && before.engine_seconds.total_cmp(&now.engine_seconds).is_eq()
}

/// Stages hold their items back for the one after them, so that the last full one is what the others wait for.
fn limited_by(status: &v1::WorkerStatus, stages: &[StageLoad]) -> String {
    if !status.waiting_for.is_empty() {
        return format!("waiting for {}", status.waiting_for);
    }
    let last_full = stages.iter().rev().find(|stage| stage.utilisation >= FULL);
    match (last_full, status.state()) {
        (Some(stage), _) => stage.name.clone(),
        (None, State::Starting) => "loading the model".into(),
        (None, _) if status.shards.is_empty() => "no work".into(),
        (None, _) => "no stage alone".into(),
    }
}

fn share(part: f64, whole: f64) -> f64 {
    per(part, whole).clamp(0.0, 1.0)
}

fn per(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts for people")]
fn number(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_proto::v1::worker_status::{Device, ShardInHand, Stage};

    fn status(seconds: f64, decoded: i64, decoding: f64, computing: f64) -> v1::WorkerStatus {
        let stage = |name: &str, places, done, busy_seconds| Stage {
            name: name.into(),
            places,
            done,
            busy_seconds,
            ..Stage::default()
        };
        v1::WorkerStatus {
            state: State::Serving.into(),
            engine_seconds: seconds,
            stages: vec![
                stage("decode", 2, decoded, decoding),
                stage("forward", 2, decoded, computing),
                stage("upsert", 4, decoded, 0.0),
            ],
            device_load: vec![Device {
                name: "cpu".into(),
                busy_seconds: computing / 2.0,
            }],
            shards: vec![ShardInHand::default()],
            ..v1::WorkerStatus::default()
        }
    }

    #[test]
    fn shares_and_rates_are_of_the_time_between_two_readings() {
        let load = Load::between(Some(&status(10.0, 100, 3.0, 8.0)), &status(12.0, 140, 4.0, 11.0));
        let decode = &load.stages[0];
        assert!((decode.utilisation - 0.25).abs() < 1e-9 && (decode.rate - 20.0).abs() < 1e-9);
        assert!((load.devices[0].1 - 0.75).abs() < 1e-9);
        assert!((load.rate - 20.0).abs() < 1e-9);
        assert_eq!(load.limited_by, "no stage alone");
    }

    #[test]
    fn a_reading_before_the_next_report_shows_the_load_of_before_and_what_the_worker_itself_knows() {
        let first = Load::after(None, &status(10.0, 100, 3.0, 8.0));
        let mut now = status(12.0, 140, 4.0, 11.9);
        let load = Load::after(Some(&first), &now);
        assert_eq!(load.limited_by, "forward");
        assert_eq!(Load::after(Some(&load), &now), load);

        now.waiting_for = "the index is not available".into();
        now.shards.clear();
        let waits = Load::after(Some(&load), &now);
        assert_eq!(waits.limited_by, "waiting for the index is not available");
        assert_eq!(
            (&waits.stages, &waits.devices, &waits.status),
            (&load.stages, &load.devices, &now)
        );
        let next = Load::after(Some(&waits), &status(13.0, 160, 4.5, 12.9));
        assert!((next.rate - 20.0).abs() < 1e-9 && (next.stages[0].utilisation - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_last_full_stage_is_what_limits() {
        let load = Load::between(Some(&status(10.0, 100, 3.0, 8.0)), &status(12.0, 140, 7.0, 11.9));
        assert_eq!(load.limited_by, "forward");
        let load = Load::between(Some(&status(10.0, 100, 3.0, 8.0)), &status(12.0, 140, 7.0, 8.1));
        assert_eq!(load.limited_by, "decode");
    }

    #[test]
    fn what_the_worker_waits_for_comes_first_and_no_work_is_no_limit() {
        let mut now = status(2.0, 0, 0.0, 0.0);
        now.shards.clear();
        assert_eq!(Load::between(None, &now).limited_by, "no work");
        now.waiting_for = "the index is not available".into();
        assert_eq!(
            Load::between(None, &now).limited_by,
            "waiting for the index is not available"
        );
    }

    #[test]
    fn a_new_engine_counts_from_nothing() {
        let before = status(1000.0, 5000, 900.0, 900.0);
        let mut now = status(2.0, 20, 1.0, 1.0);
        now.engine_restarts = 1;
        let load = Load::between(Some(&before), &now);
        assert!((load.rate - 10.0).abs() < 1e-9 && (load.stages[0].utilisation - 0.25).abs() < 1e-9);
        assert!(Load::between(None, &v1::WorkerStatus::default()).rate.abs() < 1e-9);
    }
}
