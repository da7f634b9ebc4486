//! Who is told of the messages that go through a queue.

use crate::QueueError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What became of a message, with the queue's full name. Broadcasts are hints, and not told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic<'a> {
    /// The broker was asked to take it.
    Published {
        /// [`crate::JobQueue::system`].
        system: &'static str,
        /// The queue that it is for; it may wait for its delay in another.
        queue: &'a str,
        /// Which error that ended with: the broker may not have it.
        error: Option<&'static str>,
        /// Until it was safe.
        took: Duration,
    },
    /// It came into the hands of a consumer.
    Delivered {
        /// [`crate::JobQueue::system`].
        system: &'static str,
        /// The queue that it came from.
        queue: &'a str,
    },
}

/// Who is told of each message; nobody by default.
#[derive(Clone)]
pub struct TrafficRecorder(Arc<dyn Fn(&Traffic<'_>) + Send + Sync>);

impl TrafficRecorder {
    /// Tells `record`, which must not wait: whoever has to do with the message waits for it.
    #[must_use]
    pub fn new(record: impl Fn(&Traffic<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    /// Makes the call that publishes a message, and tells of it. One that is given up is not told of.
    pub(crate) async fn publishing(
        &self,
        system: &'static str,
        queue: &str,
        call: impl Future<Output = Result<(), QueueError>>,
    ) -> Result<(), QueueError> {
        let began = Instant::now();
        let result = call.await;
        (self.0)(&Traffic::Published {
            system,
            queue,
            error: result.as_ref().err().map(QueueError::kind),
            took: began.elapsed(),
        });
        result
    }

    pub(crate) fn delivered(&self, system: &'static str, queue: &str) {
        (self.0)(&Traffic::Delivered { system, queue });
    }
}

impl Default for TrafficRecorder {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for TrafficRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrafficRecorder")
    }
}
