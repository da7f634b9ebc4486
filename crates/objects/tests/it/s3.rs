//! A real S3 server, whichever the environment names.

#![expect(
    clippy::disallowed_methods,
    reason = "where the servers are is told to tests in the environment"
)]

use bytes::Bytes;
use sightline_objects::conformance::Fixture;
use sightline_objects::{ListRequest, ObjectError, ObjectStore, S3Options, S3Store};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `make test`, or start the servers with `make up`")
    })
}

fn options() -> S3Options {
    S3Options {
        endpoint: Some(variable("SIGHTLINE_TEST_S3_ENDPOINT")),
        path_style: true,
        ..S3Options::default()
    }
}

/// A prefix that no other test, of this run or another, has used.
fn fresh_url() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let ordinal = NEXT.fetch_add(1, Ordering::Relaxed);
    let bucket = variable("SIGHTLINE_TEST_S3_BUCKET");
    format!(
        "s3://{bucket}/objects test+%/{nanos:x}-{}-{ordinal}",
        std::process::id()
    )
}

async fn fixture() -> Fixture {
    Fixture::new(S3Store::open(&fresh_url(), &options()).await.unwrap(), ())
}

sightline_objects::conformance!(fixture);

#[tokio::test]
async fn a_missing_bucket_is_named_and_is_no_missing_object() {
    let store = S3Store::open("s3://sightline-no-such-bucket/x", &options())
        .await
        .unwrap();
    let listed = store.list(&ListRequest::all("")).await.unwrap_err();
    let read = store.get("k", None).await.unwrap_err();
    for error in [listed, read] {
        assert!(matches!(&error, ObjectError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("sightline-no-such-bucket"), "{error}");
    }
}

#[tokio::test]
async fn a_root_without_a_prefix_and_one_with_it_see_the_same_objects() {
    let url = fresh_url();
    let below = S3Store::open(&url, &options()).await.unwrap();
    below.put("k", Bytes::from_static(b"x")).await.unwrap();
    let (bucket, prefix) = url.strip_prefix("s3://").unwrap().split_once('/').unwrap();
    let whole = S3Store::open(&format!("s3://{bucket}"), &options()).await.unwrap();
    assert_eq!(whole.get(&format!("{prefix}/k"), None).await.unwrap(), "x");
    assert_eq!(below.root(), url);
    let page = whole.list(&ListRequest::all(format!("{prefix}/"))).await.unwrap();
    assert_eq!(page.objects[0].key, format!("{prefix}/k"));
}
