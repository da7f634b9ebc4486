//! What a pull leaves on the disk.

use crate::server::{Asked, FIRST, SECOND, Server, bytes, model};
use sightline_hub::{Progress, Source, pull, pull_into};
use sightline_service::config::Secret;
use std::path::Path;
use std::sync::Mutex;

/// Every file below a folder, by its path.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_model_comes_whole_without_pickles_and_says_where_it_is_from() {
    let weights = bytes(5000);
    let server = Server::with(&[
        (".gitattributes", b"x"),
        ("config.json", b"{}"),
        ("model.safetensors", &weights),
        ("pytorch_model.bin", &bytes(4000)),
        ("onnx/model.onnx", &bytes(4000)),
        ("tokenizer.json", &bytes(2000)),
        ("vocab.txt", b""),
    ])
    .await;
    let cache = tempfile::tempdir().unwrap();
    let pulled = pull(&model("hf:org/name"), &server.options(cache.path()), &())
        .await
        .unwrap();
    assert!(pulled.fetched);
    assert_eq!(pulled.folder, cache.path().join("org/name").join(FIRST).join("name"));
    let there = [
        "config.json",
        "model.safetensors",
        "sightline-source.json",
        "tokenizer.json",
        "vocab.txt",
    ];
    assert_eq!(files(&pulled.folder), there);
    assert_eq!(std::fs::read(pulled.folder.join("model.safetensors")).unwrap(), weights);
    let source = Source::read(&pulled.folder).unwrap().unwrap();
    assert_eq!(source, pulled.source);
    assert_eq!((source.revision.as_str(), source.commit.as_str()), ("main", FIRST));
    assert_eq!(
        (source.repository, source.endpoint),
        ("org/name".to_owned(), server.endpoint.clone())
    );
    let digests: Vec<&str> = source.files.iter().map(|file| &file.digest[..4]).collect();
    assert_eq!(digests, ["git:", "sha2", "sha2", "git:"]);
    assert!(
        !server
            .now()
            .asked
            .iter()
            .any(|asked| asked.path.contains("bin") || asked.path.contains("onnx"))
    );
}

#[tokio::test]
async fn parts_and_folders_of_sentence_transformers_come_too() {
    let (first, second, dense) = (bytes(3000), bytes(2000), bytes(1500));
    let modules = br#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"},
        {"type": "sentence_transformers.models.Normalize", "path": "3_Normalize"}]"#;
    let index = br#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#;
    let server = Server::with(&[
        ("config.json", b"{}"),
        ("modules.json", modules),
        ("model.safetensors.index.json", index),
        ("model-1-of-2.safetensors", &first),
        ("model-2-of-2.safetensors", &second),
        ("1_Pooling/config.json", b"{\"pooling_mode_mean_tokens\": true}"),
        ("2_Dense/config.json", b"{}"),
        ("2_Dense/model.safetensors", &dense),
        ("2_Dense/pytorch_model.bin", &dense),
        ("openvino/config.json", b"{}"),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("new/mine");
    let pulled = pull_into(&model("hf:org/name"), &target, &server.options(folder.path()), &())
        .await
        .unwrap();
    assert_eq!(
        files(&pulled.folder),
        [
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "config.json",
            "model-1-of-2.safetensors",
            "model-2-of-2.safetensors",
            "model.safetensors.index.json",
            "modules.json",
            "sightline-source.json"
        ]
    );
    assert_eq!(std::fs::read(target.join("model-2-of-2.safetensors")).unwrap(), second);
    // Once more: it is there.
    let before = server.now().asked.len();
    let again = pull_into(&model("hf:org/name"), &target, &server.options(folder.path()), &())
        .await
        .unwrap();
    assert!(!again.fetched);
    assert_eq!(server.now().asked.len(), before + 1, "the list alone is asked for");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_not_touched() {
    let server = Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(2000))]).await;
    let folder = tempfile::tempdir().unwrap();
    let options = server.options(folder.path());
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.txt"), "x").unwrap();
    let error = pull_into(&model("hf:org/name"), &other, &options, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("thesis.txt") && error.contains("new or empty"),
        "{error}"
    );
    assert_eq!(files(&other), ["thesis.txt"]);
    let mine = folder.path().join("mine");
    pull_into(&model("hf:org/name"), &mine, &options, &()).await.unwrap();
    server.commit(SECOND, &[("config.json", b"{ }"), ("model.safetensors", &bytes(2000))]);
    let error = pull_into(&model("hf:org/name"), &mine, &options, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&format!("holds org/name at {FIRST}")), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_not_to_the_server_of_large_files() {
    let server = Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(2000))]).await;
    server.now().token = Some("hf_hunter2".into());
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    options.token = Secret::new("hf_hunter2");
    pull(&model("hf:org/name"), &options, &()).await.unwrap();
    let hub = server.now();
    let with = |asked: &&Asked| asked.token.as_deref() == Some("Bearer hf_hunter2");
    let (large, own): (Vec<&Asked>, Vec<&Asked>) = hub.asked.iter().partition(|asked| asked.path.starts_with("/large"));
    assert_eq!((large.len(), own.len()), (1, 3));
    assert!(own.iter().all(with) && !large.iter().any(with), "{:?}", hub.asked);
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn resolved(&self, model: &str, commit: &str) {
        self.0.lock().unwrap().push(format!("{model} is {commit}"));
    }
    fn begins(&self, files: usize, bytes: u64, present: u64) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{files} files, {bytes} bytes, {present} there"));
    }
    fn bytes(&self, count: u64) {
        self.0.lock().unwrap().push(count.to_string());
    }
}

#[tokio::test]
async fn progress_says_what_a_branch_is_and_counts_every_byte_once() {
    let server = Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(300_000))]).await;
    let cache = tempfile::tempdir().unwrap();
    let told = Told::default();
    pull(&model("hf:org/name"), &server.options(cache.path()), &told)
        .await
        .unwrap();
    let told = told.0.into_inner().unwrap();
    assert_eq!(told[0], format!("hf:org/name is {FIRST}"));
    assert!(told.contains(&"2 files, 300002 bytes, 2 there".to_owned()), "{told:?}");
    let came: u64 = told.iter().filter_map(|line| line.parse::<u64>().ok()).sum();
    assert_eq!(came, 300_002);
}
