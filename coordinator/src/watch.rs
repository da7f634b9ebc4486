//! What a run needs after its planning though nobody asks for it: its limits are looked at, and what its dataset holds
//! no more is deleted at its end.

use crate::mirror::Mirror;
use crate::planner::{Followed, PlanError, Planner};
use sightline_core::PlanMessage;

impl Planner {
    /// Looks at a run once, or takes what is to be done at its end one step further.
    ///
    /// # Errors
    /// When state or index failed; see [`PlanError::is_retryable`].
    pub(crate) async fn watch(&self, message: &PlanMessage) -> Result<Followed, PlanError> {
        let run = &message.run;
        // Whoever reads a run stops it where it is beyond its limits.
        let Some(snapshot) = self.tracker.snapshot(run).await? else {
            return Ok(Followed::Stopped);
        };
        let document = snapshot.document.as_ref();
        let Some(spec) = &document.spec.mirror else {
            return Ok(if snapshot.state.is_final() {
                Followed::Stopped
            } else {
                Followed::Watching
            });
        };
        // A copy of the message that took the last step: nothing is left to do.
        if snapshot.mirrored.is_some() {
            return Ok(Followed::Stopped);
        }
        // What is written down to be deleted is deleted, so that the list tells what was.
        if snapshot.state.is_final() && self.state.mirror_plan(run).await?.is_none() {
            return Ok(Followed::Stopped);
        }
        if !snapshot.is_mirroring() && snapshot.stop.is_none() {
            return Ok(Followed::Watching);
        }
        let index = self.index.as_ref().ok_or(PlanError::NoIndex)?.get().await?;
        let mirror = Mirror {
            planner: self,
            document,
            spec,
            index: index.as_ref(),
        };
        let next = mirror.step(message.link.start_after.as_deref()).await?;
        Ok(next.map_or(Followed::Done, Followed::GoesOn))
    }
}
