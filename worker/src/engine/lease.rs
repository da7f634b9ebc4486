//! The lease: until when the engine may write to the index. The supervisor renews it while it is sure of itself.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The lease's holder.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    until: watch::Receiver<Option<Instant>>,
}

/// The side that hears from the supervisor.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    until: watch::Sender<Option<Instant>>,
}

/// A lease that does not hold yet.
pub(crate) fn lease() -> (LeaseKeeper, Lease) {
    let (sender, until) = watch::channel(None);
    (LeaseKeeper { until: sender }, Lease { until })
}

impl LeaseKeeper {
    /// The lease holds for so long from now.
    pub(crate) fn renew(&self, valid: Duration) {
        self.until.send_replace(Some(Instant::now() + valid));
    }
}

impl Lease {
    /// Waits until the lease holds. Where it has run out that is when the supervisor renews it.
    pub(crate) async fn held(&mut self) {
        // The keeper lives as long as the process listens to its supervisor; after that nothing may be written.
        if self
            .until
            .wait_for(|until| until.is_some_and(|until| Instant::now() < until))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_held(lease: &mut Lease) -> bool {
        tokio::time::timeout(Duration::from_millis(1), lease.held())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_may_be_written_before_the_first_renewal_and_after_the_deadline() {
        let (keeper, mut lease) = lease();
        assert!(!is_held(&mut lease).await);
        keeper.renew(Duration::from_secs(10));
        assert!(is_held(&mut lease).await);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!is_held(&mut lease).await);
        keeper.renew(Duration::from_secs(10));
        assert!(is_held(&mut lease).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_whose_supervisor_is_gone_waits_for_ever() {
        let (keeper, mut lease) = lease();
        drop(keeper);
        assert!(!is_held(&mut lease).await);
    }
}
