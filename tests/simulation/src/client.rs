//! A client: asks for a run, looks at it, and does meanwhile what people do.

use crate::machines::{ROOT, Site};
use crate::model::name as model_name;
use crate::world::World;
use sightline_coordinator::CoordinatorService;
use sightline_core::RunId;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Code, Request, Status};

/// Calls of a client end at this.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Once nothing goes wrong any more, a run ends within this, and the last message is answered.
pub(crate) const CALM_LIMIT: Duration = Duration::from_secs(3600);

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// All of the dataset.
    All {
        /// The share of the dataset's rows that may be deleted, 0 for the default; none are where this is none.
        mirror: Option<f64>,
        /// 0 for any number.
        max_failures: i64,
    },
    /// What failed of a run.
    Retry(RunId),
    /// What an audit of a run finds.
    Repair(RunId),
}

/// A client that wants one run.
pub(crate) struct Client {
    pub(crate) site: Arc<Site>,
    pub(crate) wanted: Wanted,
    pub(crate) request_id: String,
    pub(crate) run: RunId,
}

impl Client {
    pub(crate) fn new(site: &Arc<Site>, wanted: Wanted, request_id: &str) -> Self {
        Self {
            site: Arc::clone(site),
            wanted,
            request_id: request_id.into(),
            run: RunId::of_request("anonymous", request_id),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("runs/{}", self.run)
    }

    fn world(&self) -> &World {
        &self.site.world
    }

    /// Calls a coordinator, whichever runs, until one answers, and be it that it refuses.
    pub(crate) async fn answer<T>(
        &self,
        what: &str,
        call: impl AsyncFn(CoordinatorService) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let world = self.world();
        let limit = world.elapsed() + CALM_LIMIT;
        loop {
            if let Some(api) = self.site.some_api() {
                match tokio::time::timeout(CALL_LIMIT, call(api)).await {
                    Ok(Err(status)) if status.code() == Code::Unavailable && world.elapsed() < limit => {}
                    Ok(answer) => {
                        world.note(format!("client: {what} answered"));
                        return answer;
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(world.millis(100, 2_000)).await;
        }
    }

    /// As [`Self::answer`], of a call that may not be refused; none where it is.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        call: impl AsyncFn(CoordinatorService) -> Result<T, Status>,
    ) -> Option<T> {
        let answer = self.answer(what, call).await;
        answer
            .map_err(|status| self.world().violation(format!("{what} was refused: {status}")))
            .ok()
    }

    /// A request for the same dataset and collection.
    pub(crate) fn request(&self, request_id: &str, validate_only: bool) -> v1::CreateRunRequest {
        let (mirror, max_failures) = match &self.wanted {
            Wanted::All { mirror, max_failures } => (*mirror, *max_failures),
            Wanted::Retry(_) | Wanted::Repair(_) => (None, 0),
        };
        let spec = v1::RunSpec {
            kind: v1::JobKind::Embed.into(),
            dataset: Some(v1::Dataset {
                name: "pictures".into(),
                root: ROOT.into(),
                source: Some(v1::dataset::Source::Prefix(v1::PrefixSource {})),
                dicom: None,
            }),
            collection: "collections/pictures".into(),
            model: model_name().to_string(),
            shard_items: 1 + i32::try_from(self.world().seed % 6).unwrap(),
            mirror: mirror.map(|max_share| v1::run_spec::Mirror { max_share }),
            max_failures,
            ..v1::RunSpec::default()
        };
        v1::CreateRunRequest {
            spec: Some(spec),
            request_id: request_id.into(),
            validate_only,
            ..v1::CreateRunRequest::default()
        }
    }

    pub(crate) async fn create(&self) -> Option<()> {
        let request_id = self.request_id.clone();
        let create = async |api: CoordinatorService| match &self.wanted {
            Wanted::All { .. } => {
                let request = self.request(&self.request_id, false);
                api.create_run(Request::new(request)).await
            }
            Wanted::Retry(parent) => {
                let (name, request_id) = (format!("runs/{parent}"), request_id.clone());
                let request = v1::RetryFailedRequest { name, request_id };
                api.retry_failed(Request::new(request)).await
            }
            Wanted::Repair(parent) => {
                let (name, request_id) = (format!("runs/{parent}"), request_id.clone());
                let request = v1::RepairRunRequest { name, request_id };
                api.repair_run(Request::new(request)).await
            }
        };
        self.until("the request for the run", create).await.map(|_| ())
    }

    pub(crate) async fn get(&self) -> Option<v1::Run> {
        let get = async |api: CoordinatorService| {
            let name = self.name();
            api.get_run(Request::new(v1::GetRunRequest { name })).await
        };
        Some(self.until("GetRun", get).await?.into_inner())
    }

    /// Asks for the run and looks at it until it ended; none where something is wrong, which was told.
    pub(crate) async fn ask(&self) -> Option<v1::Run> {
        let world = self.world();
        self.create().await?;
        let mut acts = self.acts();
        let mut calm_since = None;
        loop {
            tokio::time::sleep(world.millis(200, 2_000)).await;
            while let Some((_, act)) = acts.pop_if(|(at, _)| world.elapsed() > *at) {
                self.act(act).await?;
            }
            let run = self.get().await?;
            if run.end_time.is_some() {
                return Some(run);
            }
            if world.is_calm() {
                let since = *calm_since.get_or_insert(world.elapsed());
                if world.elapsed() - since > CALM_LIMIT {
                    let forgotten = self.site.monitor.forgotten(&self.site.broker, &self.run);
                    let why = run.state_message;
                    world.violation(format!("the run does not end: {why:?}, {forgotten:?}"));
                    return None;
                }
            }
        }
    }

    /// Waits until nothing is on its way any more; false where that never is, which was told.
    pub(crate) async fn silence(&self) -> bool {
        let world = self.world();
        if !world.is_calm() {
            world.calm_down();
        }
        let since = world.elapsed();
        loop {
            let (left, dead) = self.site.broker.left();
            if left + dead == 0 && world.under_way.load(Ordering::Relaxed) == 0 {
                return true;
            }
            if world.elapsed() - since > CALM_LIMIT {
                world.violation(format!("{left} messages are never acked, {dead} stay dead letters"));
                return false;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
