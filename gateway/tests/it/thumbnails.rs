use crate::rows::{described, row};
use crate::search::{picture, request};
use crate::world::World;
use image::{ImageFormat, Rgb, RgbImage};
use sightline_core::digest::sha256_hex;
use sightline_core::{Row, VectorField};
use sightline_proto::v1;
use std::io::Cursor;
use std::path::Path;
use url::Url;

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let red = RgbImage::from_pixel(width, height, Rgb([250, 10, 10]));
    red.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A row of a picture below a root, as a run writes it.
fn stored(root: &Path, key: &str, bytes: &[u8]) -> Row {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let root = Url::from_file_path(root).unwrap();
    Row {
        image_path: format!("{root}/{key}"),
        content_hash: sha256_hex(bytes),
        ..row(key, Some("aab"), None)
    }
}

async fn hits(world: &World, rows: &[Row]) -> Vec<v1::Hit> {
    world.fill(&described("stamps", &[VectorField::Image]), rows).await;
    let asked = v1::SearchRequest {
        image: picture("aab"),
        thumbnail_pixels: 32,
        ..request("stamps")
    };
    world.search().await.search(asked).await.unwrap().into_inner().hits
}

#[tokio::test]
async fn hits_carry_small_jpegs_of_their_pictures_wherever_root_and_key_part() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("my set");
    let keys = ["plain.png", "가/b c.png", "a%20b/50%.png", "q?x#y/z.png"];
    let rows: Vec<Row> = keys.iter().map(|key| stored(&root, key, &png(200, 100))).collect();
    let world = World::new().await;
    let hits = hits(&world, &rows).await;
    assert_eq!(hits.len(), keys.len());
    for hit in hits {
        let key = &hit.item.as_ref().unwrap().key;
        assert_eq!((hit.source_width, hit.source_height), (200, 100), "{key}");
        let small = image::load_from_memory_with_format(&hit.thumbnail, ImageFormat::Jpeg)
            .unwrap()
            .to_rgb8();
        assert_eq!(small.dimensions(), (32, 16));
        assert!(small.get_pixel(5, 5).0[0] > 200 && small.get_pixel(5, 5).0[1] < 60);
    }
    world.end().await;
}

#[tokio::test]
async fn a_picture_that_is_gone_broken_or_another_one_leaves_its_hit_without_thumbnail() {
    let folder = tempfile::tempdir().unwrap();
    let gone = stored(folder.path(), "gone.png", &png(20, 20));
    std::fs::remove_file(folder.path().join("gone.png")).unwrap();
    let changed = stored(folder.path(), "changed.png", &png(20, 20));
    std::fs::write(folder.path().join("changed.png"), png(21, 21)).unwrap();
    let rows = [
        gone,
        changed,
        stored(folder.path(), "broken.png", b"no picture"),
        stored(folder.path(), "good.png", &png(20, 20)),
        row("nowhere.png", Some("aab"), None),
    ];
    let world = World::new().await;
    let hits = hits(&world, &rows).await;
    assert_eq!(hits.len(), 5);
    for hit in hits {
        let good = hit.item.as_ref().unwrap().key == "good.png";
        assert_eq!(
            (hit.thumbnail.is_empty(), hit.source_width),
            if good { (false, 20) } else { (true, 0) },
            "{hit:?}"
        );
    }
    assert!(
        world
            .metrics
            .encode()
            .contains("sightline_gateway_failed_thumbnails_total 3")
    );
    world.end().await;
}
