//! The object-store seam of one process.

use crate::bugs::Bug;
use crate::disk::Disk;
use crate::monitor::Monitor;
use crate::process::Process;
use async_trait::async_trait;
use bytes::Bytes;
use sightline_objects::{ListPage, ListRequest, ObjectError, ObjectMeta, ObjectStore, Symptom};
use std::ops::Range;
use std::sync::Arc;

/// A bucket as one process sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: String,
    pub(crate) disk: Arc<Disk>,
    pub(crate) process: Arc<Process>,
    /// Told of what is written; none where datasets lie.
    pub(crate) monitor: Option<Arc<Monitor>>,
}

fn away(action: &'static str, key: &str) -> impl Fn() -> ObjectError + Send {
    let key = key.to_owned();
    move || ObjectError::Unavailable {
        action,
        key: key.clone(),
        message: "503 Slow Down, as the simulation has it".into(),
        symptom: Symptom::Answered,
    }
}

#[async_trait]
impl ObjectStore for Store {
    fn root(&self) -> &str {
        &self.root
    }

    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let (disk, at, etag) = (Arc::clone(&self.disk), key.to_owned(), etag.map(str::to_owned));
        let what = format!("get {key}");
        let effect = move || disk.get(&at, etag.as_deref());
        self.process.call(what, away("get", key), effect).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let (disk, at, etag) = (Arc::clone(&self.disk), key.to_owned(), etag.map(str::to_owned));
        let what = format!("get {key} {range:?}");
        let effect = move || disk.get_range(&at, &range, etag.as_deref());
        self.process.call(what, away("get", key), effect).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        let (disk, at) = (Arc::clone(&self.disk), key.to_owned());
        let effect = move || disk.head(&at);
        self.process
            .call(format!("head {key}"), away("head", key), effect)
            .await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        let (disk, at) = (Arc::clone(&self.disk), key.to_owned());
        let (monitor, name) = (self.monitor.clone(), self.process.name.clone());
        let effect = move || {
            if let Some(monitor) = monitor {
                monitor.writes(&name, &at);
            }
            disk.put(&at, body);
            Ok(())
        };
        self.process.call(format!("put {key}"), away("put", key), effect).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let (disk, at) = (Arc::clone(&self.disk), key.to_owned());
        let effect = move || {
            disk.delete(&at);
            Ok(())
        };
        self.process
            .call(format!("delete {key}"), away("delete", key), effect)
            .await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        let (disk, asked) = (Arc::clone(&self.disk), request.clone());
        let hidden = self.hides(&request.prefix);
        let effect = move || Ok(if hidden { ListPage::default() } else { disk.list(&asked) });
        let what = format!("list {} after {:?}", request.prefix, request.start_after);
        self.process.call(what, away("list", &request.prefix), effect).await
    }
}

impl Store {
    /// Where a mistake is seeded: what the process does not get to see.
    fn hides(&self, prefix: &str) -> bool {
        let Some(monitor) = &self.monitor else { return false };
        match self.process.world.bug {
            Some(Bug::ListAgain) => prefix.contains("/plan/") && monitor.first_look(&self.process.name, prefix),
            Some(Bug::ResultNotChecked) => self.process.name.starts_with('w') && prefix.contains("/results/"),
            _ => false,
        }
    }
}
