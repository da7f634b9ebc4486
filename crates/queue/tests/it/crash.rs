//! A broker of the test's own that is killed and started again: what was confirmed is there, sessions come back.

use crate::faults::{QUEUE, message, next, options, publish_until_safe};
use sightline_queue::{QueueError, dead_letters, open};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// The promise.
const BACK_WITHIN: Duration = Duration::from_secs(10);
const MESSAGES: usize = 300;

/// A broker in a folder of its own, run by the program that also runs the broker of the other tests.
struct OwnBroker(PathBuf);

impl OwnBroker {
    async fn start() -> Self {
        let name = format!("sightline-queue-crash-{:08x}", rand::random::<u32>());
        let broker = Self(std::env::temp_dir().join(name));
        broker.dev(&["up", "rabbitmq"]).await;
        broker
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/dev/dev.py");
        let mut command = std::process::Command::new("python3");
        command.arg(program).args(arguments).arg("--data").arg(&self.0);
        command
    }

    /// Runs the program to its end, and gives what it printed.
    async fn dev(&self, arguments: &[&str]) -> String {
        let mut command = Command::from(self.command(arguments));
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dev.py {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn url(&self) -> String {
        let environment = self.dev(&["env"]).await;
        let found = environment.split_once("SIGHTLINE_TEST_AMQP_URL=");
        let (_, rest) = found.expect("dev.py env names the broker's URL");
        let line = rest.lines().next().unwrap_or_default();
        line.trim_matches(['\'', '"', ';']).to_owned()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // A test that fails leaves no process behind either.
        let ended = self.command(&["down", "--wipe"]).stdout(Stdio::null()).status();
        assert!(ended.is_ok_and(|status| status.success()), "dev.py down failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_survives_a_crash_of_the_broker_and_sessions_come_back() {
    let broker = OwnBroker::start().await;
    let queue = open(&broker.url().await, options()).unwrap();
    queue.declare(QUEUE).await.unwrap();
    let mut consumer = queue.consume(QUEUE, 10).await.unwrap();
    let confirmed = AtomicUsize::new(0);
    let publish = async {
        for id in 0..MESSAGES {
            publish_until_safe(&*queue, &message(id)).await;
            confirmed.fetch_add(1, Ordering::SeqCst);
        }
    };
    let crash = async {
        while confirmed.load(Ordering::SeqCst) < MESSAGES / 3 {
            tokio::task::yield_now().await;
        }
        broker.dev(&["kill", "rabbitmq"]).await;
        broker.dev(&["start", "rabbitmq"]).await;
        Instant::now()
    };
    let take = async {
        let mut acked = BTreeSet::new();
        let mut last_came = Instant::now();
        let mut longest_gap = (Duration::ZERO, Instant::now());
        while acked.len() < MESSAGES {
            let delivery = next(&mut *consumer).await;
            let gap = last_came.elapsed();
            last_came = Instant::now();
            if gap > longest_gap.0 {
                longest_gap = (gap, last_came);
            }
            if let Err(error) = delivery.receipt.ack().await {
                assert_eq!(error, QueueError::SessionLost);
            }
            acked.insert(delivery.message.id);
        }
        longest_gap.1
    };
    let ((), started, came_back) = tokio::join!(publish, crash, take);
    let waited = came_back.saturating_duration_since(started);
    assert!(waited < BACK_WITHIN, "the session was back {waited:?} after the broker");
    assert_eq!(queue.depth(&dead_letters(QUEUE)).await.unwrap().ready, 0);
}
