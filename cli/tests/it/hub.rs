//! Models of the hub: what is said where they cannot be had, and that what was pulled is used without a network.

use crate::program::run;
use std::fs;
use std::path::Path;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache in which a small model lies as a pull leaves it.
fn cache() -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("org/small").join(COMMIT).join("small");
    fs::create_dir_all(&folder).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parity/fixtures/bert/0/model");
    for file in fs::read_dir(model).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let source = format!(
        r#"{{"endpoint": "https://hub.test", "repository": "org/small", "revision": "main", "commit": "{COMMIT}", "files": []}}"#
    );
    fs::write(folder.join("sightline-source.json"), source).unwrap();
    cache
}

#[test]
fn a_pulled_model_is_named_by_its_place_on_the_hub_and_says_its_commit() {
    let cache = cache();
    let cache = cache.path().to_str().unwrap();
    let model = format!("hf:org/small@{COMMIT}");
    let ran = run(&[
        "models",
        "inspect",
        &model,
        "--model-cache",
        cache,
        "--offline",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told = &ran.json()[0];
    assert_eq!(told["name"], "small");
    assert_eq!(told["source"]["commit"], COMMIT);
    assert_eq!(told["source"]["revision"], "main");
}

#[test]
fn what_cannot_be_had_is_said_with_the_reason_and_without_the_token() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let asked = |args: &[&str]| run(&[args, &["--model-cache", cache]].concat());
    let offline = asked(&[
        "embed",
        "--model",
        "hf:a/b",
        "--texts",
        "x",
        "--out",
        "y.npy",
        "--offline",
    ]);
    assert_eq!(offline.code, 1, "{}", offline.err);
    assert!(offline.err.contains("hf:a/b was not pulled"), "{}", offline.err);
    let away = [
        "models",
        "pull",
        "hf:a/b",
        "--hf-endpoint",
        "http://127.0.0.1:1",
        "--hf-token",
        "hunter2",
    ];
    let away = asked(&away);
    assert_eq!(away.code, 1, "{}", away.err);
    assert!(away.err.contains("cannot reach http://127.0.0.1:1"), "{}", away.err);
    assert!(!away.err.contains("hunter2"), "{}", away.err);
    let wrong = asked(&["models", "pull", "b"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("hf:org/name@revision"), "{}", wrong.err);
    let wrong = asked(&["inspect", "picture.png", "--model", "hf:b"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
}
