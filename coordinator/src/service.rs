//! The gRPC service.

use crate::answer;
use crate::errors::state_error;
use crate::failures::{self, FailuresCursor};
use crate::metrics::CoordinatorMetrics;
use crate::planner::describe;
use crate::progress::RunSnapshot;
use crate::publish::shard_queue;
use crate::tracker::{Tracker, unless_unreadable};
use crate::waiting::Waiting;
use sightline_core::{Clock, RunDocument, RunId, StopDocument, StopReason, Timestamp};
use sightline_index::LazyIndex;
use sightline_objects::Stores;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator;
use sightline_queue::JobQueue;
use sightline_service::ServiceError;
use sightline_state::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// How long a caller should wait when something is away.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often a watched run is looked at, and how often it is told at least.
const WATCH_INTERVAL: Duration = Duration::from_millis(300);
const WATCH_HEARTBEAT: Duration = Duration::from_secs(10);
/// How long the broker may take to say who waits for a run: how the run stands is told in any case.
const DEPTH_LIMIT: Duration = Duration::from_secs(2);
/// A run that is young may still be waiting for its worker to subscribe: not worth a word.
const NO_WORKER_AFTER_MS: u64 = 2_000;
const DEFAULT_RUNS_PAGE: usize = 50;
const DEFAULT_FAILURES_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct CoordinatorService {
    pub(crate) state: State,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) index: Option<Arc<LazyIndex>>,
    pub(crate) datasets: Arc<Stores>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: CoordinatorMetrics,
    pub(crate) shutdown: CancellationToken,
}

/// The run in `runs/{run}`.
fn run_id(field: &'static str, name: &str) -> Result<RunId, ServiceError> {
    let id = name.strip_prefix("runs/").unwrap_or_default();
    RunId::new(id).map_err(|_| {
        ServiceError::invalid_argument(
            field,
            format!("{name:?} names no run: a run's id has 32 hexadecimal digits, as ListRuns shows it"),
        )
    })
}

/// A page's size: a default for 0, the highest for what is above it.
fn page_size(asked: i32, default: usize) -> Result<usize, ServiceError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(MAX_PAGE)),
        Err(_) => Err(ServiceError::invalid_argument(
            "page_size",
            format!("{asked} is negative"),
        )),
    }
}

impl CoordinatorService {
    pub(crate) async fn snapshot(&self, run: &RunId) -> Result<RunSnapshot, ServiceError> {
        let snapshot = self.tracker.snapshot(run).await.map_err(state_error)?;
        snapshot.ok_or_else(|| ServiceError::not_found("run", format!("runs/{run}")))
    }

    /// A run as it stands now, if it goes on: that it ended may be known to another coordinator, and to the caller.
    pub(crate) async fn fresh_snapshot(&self, run: &RunId) -> Result<RunSnapshot, ServiceError> {
        let snapshot = self.snapshot(run).await?;
        if snapshot.state.is_final() {
            return Ok(snapshot);
        }
        self.tracker.changed(run).await;
        self.snapshot(run).await
    }

    pub(crate) async fn api_run(&self, snapshot: &RunSnapshot) -> v1::Run {
        answer::run(snapshot, self.waits_for(snapshot).await)
    }

    /// What a run waits for; none where it goes on.
    async fn waits_for(&self, snapshot: &RunSnapshot) -> Option<String> {
        if snapshot.state.is_final() {
            return None;
        }
        let document = &snapshot.document;
        // What kept a link is past where no link is left: another coordinator may have followed it.
        let plans = !snapshot.plan_complete || snapshot.is_mirroring();
        let waits = self.waiting.planning_waits_for(&document.run, Instant::now());
        if let Some((what, since)) = waits.filter(|_| plans) {
            return Some(answer::since(&what, since));
        }
        if snapshot.outstanding() == 0 {
            return None;
        }
        let model = document.spec.model.as_ref();
        let model = model.filter(|_| document.spec.kind.needs_model());
        if let Some(model) = model
            && let Some((what, since)) = self.waiting.workers_wait_for(model, Instant::now())
        {
            return Some(answer::since(&what, since));
        }
        let queue = shard_queue(document);
        let Ok(depth) = tokio::time::timeout(DEPTH_LIMIT, self.queue.depth(&queue)).await else {
            return Some("the broker does not answer".into());
        };
        match depth {
            Ok(depth) if depth.consumers == 0 && self.age_ms(document) > NO_WORKER_AFTER_MS => {
                Some(model.map_or("no worker is there".into(), |model| {
                    format!("no worker serves model {model}")
                }))
            }
            Ok(_) => None,
            Err(error) => Some(describe(&error)),
        }
    }

