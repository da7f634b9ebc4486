//! A hub of its own for each test, and the server of large files behind it. Both speak as huggingface.co does: the list
//! of a revision with lengths and digests, `resolve` with `X-Repo-Commit`, `ETag` and `X-Linked-Etag`, a redirect to
//! another server for large files, ranges, and `X-Error-Code`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::get;
use futures::stream;
use serde_json::{Value, json};
use sha1::Digest as _;
use sightline_hub::{HubOptions, HubRef};
use sightline_service::config::{Secret, SecretUrl};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub(crate) const FIRST: &str = "1111111111111111111111111111111111111111";
pub(crate) const SECOND: &str = "2222222222222222222222222222222222222222";
/// Files from this length on lie on the other server.
const LARGE: usize = 1000;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
}

/// What the next answer for a large file does instead of answering.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// This status.
    Status(u16),
    /// The whole file, whatever range was asked for.
    NoRange,
    /// Nothing comes after so many bytes, and the connection stays.
    Stall(usize),
    /// One bit of the answer is another.
    Flip,
    /// One byte more than there is.
    Longer,
}

#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Commit → path → bytes.
    pub(crate) commits: BTreeMap<String, BTreeMap<String, Bytes>>,
    /// Branch or tag → commit.
    pub(crate) branches: BTreeMap<String, String>,
    /// What has to be sent, where anything has.
    pub(crate) token: Option<String>,
    pub(crate) gated: bool,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) asked: Vec<Asked>,
    large_files: String,
}

/// The two servers.
#[derive(Debug)]
pub(crate) struct Server {
    hub: Arc<Mutex<Hub>>,
    pub(crate) endpoint: String,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

type Shared = State<Arc<Mutex<Hub>>>;

impl Server {
    /// Serves these files as `org/name` at the commit [`FIRST`], which is `main`.
    pub(crate) async fn with(files: &[(&str, &[u8])]) -> Self {
        let hub = Arc::new(Mutex::new(Hub::default()));
        let app = Router::new()
            .route("/api/models/org/name/revision/{revision}", get(info))
            .route("/org/name/resolve/{revision}/{*path}", get(resolve))
            .with_state(Arc::clone(&hub));
        let large = Router::new()
            .route("/large/{digest}", get(large_file))
            .with_state(Arc::clone(&hub));
        let (endpoint, serving) = serve(app).await;
        let (large_files, serving_large) = serve(large).await;
        let server = Self {
            hub,
            endpoint,
            tasks: vec![serving, serving_large],
        };
        server.now().large_files = large_files;
        server.commit(FIRST, files);
        server
    }

    /// What it holds and was asked.
    pub(crate) fn now(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap()
    }

    /// Puts a commit on `main`.
    pub(crate) fn commit(&self, commit: &str, files: &[(&str, &[u8])]) {
        let files = files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), Bytes::copy_from_slice(bytes)));
        let mut hub = self.now();
        hub.commits.insert(commit.to_owned(), files.collect());
        hub.branches.insert("main".to_owned(), commit.to_owned());
    }

    pub(crate) fn options(&self, cache: &FilePath) -> HubOptions {
        HubOptions {
            cache: Some(cache.to_owned()),
            endpoint: SecretUrl::parse(&self.endpoint).unwrap(),
            token: Secret::default(),
            offline: false,
            stall: Duration::from_secs(30),
            retry: Duration::from_millis(1),
            attempts: 3,
        }
    }

    /// Ranges that were asked for of large files, in order; empty for the whole.
    pub(crate) fn ranges(&self) -> Vec<String> {
        let hub = self.now();
        let large = hub.asked.iter().filter(|asked| asked.path.starts_with("/large/"));
        large.map(|asked| asked.range.clone().unwrap_or_default()).collect()
    }
}

pub(crate) fn model(text: &str) -> HubRef {
    text.parse().unwrap()
}

/// Bytes that are nowhere alike.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64)
        .map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

async fn serve(app: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, task)
}

fn error(status: u16, code: &str) -> Response<Body> {
    let answer = Response::builder().status(status);
    let answer = if code.is_empty() {
        answer
    } else {
        answer.header("X-Error-Code", code)
    };
    answer.body(Body::empty()).unwrap()
}

fn header_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

impl Hub {
    fn note(&mut self, path: String, headers: &HeaderMap) {
        self.asked.push(Asked {
            path,
            range: header_of(headers, header::RANGE),
            token: header_of(headers, header::AUTHORIZATION),
        });
    }

    fn find(&self, revision: &str, headers: &HeaderMap) -> Result<(&String, &BTreeMap<String, Bytes>), Response<Body>> {
        let sent = header_of(headers, header::AUTHORIZATION);
        if let Some(token) = &self.token
            && sent.as_ref() != Some(&format!("Bearer {token}"))
        {
            // The hub's own answers: without a token as though there were nothing.
            return Err(if sent.is_none() {
                error(401, "RepoNotFound")
            } else {
                error(401, "")
            });
        }
        let commit = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits
            .get_key_value(commit)
            .ok_or_else(|| error(404, "RevisionNotFound"))
    }
}

