//! Servers that answer wrongly: nothing of it may look like a smaller store, and no credential is shown.
//!
//! The credentials come from the environment, as for the real server; this one checks none.

use bytes::Bytes;
use sightline_objects::{ListPage, ListRequest, ObjectError, ObjectStore, S3Options, S3Store, Symptom};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that gives its answers in turn, the last of them for ever, one a connection.
struct Server {
    store: S3Store,
    asked: Arc<AtomicUsize>,
    /// The last request, at least its head, in lower case.
    heard: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(answers: Vec<String>) -> Self {
        Self::with_attempts(answers, 1).await
    }

    async fn with_attempts(answers: Vec<String>, max_attempts: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let heard = Arc::<Mutex<String>>::default();
        let (counter, last) = (Arc::clone(&asked), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let turn = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                answer(stream, &answers[turn], &last).await;
            }
        });
        let options = S3Options {
            endpoint: Some(endpoint),
            path_style: true,
            region: Some("us-east-1".into()),
            max_attempts,
            read_timeout: Duration::from_millis(500),
            operation_timeout: Duration::from_secs(20),
            ..S3Options::default()
        };
        let store = S3Store::open("s3://bucket/root", &options).await.unwrap();
        Self {
            store,
            asked,
            heard,
            task,
        }
    }

    async fn list(&self) -> Result<ListPage, ObjectError> {
        self.store.list(&ListRequest::all("")).await
    }
}

/// Gives an answer, once what was asked is noted.
async fn answer(mut stream: TcpStream, answer: &str, heard: &Mutex<String>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    *heard.lock().unwrap() = String::from_utf8_lossy(&request).to_ascii_lowercase();
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A listing; it tells its number of keys like every server does, unless it tells another one.
fn xml(inner: &str) -> String {
    let count = match inner.contains("<KeyCount>") {
        true => String::new(),
        false => format!("<KeyCount>{}</KeyCount>", inner.matches("<Contents>").count()),
    };
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{count}{inner}</ListBucketResult>"
    );
    http("200 OK", "Content-Type: application/xml\r\n", &body)
}

fn entry(key: &str) -> String {
    format!("<Contents><Key>root/{key}</Key><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>")
}

