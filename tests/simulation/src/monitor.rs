//! Watches what processes write and ack, and says at once where one of the protocol's promises is broken.

use crate::broker::{Broker, is_dead};
use crate::disk::Disk;
use crate::index::Rows;
use crate::tree;
use crate::world::World;
use sightline_core::message::{Envelope, queues};
use sightline_core::{DatasetName, Link, Outcome, PlanMessage, RowId, RunId, ShardMessage, layout};
use sightline_queue::{Message, dead_letters};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sees everything.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(crate) world: Arc<World>,
    pub(crate) state: Arc<Disk>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) dataset: DatasetName,
    pub(crate) shards_queue: String,
    seen: Mutex<Seen>,
    /// While the broker's messages are lost and nobody has resumed the run.
    broker_is_lost: AtomicBool,
    /// The run that is asked for now.
    live_run: Mutex<Option<RunId>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By process and folder of plan nodes or results: for each delivery, whether something lay there already.
    done_before: BTreeMap<(String, String), Vec<bool>>,
    /// Folders that a process has looked into since the last delivery about them.
    looked: BTreeSet<(String, String)>,
}

impl Monitor {
    pub(crate) fn new(
        world: &Arc<World>,
        state: &Arc<Disk>,
        rows: &Arc<Rows>,
        dataset: DatasetName,
        shards_queue: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            state: Arc::clone(state),
            rows: Arc::clone(rows),
            dataset,
            shards_queue,
            seen: Mutex::default(),
            broker_is_lost: AtomicBool::new(false),
            live_run: Mutex::default(),
        })
    }

    pub(crate) fn live_run(&self) -> MutexGuard<'_, Option<RunId>> {
        self.live_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn broker_is_lost(&self, lost: bool) {
        self.broker_is_lost.store(lost, Ordering::Relaxed);
    }

    /// A process took a message; who looks through dead letters takes none to work on it.
    pub(crate) fn delivered(&self, process: &str, queue: &str, message: &Message) {
        if is_dead(queue) {
            return;
        }
        let folder = if queue == queues::PLAN {
            let link = PlanMessage::from_bytes(&message.body).unwrap();
            if link.watch {
                return;
            }
            layout::plan_link(&link.run, &link.link.id(&link.run))
        } else {
            let shard = ShardMessage::from_bytes(&message.body).unwrap();
            layout::shard_results(&shard.run, &shard.shard)
        };
        let done = !self.state.keys(&folder).is_empty();
        let place = (process.to_owned(), folder);
        let mut seen = self.seen();
        seen.looked.remove(&place);
        seen.done_before.entry(place).or_default().push(done);
    }

    /// Whether a process looks into a folder for the first time since it took the message about it.
    pub(crate) fn first_look(&self, process: &str, folder: &str) -> bool {
        let place = (process.to_owned(), folder.to_owned());
        let mut seen = self.seen();
        seen.done_before.contains_key(&place) && seen.looked.insert(place)
    }

    /// A process is about to write an object.
    pub(crate) fn writes(&self, process: &str, key: &str) {
        let Some((folder, _)) = key.rsplit_once('/') else {
            return;
        };
        if self.state.head(key).is_ok() {
            return;
        }
        let place = (process.to_owned(), format!("{folder}/"));
        let all_done = self
            .seen()
            .done_before
            .get(&place)
            .is_some_and(|before| before.iter().all(|done| *done));
        if all_done {
            let what = if key.contains("/plan/") {
                "listed a link again that had a node"
            } else {
                "worked again on a shard that had a result"
            };
            self.world.violation(format!("{process} {what}: {key}"));
        }
    }

    /// The broker forgets a message: what it asked for has to be done, or asked for still.
    pub(crate) fn acked(&self, broker: &Broker, queue: &str, message: &Message) {
        if self.broker_is_lost.load(Ordering::Relaxed) {
            return;
        }
        let queue = queue.trim_end_matches(&dead_letters(""));
        let run = if queue == queues::PLAN {
            let link = PlanMessage::from_bytes(&message.body).unwrap();
            if link.watch {
                return self.watch_acked(broker, &link.run);
            }
            link.run
        } else {
            let shard = ShardMessage::from_bytes(&message.body).unwrap();
            self.rows_are_durable(&shard);
            shard.run
        };
        if tree::stop(&self.state, &run).is_some() && !self.is_to_mirror(&run) {
            return;
        }
        for what in self.forgotten(broker, &run) {
            self.world
                .violation(format!("acked {} of {queue} too early: {what}", message.id));
        }
    }

    /// Somebody has to be asked to delete rows as long as there are any to delete. Whoever creates a run publishes that it
    /// is to be watched before its first link.
    fn watch_acked(&self, broker: &Broker, run: &RunId) {
        if self.is_to_mirror(run) && !broker.holds(queues::PLAN, &format!("{run}/watch")) {
            self.world.violation(format!(
                "acked that {run} is to be watched before it had deleted its rows"
            ));
        }
    }

    fn rows_are_durable(&self, shard: &ShardMessage) {
        // What only an orphan names may be deleted as soon as the tree is done.
        let mirrored = tree::mirror_is_planned(&self.state, &shard.run);
        if mirrored && !tree::shards(&self.state, &shard.run).contains(&shard.shard) {
            return;
        }
        for result in tree::results(&self.state, &shard.run, &shard.shard) {
            for item in &result.items {
                let there = matches!(item.outcome, Outcome::Indexed { .. } | Outcome::Unchanged { .. });
                if there && self.rows.with(&RowId::of_item(&self.dataset, &item.key)).is_empty() {
                    self.world
                        .violation(format!("{} has a result, and no row of {}", shard.shard, item.key));
                }
            }
        }
    }

    /// Open links, shards without result and rows to delete that no message asks for any more.
    pub(crate) fn forgotten(&self, broker: &Broker, run: &RunId) -> Vec<String> {
        let mut forgotten = Vec::new();
        if self.is_to_mirror(run) && !broker.holds(queues::PLAN, &format!("{run}/watch")) {
            forgotten.push("nobody is asked to delete what the dataset holds no more".to_owned());
        }
        if tree::stop(&self.state, run).is_some() {
            return forgotten;
        }
        let mut open = vec![Link::default()];
        while let Some(link) = open.pop() {
            let id = link.id(run);
            // Whoever takes the link again publishes all that its node names, and so do those who follow that.
            if broker.holds(queues::PLAN, &format!("{run}/{id}")) {
                continue;
            }
            let mut nodes = tree::nodes_of(&self.state, run, &link);
            // Where a second node came late, whoever counts it follows the link again before the tree is frozen, and who had
            // read the first freezes that.
            if nodes.len() > 1 {
                continue;
            }
            let Some((digest, node)) = nodes.pop() else {
                forgotten.push(format!("nobody is asked to follow link {id}"));
                continue;
            };
            open.extend(node.following().cloned());
            for shard in &node.shards {
                let done = !self.state.keys(&layout::shard_results(run, &shard.id)).is_empty();
                if !done && !broker.holds(&self.shards_queue, &format!("{run}/{}", shard.id)) {
                    forgotten.push(format!(
                        "nobody is asked to work on shard {} of node {digest} of link {id}",
                        shard.id
                    ));
                }
            }
        }
        forgotten
    }
}
