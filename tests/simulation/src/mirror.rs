//! Watches what coordinators delete: rows of a dataset that a mirroring run's tree does not name, once every item has
//! ended, and nothing else.

use crate::monitor::Monitor;
use crate::tree;
use sightline_core::{Row, RunId};

impl Monitor {
    /// From now on this run may delete rows, if it mirrors its dataset.
    pub(crate) fn expects(&self, run: &RunId) {
        *self.live_run() = Some(run.clone());
    }

    /// Rows are about to be deleted by a process.
    pub(crate) fn deletes(&self, process: &str, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        let wrong = |why: &str| {
            let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
            self.world
                .violation(format!("{process} deletes {}: {why}", keys.join(", ")));
        };
        let run = self.live_run().clone();
        let document = run.and_then(|run| tree::document(&self.state, &run));
        let Some(document) = document.filter(|document| document.spec.mirror.is_some()) else {
            return wrong("no run mirrors its dataset");
        };
        let run = &document.run;
        if !tree::items_have_ended(&self.state, run) {
            return wrong("not every item of the run has ended");
        }
        if !tree::mirror_is_planned(&self.state, run) {
            return wrong("what goes is not written down");
        }
        if rows.iter().any(|row| row.dataset != self.dataset) {
            return wrong("a row of another dataset");
        }
        if rows
            .iter()
            .any(|row| row.run_id == *run || row.indexed_at >= document.created_at)
        {
            return wrong("a row that was written meanwhile");
        }
        let named = tree::entries(&self.state, run, &tree::shards(&self.state, run));
        if rows.iter().any(|row| named.contains_key(&row.key)) {
            wrong("the dataset has an item of that key");
        }
    }

    /// Whether rows are still to be deleted by a run, which somebody has to be asked for.
    pub(crate) fn is_to_mirror(&self, run: &RunId) -> bool {
        let mirrors = tree::document(&self.state, run).is_some_and(|document| document.spec.mirror.is_some());
        let stopped = tree::stop(&self.state, run).is_some() && !tree::mirror_is_planned(&self.state, run);
        mirrors && !stopped && !tree::mirror_is_done(&self.state, run)
    }
}