#[tokio::test]
async fn a_listing_that_is_whole_is_taken() {
    let whole = format!(
        "<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>{}{}",
        entry("a"),
        entry("b")
    );
    let page = Server::start(vec![xml(&whole)]).await.list().await.unwrap();
    assert_eq!(page.objects.len(), 2);
    assert_eq!(
        (page.objects[0].key.as_str(), page.objects[0].etag.as_str()),
        ("a", "e")
    );
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn an_answer_of_200_with_a_broken_listing_is_an_error_and_never_a_short_count() {
    let cut = xml(&format!("<IsTruncated>false</IsTruncated>{}{}", entry("a"), entry("b")));
    let (cut_body, _) = cut
        .split_once("\r\n\r\n")
        .map(|(_, body)| body)
        .unwrap()
        .split_once("root/b")
        .unwrap();
    let cases = [
        ("html", http("200 OK", "", "<html><body>maintenance</body></html>")),
        ("empty", http("200 OK", "", "")),
        ("json", http("200 OK", "", "{\"keys\": []}")),
        ("cut short in an entry", http("200 OK", "", cut_body)),
        (
            "cut short between entries",
            http("200 OK", "", &cut_body[..cut_body.find("</Contents>").unwrap() + 11]),
        ),
        (
            "another document",
            http(
                "200 OK",
                "",
                "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>",
            ),
        ),
        ("does not say whether there is more", xml(&entry("a"))),
        (
            "more, but neither keys nor a token",
            xml("<IsTruncated>true</IsTruncated>"),
        ),
        (
            "fewer than it says",
            xml(&format!(
                "<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>{}",
                entry("a")
            )),
        ),
        (
            "out of order",
            xml(&format!("<IsTruncated>false</IsTruncated>{}{}", entry("b"), entry("a"))),
        ),
        (
            "twice the same",
            xml(&format!("<IsTruncated>false</IsTruncated>{}{}", entry("a"), entry("a"))),
        ),
        (
            "of another prefix",
            xml("<IsTruncated>false</IsTruncated><Contents><Key>x</Key><ETag>e</ETag><Size>1</Size></Contents>"),
        ),
        (
            "without a size",
            xml("<IsTruncated>false</IsTruncated><Contents><Key>root/a</Key><ETag>e</ETag></Contents>"),
        ),
    ];
    for (what, answer) in cases {
        match Server::start(vec![answer]).await.list().await {
            Err(error) => assert!(error.is_retryable(), "{what}: {error}"),
            Ok(page) => panic!("{what} was taken: {page:?}"),
        }
    }
}

#[tokio::test]
async fn a_broken_listing_is_asked_for_again_a_bounded_number_of_times() {
    let whole = xml(&format!("<IsTruncated>false</IsTruncated>{}", entry("a")));
    let short = xml(&format!(
        "<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>{}",
        entry("a")
    ));
    let no_listing = http("200 OK", "", "<html><body>maintenance</body></html>");
    let server = Server::with_attempts(vec![short.clone(), no_listing, whole], 3).await;
    assert_eq!(server.list().await.unwrap().objects.len(), 1);
    assert_eq!(server.asked.load(Ordering::SeqCst), 3);
    let server = Server::with_attempts(vec![short], 3).await;
    let error = server.list().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_listing_that_is_refused_is_left_to_the_attempts_of_the_sdk() {
    let busy = http("503 Slow Down", "", "<Error><Code>SlowDown</Code></Error>");
    let server = Server::with_attempts(vec![busy], 3).await;
    let error = server.list().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_listing_that_gives_its_first_keys_again_is_an_error() {
    let server = Server::start(vec![xml(&format!("<IsTruncated>true</IsTruncated>{}", entry("a")))]).await;
    let page = server.list().await.unwrap();
    assert_eq!(page.next.as_deref(), Some("a"));
    let request = ListRequest {
        start_after: page.next,
        ..ListRequest::all("")
    };
    let error = server.store.list(&request).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn an_empty_page_with_a_token_is_followed_and_a_token_that_repeats_is_an_error() {
    let empty = xml("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>");
    let last = xml(&format!("<IsTruncated>false</IsTruncated>{}", entry("z")));
    let page = Server::start(vec![empty.clone(), last]).await.list().await.unwrap();
    assert_eq!(page.objects[0].key, "z");
    let error = Server::start(vec![empty]).await.list().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error_and_never_a_short_object() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: \"e\"\r\nConnection: close\r\n\r\nonly this";
    let error = Server::start(vec![short.into()])
        .await
        .store
        .get("k", None)
        .await
        .unwrap_err();
    assert_eq!(error.symptom(), Some(Symptom::Answered), "{error}");
}

#[tokio::test]
async fn a_server_that_ignores_if_match_is_seen_through() {
    let answer = http("200 OK", "ETag: \"other\"\r\n", "body");
    let error = Server::start(vec![answer])
        .await
        .store
        .get("k", Some("planned"))
        .await
        .unwrap_err();
    assert!(matches!(error, ObjectError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn an_object_that_was_replaced_by_a_shorter_one_has_changed_though_the_server_ignores_if_match() {
    let behind = http(
        "416 Range Not Satisfiable",
        "",
        "<Error><Code>InvalidRange</Code></Error>",
    );
    let end = http("206 Partial Content", "Content-Range: bytes 4-5/6\r\n", "ab");
    for (first, found) in [(behind, ""), (end, "ab")] {
        let read = async |tag: &str| {
            let head = http("200 OK", &format!("ETag: \"{tag}\"\r\n"), "");
            let server = Server::start(vec![first.clone(), head]).await;
            server.store.get_range("k", 4..10, Some("planned")).await
        };
        let error = read("other").await.unwrap_err();
        assert!(matches!(error, ObjectError::Changed { .. }), "{error}");
        assert_eq!(read("planned").await.unwrap(), found);
    }
}

#[tokio::test]
async fn a_whole_object_is_of_the_asked_version_though_the_server_tells_none_in_its_answer() {
    let read = async |tag: &str| {
        let whole = http("200 OK", "", "abc");
        let head = http("200 OK", &format!("ETag: \"{tag}\"\r\n"), "");
        let server = Server::start(vec![whole, head]).await;
        server.store.get("k", Some("planned")).await
    };
    let error = read("other").await.unwrap_err();
    assert!(matches!(error, ObjectError::Changed { .. }), "{error}");
    assert_eq!(read("planned").await.unwrap(), "abc");
}

#[tokio::test]
async fn each_refusal_is_told_apart() {
    let error =
        |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said</Message></Error>");
    for (status, code, kind) in [
        ("404 Not Found", "NoSuchKey", "not found"),
        ("404 Not Found", "NoSuchBucket", "invalid"),
        ("403 Forbidden", "AccessDenied", "denied"),
        ("403 Forbidden", "SignatureDoesNotMatch", "denied"),
        ("400 Bad Request", "ExpiredToken", "unavailable"),
        ("403 Forbidden", "ExpiredToken", "unavailable"),
        ("403 Forbidden", "RequestTimeTooSkewed", "unavailable"),
        ("403 Forbidden", "InvalidToken", "unavailable"),
        ("400 Bad Request", "InvalidToken", "unavailable"),
        ("403 Forbidden", "InvalidAccessKeyId", "unavailable"),
        ("401 Unauthorized", "Unauthorized", "unavailable"),
        ("412 Precondition Failed", "PreconditionFailed", "changed"),
        ("301 Moved Permanently", "PermanentRedirect", "invalid"),
        ("400 Bad Request", "KeyTooLongError", "invalid"),
        ("429 Too Many Requests", "TooManyRequests", "unavailable"),
        ("503 Slow Down", "SlowDown", "unavailable"),
        ("500 Internal Server Error", "InternalError", "unavailable"),
        ("409 Conflict", "OperationAborted", "unavailable"),
    ] {
        let server = Server::start(vec![http(status, "", &error(code))]).await;
        let error = server.store.get("k", Some("e")).await.unwrap_err();
        let found = match &error {
            ObjectError::NotFound { .. } => "not found",
            ObjectError::Changed { .. } => "changed",
            ObjectError::AccessDenied { .. } => "denied",
            ObjectError::Unavailable { .. } => "unavailable",
            ObjectError::Invalid { .. } => "invalid",
        };
        assert_eq!(found, kind, "{status} {code}: {error}");
    }
}

#[tokio::test]
async fn what_may_be_wrong_with_one_object_alone_is_told_from_what_is_wrong_with_all() {
    let error =
        |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said</Message></Error>");
    for (status, code, symptom) in [
        ("503 Slow Down", "SlowDown", Some(Symptom::Answered)),
        ("503 Slow Down", "SlowDownRead", Some(Symptom::Answered)),
        ("500 Internal Server Error", "InternalError", Some(Symptom::Answered)),
        ("502 Bad Gateway", "", Some(Symptom::Answered)),
        ("429 Too Many Requests", "TooManyRequests", Some(Symptom::Away)),
        ("400 Bad Request", "RequestTimeout", Some(Symptom::Away)),
        ("403 Forbidden", "ExpiredToken", Some(Symptom::Away)),
        ("401 Unauthorized", "Unauthorized", Some(Symptom::Away)),
        ("403 Forbidden", "AccessDenied", None),
        ("404 Not Found", "NoSuchKey", None),
    ] {
        let server = Server::start(vec![http(status, "", &error(code))]).await;
        let error = server.store.get("k", Some("e")).await.unwrap_err();
        assert_eq!(error.symptom(), symptom, "{status} {code}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_body_does_not_pass_expired_credentials_off_as_an_object_that_may_not_be_read() {
    let error =
        |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said</Message></Error>");
    for status in ["400 Bad Request", "403 Forbidden"] {
        let bare = || http(status, "", "");
        let server = Server::start(vec![bare(), http(status, "", &error("ExpiredToken"))]).await;
        let expired = server.store.head("k").await.unwrap_err();
        assert!(expired.is_retryable(), "{status}: {expired}");
        let server = Server::start(vec![bare(), http("403 Forbidden", "", &error("AccessDenied"))]).await;
        let refused = server.store.head("k").await.unwrap_err();
        assert!(!refused.is_retryable(), "{status}: {refused}");
    }
}

#[tokio::test]
async fn a_throttled_request_is_tried_again_a_bounded_number_of_times() {
    let slow = http("503 Slow Down", "", "<Error><Code>SlowDown</Code></Error>");
    let server = Server::with_attempts(vec![slow.clone()], 2).await;
    let error = server.store.get("k", None).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
    let server = Server::with_attempts(vec![slow, http("200 OK", "", "body")], 2).await;
    assert_eq!(server.store.get("k", None).await.unwrap(), "body");
}

#[tokio::test]
async fn a_server_that_never_answers_or_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = S3Options {
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        path_style: true,
        max_attempts: 1,
        read_timeout: Duration::from_millis(200),
        ..S3Options::default()
    };
    let store = S3Store::open("s3://bucket", &options).await.unwrap();
    let silent = store.get("k", None).await.unwrap_err();
    drop(listener);
    let gone = store.get("k", None).await.unwrap_err();
    for (error, symptom) in [(silent, Symptom::Silent), (gone, Symptom::Away)] {
        assert_eq!(error.symptom(), Some(symptom), "{error}");
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the secret that must not be shown is in the environment"
)]
async fn no_credential_is_shown() {
    let secret = std::env::var("AWS_SECRET_ACCESS_KEY").expect(
        "AWS_SECRET_ACCESS_KEY is not set: run the tests with `make test`, or start the servers with `make up`",
    );
    let server = Server::start(vec![http("500 Internal Server Error", "", "")]).await;
    let error = server.store.get("k", None).await.unwrap_err();
    let shown = format!("{:?} {error:?} {error}", server.store);
    assert!(!shown.contains(&secret), "the secret is in {shown}");
}

#[tokio::test]
async fn with_a_hint_the_directories_of_the_next_pages_are_not_asked_for_again() {
    let listing = |inner: String| xml(&format!("<IsTruncated>false</IsTruncated>{inner}"));
    let folders =
        ["b/", "c/", "d/"].map(|name| format!("<CommonPrefixes><Prefix>root/{name}</Prefix></CommonPrefixes>"));
    let neighbours = listing(format!("<KeyCount>3</KeyCount>{}", folders.concat()));
    let folder = |name: &str| listing(["1", "2"].map(|at| entry(&format!("{name}/{at}"))).concat());
    let server = Server::start(vec![neighbours, folder("b"), folder("c"), folder("d")]).await;
    let mut request = ListRequest {
        start_after: Some("a0".into()),
        limit: 2,
        ..ListRequest::all("")
    };
    for (folder, asked, next) in [("b", 2, Some("b0")), ("c", 3, Some("c0")), ("d", 4, None)] {
        let page = server.store.list(&request).await.unwrap();
        let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, [format!("{folder}/1"), format!("{folder}/2")]);
        assert_eq!(server.asked.load(Ordering::SeqCst), asked, "requests up to {folder}");
        assert_eq!(page.next.as_deref(), next);
        request = ListRequest {
            start_after: page.next,
            hint: page.hint,
            ..request
        };
    }
}

#[tokio::test]
async fn a_server_is_told_what_an_object_is_where_its_writer_says_so() {
    let server = Server::start(vec![http("200 OK", "ETag: \"e\"\r\n", "")]).await;
    let body = || Bytes::from_static(b"pixels");
    server.store.put_as("k.png", body(), "image/png").await.unwrap();
    let heard = || server.heard.lock().unwrap().clone();
    assert!(heard().contains("content-type: image/png"), "{}", heard());
    server.store.put("k", body()).await.unwrap();
    assert!(!heard().contains("image/png"), "{}", heard());
}
