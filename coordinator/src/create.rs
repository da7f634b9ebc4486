//! New runs: stored once, published as often as they are asked for.

use crate::collection_check::Lengths;
use crate::errors::{index_error, queue_error, state_error, violations};
use crate::mirror::{of_dataset, unless_dropped};
use crate::planner::describe;
use crate::publish::{publish_link, publish_watch};
use crate::request::{self, Violations};
use crate::service::CoordinatorService;
use crate::tracker::{CONCURRENT_READS, unless_unreadable};
use crate::{answer, import_request};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::message::queues;
use sightline_core::{Link, RunDocument, RunId, RunSpec};
use sightline_objects::ObjectError;
use sightline_proto::v1;
use sightline_service::ServiceError;
use sightline_state::StateError;
use sightline_telemetry::current_traceparent;

/// Who asks, until callers have identities.
const ANONYMOUS: &str = "anonymous";
const MAX_REQUEST_ID: usize = 128;
/// What is asked for where previews are to lie. No preview has such a name.
const NO_PREVIEW: &str = "previews/none";

/// Notes what is wrong with a caller's name for a request.
pub(crate) fn check_request_id(request_id: &str, wrong: &mut Violations) {
    let characters = request_id.chars().count();
    if !(1..=MAX_REQUEST_ID).contains(&characters) {
        wrong.add(
            "request_id",
            format!("has {characters} characters: use 1 to {MAX_REQUEST_ID}"),
        );
    }
}

impl CoordinatorService {
    pub(crate) async fn create(&self, request: v1::CreateRunRequest) -> Result<v1::Run, ServiceError> {
        let mut wrong = Violations::default();
        check_request_id(&request.request_id, &mut wrong);
        let lengths = import_request::dimensions(&request.dimensions, &mut wrong);
        let spec = match request::run_spec(request.spec.as_ref()) {
            Ok(spec) if wrong.0.is_empty() => spec,
            Ok(_) => return Err(violations(wrong)),
            Err(more) => {
                wrong.0.extend(more.0);
                return Err(violations(wrong));
            }
        };
        if request.validate_only {
            self.check_root(&spec).await?;
            let run = RunId::of_request(ANONYMOUS, &request.request_id);
            self.check_free(&run, &spec, &lengths).await?;
            return Ok(v1::Run {
                spec: Some(answer::api_spec(&spec)),
                ..v1::Run::default()
            });
        }
        self.store_and_start(spec, request.request_id, &lengths).await
    }

    /// Stores a run and publishes its first link. Doing it twice has the effect of once. `lengths` are those of the
    /// model's vectors, as far as the caller said them.
    pub(crate) async fn store_and_start(
        &self,
        spec: RunSpec,
        request_id: String,
        lengths: &Lengths,
    ) -> Result<v1::Run, ServiceError> {
        let run = RunId::of_request(ANONYMOUS, &request_id);
        // Whoever made it already is to find it, though what it read or wrote may be gone since.
        if self.tracker.document(&run).await.map_err(state_error)?.is_none() {
            self.check_root(&spec).await?;
        }
        self.check_free(&run, &spec, lengths).await?;
        let document = RunDocument {
            run,
            caller: ANONYMOUS.into(),
            request_id,
            rows_before: self.rows_to_mirror(&spec).await?,
            spec,
            created_at: self.clock.now(),
            traceparent: current_traceparent(),
        };
        let stored = self.state.create_run(&document).await.map_err(state_error)?;
        let name = format!("runs/{}", document.run);
        if stored.spec != document.spec {
            let message = format!(
                "request_id {:?} made {name} with another specification: use another request_id, or the same specification",
                document.request_id
            );
            return Err(ServiceError::already_exists("run", name, message));
        }
        // Published again where the request is repeated: the first caller may have died in between.
        let snapshot = self.snapshot(&document.run).await?;
        if !snapshot.state.is_final() {
            let traceparent = stored.traceparent.as_deref();
            let queue = self.queue.as_ref();
            queue.declare(queues::PLAN).await.map_err(queue_error)?;
            let published = publish_watch(queue, &stored, traceparent).await;
            published.map_err(queue_error)?;
            if snapshot.planned_shards == 0 {
                let published = publish_link(queue, &stored, &Link::default(), traceparent).await;
                published.map_err(queue_error)?;
            }
        }
        let snapshot = self.snapshot(&document.run).await?;
        tracing::info!(run = %document.run, dataset = %stored.spec.dataset.name, "run created");
        self.metrics.run_created();
        Ok(self.api_run(&snapshot).await)
    }

