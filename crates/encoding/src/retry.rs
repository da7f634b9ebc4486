//! Calls to a service that may be away or busy: again, with growing delays, until their time is over.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// First delay where the server says none; it doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// Longest delay where the server says none.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What a failed call says of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It would fail as well.
    Never,
    /// It may succeed, after a delay of one's own choice.
    Sometime,
    /// It may succeed, not before so long.
    After(Duration),
}

fn again(status: &Status) -> Again {
    // With a source it is this side's own: a connection that closes for its age may drop a call that nobody saw.
    let unseen = status.code() == Code::Cancelled && status.source().is_some();
    if !unseen && !matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
        return Again::Never;
    }
    match status.get_details_retry_info().and_then(|info| info.retry_delay) {
        Some(delay) => Again::After(delay),
        None => Again::Sometime,
    }
}

/// How long to wait after a status, where it says so.
pub(crate) fn said_delay(status: &Status) -> Option<Duration> {
    match again(status) {
        Again::After(delay) => Some(delay),
        Again::Sometime | Again::Never => None,
    }
}

/// Calls until it succeeds, can never, or `until` comes; `call` is told the time that is left. `jitter`, in [0, 1],
/// spreads the delays of many callers: a delay is waited between once and one and a half times.
pub(crate) async fn until<T, F>(
    until: Instant,
    jitter: impl Fn() -> f64,
    mut call: impl FnMut(Duration) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut delay = FIRST_DELAY;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let status = match call(left).await {
            Ok(value) => return Ok(value),
            Err(status) => status,
        };
        let wait = match again(&status) {
            Again::Never => return Err(status),
            Again::Sometime => delay,
            Again::After(said) => said.max(delay),
        };
        let wait = wait.mul_f64(1.0 + 0.5 * jitter().clamp(0.0, 1.0));
        if Instant::now() + wait >= until {
            return Err(status);
        }
        tracing::debug!(%status, ?wait, "asking again later");
        tokio::time::sleep(wait).await;
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_service::ServiceError;
    use std::cell::RefCell;

    async fn attempts(status: impl Fn() -> Status, limit: Duration) -> (Vec<Duration>, Code) {
        let start = Instant::now();
        let seen = RefCell::new(Vec::new());
        let result: Result<(), Status> = until(
            start + limit,
            || 0.0,
            |_| {
                seen.borrow_mut().push(start.elapsed());
                std::future::ready(Err(status()))
            },
        )
        .await;
        (seen.into_inner(), result.unwrap_err().code())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_asked_with_growing_delays_until_the_time_is_over() {
        let (seen, code) = attempts(|| Status::unavailable("away"), Duration::from_secs(1)).await;
        let millis: Vec<u128> = seen.iter().map(Duration::as_millis).collect();
        assert_eq!((millis, code), (vec![0, 50, 150, 350, 750], Code::Unavailable));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_not_asked_before_the_time_that_it_says() {
        let busy = || Status::from(ServiceError::resource_exhausted("BUSY", "busy", Duration::from_secs(3)));
        let (seen, code) = attempts(busy, Duration::from_secs(10)).await;
        let seconds: Vec<u64> = seen.iter().map(Duration::as_secs).collect();
        assert_eq!((seconds, code), (vec![0, 3, 6, 9], Code::ResourceExhausted));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the connection was closed")]
    struct Closed(#[source] Status);

    #[tokio::test(start_paused = true)]
    async fn a_call_that_a_closing_connection_dropped_is_made_again_and_one_that_the_server_cancelled_is_not() {
        let dropped = || Status::from_error(Box::new(Closed(Status::cancelled("operation was canceled"))));
        let (seen, code) = attempts(dropped, Duration::from_millis(100)).await;
        assert_eq!((seen.len(), code), (2, Code::Cancelled));
        let (seen, _) = attempts(|| Status::cancelled("by the server"), Duration::from_secs(10)).await;
        assert_eq!(seen.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_succeed_is_asked_once() {
        let (seen, code) = attempts(|| Status::invalid_argument("no"), Duration::from_secs(10)).await;
        assert_eq!((seen.len(), code), (1, Code::InvalidArgument));
    }
}
