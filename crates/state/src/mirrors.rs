use crate::{State, StateError};
use sightline_core::layout;
use sightline_core::{MirrorDone, MirrorPlan, MirroredRows, RunId};
use sightline_objects::ListRequest;

/// Lists of a page.
const PAGE: usize = 100;

impl State {
    /// Writes a list of rows that a run deletes. Whoever finds the same rows writes the same object.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_mirrored_rows(&self, rows: &MirroredRows) -> Result<(), StateError> {
        match rows.rows.first() {
            Some(first) => {
                self.write(&layout::mirrored_rows_from(&rows.run, &first.id), rows)
                    .await
            }
            None => Ok(()),
        }
    }

    /// The keys of some lists of rows that a run deletes, in the order of the rows, and from where to go on.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn list_mirrored_rows(
        &self,
        run: &RunId,
        after: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StateError> {
        let request = ListRequest {
            start_after: after,
            limit: PAGE,
            ..ListRequest::all(layout::mirrored_rows(run))
        };
        let page = self.store.list(&request).await?;
        Ok((page.objects.into_iter().map(|object| object.key).collect(), page.next))
    }

    /// A list of rows that a run deletes.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn mirrored_rows(&self, key: &str) -> Result<Option<MirroredRows>, StateError> {
        self.read(key).await
    }

    /// That all rows that a run deletes are written down, once they are.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn mirror_plan(&self, run: &RunId) -> Result<Option<MirrorPlan>, StateError> {
        self.read(&layout::mirror_plan(run)).await
    }

    /// Says that all rows are written down, unless that was said, and answers with what counts.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn plan_mirror(&self, plan: &MirrorPlan) -> Result<MirrorPlan, StateError> {
        if let Some(existing) = self.mirror_plan(&plan.run).await? {
            return Ok(existing);
        }
        self.write(&layout::mirror_plan(&plan.run), plan).await?;
        Ok(self.mirror_plan(&plan.run).await?.unwrap_or_else(|| plan.clone()))
    }

    /// That the rows are deleted, once they are.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn mirror_done(&self, run: &RunId) -> Result<Option<MirrorDone>, StateError> {
        self.read(&layout::mirror_done(run)).await
    }

    /// Says that the rows are deleted.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn finish_mirror(&self, done: &MirrorDone) -> Result<(), StateError> {
        self.write(&layout::mirror_done(&done.run), done).await
    }
}
