//! A few attempts inside the engine, before a shard is handed back: of the object store as long as there are tokens for them, of
//! the index, behind which computed rows wait, for as long as there is patience.

use super::around::Chance;
use super::awaited::Awaited;
use super::tokens::{Again, Tokens};
use crate::config::PipelineConfig;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// After so long it is told what is waited for, though few attempts were made.
const LONG: Duration = Duration::from_secs(10);

/// How often and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    attempts: u32,
    base: Duration,
    longest: Duration,
    chance: Chance,
    /// How long is gone on after the attempts were made.
    patience: Duration,
    awaited: Arc<Awaited>,
    /// What retries are paid with; none where they cost nothing. Clones share it.
    tokens: Option<Arc<Tokens>>,
}

impl RetryPolicy {
    pub(crate) fn new(config: &PipelineConfig, chance: Chance) -> Self {
        Self {
            attempts: config.attempts,
            base: Duration::from_millis(config.retry_ms),
            longest: Duration::from_millis(config.max_retry_ms),
            chance,
            patience: Duration::ZERO,
            awaited: Arc::default(),
            tokens: Some(Arc::default()),
        }
    }

    /// The same for calls of the index: handing a shard back throws away what was computed of it, so they are tried for so long
    /// at least, and it is told meanwhile what is waited for. Few are made at once, so that they need no tokens.
    pub(crate) fn of_the_index(self, config: &PipelineConfig, awaited: &Arc<Awaited>) -> Self {
        Self {
            patience: config.index_patience(),
            awaited: Arc::clone(awaited),
            tokens: None,
            ..self
        }
    }

