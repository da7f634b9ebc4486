//! Links that nobody follows, published again. A broker can keep a message from everyone for as long as its consumer
//! timeout, half an hour as RabbitMQ comes: after the node that had handed it out was lost, or a consumer's machine. A
//! creator of a run may also die between the run and its first message. To follow a link twice has the effect of once.

use crate::now_and_then::now_and_then;
use crate::planner::PlanError;
use crate::publish::{publish_link, publish_watch};
use crate::tracker::Tracker;
use crate::waiting::Waiting;
use crate::window::Window;
use sightline_core::{Link, LinkId, RunId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often runs are looked at.
const INTERVAL: Duration = Duration::from_secs(20);
/// A run whose planning stands still for so long has its links published again, then after twice as long each time.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_PATIENCE: Duration = Duration::from_secs(3600);

/// Looks for them.
#[derive(Debug)]
pub(crate) struct LostLinks {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) window: Window,
    pub(crate) seen: Mutex<HashMap<RunId, Seen>>,
}

/// What was seen of a run.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Its planning has ended, and perhaps the run itself.
    Planned { ended: bool },
    /// These links are without node.
    Open {
        links: Vec<LinkId>,
        since: Instant,
        patience: Duration,
    },
}

impl LostLinks {
    /// Looks for them now and then, until shutdown.
    pub(crate) async fn watch(&self, shutdown: &CancellationToken) {
        let failure = "cannot look for links that nobody follows";
        now_and_then(INTERVAL, failure, shutdown, || self.pass(Instant::now())).await;
    }

    /// Looks at all runs once. One that cannot be looked at keeps its patience, and keeps none of the others waiting.
    ///
    /// # Errors
    /// When state or queue failed: the last one.
    pub(crate) async fn pass(&self, now: Instant) -> Result<(), PlanError> {
        // Of runs that nobody reads any more.
        self.tracker.meters.forget(now);
        let mut seen = self.seen.lock().await;
        let (mut after, mut looked) = (None, Ok(()));
        loop {
            let page = self.tracker.state.list_runs(after).await?;
            for run in page.runs {
                match self.look_at(&run, seen.get(&run), now).await {
                    Ok(Some(now)) => drop(seen.insert(run, now)),
                    Ok(None) => drop(seen.remove(&run)),
                    Err(error) => looked = Err(error),
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return looked,
            }
        }
    }

    /// A run whose planning has ended is read until its own end, so that metrics tell how far it is though nobody asks.
    async fn planned(&self, run: &RunId) -> Result<Seen, PlanError> {
        let snapshot = self.tracker.snapshot(run).await?;
        Ok(Seen::Planned {
            ended: snapshot.is_none_or(|snapshot| snapshot.state.is_final()),
        })
    }

    /// Publishes a run's links where they are the same as before for too long. Gives what is seen of it now; nothing
    /// where its planning has a reason to wait.
    async fn look_at(&self, run: &RunId, before: Option<&Seen>, now: Instant) -> Result<Option<Seen>, PlanError> {
        match before {
            Some(Seen::Planned { ended: true }) => return Ok(Some(Seen::Planned { ended: true })),
            Some(Seen::Planned { ended: false }) => return Ok(Some(self.planned(run).await?)),
            _ => {}
        }
        let Some(document) = self.tracker.document(run).await? else {
            return Ok(None);
        };
        let Some((open, outstanding)) = self.tracker.open_links(run).await? else {
            return Ok(Some(self.planned(run).await?));
        };
        let waits = self.waiting.planning_waits_for(run, now).is_some();
        if waits || self.window.is_full(&document, outstanding, now).await? {
            return Ok(None);
        }
        let links: Vec<_> = open.iter().map(|link| link.id(run)).collect();
        let (since, patience) = match before {
            Some(Seen::Open {
                links: old,
                since,
                patience,
            }) if *old == links => (*since, *patience),
            _ => (now, PATIENCE),
        };
        if now.duration_since(since) < patience {
            return Ok(Some(Seen::Open { links, since, patience }));
        }
        tracing::warn!(%run, links = links.len(), after = ?patience, "planning stands still: its links are published again");
        let (queue, traceparent) = (self.tracker.queue.as_ref(), document.traceparent.as_deref());
        if open == [Link::default()] {
            // Nothing of it was ever followed: its creator may have died before its first message.
            publish_watch(queue, &document, traceparent).await?;
        }
        for link in &open {
            publish_link(queue, &document, link, traceparent).await?;
        }
        Ok(Some(Seen::Open {
            links,
            since: now,
            patience: (patience * 2).min(MOST_PATIENCE),
        }))
    }
}
