//! Reading of what is new of a run: its tree, its results, its roll-ups.
//!
//! A run that is met first is read from its root: one listing of the names of all results tells which shards have more
//! than one, and roll-ups that agree with that stand for the parts of the tree that are closed. Afterwards only open links
//! and shards without result are looked at, and now and then all names once more, for results that came twice.

use crate::piece::ShardSummary;
use crate::progress::RunProgress;
use crate::publish::publish_link;
use crate::tracker::{CONCURRENT_READS, Tracked, Tracker, listing_interval};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::message::queues;
use sightline_core::{Link, LinkId, PlanNode, RollUp, RunId, ShardId, StopDocument, StopReason};
use sightline_state::StateError;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Fewer results than this have no roll-up.
const LEAST_RESULTS: u64 = 8;
/// How long the broker may take to take a link.
const PUBLISH_LIMIT: Duration = Duration::from_secs(2);
/// Shards that a walk keeps before it reads their results.
const WALKED_SHARDS: usize = 2048;
/// Failures of a plan that grows are a share of no fewer items.
const LEAST_OF_SHARE: u64 = 1000;
/// Names of results in a page of their listing.
const PAGE: u64 = 1000;

/// The digests of a frozen tree's nodes.
type Frozen = HashMap<LinkId, String>;

/// What a link was found to have.
enum Found {
    /// The node that counts, and whether the link has others.
    Node(String, Box<PlanNode>, bool),
    RolledUp(LinkId, Box<RollUp>),
}