    fn age_ms(&self, document: &RunDocument) -> u64 {
        self.clock.now().millis_since(document.created_at)
    }

    async fn list(&self, request: v1::ListRunsRequest) -> Result<v1::ListRunsResponse, ServiceError> {
        let size = page_size(request.page_size, DEFAULT_RUNS_PAGE)?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(parse_runs_token(token)?),
        };
        let mut newest = self.all_runs().await?;
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.retain(|run| before.as_ref().is_none_or(|before| run < before));
        let more = newest.len() > size;
        newest.truncate(size);
        let next_page_token = match newest.last() {
            Some((created, run)) if more => format!("{}.{run}", created.0),
            _ => String::new(),
        };
        let mut runs = Vec::with_capacity(newest.len());
        for (_, run) in &newest {
            let snapshot = unless_unreadable(run, self.tracker.snapshot(run).await);
            if let Some(snapshot) = snapshot.map_err(state_error)? {
                runs.push(self.api_run(&snapshot).await);
            }
        }
        Ok(v1::ListRunsResponse { runs, next_page_token })
    }

    async fn all_runs(&self) -> Result<Vec<(Timestamp, RunId)>, ServiceError> {
        let mut runs = Vec::new();
        let mut after = None;
        loop {
            let page = self.state.list_runs(after).await.map_err(state_error)?;
            for run in page.runs {
                let document = unless_unreadable(&run, self.state.run(&run).await);
                if let Some(document) = document.map_err(state_error)? {
                    runs.push((document.created_at, run));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(runs),
            }
        }
    }

    async fn cancel(&self, run: &RunId) -> Result<v1::Run, ServiceError> {
        let snapshot = self.fresh_snapshot(run).await?;
        if !snapshot.state.is_final() {
            let stop = StopDocument {
                run: run.clone(),
                reason: StopReason::Cancelled,
                message: "cancelled by a caller".into(),
                stopped_at: self.clock.now(),
            };
            self.tracker.stop(&stop).await.map_err(state_error)?;
            self.tracker.changed(run).await;
            tracing::info!(%run, "run cancelled");
        }
        Ok(self.api_run(&self.snapshot(run).await?).await)
    }

    async fn failures(&self, request: v1::ListFailuresRequest) -> Result<v1::ListFailuresResponse, ServiceError> {
        let run = run_id("parent", &request.parent)?;
        self.snapshot(&run).await?;
        let size = page_size(request.page_size, DEFAULT_FAILURES_PAGE)?;
        let cursor = match request.page_token.as_str() {
            "" => None,
            token => Some(FailuresCursor::from_token(token).ok_or_else(bad_token)?),
        };
        let shards = self.tracker.failed_shards(&run).await.map_err(state_error)?;
        let (failures, next) = failures::page(&self.state, &run, &shards, cursor, size)
            .await
            .map_err(state_error)?;
        Ok(v1::ListFailuresResponse {
            failures: failures.into_iter().filter_map(answer::failure).collect(),
            next_page_token: next.map(|cursor| cursor.to_token()).unwrap_or_default(),
        })
    }

    /// Tells a run's states until it ends, the caller goes or the process ends.
    async fn watch(self, run: RunId, states: mpsc::Sender<Result<v1::WatchRunResponse, Status>>) {
        let mut told: Option<(v1::Run, Instant)> = None;
        loop {
            let (message, last) = match self.snapshot(&run).await {
                Ok(snapshot) => {
                    let is_final = snapshot.state.is_final();
                    let recent = snapshot.recent_failures.iter().cloned();
                    let recent_failures = recent.filter_map(answer::failure).collect();
                    let run = self.api_run(&snapshot).await;
                    let due = told
                        .as_ref()
                        .is_none_or(|(before, at)| *before != run || at.elapsed() >= WATCH_HEARTBEAT);
                    told = if due { Some((run.clone(), Instant::now())) } else { told };
                    (
                        due.then_some(Ok(v1::WatchRunResponse {
                            run: Some(run),
                            recent_failures,
                        })),
                        is_final,
                    )
                }
                Err(error) => (Some(Err(error.into())), true),
            };
            if let Some(message) = message
                && states.send(message).await.is_err()
            {
                return;
            }
            if last {
                return;
            }
            tokio::select! {
                biased;
                () = states.closed() => return,
                () = self.shutdown.cancelled() => {
                    let away = ServiceError::unavailable("SHUTTING_DOWN", "this coordinator ends: watch again", RETRY_AFTER);
                    // The caller may be gone, too; then there is nobody to tell.
                    let _told = states.send(Err(away.into())).await;
                    return;
                }
                () = self.tracker.all_told(&run) => {}
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
            }
        }
    }
}