async fn info(
    State(hub): Shared,
    Path(revision): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let mut hub = hub.lock().unwrap();
    hub.note(format!("info {revision}"), &headers);
    let (commit, files) = match hub.find(&revision, &headers) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let described = query.as_deref() == Some("blobs=true");
    let sibling = |(path, bytes): (&String, &Bytes)| {
        let mut sibling = json!({ "rfilename": path });
        if described {
            let git = sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes);
            sibling["size"] = bytes.len().into();
            sibling["blobId"] = hex::encode(git.finalize()).into();
            if bytes.len() >= LARGE {
                sibling["lfs"] = json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 130});
            }
        }
        sibling
    };
    let siblings: Vec<Value> = files.iter().map(sibling).collect();
    let body = json!({"id": "org/name", "sha": commit, "siblings": siblings});
    Response::new(Body::from(body.to_string()))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

async fn resolve(
    State(hub): Shared,
    Path((revision, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut hub = hub.lock().unwrap();
    hub.note(format!("resolve {path}"), &headers);
    if hub.gated {
        return error(403, "GatedRepo");
    }
    let (commit, files) = match hub.find(&revision, &headers) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let Some(bytes) = files.get(&path) else {
        return error(404, "EntryNotFound");
    };
    let answer = Response::builder().header("X-Repo-Commit", commit);
    if bytes.len() < LARGE {
        return part(answer.header(header::ETAG, "\"small\""), bytes, &headers);
    }
    let digest = sha256(bytes);
    let answer = answer
        .status(StatusCode::FOUND)
        .header("X-Linked-Etag", format!("\"{digest}\""))
        .header("X-Linked-Size", bytes.len())
        .header(header::LOCATION, format!("{}/large/{digest}", hub.large_files));
    answer.body(Body::empty()).unwrap()
}

/// A file, or the end of it that was asked for.
fn part(answer: axum::http::response::Builder, bytes: &Bytes, headers: &HeaderMap) -> Response<Body> {
    let (start, answer) = match header_of(headers, header::RANGE) {
        None => (0, answer),
        Some(range) => {
            let start: usize = range
                .strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap();
            if start >= bytes.len() {
                return error(416, "");
            }
            let told = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            (
                start,
                answer
                    .status(StatusCode::PARTIAL_CONTENT)
                    .header(header::CONTENT_RANGE, told),
            )
        }
    };
    answer.body(Body::from(bytes.slice(start..))).unwrap()
}

async fn large_file(State(hub): Shared, Path(digest): Path<String>, mut headers: HeaderMap) -> Response<Body> {
    let mut hub = hub.lock().unwrap();
    hub.note(format!("/large/{digest}"), &headers);
    let found = hub
        .commits
        .values()
        .flat_map(BTreeMap::values)
        .find(|bytes| sha256(bytes) == digest);
    let mut bytes = found.cloned().unwrap();
    let fault = hub.faults.pop_front();
    match fault {
        Some(Fault::Status(status)) => return error(status, ""),
        Some(Fault::NoRange) => {
            headers.remove(header::RANGE);
        }
        Some(Fault::Flip) => {
            let mut wrong = bytes.to_vec();
            *wrong.last_mut().unwrap() ^= 1;
            bytes = wrong.into();
        }
        Some(Fault::Longer) => bytes = [&bytes[..], b"x"].concat().into(),
        _ => {}
    }
    let answer = part(Response::builder(), &bytes, &headers);
    let (parts, _) = answer.into_parts();
    let start = parts.headers.get(header::CONTENT_RANGE).map_or(0, |range| {
        let range = range.to_str().unwrap();
        range["bytes ".len()..range.find('-').unwrap()].parse().unwrap()
    });
    let rest = bytes.slice(start..);
    // The length is announced in any case, as servers do.
    let mut answer = Response::from_parts(parts, body(&rest, fault));
    answer.headers_mut().insert(header::CONTENT_LENGTH, rest.len().into());
    answer
}

fn body(rest: &Bytes, fault: Option<Fault>) -> Body {
    let first = |count: usize| stream::iter([Ok(rest.slice(..count.min(rest.len())))]);
    match fault {
        Some(Fault::Cut(count)) => {
            // Without a pause the server would end the connection before it has sent what came before.
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            Body::from_stream(futures::StreamExt::chain(first(count), end))
        }
        Some(Fault::Stall(count)) => {
            let end = stream::pending::<Result<Bytes, std::io::Error>>();
            Body::from_stream(futures::StreamExt::chain(first(count), end))
        }
        _ => Body::from(rest.clone()),
    }
}
