//! A state root that counts what is read of it, and takes its time.

use crate::fixture::Fixture;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_core::{RunId, layout};
use sightline_objects::{ListPage, ListRequest, LocalStore, ObjectError, ObjectMeta, ObjectStore};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The state root of a fixture.
#[derive(Debug)]
pub(crate) struct StateRoot {
    inner: LocalStore,
    /// Results that were read.
    pub(crate) results: AtomicUsize,
    /// How long it takes to read an object.
    takes: Duration,
    cancels: Option<Cancels>,
}

/// Runs are cancelled when an object is written whose key has this in it: what is written for it then.
struct Cancels {
    when: &'static str,
    stop: Box<dyn Fn(RunId) -> Vec<u8> + Send + Sync>,
}

impl std::fmt::Debug for Cancels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancels")
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for StateRoot {
    fn root(&self) -> &str {
        self.inner.root()
    }
    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        self.results
            .fetch_add(usize::from(key.contains("/results/")), Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.inner.get(key, etag).await
    }
    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        self.inner.get_range(key, range, etag).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        self.inner.head(key).await
    }
    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        if let Some(Cancels { stop, .. }) = self.cancels.as_ref().filter(|cancels| key.contains(cancels.when)) {
            let run = RunId::new(key.split('/').nth(1).unwrap()).unwrap();
            let stop_key = layout::stop_document(&run);
            self.inner.put(&stop_key, stop(run).into()).await?;
        }
        self.inner.put(key, body).await
    }
    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        self.inner.delete(key).await
    }
    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        self.inner.list(request).await
    }
}

/// Another coordinator, which has seen nothing yet, and what it reads.
pub(crate) async fn reading(fixture: &Fixture) -> (Fixture, Arc<StateRoot>) {
    reading_slowly(fixture, Duration::ZERO).await
}

/// The same, where each object takes so long.
pub(crate) async fn reading_slowly(fixture: &Fixture, takes: Duration) -> (Fixture, Arc<StateRoot>) {
    over(fixture, takes, None).await
}

/// Another coordinator, whose runs are cancelled at such a write.
pub(crate) async fn cancelling(
    fixture: &Fixture,
    when: &'static str,
    stop: impl Fn(RunId) -> Vec<u8> + Send + Sync + 'static,
) -> Fixture {
    let stop = Box::new(stop);
    over(fixture, Duration::ZERO, Some(Cancels { when, stop })).await.0
}

async fn over(fixture: &Fixture, takes: Duration, cancels: Option<Cancels>) -> (Fixture, Arc<StateRoot>) {
    let store = Arc::new(StateRoot {
        inner: LocalStore::open(fixture.folder.path().join("state")).await.unwrap(),
        results: AtomicUsize::new(0),
        takes,
        cancels,
    });
    let root = Arc::clone(&store) as Arc<dyn ObjectStore>;
    (Fixture::reading(fixture, root).await, store)
}
