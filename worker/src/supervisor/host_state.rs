//! What the host knows of works and suspects, and what it sends next. No process, no time.

use super::death::Death;
use super::quarantine::{Quarantine, Verdict, suspects_of};
use super::work::{HeldWork, WorkEnd};
use crate::ipc::{Interruption, ItemAt, ItemEnded, Job, ToEngine, WorkId, WorkItem};
use crate::journal::JournalStage;
use sightline_core::{FailureReason, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::oneshot;

/// Suspects that are named, in the log and in the status.
const NAMED_SUSPECTS: usize = 64;

/// Whether there may be more to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// Something was sent.
    More,
    /// Nothing is to be sent now.
    Nothing,
}

/// What a death left behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PostMortem {
    /// Keys of the items that may have caused it.
    pub(crate) suspects: Vec<String>,
    /// Key of the item that is proven to.
    pub(crate) condemned: Option<String>,
}

/// Works and suspects.
#[derive(Debug, Default)]
pub(crate) struct HostState {
    works: BTreeMap<WorkId, HeldWork>,
    quarantine: Quarantine,
    last: WorkId,
    /// Items of one work that may be in the engine.
    window: usize,
}

impl HostState {
    /// The engine's pipeline holds so many items; until this is said none is sent.
    pub(crate) fn holds(&mut self, items: u32) {
        self.window = usize::try_from(items).unwrap_or(usize::MAX);
    }

    pub(crate) fn add(
        &mut self,
        job: Job,
        items: Vec<WorkItem>,
        progress: Arc<AtomicU64>,
        reply: oneshot::Sender<WorkEnd>,
    ) {
        self.last += 1;
        let id = self.last;
        let work = HeldWork::new(id, job, items, progress, reply);
        if work.is_done() {
            work.finish();
        } else {
            self.works.insert(id, work);
        }
    }

    /// Drops the works that nobody waits for, and names them.
    pub(crate) fn drop_abandoned(&mut self) -> Vec<WorkId> {
        let abandoned: Vec<WorkId> = self
            .works
            .values()
            .filter(|work| work.is_abandoned())
            .map(|work| work.id)
            .collect();
        for work in &abandoned {
            self.works.remove(work);
            self.quarantine.forget(*work);
        }
        abandoned
    }

    /// Ends a work before its items did.
    pub(crate) fn end(&mut self, work: WorkId, end: WorkEnd) {
        self.quarantine.forget(work);
        if let Some(work) = self.works.remove(&work) {
            work.end(end);
        }
    }

    /// Ends all works, and names them.
    pub(crate) fn end_all(&mut self, end: &WorkEnd) -> Vec<WorkId> {
        let all: Vec<WorkId> = self.works.keys().copied().collect();
        for work in &all {
            self.end(*work, end.clone());
        }
        all
    }

    /// Items ended. Answers whether their work did.
    pub(crate) fn ended(&mut self, id: WorkId, items: Vec<ItemEnded>, stage_us: BTreeMap<JournalStage, u64>) -> bool {
        let Some(work) = self.works.get_mut(&id) else {
            return false;
        };
        work.took(stage_us);
        for item in items {
            self.quarantine.ended(ItemAt {
                work: id,
                index: item.index,
            });
            work.ended(item);
        }
        self.finish_if_done(id)
    }

    fn finish_if_done(&mut self, id: WorkId) -> bool {
        let done = self.works.get(&id).is_some_and(HeldWork::is_done);
        if done && let Some(work) = self.works.remove(&id) {
            work.finish();
        }
        done
    }

    /// The engine died while its journal said this.
    pub(crate) fn engine_died(&mut self, death: &Death, journal: &[(ItemAt, JournalStage)]) -> PostMortem {
        // The journal may still name items that ended, or whose work is over.
        let held: Vec<(ItemAt, JournalStage)> = journal
            .iter()
            .filter(|(item, _)| self.key(*item).is_some())
            .copied()
            .collect();
        let suspects = suspects_of(&held).into_iter().take(NAMED_SUSPECTS);
        let suspects = suspects.filter_map(|item| self.key(item).map(str::to_owned)).collect();
        for work in self.works.values_mut() {
            work.engine_died();
        }
        let condemned = match self.quarantine.died(death, &held) {
            Verdict::Open => None,
            Verdict::Condemned(item, words) => self.condemn(item, words),
            Verdict::GivenUp(item, words) => {
                let key = self.key(item).unwrap_or_default();
                let why = Interruption::Waiting(format!(
                    "the engine keeps ending with item {key:?} alone in it: {words}"
                ));
                self.end(item.work, WorkEnd::Interrupted(why));
                None
            }
        };
        PostMortem { suspects, condemned }
    }

    fn key(&self, item: ItemAt) -> Option<&str> {
        self.works.get(&item.work)?.key(item.index)
    }

