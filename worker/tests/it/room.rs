//! A budget of memory in which there is no room.

use crate::bench::{Bench, entries, eventually};
use sightline_core::{PreviewFormat, PreviewSpec, RunSpec, ShardMessage};

/// Works on a shard while a picture has all that may be read at once: what the shard has to read, in one part, waits for that
/// picture to be decoded, and says so.
pub(crate) async fn waits_for_room(bench: &mut Bench, message: &ShardMessage) {
    let picture = vec![bench.picture("p", "BLOCK").await];
    // Its preview may be larger than all that may be read at once, which it therefore has until it is decoded.
    let previewed = |spec: &mut RunSpec| {
        spec.previews = Some(PreviewSpec {
            width: 4096,
            height: 4096,
            format: PreviewFormat::Png,
            root: None,
        });
    };
    let large = bench.plan_as("large", entries(picture), previewed).await;
    let mut config = bench.config();
    config.engine.pipeline.memory_bytes = 336 << 20;
    let worker = bench.start_with(config);
    bench.publish(&large).await;
    eventually("the engine decodes", async || bench.is_on("blocked").then_some(())).await;

    bench.publish(message).await;
    eventually("what is to be read waits for room", async || {
        let stages = worker.service.status().stages;
        let waits = stages.iter().any(|stage| stage.name == "fetch" && stage.waiting == 1);
        waits.then_some(())
    })
    .await;
    assert_eq!(bench.ranges(), 0);
    bench.switch_on("released");
    for _ in 0..2 {
        bench.done().await;
    }
    assert_eq!(bench.result(&large).await.counts.indexed, 1);
    assert_eq!(bench.ranges(), 1);
    worker.end().await.unwrap();
}
