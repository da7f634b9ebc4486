//! What the hub refuses, and what is refused of it.

use crate::server::{Server, bytes, model};
use sightline_hub::{HubError, pull};
use sightline_service::config::{Secret, SecretUrl};

async fn server() -> Server {
    Server::with(&[("config.json", b"{}"), ("model.safetensors", &bytes(2000))]).await
}

/// The error of a pull, in words.
async fn refused(server: &Server, name: &str, token: &str) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    options.token = Secret::new(token);
    let error = pull(&model(name), &options, &()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(token.is_empty() || !text.contains(token), "the token is shown: {text}");
    error.to_string()
}

#[tokio::test]
async fn a_name_that_nobody_has_is_said() {
    let server = server().await;
    let error = refused(&server, "hf:org/other", "").await;
    assert!(
        error.contains("no model org/other") && error.contains("HF_TOKEN"),
        "{error}"
    );
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_named() {
    let server = server().await;
    let error = refused(&server, "hf:org/name@v9", "").await;
    assert!(
        error.contains("no revision \"v9\"") && error.contains("org/name/commits"),
        "{error}"
    );
}

#[tokio::test]
async fn a_private_model_asks_for_a_token_and_a_wrong_token_is_said_to_be_wrong() {
    let server = server().await;
    server.now().token = Some("right".into());
    let error = refused(&server, "hf:org/name", "").await;
    assert!(error.contains("give a token"), "{error}");
    let error = refused(&server, "hf:org/name", "hunter2").await;
    assert!(error.contains("401") && error.contains("the token is wrong"), "{error}");
}

#[tokio::test]
async fn a_gated_model_says_where_its_conditions_are_accepted() {
    let server = server().await;
    server.now().gated = true;
    let error = refused(&server, "hf:org/name", "hunter2").await;
    assert!(
        error.contains("gated") && error.contains(&format!("{}/org/name", server.endpoint)),
        "{error}"
    );
}

#[tokio::test]
async fn a_network_that_is_away_is_said_with_the_address_and_without_its_password() {
    let server = server().await;
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    // Nothing listens on port 1.
    options.endpoint = SecretUrl::parse("http://me:hunter2@127.0.0.1:1").unwrap();
    let error = pull(&model("hf:org/name"), &options, &()).await.unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("http://127.0.0.1:1") && !text.contains("hunter2"),
        "{text}"
    );
    assert!(text.contains("refused"), "the reason is said: {text}");
}

#[tokio::test]
async fn a_server_that_is_no_hub_is_told_apart() {
    let server = server().await;
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    options.endpoint = SecretUrl::parse(&format!("{}/nowhere", server.endpoint)).unwrap();
    let error = pull(&model("hf:org/name"), &options, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no model org/name"), "{error}");
}

#[tokio::test]
async fn a_model_of_pickles_is_refused_before_anything_is_fetched_with_the_way_out() {
    let server = Server::with(&[
        ("config.json", b"{}"),
        ("pytorch_model.bin", &bytes(2000)),
        ("vocab.txt", b"a"),
    ])
    .await;
    let error = refused(&server, "hf:org/name", "").await;
    for words in ["pytorch_model.bin", "run code", "save_pretrained", "refs/pr/"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(server.now().asked.len(), 1, "the list alone was asked for");
}

#[tokio::test]
async fn a_module_whose_weights_are_a_pickle_is_refused_before_the_network_is_fetched() {
    let modules = br#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#;
    let server = Server::with(&[
        ("config.json", b"{}"),
        ("modules.json", modules),
        ("model.safetensors", &bytes(2000)),
        ("2_Dense/config.json", b"{}"),
        ("2_Dense/pytorch_model.bin", &bytes(2000)),
    ])
    .await;
    let error = refused(&server, "hf:org/name", "").await;
    assert!(error.contains("2_Dense/pytorch_model.bin"), "{error}");
    assert_eq!(server.ranges().len(), 0);
}

#[tokio::test]
async fn what_is_no_model_is_said_with_what_it_has() {
    let server = Server::with(&[("data.parquet", b"x"), ("README.md", b"y")]).await;
    let error = refused(&server, "hf:org/name", "").await;
    assert!(
        error.contains("no config.json") && error.contains("data.parquet"),
        "{error}"
    );
}
