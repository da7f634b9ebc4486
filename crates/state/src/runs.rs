use crate::{State, StateError};
use sightline_core::layout;
use sightline_core::{RunDocument, RunId, StopDocument};
use sightline_objects::ListRequest;

/// One page of run ids.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// Runs, in the order of their ids.
    pub runs: Vec<RunId>,
    /// Pass as `after` for the next page; none at the end.
    pub next: Option<String>,
}

impl State {
    /// What was asked, if such a run was.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn run(&self, run: &RunId) -> Result<Option<RunDocument>, StateError> {
        self.read(&layout::run_document(run)).await
    }

    /// Writes what was asked, unless it is there already, and answers with what is there then. Two callers with one
    /// request id meet here: each sees the document that counts.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn create_run(&self, document: &RunDocument) -> Result<RunDocument, StateError> {
        if let Some(existing) = self.run(&document.run).await? {
            return Ok(existing);
        }
        self.write(&layout::run_document(&document.run), document).await?;
        Ok(self.run(&document.run).await?.unwrap_or_else(|| document.clone()))
    }

    /// Whether and why a run was stopped.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn stop(&self, run: &RunId) -> Result<Option<StopDocument>, StateError> {
        self.read(&layout::stop_document(run)).await
    }

    /// Stops a run. The first reason counts; says whether this is it, as all do that stop a run at one moment.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn stop_run(&self, document: &StopDocument) -> Result<bool, StateError> {
        if self.stop(&document.run).await?.is_some() {
            return Ok(false);
        }
        self.write(&layout::stop_document(&document.run), document).await?;
        Ok(true)
    }

    /// Lists runs.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn list_runs(&self, after: Option<String>) -> Result<RunPage, StateError> {
        let request = ListRequest {
            start_after: after,
            fold: true,
            ..ListRequest::all(layout::RUNS)
        };
        let page = self.store.list(&request).await?;
        let id = |prefix: &String| {
            let name = prefix.strip_prefix(layout::RUNS)?.strip_suffix('/')?;
            RunId::new(name).ok()
        };
        Ok(RunPage {
            runs: page.common_prefixes.iter().filter_map(id).collect(),
            next: page.next,
        })
    }
}
