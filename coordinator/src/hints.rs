//! Broadcasts that a coordinator listens to. They are hints: one that is lost costs seconds, and nothing else.

use serde::de::DeserializeOwned;
use sightline_queue::{JobQueue, QueueError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long to wait before listening again after the subscription failed.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Hears what is broadcast on a topic, one report after the other, until shutdown.
pub(crate) async fn listen<T: DeserializeOwned, H: Future<Output = ()>>(
    queue: &dyn JobQueue,
    topic: &str,
    shutdown: &CancellationToken,
    hear: impl Fn(T) -> H,
) {
    let listening = async {
        loop {
            if let Err(error) = listen_once::<T, H>(queue, topic, &hear).await {
                tracing::debug!(%error, topic, "listening again");
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    };
    tokio::select! {
        biased;
        () = listening => {}
        () = shutdown.cancelled() => {}
    }
}

async fn listen_once<T: DeserializeOwned, H: Future<Output = ()>>(
    queue: &dyn JobQueue,
    topic: &str,
    hear: &impl Fn(T) -> H,
) -> Result<(), QueueError> {
    let mut broadcasts = queue.subscribe(topic).await?;
    loop {
        let body = broadcasts.next().await?;
        match serde_json::from_slice::<T>(&body) {
            Ok(report) => hear(report).await,
            Err(error) => tracing::debug!(%error, topic, "a report that cannot be read is left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sightline_queue::QueueOptions;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_left_out_and_all_behind_it_is_heard_at_once_until_shutdown() {
        let queue = sightline_queue::open("memory:", QueueOptions::default()).unwrap();
        let (shutdown, heard) = (CancellationToken::new(), Mutex::new(Vec::new()));
        let listening = listen(queue.as_ref(), "numbers", &shutdown, |number: u32| {
            heard.lock().unwrap().push(number);
            std::future::ready(())
        });
        tokio::pin!(listening);
        // What is told before somebody listens is gone.
        assert!(futures::poll!(listening.as_mut()).is_pending());
        for body in ["none", "1", "2", "3", "4", "5", "6", "7", "8"] {
            queue.broadcast("numbers", Bytes::from(body)).await.unwrap();
        }
        // Once: no time passes, and whoever had to listen again would wait for that.
        assert!(futures::poll!(listening.as_mut()).is_pending());
        assert_eq!(*heard.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        shutdown.cancel();
        listening.await;
    }
}
