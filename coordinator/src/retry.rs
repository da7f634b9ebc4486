//! Runs made of other runs: the failed items once more, and every message once more.

use crate::collection_check::Lengths;
use crate::create::check_request_id;
use crate::errors::{plan_error, violations};
use crate::progress::RunSnapshot;
use crate::request::Violations;
use crate::resume::resume_run;
use crate::service::CoordinatorService;
use sightline_core::{ItemSelection, RunId, RunSpec, SelectedOutcome};
use sightline_proto::v1;
use sightline_service::ServiceError;

impl CoordinatorService {
    /// Creates a run of the failed items of one that has ended.
    pub(crate) async fn retry(&self, run: &RunId, request_id: String) -> Result<v1::Run, ServiceError> {
        usable(&request_id)?;
        let snapshot = self.ended(run).await?;
        if snapshot.counts.failed == 0 {
            let message = format!("no item of runs/{run} failed: there is nothing to try again");
            return Err(ServiceError::failed_precondition("NOTHING_FAILED", message));
        }
        self.child(&snapshot, SelectedOutcome::Failed, request_id).await
    }

    /// Creates a run of the items of an ended one that an audit finds a problem with.
    pub(crate) async fn repair(&self, run: &RunId, request_id: String) -> Result<v1::Run, ServiceError> {
        usable(&request_id)?;
        let snapshot = self.ended(run).await?;
        self.open_index().await?;
        self.child(&snapshot, SelectedOutcome::Unverified, request_id).await
    }

    /// A run that has ended.
    pub(crate) async fn ended(&self, run: &RunId) -> Result<RunSnapshot, ServiceError> {
        let snapshot = self.fresh_snapshot(run).await?;
        if snapshot.state.is_final() {
            return Ok(snapshot);
        }
        let message = format!("runs/{run} has not ended: wait for its end, or cancel it");
        Err(ServiceError::failed_precondition("RUN_IN_PROGRESS", message))
    }

    async fn child(
        &self,
        parent: &RunSnapshot,
        outcome: SelectedOutcome,
        request_id: String,
    ) -> Result<v1::Run, ServiceError> {
        let run = parent.document.run.clone();
        let spec = RunSpec {
            selection: Some(ItemSelection { run, outcome }),
            // It holds only some of the items: all others would be taken for gone, and many of these fail again.
            mirror: None,
            max_failure_share: None,
            ..parent.document.spec.clone()
        };
        // Which model made its vectors was looked at when the first run was asked for.
        self.store_and_start(spec, request_id, &Lengths::new()).await
    }

    /// Publishes again what a run needs to end.
    pub(crate) async fn resume(&self, run: &RunId) -> Result<v1::Run, ServiceError> {
        self.snapshot(run).await?;
        let messages = resume_run(&self.state, &self.tracker, self.queue.as_ref(), run)
            .await
            .map_err(plan_error)?;
        tracing::info!(%run, messages, "run resumed");
        Ok(self.api_run(&self.snapshot(run).await?).await)
    }
}

fn usable(request_id: &str) -> Result<(), ServiceError> {
    let mut wrong = Violations::default();
    check_request_id(request_id, &mut wrong);
    if wrong.0.is_empty() {
        Ok(())
    } else {
        Err(violations(wrong))
    }
}
