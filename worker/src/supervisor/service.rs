//! `sightline.v1.Worker`: what the worker does, and draining.

use super::status::{Phase, Snapshot, Status};
use crate::journal::JournalStage;
use sightline_core::Timestamp;
use sightline_proto::v1;
use sightline_proto::v1::worker_status::{Device, ShardInHand, Stage, State};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response};

/// The service. Clones share the worker.
#[derive(Debug, Clone)]
pub struct WorkerService {
    pub(super) status: Arc<Status>,
    pub(super) drain: CancellationToken,
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.0 % 1000 * 1_000_000).unwrap_or_default();
    prost_types::Timestamp {
        seconds: count(time.0 / 1000),
        nanos,
    }
}

fn state(snapshot: &Snapshot) -> State {
    match snapshot.phase {
        Phase::Starting => State::Starting,
        Phase::Serving => State::Serving,
        Phase::Draining if snapshot.shards.is_empty() => State::Drained,
        Phase::Draining => State::Draining,
    }
}

impl WorkerService {
    /// The worker's status at this moment.
    #[must_use]
    pub fn status(&self) -> v1::WorkerStatus {
        let snapshot = self.status.read();
        let model = snapshot.model.as_ref();
        let fingerprints = model.into_iter().flat_map(|model| &model.fields);
        let stage = |(stage, report): (&JournalStage, &crate::ipc::StageReport)| Stage {
            name: stage.as_str().into(),
            in_flight: count(report.in_flight),
            done: count(report.done),
            busy_seconds: seconds(report.busy_us),
            waiting: count(report.waiting),
            places: count(report.places),
        };
        let load = &snapshot.load;
        let names = model.map(|model| model.devices.as_slice()).unwrap_or_default();
        let device = |(at, busy_us): (usize, &u64)| Device {
            name: names.get(at).cloned().unwrap_or_default(),
            busy_seconds: seconds(*busy_us),
        };
        let shard = |shard: &super::status::Shard| ShardInHand {
            run: format!("runs/{}", shard.run),
            shard: shard.shard.to_string(),
            items: count(shard.items),
            done: count(shard.done()),
        };
        v1::WorkerStatus {
            worker: self.status.worker.clone(),
            model: model.map(|model| model.name.to_string()).unwrap_or_default(),
            fingerprints: fingerprints
                .map(|(field, description)| (field.to_string(), description.fingerprint.to_string()))
                .collect(),
            devices: model.map(|model| model.devices.clone()).unwrap_or_default(),
            state: state(&snapshot).into(),
            start_time: Some(timestamp(self.status.started_at)),
            stages: snapshot.stages.iter().map(stage).collect(),
            shards: snapshot.shards.values().map(shard).collect(),
            engine_restarts: count(snapshot.restarts),
            last_suspects: snapshot.last_suspects.clone(),
            last_engine_death: snapshot.last_death.clone(),
            waiting_for: snapshot.waits().0.unwrap_or_default().to_owned(),
            engine_seconds: seconds(load.elapsed_us),
            device_load: load.device_busy_us.iter().enumerate().map(device).collect(),
            bytes_in_flight: count(load.bytes_in_flight),
            bytes_limit: count(load.bytes_limit),
        }
    }
}

#[tonic::async_trait]
impl v1::worker_server::Worker for WorkerService {
    async fn get_status(
        &self,
        _request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::WorkerStatus>, tonic::Status> {
        Ok(Response::new(self.status()))
    }

    async fn drain(&self, _request: Request<v1::DrainRequest>) -> Result<Response<v1::WorkerStatus>, tonic::Status> {
        self.drain.cancel();
        self.status.phase(Phase::Draining);
        Ok(Response::new(self.status()))
    }
}