    /// Calls until it succeeds, fails for good, was tried often and long enough, or cannot be paid for any more.
    pub(crate) async fn run<T, E, R, F>(&self, again: impl Fn(&E) -> R, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        E: Display,
        R: Into<Again>,
        F: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        let mut attempt = 1_u32;
        let mut taken = None;
        let mut _waits = None;
        loop {
            let error = match call().await {
                Ok(done) => {
                    self.succeeded(taken);
                    return Ok(done);
                }
                Err(error) if self.goes_on(attempt, began.elapsed()) => error,
                Err(error) => return Err(error),
            };
            let again: Again = again(&error).into();
            match again.price() {
                Some(price) if self.takes(price) => taken = Some(price),
                _ => return Err(error),
            }
            if attempt >= self.attempts || began.elapsed() >= LONG {
                // The one of before is dropped behind this one, so that it is told without a gap.
                _waits = Some(self.awaited.waits_for(error.to_string()));
            }
            tokio::time::sleep(self.delay(attempt, self.chance.next())).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// A short delay, as that between the first attempts.
    pub(crate) fn pause(&self) -> Duration {
        self.delay(1, self.chance.next())
    }

    fn takes(&self, price: u32) -> bool {
        self.tokens.as_ref().is_none_or(|tokens| tokens.take(price))
    }

    fn succeeded(&self, taken: Option<u32>) {
        if let Some(tokens) = &self.tokens {
            tokens.succeeded(taken);
        }
    }

    /// Calls that are not answered take minutes each: where there is patience, attempts are no reason to have twice as much.
    fn goes_on(&self, attempt: u32, elapsed: Duration) -> bool {
        let has_time = self.patience.is_zero() || elapsed < self.patience.saturating_mul(2);
        elapsed < self.patience || (attempt < self.attempts && has_time)
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
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn config() -> PipelineConfig {
        PipelineConfig {
            attempts: 3,
            retry_ms: 100,
            max_retry_ms: 150,
            index_patience_seconds: 60,
            ..PipelineConfig::default()
        }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy::new(&config(), Chance::new(1))
    }

    fn of_the_index() -> (RetryPolicy, Arc<Awaited>) {
        let awaited = Arc::default();
        (policy().of_the_index(&config(), &awaited), awaited)
    }

    /// An index that comes back after so many seconds: what is made of it, how long that took, and what was waited for at the
    /// last attempt.
    async fn away_for(seconds: u64) -> (Result<(), &'static str>, Duration, Option<String>) {
        let (policy, awaited) = of_the_index();
        let (began, mut told) = (Instant::now(), None);
        let result = policy
            .run(
                |_| true,
                || {
                    told = awaited.what();
                    let is_back = began.elapsed() >= Duration::from_secs(seconds);
                    async move { if is_back { Ok(()) } else { Err("away") } }
                },
            )
            .await;
        assert_eq!(awaited.what(), None, "nobody waits any more");
        (result, began.elapsed(), told)
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
        let result: Result<(), &str> = of_the_index()
            .0
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

    #[tokio::test(start_paused = true)]
    async fn an_index_that_is_away_for_less_than_the_patience_is_waited_for_and_that_is_told() {
        let (result, took, told) = away_for(40).await;
        assert_eq!((result, told.as_deref()), (Ok(()), Some("away")));
        assert!(took < Duration::from_secs(41), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_is_away_for_longer_than_the_patience_is_given_up_after_it() {
        let (result, took, _) = away_for(3600).await;
        assert_eq!(result, Err("away"));
        assert!((60..62).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_does_not_answer_is_given_up_after_twice_the_patience_and_told_of_before() {
        let (policy, awaited) = of_the_index();
        let (began, mut told) = (Instant::now(), None);
        let result: Result<(), &str> = policy
            .run(
                |_| true,
                || {
                    told = awaited.what();
                    async {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        Err("no answer")
                    }
                },
            )
            .await;
        assert_eq!((result, told.as_deref()), (Err("no answer"), Some("no answer")));
        assert!((120..122).contains(&began.elapsed().as_secs()));
    }

    /// So many reads at once of a store that is asked six times by each, and how often it is asked in all.
    async fn asked(policy: &RetryPolicy, reads: usize, again: Again) -> usize {
        let calls = AtomicUsize::new(0);
        let read = |_| async {
            let call = || {
                calls.fetch_add(1, Ordering::Relaxed);
                async { Err::<(), _>("away") }
            };
            policy.run(|_| again, call).await
        };
        let ended = join_all((0..reads).map(read)).await;
        assert!(ended.iter().all(|ended| *ended == Err("away")));
        calls.into_inner()
    }

    fn six_times() -> RetryPolicy {
        let config = PipelineConfig {
            attempts: 6,
            ..config()
        };
        RetryPolicy::new(&config, Chance::new(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_asked_a_hundred_times_more_by_all_reads_together_and_fifty_where_it_is_silent() {
        assert_eq!(asked(&six_times(), 1024, Again::Yes).await, 1024 + 100);
        assert_eq!(asked(&six_times(), 1024, Again::AfterSilence).await, 1024 + 50);
        let few = six_times();
        assert_eq!(asked(&few, 4, Again::Yes).await, 4 * 6, "few have all their attempts");
        assert_eq!(
            asked(&few.clone(), 1024, Again::Yes).await,
            1024 + 80,
            "a clone shares them"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_succeed_pay_for_the_retries_of_others() {
        let policy = six_times();
        assert_eq!(asked(&policy, 1024, Again::Yes).await, 1024 + 100);
        for _ in 0..10 {
            let read: Result<(), &str> = policy.run(|_| true, || async { Ok(()) }).await;
            assert_eq!(read, Ok(()));
        }
        assert_eq!(asked(&policy, 10, Again::Yes).await, 10 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_the_index_cost_nothing() {
        let impatient = PipelineConfig {
            index_patience_seconds: 0,
            ..config()
        };
        let policy = six_times().of_the_index(&impatient, &Arc::default());
        assert_eq!(asked(&policy, 1024, Again::Yes).await, 1024 * 6);
    }

    #[test]
    fn delays_double_up_to_the_longest_with_jitter_of_a_half() {
        let policy = policy();
        assert_eq!(policy.delay(1, 0.0), Duration::from_millis(50));
        assert_eq!(policy.delay(1, 0.5), Duration::from_millis(75));
        assert_eq!(policy.delay(9, 0.0), Duration::from_millis(75));
    }
}
