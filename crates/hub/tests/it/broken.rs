//! Connections and bytes that break.

use crate::server::{FIRST, Fault, Server, bytes, model};
use sightline_hub::{HubError, pull};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Small enough that what was sent before a cut is in the socket's buffer at once.
const LENGTH: usize = 40_000;

async fn server() -> Server {
    Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(LENGTH))]).await
}

fn weights(cache: &Path) -> PathBuf {
    cache.join("org/name").join(FIRST).join("name/model.safetensors")
}

#[tokio::test]
async fn a_download_that_is_cut_goes_on_where_it_ended() {
    let server = server().await;
    server
        .now()
        .faults
        .extend([Fault::Cut(15_000), Fault::Status(503), Fault::Cut(10_000)]);
    let cache = tempfile::tempdir().unwrap();
    pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert_eq!(std::fs::read(weights(cache.path())).unwrap(), bytes(LENGTH));
    let ranges = ["", "bytes=15000-", "bytes=15000-", "bytes=25000-"];
    assert_eq!(server.ranges(), ranges);
}

#[tokio::test]
async fn what_came_before_a_pull_was_given_up_is_not_fetched_again_by_the_next() {
    let server = server().await;
    server
        .now()
        .faults
        .extend([Fault::Cut(25_000), Fault::Cut(0), Fault::Cut(0), Fault::Cut(0)]);
    let cache = tempfile::tempdir().unwrap();
    let error = pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap_err();
    let HubError::Broken { have, bytes: all, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*have, *all), (25_000, LENGTH as u64));
    assert!(error.to_string().contains("pull again"), "{error}");
    assert!(!weights(cache.path()).exists(), "a part is not taken for the whole");
    server.now().faults.clear();
    pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert_eq!(server.ranges().last().unwrap(), "bytes=25000-");
    assert_eq!(std::fs::read(weights(cache.path())).unwrap(), bytes(LENGTH));
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_sends_it_all_again() {
    let server = server().await;
    server.now().faults.extend([Fault::Cut(15_000), Fault::NoRange]);
    let cache = tempfile::tempdir().unwrap();
    pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert_eq!(std::fs::read(weights(cache.path())).unwrap(), bytes(LENGTH));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up_and_taken_up_again() {
    let server = server().await;
    server.now().faults.extend([Fault::Stall(15_000)]);
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    options.stall = Duration::from_millis(200);
    pull(&model("hf:org/name"), &options, &()).await.unwrap();
    assert_eq!(server.ranges(), ["", "bytes=15000-"]);
}

#[tokio::test]
async fn bytes_that_are_not_the_hubs_are_thrown_away() {
    let server = server().await;
    server.now().faults.extend([Fault::Flip]);
    let cache = tempfile::tempdir().unwrap();
    let error = pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model.safetensors") && error.contains("sha256:"),
        "{error}"
    );
    assert!(!weights(cache.path()).exists());
    pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert_eq!(server.ranges(), ["", ""], "nothing of the damaged one is kept");
}

#[tokio::test]
async fn a_damaged_part_of_an_earlier_pull_is_fetched_anew() {
    let server = server().await;
    let cache = tempfile::tempdir().unwrap();
    let part = weights(cache.path()).with_file_name("model.safetensors.part");
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, vec![7; 1000]).unwrap();
    std::fs::write(part.with_file_name(".sightline-pull.lock"), "").unwrap();
    pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert_eq!(server.ranges(), ["bytes=1000-", ""]);
    assert_eq!(std::fs::read(weights(cache.path())).unwrap(), bytes(LENGTH));
}

#[tokio::test]
async fn more_bytes_than_announced_are_refused() {
    let server = server().await;
    server.now().faults.extend([Fault::Longer]);
    let cache = tempfile::tempdir().unwrap();
    let error = pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap_err();
    assert!(
        matches!(error, HubError::Length { bytes, .. } if bytes == LENGTH as u64),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_disk_is_said_with_what_is_needed() {
    let server = server().await;
    let cache = tempfile::tempdir().unwrap();
    let folder = weights(cache.path()).parent().unwrap().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(".sightline-pull.lock"), "").unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("model.safetensors.part")).unwrap();
    let error = pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HubError::NoRoom { needed, .. } if *needed > 0),
        "{error}"
    );
    assert!(error.to_string().contains("has no room"), "{error}");
}
