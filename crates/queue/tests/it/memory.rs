//! The in-process queue, under paused time: what waits for a delay takes no time.

use sightline_queue::{JobQueue, QueueOptions, open};
use std::sync::Arc;

async fn memory(_case: &str, options: QueueOptions) -> Arc<dyn JobQueue> {
    open("memory:", options).unwrap()
}

sightline_queue::conformance! { #[tokio::test(start_paused = true)] memory }