    /// How many rows a run that mirrors begins with: it adds its own before it deletes.
    async fn rows_to_mirror(&self, spec: &RunSpec) -> Result<Option<u64>, ServiceError> {
        if spec.mirror.is_none() {
            return Ok(None);
        }
        let index = self.open_index().await?;
        let rows = index
            .count(&spec.collection, Some(&of_dataset(&spec.dataset.name)))
            .await;
        Ok(Some(unless_dropped(rows).map_err(index_error)?))
    }

    /// A root that cannot be opened is the caller's mistake, told at once; so is one of previews that no store can be at, such
    /// as a bucket that is not there. Whether it may be written is not asked: workers have rights of their own.
    pub(crate) async fn check_root(&self, spec: &RunSpec) -> Result<(), ServiceError> {
        let wrong = |field: &str, error: &ObjectError| ServiceError::invalid_argument(field, describe(error));
        if let Err(error) = self.datasets.open(&spec.dataset.root).await
            && !error.is_retryable()
        {
            return Err(wrong("spec.dataset.root", &error));
        }
        let Some(root) = spec.previews.as_ref().and_then(|previews| previews.root.as_ref()) else {
            return Ok(());
        };
        let field = "spec.previews.root";
        let store = match self.datasets.open(root).await {
            Ok(store) => store,
            Err(error) if error.is_retryable() => return Ok(()),
            Err(error) => return Err(wrong(field, &error)),
        };
        match store.get_range(NO_PREVIEW, 0..1, None).await {
            Err(error @ ObjectError::Invalid { .. }) => {
                let message = format!("no previews can be written below {root}: {}", describe(&error));
                Err(ServiceError::invalid_argument(field, message))
            }
            _ => Ok(()),
        }
    }

    /// A request that made its run already finds it, whatever else goes on.
    async fn check_free(&self, run: &RunId, spec: &RunSpec, lengths: &Lengths) -> Result<(), ServiceError> {
        if self.tracker.document(run).await.map_err(state_error)?.is_some() {
            return Ok(());
        }
        self.check_no_other(run, spec).await?;
        self.check_vectors(spec, lengths).await
    }

    /// Two runs over one dataset and collection at once would undo each other's work. Where two slip through, side by
    /// side, their rows have the same keys.
    async fn check_no_other(&self, run: &RunId, spec: &RunSpec) -> Result<(), ServiceError> {
        let mut after = None;
        loop {
            let mut page = self.state.list_runs(after).await.map_err(state_error)?;
            page.runs.retain(|other| other != run);
            // Side by side: a coordinator that has just started knows none of them. And to the end before any is looked at, since
            // a reading that nobody goes on with may hold what the others wait for.
            let documents: Vec<_> = stream::iter(page.runs)
                .map(|other| async move {
                    let document = unless_unreadable(&other, self.tracker.document(&other).await)?;
                    Ok::<_, StateError>((other, document))
                })
                .buffered(CONCURRENT_READS)
                .try_collect()
                .await
                .map_err(state_error)?;
            for (other, document) in documents {
                let Some(document) = document else {
                    continue;
                };
                let same =
                    document.spec.dataset.name == spec.dataset.name && document.spec.collection == spec.collection;
                if same && !self.fresh_snapshot(&other).await?.state.is_final() {
                    let message = format!(
                        "runs/{other} is working on dataset {} and collection {} already: wait for its end, or cancel it",
                        spec.dataset.name, spec.collection
                    );
                    return Err(ServiceError::failed_precondition("RUN_IN_PROGRESS", message));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}
