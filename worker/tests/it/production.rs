//! The program as it is shipped, with its own engine and the demo's model.

use crate::bench::{Bench, ends, entries};
use bytes::Bytes;
use sightline_core::{ItemKey, vector::dot};
use sightline_objects::ObjectStore;
use sightline_worker::{ENGINE_COMMAND, EngineCommand};
use std::path::Path;

#[tokio::test]
async fn the_shipped_program_embeds_pictures_and_texts_with_a_model_folder_on_two_devices() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = own.join("../.local/models/sightline-demo");
    assert!(
        model.exists(),
        "no {}: run the tests with `make test`, which sets it up",
        model.display()
    );
    let mut bench = Bench::new().await;
    let pictures = own.join("../crates/models/tests/fixtures/demo_pair/images");
    let mut items = Vec::new();
    for name in ["baseline.jpg", "cmyk.jpg", "grey16.png", "webp.webp"] {
        let bytes = std::fs::read(pictures.join(name)).unwrap();
        let mut item = bench.picture(name, "").await;
        bench.pictures.put(name, Bytes::from(bytes)).await.unwrap();
        let meta = bench.pictures.head(name).await.unwrap();
        let image = item.image.as_mut().unwrap();
        (image.etag, image.size) = (meta.etag, meta.size);
        item.text = Some(format!("the picture {name}"));
        items.push(item);
    }
    let mut twin = items[0].clone();
    twin.key = ItemKey::new("twin").unwrap();
    items.push(twin);
    items.push(bench.picture("broken.jpg", "no picture at all").await);
    let message = bench.plan("real", entries(items)).await;
    let mut config = bench.config();
    config.engine.model.folder = Some(model);
    config.engine.model.max_pixels = 1 << 27;
    config.engine.model.devices = "cpu,cpu".into();
    config.engine.pipeline.max_object_bytes = 10 << 20;
    config.engine.pipeline.memory_bytes = 700 << 20;
    let program = env!("CARGO_BIN_EXE_sightline-worker").into();

    let worker = bench.start_engine(
        config,
        EngineCommand {
            program,
            args: vec![ENGINE_COMMAND.into()],
            memory_bytes: None,
        },
    );
    let result = bench.work(&message).await;

    assert_eq!(result.counts.indexed, 5, "{:?}", ends(&result));
    assert_eq!(ends(&result)["broken.jpg"], "failed unsupported_format");
    let rows = bench.rows().await;
    let vector = |key: &str| {
        rows.iter()
            .find(|row| row.key == key)
            .unwrap()
            .image_embedding
            .clone()
            .unwrap()
    };
    assert!((dot(&vector("baseline.jpg"), &vector("twin")) - 1.0).abs() < 1e-5);
    assert!(dot(&vector("baseline.jpg"), &vector("webp.webp")) < 0.999);
    assert!(rows.iter().all(|row| row.text_embedding.is_some()));
    let status = worker.service.status();
    assert_eq!(status.devices, ["cpu", "cpu"]);
    assert_eq!(status.bytes_limit, 700 << 20);
    // Rows of 16 MiB, thirteen times, blocks of arrays, and what the demo's model has of pictures.
    assert!((274 << 20..428 << 20).contains(&status.bytes_in_flight), "{status:?}");
    worker.end().await.unwrap();
}