fn bad_token() -> ServiceError {
    ServiceError::invalid_argument("page_token", "is none that a page of this list gave")
}

fn parse_runs_token(token: &str) -> Result<(Timestamp, RunId), ServiceError> {
    let (created, run) = token.split_once('.').ok_or_else(bad_token)?;
    let created = created.parse().map_err(|_| bad_token())?;
    Ok((Timestamp(created), RunId::new(run).map_err(|_| bad_token())?))
}

#[tonic::async_trait]
impl Coordinator for CoordinatorService {
    type WatchRunStream = ReceiverStream<Result<v1::WatchRunResponse, Status>>;
    type PreviewRunStream = ReceiverStream<Result<v1::PreviewRunResponse, Status>>;
    type VerifyRunStream = ReceiverStream<Result<v1::VerifyRunResponse, Status>>;

    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Result<Response<v1::Run>, Status> {
        Ok(Response::new(self.create(request.into_inner()).await?))
    }

    async fn preview_run(
        &self,
        request: Request<v1::PreviewRunRequest>,
    ) -> Result<Response<Self::PreviewRunStream>, Status> {
        Ok(Response::new(self.preview(request.into_inner().spec.as_ref()).await?))
    }

    async fn retry_failed(&self, request: Request<v1::RetryFailedRequest>) -> Result<Response<v1::Run>, Status> {
        let request = request.into_inner();
        let run = run_id("name", &request.name)?;
        Ok(Response::new(self.retry(&run, request.request_id).await?))
    }

    async fn verify_run(
        &self,
        request: Request<v1::VerifyRunRequest>,
    ) -> Result<Response<Self::VerifyRunStream>, Status> {
        let run = run_id("name", &request.into_inner().name)?;
        Ok(Response::new(self.verify(&run).await?))
    }

    async fn repair_run(&self, request: Request<v1::RepairRunRequest>) -> Result<Response<v1::Run>, Status> {
        let request = request.into_inner();
        let run = run_id("name", &request.name)?;
        Ok(Response::new(self.repair(&run, request.request_id).await?))
    }

    async fn resume_run(&self, request: Request<v1::ResumeRunRequest>) -> Result<Response<v1::Run>, Status> {
        let run = run_id("name", &request.into_inner().name)?;
        Ok(Response::new(self.resume(&run).await?))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::Run>, Status> {
        let run = run_id("name", &request.into_inner().name)?;
        Ok(Response::new(self.api_run(&self.snapshot(&run).await?).await))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        Ok(Response::new(self.list(request.into_inner()).await?))
    }

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        let run = run_id("name", &request.into_inner().name)?;
        self.snapshot(&run).await?;
        let (states, receiver) = mpsc::channel(1);
        tokio::spawn(self.clone().watch(run, states));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Result<Response<v1::Run>, Status> {
        let run = run_id("name", &request.into_inner().name)?;
        Ok(Response::new(self.cancel(&run).await?))
    }

    async fn list_failures(
        &self,
        request: Request<v1::ListFailuresRequest>,
    ) -> Result<Response<v1::ListFailuresResponse>, Status> {
        Ok(Response::new(self.failures(request.into_inner()).await?))
    }
}
