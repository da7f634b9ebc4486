//! Whether a process can do its work now, and if not, what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The state of a process's readiness at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadinessSnapshot {
    /// What is waited for: the condition's name and, in words, why.
    pub waiting_for: BTreeMap<String, String>,
    /// Whether the process is on its way out.
    pub stopping: bool,
}

impl ReadinessSnapshot {
    /// Whether new work may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.waiting_for.is_empty() && !self.stopping
    }
}

/// The readiness of a process: ready when all its conditions are, and not stopping. Clones share one state.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<ReadinessSnapshot>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(ReadinessSnapshot::default())),
        }
    }
}

impl Readiness {
    /// A readiness without conditions: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, not yet met.
    #[must_use]
    pub fn condition(&self, name: &str) -> Condition {
        let condition = Condition {
            name: name.to_owned(),
            readiness: self.clone(),
        };
        condition.waiting("starting");
        condition
    }

    /// Says that the process is on its way out: it is not ready from now on.
    pub fn stop(&self) {
        self.state
            .send_if_modified(|state| !std::mem::replace(&mut state.stopping, true));
    }

    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> ReadinessSnapshot {
        self.state.borrow().clone()
    }

    /// The state and its changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<ReadinessSnapshot> {
        self.state.subscribe()
    }
}

/// One thing that has to be so for the process to be ready. Dropping it leaves the state as it was last said.
#[derive(Debug)]
pub struct Condition {
    name: String,
    readiness: Readiness,
}

impl Condition {
    /// The condition is met.
    pub fn ready(&self) {
        self.readiness
            .state
            .send_if_modified(|state| state.waiting_for.remove(&self.name).is_some());
    }

    /// The condition is not met; `why` is for people.
    pub fn waiting(&self, why: &str) {
        self.readiness.state.send_if_modified(|state| {
            let before = state.waiting_for.insert(self.name.clone(), why.to_owned());
            before.as_deref() != Some(why)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_only_while_every_condition_is_met() {
        let readiness = Readiness::new();
        assert!(readiness.snapshot().is_ready());
        let queue = readiness.condition("queue");
        let index = readiness.condition("index");
        queue.ready();
        assert!(!readiness.snapshot().is_ready());
        index.ready();
        assert!(readiness.snapshot().is_ready());
        queue.waiting("the broker is away");
        assert_eq!(
            readiness.snapshot().waiting_for.get("queue").map(String::as_str),
            Some("the broker is away")
        );
    }

    #[test]
    fn a_stopping_process_is_not_ready_whatever_its_conditions_say() {
        let readiness = Readiness::new();
        let queue = readiness.condition("queue");
        readiness.stop();
        queue.ready();
        assert!(!readiness.snapshot().is_ready());
    }

    #[tokio::test]
    async fn a_change_wakes_who_watches_and_a_repetition_does_not() {
        let readiness = Readiness::new();
        let queue = readiness.condition("queue");
        let mut watch = readiness.subscribe();
        watch.mark_unchanged();
        queue.waiting("starting");
        assert!(!watch.has_changed().unwrap());
        queue.ready();
        watch.changed().await.unwrap();
        assert!(watch.borrow().is_ready());
    }
}
