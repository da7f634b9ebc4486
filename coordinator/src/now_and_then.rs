//! What a coordinator looks at again and again.

use crate::planner::{PlanError, describe};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Takes a pass at each interval, until shutdown, which ends one that is under way. A pass that failed is told with
/// `failure`, and the next one tries again.
pub(crate) async fn now_and_then<P: Future<Output = Result<(), PlanError>>>(
    interval: Duration,
    failure: &'static str,
    shutdown: &CancellationToken,
    pass: impl Fn() -> P,
) {
    loop {
        let pass = async {
            tokio::time::sleep(interval).await;
            pass().await
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            passed = pass => if let Err(error) = passed {
                tracing::warn!(error = describe(&error), "{failure}");
            },
        }
    }
}