impl Tracker {
    /// Reads what is new of a run.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn refresh(&self, tracked: &mut Tracked) -> Result<(), StateError> {
        let run = tracked.progress.document.run.clone();
        tracked.progress.stop = self.state.stop(&run).await?;
        // Once more where it turns out that what was summed up no longer holds.
        for _ in 0..2 {
            tracked.cold = !self.read_news(&run, tracked).await?;
            if !tracked.cold {
                break;
            }
        }
        if !tracked.cold {
            self.close_pieces(&run, &mut tracked.progress).await;
        }
        let progress = &mut tracked.progress;
        let over = progress.stop.is_some() || progress.plan_complete && progress.outstanding() == 0;
        if over && progress.document.spec.mirror.is_some() && progress.mirrored.is_none() {
            progress.mirrored = self.state.mirror_done(&run).await?;
        }
        tracked.progress.sample(Instant::now());
        self.stop_after_too_many_failures(&run, &mut tracked.progress).await
    }

    /// Reads tree and results. False where the run has to be read from its beginning.
    async fn read_news(&self, run: &RunId, tracked: &mut Tracked) -> Result<bool, StateError> {
        let mut roll_ups = false;
        if tracked.cold {
            let (repeated, results) = self.list_repeated(run, tracked).await?;
            tracked.progress = tracked.progress.restarted(repeated);
            roll_ups = results >= LEAST_RESULTS;
        }
        let cold = tracked.cold;
        Ok(
            self.read_plan(run, &mut tracked.progress, cold, roll_ups).await?
                && self.read_results(run, tracked).await?,
        )
    }

    /// Shards with more than one result, and how many results there are.
    async fn list_repeated(
        &self,
        run: &RunId,
        tracked: &mut Tracked,
    ) -> Result<(BTreeMap<ShardId, u32>, u64), StateError> {
        let started = Instant::now();
        let (mut repeated, mut all) = (BTreeMap::new(), 0);
        self.list_results(run, |shard, results| {
            all += u64::from(results);
            if results > 1 {
                repeated.insert(shard, results);
            }
        })
        .await?;
        tracked.listed = Some((Instant::now(), started.elapsed()));
        Ok((repeated, all))
    }

    /// Tells of each shard that has results how many it has.
    async fn list_results(&self, run: &RunId, mut tell: impl FnMut(ShardId, u32)) -> Result<(), StateError> {
        let mut last: Option<(ShardId, u32)> = None;
        let mut after = None;
        loop {
            let (keys, next) = self.state.list_results(run, after).await?;
            for key in keys {
                match &mut last {
                    Some((shard, results)) if *shard == key.shard => *results += 1,
                    _ => {
                        if let Some((shard, results)) = last.replace((key.shard, 1)) {
                            tell(shard, results);
                        }
                    }
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if let Some((shard, results)) = last {
            tell(shard, results);
        }
        Ok(())
    }

    /// Walks the tree from its open links on. False where the tree that counts is another one.
    async fn read_plan(
        &self,
        run: &RunId,
        progress: &mut RunProgress,
        cold: bool,
        roll_ups: bool,
    ) -> Result<bool, StateError> {
        if progress.plan_complete {
            return Ok(true);
        }
        let complete = self.state.plan_complete(run).await?;
        let frozen: Option<Frozen> = complete.map(|complete| complete.nodes.into_iter().collect());
        if let Some(frozen) = &frozen
            && !agree(progress, frozen)
        {
            return Ok(false);
        }
        let mut walked = Vec::new();
        loop {
            let repeated = &progress.repeated;
            let found: Vec<Found> = stream::iter(progress.open_links())
                .map(|(link, starts)| self.look_up(run, link, starts && roll_ups, repeated, frozen.as_ref()))
                .buffer_unordered(CONCURRENT_READS)
                .try_filter_map(|found| async move { Ok(found) })
                .try_collect()
                .await?;
            if found.is_empty() {
                break;
            }
            for found in found {
                match found {
                    Found::Node(digest, node, several) => {
                        if several {
                            progress.contested.push(node.link.clone());
                        }
                        if progress.add_node(digest, &node) && cold {
                            walked.extend(node.shards.into_iter().map(|shard| shard.id));
                        }
                    }
                    Found::RolledUp(first, roll_up) => progress.add_roll_up(&first, *roll_up),
                }
            }
            // A long tree without roll-ups is summed up on the way.
            if walked.len() >= WALKED_SHARDS {
                self.read_shards(run, progress, std::mem::take(&mut walked)).await?;
                self.close_pieces(run, progress).await;
            }
        }
        let published = self.publish_contested(progress).await;
        if !progress.open_links().is_empty() || !published {
            return Ok(true);
        }
        let frozen = match frozen {
            Some(frozen) => frozen,
            None => {
                let complete = self.state.complete_plan(&progress.to_complete()).await?;
                complete.nodes.into_iter().collect()
            }
        };
        progress.plan_complete = agree(progress, &frozen);
        Ok(progress.plan_complete)
    }

    async fn look_up(
        &self,
        run: &RunId,
        link: Link,
        roll_ups: bool,
        repeated: &BTreeMap<ShardId, u32>,
        frozen: Option<&Frozen>,
    ) -> Result<Option<Found>, StateError> {
        let id = link.id(run);
        if roll_ups {
            let counts = |node: &(LinkId, String)| frozen.is_none_or(|frozen| frozen.get(&node.0) == Some(&node.1));
            let agrees = |roll_up: &RollUp| roll_up.agrees_with(repeated) && roll_up.nodes.iter().all(counts);
            if let Some(roll_up) = self.state.roll_ups(run, &id).await?.into_iter().find(agrees)
                && (frozen.is_some() || self.counts(run, &roll_up).await?)
            {
                return Ok(Some(Found::RolledUp(id, Box::new(roll_up))));
            }
        }
        let digest = match frozen {
            Some(frozen) => frozen.get(&id).map(|digest| (digest.clone(), false)),
            None => self.state.plan_node_digests(run, &id).await?,
        };
        let Some((digest, several)) = digest else {
            return Ok(None);
        };
        let node = self.state.plan_node_of(run, &id, &digest).await?;
        Ok(node.map(|node| Found::Node(digest, Box::new(node), several)))
    }

    /// Whether no other node of the links that were summed up has come since, which would count in a tree that is not
    /// frozen.
    async fn counts(&self, run: &RunId, roll_up: &RollUp) -> Result<bool, StateError> {
        let mut agreeing = stream::iter(roll_up.nodes.clone())
            .map(|(link, digest)| async move {
                let found = self.state.plan_node_digests(run, &link).await?;
                Ok::<_, StateError>(found.is_some_and(|(counts, _)| counts == digest))
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some(agrees) = agreeing.try_next().await? {
            if !agrees {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks for links that have several nodes to be followed again, and says whether that is published. The holder of
    /// one that wrote its node late may have died before it published what that names, after the other holder's message
    /// was acked: then nobody else would ever ask for it, once this node counts.
    async fn publish_contested(&self, progress: &mut RunProgress) -> bool {
        while let Some(link) = progress.contested.last() {
            let document = &progress.document;
            let traceparent = document.traceparent.as_deref();
            let publishing = async {
                self.queue.declare(queues::PLAN).await?;
                publish_link(self.queue.as_ref(), document, link, traceparent).await
            };
            // How the run stands is told in any case.
            match tokio::time::timeout(PUBLISH_LIMIT, publishing).await {
                Ok(Ok(())) => {
                    tracing::info!(run = %document.run, "a link with several nodes is followed again");
                    progress.contested.pop();
                }
                Ok(Err(error)) => {
                    tracing::warn!(run = %document.run, %error, "a link with several nodes is not followed again yet");
                    return false;
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads results that are not known: by listing all names, or by asking for each shard without one, whichever is
    /// fewer requests. False where shards that were summed up have another number of results now.
    async fn read_results(&self, run: &RunId, tracked: &mut Tracked) -> Result<bool, StateError> {
        let missing = tracked.progress.outstanding() as u64;
        let interval = listing_interval(tracked.listed);
        let due = tracked.listed.is_none_or(|(at, _)| at.elapsed() >= interval);
        if !due && tracked.progress.done() / PAGE + 1 > missing {
            let missing = tracked.progress.missing();
            self.read_shards(run, &mut tracked.progress, missing).await?;
            return Ok(true);
        }
        let started = Instant::now();
        let (mut news, mut holds) = (Vec::new(), true);
        let progress = &tracked.progress;
        self.list_results(run, |shard, results| match progress.known_results(&shard) {
            Some(known) if known < results => news.push(shard),
            None if results > 1 => holds &= progress.repeated.get(&shard) == Some(&results),
            Some(_) | None => {}
        })
        .await?;
        tracked.listed = Some((Instant::now(), started.elapsed()));
        if holds {
            self.read_shards(run, &mut tracked.progress, news).await?;
        }
        Ok(holds)
    }

    async fn read_shards(
        &self,
        run: &RunId,
        progress: &mut RunProgress,
        shards: Vec<ShardId>,
    ) -> Result<(), StateError> {
        let mut reading = stream::iter(shards)
            .map(|shard| async move {
                let result = self.state.counted_result(run, &shard).await?;
                Ok::<_, StateError>(result.map(|(result, results)| (shard, result, results)))
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some(read) = reading.try_next().await? {
            if let Some((shard, result, results)) = read {
                progress.note_failures(&result);
                progress.add_result(&shard, ShardSummary::of(&result, results));
            }
        }
        Ok(())
    }

    /// Sums up pieces that are closed. A roll-up that could not be written is only slower to do without.
    async fn close_pieces(&self, run: &RunId, progress: &mut RunProgress) {
        for (first, roll_up) in progress.closed_pieces() {
            if let Some(roll_up) = roll_up
                && let Err(error) = self.state.put_roll_up(&first, &roll_up).await
            {
                tracing::debug!(%run, %error, "a roll-up was not written");
            }
            progress.close(&first);
        }
    }

    async fn stop_after_too_many_failures(&self, run: &RunId, progress: &mut RunProgress) -> Result<(), StateError> {
        // A run that ended before anybody looked has still failed: how it ends is no matter of who was faster.
        if progress.stop.is_some() || progress.mirrored.is_some() {
            return Ok(());
        }
        let Some(message) = too_many_failures(progress) else {
            return Ok(());
        };
        let stop = StopDocument {
            run: run.clone(),
            reason: StopReason::TooManyFailures,
            message,
            stopped_at: self.clock.now(),
        };
        self.stop(&stop).await?;
        progress.stop = Some(stop);
        Ok(())
    }
}

/// Why a run has more failures than it allows; none where it has not.
fn too_many_failures(progress: &RunProgress) -> Option<String> {
    let spec = &progress.document.spec;
    let failed = progress.counts().failed;
    if let Some(limit) = spec.max_failures.filter(|limit| failed > *limit) {
        return Some(format!(
            "{failed} items failed, more than the {limit} that the run allows"
        ));
    }
    let share = spec.max_failure_share?;
    let planned = progress.planned_items();
    // The first folder that is listed may be a small one, and a bad one.
    let whole = if progress.plan_complete {
        planned
    } else {
        planned.max(LEAST_OF_SHARE)
    };
    let first = if whole > planned { "the first " } else { "" };
    let message = || format!("{failed} of {first}{whole} items failed, more than the {share} that the run allows");
    share.is_exceeded(failed, whole).then(message)
}

/// Whether the nodes that are known are those of the frozen tree.
fn agree(progress: &RunProgress, frozen: &Frozen) -> bool {
    progress
        .nodes()
        .iter()
        .all(|(link, digest)| frozen.get(link) == Some(digest))
}
