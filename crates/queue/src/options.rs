//! What can be chosen about a queue.

use crate::{QueueError, TrafficRecorder};
use std::time::Duration;

/// What can be chosen about a queue. Every process that uses a broker has to choose the same delivery limit, delay
/// steps and `expire_unused`: they are properties of the broker's queues.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// Goes before every name, so that several installations (or tests) share a broker. Empty by default.
    pub prefix: String,
    /// Redeliveries before a message goes to the dead letters. 20 by default.
    pub delivery_limit: u32,
    /// The delays there are, each at least a millisecond. RabbitMQ has one queue for each that is used, for each queue.
    /// 1, 5, 15 and 60 seconds by default.
    pub delay_steps: Vec<Duration>,
    /// How often broker and client tell each other that they live, in whole seconds (1 to 65,535): after two silent
    /// ones the connection is given up. 10 s by default.
    pub heartbeat: Duration,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How the broker's operators see this process.
    pub connection_name: String,
    /// Messages that may wait for their confirm at once; the others wait their turn. 32 by default.
    pub publish_window: u16,
    /// Certificates of authorities beside the system's, in PEM, for `amqps:`.
    pub ca_certificates: Option<String>,
    /// The broker deletes a queue that nobody uses for so long, with all that is in it: for tests. `None` by default.
    pub expire_unused: Option<Duration>,
    /// Where the jitter of delays between attempts to connect begins; at random by default.
    pub jitter_seed: u64,
    /// Who is told of messages.
    pub traffic: TrafficRecorder,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            delivery_limit: 20,
            delay_steps: [1, 5, 15, 60].map(Duration::from_secs).to_vec(),
            heartbeat: Duration::from_secs(10),
            timeouts: Timeouts::default(),
            connection_name: "sightline".to_owned(),
            publish_window: 32,
            ca_certificates: None,
            expire_unused: None,
            jitter_seed: rand::random(),
            traffic: TrafficRecorder::default(),
        }
    }
}

/// Time limits of what is asked of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One attempt to connect, TLS and login included. 5 s by default.
    pub connect: Duration,
    /// One answer of the broker within a session: declaring, starting to consume, sending an ack. 10 s by default.
    pub reply: Duration,
    /// A whole call of [`crate::JobQueue`], waiting for a connection or for the end of a broker's alarm included.
    /// 30 s by default.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            reply: Duration::from_secs(10),
            call: Duration::from_secs(30),
        }
    }
}

impl QueueOptions {
    /// Checks the options and puts the steps in order.
    pub(crate) fn checked(mut self) -> Result<Self, QueueError> {
        let invalid = |message: String| QueueError::invalid("open", "the queue", message);
        self.delay_steps.sort_unstable();
        self.delay_steps.dedup();
        let shortest = self.delay_steps.first().copied();
        if shortest.is_none_or(|step| step < Duration::from_millis(1)) {
            return Err(invalid("give at least one delay step, each at least 1 ms".into()));
        }
        if self.delay_steps.iter().any(|step| step.subsec_nanos() % 1_000_000 != 0) {
            return Err(invalid("delay steps are whole milliseconds".into()));
        }
        if self.heartbeat_seconds().is_none() {
            let given = self.heartbeat;
            let message = format!("the heartbeat is {given:?}: give whole seconds from 1 to 65535");
            return Err(invalid(message));
        }
        if self.publish_window == 0 {
            return Err(invalid("the publish window is 0: give at least 1".into()));
        }
        Ok(self)
    }

    pub(crate) fn heartbeat_seconds(&self) -> Option<u16> {
        let whole = self.heartbeat.subsec_nanos() == 0 && !self.heartbeat.is_zero();
        u16::try_from(self.heartbeat.as_secs()).ok().filter(|_| whole)
    }

    /// The step that a delay is rounded up to; none for no delay.
    pub(crate) fn step(&self, delay: Duration) -> Option<Duration> {
        if delay.is_zero() {
            return None;
        }
        let up = self.delay_steps.iter().find(|step| **step >= delay);
        up.or(self.delay_steps.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_to_a_step_and_cut_to_the_longest() {
        let options = QueueOptions::default();
        let step = |millis: u64| options.step(Duration::from_millis(millis)).map(|step| step.as_secs());
        assert_eq!(
            [step(0), step(1), step(1000), step(1001), step(60_000), step(3_600_000)],
            [None, Some(1), Some(1), Some(5), Some(60), Some(60)]
        );
    }

    #[test]
    fn steps_are_put_in_order() {
        let delay_steps = [60, 1, 5, 1].map(Duration::from_secs).to_vec();
        let options = QueueOptions {
            delay_steps,
            ..QueueOptions::default()
        };
        let steps = options.checked().unwrap().delay_steps;
        assert_eq!(steps, [1, 5, 60].map(Duration::from_secs).to_vec());
    }

    #[test]
    fn options_that_no_broker_can_keep_are_refused() {
        let default = QueueOptions::default;
        for wrong in [
            QueueOptions {
                delay_steps: vec![],
                ..default()
            },
            QueueOptions {
                delay_steps: vec![Duration::ZERO],
                ..default()
            },
            QueueOptions {
                delay_steps: vec![Duration::from_micros(1500)],
                ..default()
            },
            QueueOptions {
                heartbeat: Duration::from_millis(1500),
                ..default()
            },
            QueueOptions {
                heartbeat: Duration::ZERO,
                ..default()
            },
            QueueOptions {
                heartbeat: Duration::from_secs(70_000),
                ..default()
            },
            QueueOptions {
                publish_window: 0,
                ..default()
            },
        ] {
            assert!(!wrong.clone().checked().unwrap_err().is_retryable(), "{wrong:?}");
        }
    }
}
