//! What is resolved once, and what is there without a network.

use crate::server::{FIRST, SECOND, Server, bytes, model};
use sightline_hub::{HubError, pull, resolve};
use std::path::Path;

fn files(config: &'static [u8]) -> [(&'static str, &'static [u8]); 2] {
    [("config.json", config), ("model.safetensors", b"weights")]
}

#[tokio::test]
async fn a_folder_is_taken_as_it_is() {
    let server = Server::with(&files(b"{}")).await;
    let cache = tempfile::tempdir().unwrap();
    let given = Path::new("some/where");
    let found = resolve(given, &server.options(cache.path()), &()).await.unwrap();
    assert_eq!(found, given);
    assert!(server.now().asked.is_empty());
}

#[tokio::test]
async fn a_branch_stays_the_commit_that_it_was_until_it_is_pulled_again() {
    let server = Server::with(&files(b"{}")).await;
    let cache = tempfile::tempdir().unwrap();
    let options = server.options(cache.path());
    let given = Path::new("hf:org/name");
    let first = resolve(given, &options, &()).await.unwrap();
    assert!(first.ends_with(format!("{FIRST}/name")));
    server.commit(SECOND, &files(b"{ }"));
    let asked = server.now().asked.len();
    assert_eq!(resolve(given, &options, &()).await.unwrap(), first);
    assert_eq!(server.now().asked.len(), asked, "nothing is asked of the hub");
    // A folder that was deleted comes back as the same commit.
    std::fs::remove_dir_all(&first).unwrap();
    assert_eq!(resolve(given, &options, &()).await.unwrap(), first);
    let second = pull(&model("hf:org/name"), &options, &()).await.unwrap();
    assert_eq!(second.source.commit, SECOND);
    assert_eq!(resolve(given, &options, &()).await.unwrap(), second.folder);
    let pinned = format!("hf:org/name@{FIRST}");
    assert_eq!(resolve(Path::new(&pinned), &options, &()).await.unwrap(), first);
}

#[tokio::test]
async fn offline_takes_what_was_pulled_and_asks_for_nothing() {
    let server = Server::with(&files(b"{}")).await;
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    let given = Path::new("hf:org/name@main");
    options.offline = true;
    let error = resolve(given, &options, &()).await.unwrap_err().to_string();
    assert!(
        error.contains("hf:org/name@main") && error.contains("offline"),
        "{error}"
    );
    assert!(server.now().asked.is_empty());
    options.offline = false;
    let pulled = resolve(given, &options, &()).await.unwrap();
    options.offline = true;
    assert_eq!(resolve(given, &options, &()).await.unwrap(), pulled);
    let error = pull(&model("hf:org/name"), &options, &()).await.unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
}

#[tokio::test]
async fn two_pulls_at_once_share_one_download() {
    let server = Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(50_000))]).await;
    let cache = tempfile::tempdir().unwrap();
    let options = server.options(cache.path());
    let given = Path::new("hf:org/name");
    let (one, other) = tokio::join!(resolve(given, &options, &()), resolve(given, &options, &()));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(server.ranges().len(), 1);
}

#[tokio::test]
async fn without_a_cache_there_is_nowhere_to_pull_to() {
    let server = Server::with(&files(b"{}")).await;
    let mut options = server.options(Path::new("/"));
    options.cache = None;
    let error = resolve(Path::new("hf:org/name"), &options, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("hub.cache"), "{error}");
}