    fn condemn(&mut self, item: ItemAt, words: String) -> Option<String> {
        let work = self.works.get_mut(&item.work)?;
        let key = work.key(item.index)?.to_owned();
        work.ended(ItemEnded {
            index: item.index,
            outcome: Outcome::failed(FailureReason::EngineKilled, words),
        });
        self.finish_if_done(item.work);
        Some(key)
    }

    /// Sends one frame of items, if there is one to send and room for it. A suspect goes alone.
    pub(crate) fn pump(&mut self, send: impl Fn(ToEngine) -> bool) -> Pumped {
        if self.quarantine.is_active() {
            self.pump_suspect(send)
        } else {
            self.pump_next(send)
        }
    }

    fn pump_suspect(&mut self, send: impl Fn(ToEngine) -> bool) -> Pumped {
        if self.works.values().any(|work| work.in_engine() > 0) {
            return Pumped::Nothing;
        }
        let Some(item) = self.quarantine.next() else {
            return Pumped::Nothing;
        };
        let Some(work) = self.works.get_mut(&item.work) else {
            self.quarantine.ended(item);
            return Pumped::More;
        };
        let Some(alone) = work.take_one(item.index) else {
            self.quarantine.ended(item);
            return Pumped::More;
        };
        if !send_items(work, vec![alone], true, send) {
            self.quarantine.back(item);
        }
        Pumped::Nothing
    }

    fn pump_next(&mut self, send: impl Fn(ToEngine) -> bool) -> Pumped {
        let window = self.window;
        let room = |work: &HeldWork| window.saturating_sub(work.in_engine());
        // Few large frames rather than one for each item that ends.
        let worth_it = |work: &HeldWork| work.in_engine() == 0 || room(work) >= window / 4;
        let others = self.works.values().filter(|work| work.has_unsent()).count() > 1;
        // The oldest work goes first, since shards are computed one after the other; what it has no room for is the others'.
        let open = |work: &&mut HeldWork| work.has_unsent() && room(work) > 0 && worth_it(work);
        let Some(work) = self.works.values_mut().find(open) else {
            return Pumped::Nothing;
        };
        let most = room(work);
        let items = work.take_frame(most);
        let urgent = !others && !work.has_unsent();
        if send_items(work, items, urgent, send) {
            Pumped::More
        } else {
            Pumped::Nothing
        }
    }
}

/// Sends items that were taken from a work; puts them back where there is no room.
fn send_items(work: &mut HeldWork, items: Vec<WorkItem>, urgent: bool, send: impl Fn(ToEngine) -> bool) -> bool {
    let indexes: Vec<u32> = items.iter().map(|item| item.index).collect();
    if !work.opened {
        work.opened = send(ToEngine::Open {
            work: work.id,
            job: Box::new(work.job.clone()),
        });
    }
    let sent = work.opened
        && send(ToEngine::Items {
            work: work.id,
            items,
            urgent,
        });
    if !sent {
        work.put_back(indexes);
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::super::work::tests::{indexed, items, job};
    use super::*;
    use std::cell::RefCell;

    /// Works with so many items each, numbered from 1.
    fn with_works(window: u32, works: &[u32]) -> (HostState, Vec<oneshot::Receiver<WorkEnd>>) {
        let mut state = HostState::default();
        state.holds(window);
        let mut ends = Vec::new();
        for count in works {
            let (reply, end) = oneshot::channel();
            state.add(job(), items(*count, 1), Arc::default(), reply);
            ends.push(end);
        }
        (state, ends)
    }

    /// The frames of items that there is room for: their work, how many they are, and whether nothing follows.
    fn pumped(state: &mut HostState) -> Vec<(WorkId, usize, bool)> {
        let frames = RefCell::new(Vec::new());
        let send = |frame: ToEngine| {
            if let ToEngine::Items { work, items, urgent } = frame {
                frames.borrow_mut().push((work, items.len(), urgent));
            }
            true
        };
        while state.pump(send) == Pumped::More {
            continue;
        }
        frames.into_inner()
    }

    #[test]
    fn all_frames_of_an_older_work_go_before_those_of_a_younger_one() {
        let (mut state, _ends) = with_works(1024, &[600, 300, 1]);
        let frames = pumped(&mut state);
        let expected = [
            (1, 256, false),
            (1, 256, false),
            (1, 88, false),
            (2, 256, false),
            (2, 44, false),
            (3, 1, true),
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn what_an_older_work_has_no_room_for_is_the_others_until_a_quarter_of_it_ended() {
        let (mut state, _ends) = with_works(16, &[40, 40]);
        assert_eq!(pumped(&mut state), [(1, 16, false), (2, 16, false)]);
        let ended = |state: &mut HostState, work, items: std::ops::Range<u32>| {
            state.ended(work, items.map(indexed).collect(), BTreeMap::new());
            pumped(state)
        };
        assert!(ended(&mut state, 1, 0..3).is_empty(), "a frame is to be large");
        assert_eq!(ended(&mut state, 2, 0..4), [(2, 4, false)]);
        assert_eq!(ended(&mut state, 1, 3..4), [(1, 4, false)]);
    }
}
