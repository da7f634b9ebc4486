use crate::LIMIT;
use sightline_service::grpc::{ClientOptions, ConnectError, connect};
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_service_that_does_not_run_is_named_with_its_url_and_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect("coordinator", &url, &ClientOptions::default())
        .await
        .unwrap_err();
    assert!(error.is_retryable());
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("cannot reach the coordinator at {url}: is it running? (")),
        "{message}"
    );
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_tls_is_given_up_after_the_time_for_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let options = ClientOptions {
        connect_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let error = tokio::time::timeout(LIMIT, connect("gateway", &url, &options))
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn text_that_is_no_url_of_a_service_is_refused_and_never_tried_again() {
    for url in [
        "",
        "127.0.0.1:50051",
        "localhost",
        "ftp://host",
        "http://",
        "http://a b",
    ] {
        let error = connect("gateway", url, &ClientOptions::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Url { .. }), "{url}: {error}");
        assert!(!error.is_retryable());
    }
}
