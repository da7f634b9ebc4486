//! Whether a process can do its work now, and if not, what it waits for.

use crate::error::MetricsError;
use crate::metric::{EncodeLabelSet, Family, Gauge, LabelText};
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The state of a process's readiness at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadinessSnapshot {
    /// What is waited for: the condition's name and, in words, why.
    pub waiting_for: BTreeMap<String, String>,
    /// What is away and does not hold readiness: the condition's name and, in words, why.
    pub away: BTreeMap<String, String>,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: LabelText,
}

/// What scrapers see of the state.
#[derive(Debug)]
struct Gauges {
    ready: Gauge,
    met: Family<ConditionLabels, Gauge>,
}

/// The readiness of a process: ready when all its conditions are, and not stopping. Clones share one state.
#[derive(Debug, Clone)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<ReadinessSnapshot>,
    gauges: Option<Gauges>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::with(None)
    }
}

impl Readiness {
    /// A readiness without conditions: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which scrapers see as well: `sightline_ready`, and `sightline_condition_met` for each condition. Both
    /// are 1 or 0.
    ///
    /// # Errors
    /// Where the names are taken by other types.
    pub fn exported(metrics: &Metrics) -> Result<Self, MetricsError> {
        let gauges = Gauges {
            ready: metrics.gauge("ready", "Whether new work may be sent here, as readyz says: 1 or 0")?,
            met: metrics.gauges("condition_met", "Whether what the process needs is there: 1 or 0")?,
        };
        gauges.ready.set(1);
        Ok(Self::with(Some(gauges)))
    }

    fn with(gauges: Option<Gauges>) -> Self {
        let state = watch::Sender::new(ReadinessSnapshot::default());
        Self {
            shared: Arc::new(Shared { state, gauges }),
        }
    }

    /// Adds a condition, not yet met. Its name is a constant: it is a label.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        let labels = ConditionLabels { condition: name.into() };
        let gauges = self.shared.gauges.as_ref();
        let condition = Condition {
            name,
            met: gauges.map(|gauges| gauges.met.get_or_create_owned(&labels)),
            readiness: self.clone(),
        };
        condition.waiting("starting");
        condition
    }

    /// Says that the process is on its way out: it is not ready from now on.
    pub fn stop(&self) {
        self.change(|state| !std::mem::replace(&mut state.stopping, true));
    }

    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> ReadinessSnapshot {
        self.shared.state.borrow().clone()
    }

    /// The state and its changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<ReadinessSnapshot> {
        self.shared.state.subscribe()
    }

    /// `change` says whether it changed anything.
    fn change(&self, change: impl FnOnce(&mut ReadinessSnapshot) -> bool) {
        self.shared.state.send_if_modified(|state| {
            let changed = change(state);
            // Under the state's lock, so that the gauge follows the later of two changes.
            if let Some(gauges) = &self.shared.gauges {
                gauges.ready.set(i64::from(state.is_ready()));
            }
            changed
        });
    }
}

/// One thing that the process needs. Dropping it leaves the state as it was last said.
#[derive(Debug)]
pub struct Condition {
    name: &'static str,
    met: Option<Gauge>,
    readiness: Readiness,
}

impl Condition {
    /// The condition is met.
    pub fn ready(&self) {
        self.say(true, |state| {
            let waited = state.waiting_for.remove(self.name).is_some();
            state.away.remove(self.name).is_some() || waited
        });
    }

    /// The condition is not met, and the process is not ready; `why` is for people.
    pub fn waiting(&self, why: &str) {
        self.say(false, |state| {
            let was_away = state.away.remove(self.name).is_some();
            let before = state.waiting_for.insert(self.name.to_owned(), why.to_owned());
            was_away || before.as_deref() != Some(why)
        });
    }

    /// The condition is not met, and the process is ready all the same: for what all processes of a service lack at
    /// once, where callers are better told so than left without anybody who answers. `why` is for people.
    pub fn away(&self, why: &str) {
        self.say(false, |state| {
            let waited = state.waiting_for.remove(self.name).is_some();
            let before = state.away.insert(self.name.to_owned(), why.to_owned());
            waited || before.as_deref() != Some(why)
        });
    }

    fn say(&self, met: bool, change: impl FnOnce(&mut ReadinessSnapshot) -> bool) {
        self.readiness.change(|state| {
            if let Some(gauge) = &self.met {
                gauge.set(i64::from(met));
            }
            change(state)
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
    fn what_is_away_is_told_and_does_not_hold_readiness() {
        let readiness = Readiness::new();
        let index = readiness.condition("index");
        index.away("refused");
        let state = readiness.snapshot();
        assert!(state.is_ready());
        assert_eq!(state.away.get("index").map(String::as_str), Some("refused"));
        index.waiting("starting again");
        assert!(!readiness.snapshot().is_ready() && readiness.snapshot().away.is_empty());
        index.ready();
        assert_eq!(readiness.snapshot(), ReadinessSnapshot::default());
    }

    #[test]
    fn scrapers_see_readiness_and_each_condition() {
        let metrics = Metrics::new("test", "1");
        let readiness = Readiness::exported(&metrics).unwrap();
        let shows = |ready: u8, index: u8| {
            let text = metrics.encode();
            text.contains(&format!("\nsightline_ready {ready}\n"))
                && text.contains(&format!("\nsightline_condition_met{{condition=\"index\"}} {index}\n"))
        };
        assert!(metrics.encode().contains("\nsightline_ready 1\n"));
        let index = readiness.condition("index");
        assert!(shows(0, 0));
        index.ready();
        assert!(shows(1, 1));
        index.away("refused");
        assert!(shows(1, 0));
        index.ready();
        readiness.stop();
        assert!(shows(0, 1));
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
