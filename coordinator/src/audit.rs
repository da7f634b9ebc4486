//! The audit of a whole run, told as it goes on.

use crate::errors::{index_error, plan_error, state_error};
use crate::orphans;
use crate::planner::PlanError;
use crate::service::CoordinatorService;
use crate::verify::{self, Problem, ShardAudit};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{LinkId, OutcomeCounts, RunDocument, RunId, ShardId};
use sightline_index::VectorIndex;
use sightline_proto::v1;
use sightline_service::ServiceError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Shards that are compared side by side.
const CONCURRENT_SHARDS: usize = 8;
/// How often a caller is told how far the audit is.
const TELL_INTERVAL: Duration = Duration::from_millis(500);
/// Rows of orphans that are asked for at once.
const ROWS_AT_ONCE: usize = 1000;
/// Problems that are listed one by one.
const LISTED_PROBLEMS: usize = 100;

type Told = Result<v1::VerifyRunResponse, Status>;

impl CoordinatorService {
    /// Audits a run that has ended.
    pub(crate) async fn verify(&self, run: &RunId) -> Result<ReceiverStream<Told>, ServiceError> {
        let snapshot = self.ended(run).await?;
        let index = self.open_index().await?;
        let shards = Arc::unwrap_or_clone(self.tracker.shards(run).await.map_err(state_error)?);
        let nodes = self.tracker.nodes(run).await.map_err(state_error)?;
        let (tell, told) = mpsc::channel(4);
        let audit = Audit {
            service: self.clone(),
            index,
            document: Arc::clone(&snapshot.document),
            stopped: snapshot.stop.is_some(),
            plan_complete: snapshot.plan_complete,
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let closed = tell.clone();
            tokio::select! {
                biased;
                () = audit.tell(nodes, shards, tell) => {}
                () = closed.closed() => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(ReceiverStream::new(told))
    }

    /// The index, for those calls that need it.
    pub(crate) async fn open_index(&self) -> Result<Arc<dyn VectorIndex>, ServiceError> {
        let Some(index) = &self.index else {
            let message = "this coordinator was given no index: set index.url in its configuration";
            return Err(ServiceError::failed_precondition("NO_INDEX", message));
        };
        Ok(Arc::clone(index.get().await.map_err(index_error)?))
    }
}

struct Audit {
    service: CoordinatorService,
    index: Arc<dyn VectorIndex>,
    document: Arc<RunDocument>,
    stopped: bool,
    plan_complete: bool,
}

impl Audit {
    async fn tell(&self, nodes: Vec<(LinkId, String)>, shards: Vec<ShardId>, tell: mpsc::Sender<Told>) {
        let last = self.of_all(nodes, shards, &tell).await;
        let last = last.map_err(|error| Status::from(plan_error(error)));
        // A caller that has gone needs no audit.
        let _told = tell.send(last).await;
    }

    async fn of_all(
        &self,
        nodes: Vec<(LinkId, String)>,
        shards: Vec<ShardId>,
        tell: &mpsc::Sender<Told>,
    ) -> Result<v1::VerifyRunResponse, PlanError> {
        let total_shards = shards.len();
        let mut sum = Sum::default();
        let mut told_at = Instant::now();
        let (state, index, document) = (&self.service.state, self.index.as_ref(), self.document.as_ref());
        let mut orphans = orphans::of(state, document, nodes, &shards).await?;
        let known = &orphans.clone();
        let mut audits = stream::iter(shards)
            .map(|shard| async move {
                let (_, audit) = verify::shard(state, index, document, known, &shard).await?;
                Ok::<_, PlanError>((shard, audit))
            })
            .buffered(CONCURRENT_SHARDS);
        while let Some((shard, audit)) = audits.try_next().await? {
            sum.add(&shard, &audit);
            for id in &audit.orphans {
                orphans.remove(id);
            }
            if told_at.elapsed() >= TELL_INTERVAL {
                told_at = Instant::now();
                let so_far = answer(sum.shards, total_shards, None);
                if tell.send(Ok(so_far)).await.is_err() {
                    break;
                }
            }
        }
        for ids in Vec::from_iter(orphans).chunks(ROWS_AT_ONCE) {
            sum.rows_of_run += verify::count_of_run(index, document, ids.to_vec()).await?;
        }
        let rows = verify::count_rows(index, document).await?;
        let checked = sum.shards;
        let audit = sum.finish(rows, self.stopped, self.plan_complete);
        Ok(answer(checked, total_shards, Some(audit)))
    }
}

fn answer(checked: usize, total: usize, audit: Option<v1::RunAudit>) -> v1::VerifyRunResponse {
    let int = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    v1::VerifyRunResponse {
        checked_shards: int(checked),
        total_shards: int(total),
        audit,
    }
}

#[derive(Default)]
struct Sum {
    shards: usize,
    items: u64,
    unprocessed: u64,
    counts: OutcomeCounts,
    superseded: u64,
    rows_of_run: u64,
    missing_outcomes: u64,
    missing_rows: u64,
    wrong_rows: u64,
    listed: Vec<v1::AuditProblem>,
}

impl Sum {
    fn add(&mut self, shard: &ShardId, audit: &ShardAudit) {
        self.shards += 1;
        self.items += audit.items;
        self.unprocessed += audit.unprocessed;
        self.counts += audit.counts;
        self.superseded += audit.superseded;
        self.rows_of_run += audit.rows_of_run;
        for (_, key, problem) in &audit.problems {
            let name = match problem {
                Problem::NoOutcome => {
                    self.missing_outcomes += 1;
                    "missing_outcome"
                }
                Problem::MissingRow => {
                    self.missing_rows += 1;
                    "missing_row"
                }
                Problem::WrongRow => {
                    self.wrong_rows += 1;
                    "wrong_row"
                }
            };
            if self.listed.len() < LISTED_PROBLEMS {
                self.listed.push(v1::AuditProblem {
                    key: key.to_string(),
                    problem: name.to_owned(),
                    shard: shard.to_string(),
                });
            }
        }
    }

    fn finish(self, rows: u64, stopped: bool, plan_complete: bool) -> v1::RunAudit {
        let int = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let surplus = rows.saturating_sub(self.rows_of_run);
        let problems = self.missing_outcomes + self.missing_rows + self.wrong_rows + surplus;
        v1::RunAudit {
            verified: problems == 0 && (stopped || self.unprocessed == 0),
            plan_complete,
            items: int(self.items),
            counts: Some(v1::run::Counts {
                indexed: int(self.counts.indexed),
                unchanged: int(self.counts.unchanged),
                skipped: int(self.counts.skipped),
                failed: int(self.counts.failed),
                stale: int(self.counts.stale),
            }),
            unprocessed_items: int(self.unprocessed),
            missing_outcomes: int(self.missing_outcomes),
            missing_rows: int(self.missing_rows),
            wrong_rows: int(self.wrong_rows),
            superseded_rows: int(self.superseded),
            surplus_rows: int(surplus),
            repeated_keys: int(self.rows_of_run.saturating_sub(rows)),
            problems: self.listed,
        }
    }
}
