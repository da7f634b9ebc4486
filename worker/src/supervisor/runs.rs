//! What is known of runs: what was asked, whether they were stopped, whether their collection is proven.

use super::collection::{Mismatch, Unproven, compare, fields_of_run, prove};
use super::host::LoadedModel;
use super::imports::{self, imported};
use super::status::Status;
use crate::ipc::Imported;
use sightline_core::{Clock, CollectionDescription, FieldDescription, RunDocument, RunId, StopDocument, VectorField};
use sightline_index::VectorIndex;
use sightline_objects::ObjectError;
use sightline_state::{State, StateError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Runs that are remembered.
const MAX_RUNS: usize = 256;

/// Why a shard cannot be worked on now.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Something is away: later.
    Away(String),
    /// One of its objects cannot be read, though the store answers: later, and nothing else waits.
    Unreadable(String),
    /// Written by a newer Sightline: another worker.
    Newer(String),
    /// Nobody can: what it needs is gone or damaged.
    Unusable(String),
    /// The run was stopped.
    Stopped,
}

impl From<StateError> for Obstacle {
    fn from(error: StateError) -> Self {
        match &error {
            StateError::Object(ObjectError::NotFound { .. } | ObjectError::Invalid { .. }) => {
                Self::Unusable(error.to_string())
            }
            // Credentials are refreshed, rights are corrected: it is the store's state, not the shard's.
            StateError::Object(_) => Self::Away(error.to_string()),
            StateError::Document { source, key } if source.is_newer() => {
                Self::Newer(format!("cannot use {key}: {source}"))
            }
            StateError::Document { source, key } => Self::Unusable(format!("cannot use {key}: {source}")),
        }
    }
}

/// One run.
#[derive(Debug, Default)]
struct KnownRun {
    document: OnceCell<Arc<RunDocument>>,
    proven: OnceCell<Vec<VectorField>>,
    imported: OnceCell<Imported>,
    stop: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

/// Runs by their ids.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) state: State,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) clock: Arc<dyn Clock>,
    status: Arc<Status>,
    stop_cached: Duration,
    known: Mutex<HashMap<RunId, Arc<KnownRun>>>,
}

impl Runs {
    pub(crate) fn new(
        state: State,
        index: Arc<dyn VectorIndex>,
        clock: Arc<dyn Clock>,
        status: Arc<Status>,
        stop_cached: Duration,
    ) -> Self {
        Self {
            state,
            index,
            clock,
            status,
            stop_cached,
            known: Mutex::default(),
        }
    }

    fn known(&self, run: &RunId) -> Arc<KnownRun> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_RUNS && !known.contains_key(run) {
            // What is forgotten is read again.
            known.clear();
        }
        Arc::clone(known.entry(run.clone()).or_default())
    }

    /// Forgets what was proven of a run's collection: it may have been dropped meanwhile.
    pub(crate) fn doubt(&self, run: &RunId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    /// What was asked.
    pub(crate) async fn document(&self, run: &RunId) -> Result<Arc<RunDocument>, Obstacle> {
        let known = self.known(run);
        let read = async || match self.state.run(run).await? {
            Some(document) => Ok(Arc::new(document)),
            None => Err(Obstacle::Unusable(format!("there is no run {run}"))),
        };
        known.document.get_or_try_init(read).await.map(Arc::clone)
    }

    /// Whether the run was stopped, as of a moment ago.
    pub(crate) async fn is_stopped(&self, run: &RunId) -> Result<bool, Obstacle> {
        let known = self.known(run);
        let mut stop = known.stop.lock().await;
        if let Some((asked, stopped)) = *stop
            && (stopped || asked.elapsed() < self.stop_cached)
        {
            return Ok(stopped);
        }
        let stopped = self.state.stop(run).await?.is_some();
        *stop = Some((Instant::now(), stopped));
        Ok(stopped)
    }

    /// Proves, once a run, that the model may fill the run's collection; answers which fields. Where it may not, the
    /// run is stopped and says why.
    pub(crate) async fn prove(&self, run: &RunDocument, model: &LoadedModel) -> Result<Vec<VectorField>, Obstacle> {
        let known = self.known(&run.run);
        let proof = async || {
            let fields = match fields_of_run(run, model) {
                Ok(fields) => fields,
                Err(mismatch) => return Err(self.stop(run, mismatch).await),
            };
            let same = |existing: &CollectionDescription| compare(existing, model, &fields);
            self.prove_fields(run, &fields, same).await?;
            Ok(fields.into_keys().collect())
        };
        known.proven.get_or_try_init(proof).await.cloned()
    }

    /// Proves, once a run, that the run's collection may take vectors that were made elsewhere; answers what the engine
    /// has to know of them. Where it may not, the run is stopped and says why.
    pub(crate) async fn prove_import(
        &self,
        run: &RunDocument,
        fields: &BTreeMap<VectorField, FieldDescription>,
    ) -> Result<Imported, Obstacle> {
        let known = self.known(&run.run);
        let proof = async || {
            let same = |existing: &CollectionDescription| imports::compare(existing, fields);
            self.prove_fields(run, fields, same).await?;
            Ok(imported(run, fields))
        };
        known.imported.get_or_try_init(proof).await.cloned()
    }

    async fn prove_fields(
        &self,
        run: &RunDocument,
        fields: &BTreeMap<VectorField, FieldDescription>,
        compare: impl Fn(&CollectionDescription) -> Result<(), Mismatch> + Send,
    ) -> Result<(), Obstacle> {
        match prove(self.index.as_ref(), run, fields, compare).await {
            Ok(()) => Ok(()),
            Err(Unproven::Away(what)) => Err(Obstacle::Away(what)),
            Err(Unproven::Mismatch(mismatch)) => Err(self.stop(run, mismatch).await),
        }
    }

    /// Stops a run; answers what that means for its shard.
    pub(crate) async fn stop(&self, run: &RunDocument, why: Mismatch) -> Obstacle {
        tracing::error!(run = %run.run, reason = ?why.reason, message = why.message, "stopping the run");
        let stop = StopDocument {
            run: run.run.clone(),
            reason: why.reason,
            message: why.message,
            stopped_at: self.clock.now(),
        };
        match self.state.stop_run(&stop).await {
            Ok(first) => {
                if first {
                    self.status.run_stopped(stop.reason);
                }
                Obstacle::Stopped
            }
            Err(error) => error.into(),
        }
    }
}
