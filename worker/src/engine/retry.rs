//! A few attempts inside the engine, before a shard is handed back.

use super::around::Chance;
use crate::config::PipelineConfig;
use std::time::Duration;

/// How often and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    attempts: u32,
    base: Duration,
    longest: Duration,
    chance: Chance,
}

impl RetryPolicy {
    pub(crate) fn new(config: &PipelineConfig, chance: Chance) -> Self {
        Self {
            attempts: config.attempts,
            base: Duration::from_millis(config.retry_ms),
            longest: Duration::from_millis(config.max_retry_ms),
            chance,
        }
    }

    /// Calls until it succeeds, fails for good, or was tried often enough.
    pub(crate) async fn run<T, E, F>(&self, retryable: impl Fn(&E) -> bool, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(error) if attempt < self.attempts && retryable(&error) => {
                    tokio::time::sleep(self.delay(attempt, self.chance.next())).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The delay after an attempt: it doubles, and lies between half and all of that, by `jitter` in [0, 1).
    fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1 << (attempt - 1).min(20)).min(self.longest);
        doubled.mul_f64(0.5 + jitter / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        let config = PipelineConfig {
            attempts: 3,
            retry_ms: 100,
            max_retry_ms: 150,
            ..PipelineConfig::default()
        };
        RetryPolicy::new(&config, Chance::new(1))
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_succeed_later_is_tried_as_often_as_configured() {
        let mut calls = 0;
        let result: Result<(), &str> = policy()
            .run(
                |_| true,
                || {
                    calls += 1;
                    async { Err("away") }
                },
            )
            .await;
        assert_eq!((result, calls), (Err("away"), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_succeeds_is_tried_once() {
        let mut calls = 0;
        let result: Result<(), &str> = policy()
            .run(
                |_| false,
                || {
                    calls += 1;
                    async { Err("refused") }
                },
            )
            .await;
        assert_eq!((result, calls), (Err("refused"), 1));
    }

    #[test]
    fn delays_double_up_to_the_longest_with_jitter_of_a_half() {
        let policy = policy();
        assert_eq!(policy.delay(1, 0.0), Duration::from_millis(50));
        assert_eq!(policy.delay(1, 0.5), Duration::from_millis(75));
        assert_eq!(policy.delay(9, 0.0), Duration::from_millis(75));
    }
}
