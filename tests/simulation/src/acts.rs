//! What people do while a run goes on: calls in its middle, and those who watch it.

use crate::client::{CALL_LIMIT, Client};
use crate::machines::Site;
use crate::tree;
use sightline_coordinator::CoordinatorService;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

/// Something that somebody does once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The same request once more.
    Repeat,
    /// What the broker has is asked for again.
    Resume,
    /// The broker loses everything, and it is asked for again.
    LoseBroker,
    /// Another run over the same dataset, and an audit, which have to wait for the end.
    TooEarly,
    /// All runs and all failures so far are listed.
    List,
    /// The run is cancelled.
    Cancel,
}

const ACTS: [(Act, f64); 6] = [
    (Act::Repeat, 0.2),
    (Act::Resume, 0.15),
    (Act::LoseBroker, 0.1),
    (Act::TooEarly, 0.15),
    (Act::List, 0.15),
    (Act::Cancel, 0.1),
];

impl Client {
    /// What is done, and when; the first one last.
    pub(crate) fn acts(&self) -> Vec<(Duration, Act)> {
        let world = &self.site.world;
        let mut acts = Vec::new();
        for (act, rate) in ACTS {
            if world.chance(rate) {
                acts.push((world.elapsed() + world.millis(1, 12_000), act));
            }
        }
        acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        acts
    }

    /// None where something was refused that may not be, which was told.
    pub(crate) async fn act(&self, act: Act) -> Option<()> {
        let world = &self.site.world;
        match act {
            Act::Repeat => {
                world.count("repeated_requests");
                self.create().await
            }
            Act::Resume => {
                world.count("resumes");
                self.resume().await
            }
            Act::LoseBroker if world.is_calm() => Some(()),
            Act::LoseBroker => {
                world.count("lost_brokers");
                world.note("the broker loses everything");
                self.site.monitor.broker_is_lost(true);
                self.site.broker.wipe();
                self.resume().await?;
                self.site.monitor.broker_is_lost(false);
                Some(())
            }
            Act::TooEarly => {
                self.too_early().await;
                Some(())
            }
            Act::List => self.list().await,
            Act::Cancel => {
                world.count("cancels");
                let cancel = async |api: CoordinatorService| {
                    let name = self.name();
                    api.cancel_run(Request::new(v1::CancelRunRequest { name })).await
                };
                self.until("CancelRun", cancel).await.map(|_| ())
            }
        }
    }

    async fn resume(&self) -> Option<()> {
        let resume = async |api: CoordinatorService| {
            let name = self.name();
            api.resume_run(Request::new(v1::ResumeRunRequest { name })).await
        };
        self.until("ResumeRun", resume).await.map(|_| ())
    }

    /// Nothing of this is done while the run goes on. What comes after its end is no mistake.
    async fn too_early(&self) {
        let world = &self.site.world;
        let name = self.name();
        let another = self.request("another", true);
        let another = async |api: CoordinatorService| {
            let answer = api.create_run(Request::new(another.clone())).await;
            answer.map(|_| ())
        };
        let audit = async |api: CoordinatorService| {
            let request = v1::VerifyRunRequest { name: name.clone() };
            api.verify_run(Request::new(request)).await.map(|_| ())
        };
        let answers = [
            ("another run", self.answer("CreateRun", another).await),
            ("an audit", self.answer("VerifyRun", audit).await),
        ];
        let disk = &self.site.state;
        let ended = tree::stop(disk, &self.run).is_some() || tree::items_have_ended(disk, &self.run);
        for (what, answer) in answers {
            match answer {
                Err(status) if status.code() == Code::FailedPrecondition => world.count("refused_too_early"),
                Ok(()) if ended => {}
                other => world.violation(format!("{what} while the run goes on: {other:?}")),
            }
        }
    }

    async fn list(&self) -> Option<()> {
        let runs = async |api: CoordinatorService| api.list_runs(Request::new(v1::ListRunsRequest::default())).await;
        let runs = self.until("ListRuns", runs).await?.into_inner().runs;
        if !runs.iter().any(|run| run.name == self.name()) {
            self.site.world.violation("the list of runs does not name the run");
        }
        self.failures().await.map(|_| ())
    }

    /// Keys of all items that failed so far, page by page.
    pub(crate) async fn failures(&self) -> Option<Vec<String>> {
        let (mut keys, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = async |api: CoordinatorService| {
                let request = v1::ListFailuresRequest {
                    parent: self.name(),
                    page_size: 2,
                    page_token: page_token.clone(),
                };
                api.list_failures(Request::new(request)).await
            };
            let page = self.until("ListFailures", page).await?.into_inner();
            keys.extend(page.failures.into_iter().map(|failure| failure.key));
            if page.next_page_token.is_empty() {
                return Some(keys);
            }
            page_token = page.next_page_token;
        }
    }
}

/// Watches a run to its end, from one coordinator to the next.
pub(crate) async fn watch(site: Arc<Site>, name: String) -> v1::Run {
    let world = &site.world;
    loop {
        tokio::time::sleep(world.millis(10, 2_000)).await;
        let Some(api) = site.some_api() else { continue };
        let request = Request::new(v1::WatchRunRequest { name: name.clone() });
        let Ok(Ok(states)) = tokio::time::timeout(CALL_LIMIT, api.watch_run(request)).await else {
            continue;
        };
        let mut states = states.into_inner();
        // Now and then the watcher itself goes, and comes back to another coordinator.
        while !world.chance(0.05) {
            match tokio::time::timeout(CALL_LIMIT, states.next()).await {
                Ok(Some(Ok(told))) => {
                    let Some(run) = told.run else { continue };
                    if run.end_time.is_some() {
                        world.count("watched_to_the_end");
                        return run;
                    }
                }
                Ok(Some(Err(status))) => {
                    if status.code() != Code::Unavailable {
                        world.violation(format!("WatchRun was refused: {status}"));
                    }
                    break;
                }
                Ok(None) => {
                    world.violation("a stream of states ended before its run");
                    break;
                }
                Err(_) => break,
            }
        }
    }
}
