//! Objects in memory, with S3's strong semantics, and every version that there ever was.

use bytes::Bytes;
use sightline_core::digest::sha256_hex;
use sightline_objects::{ListPage, ListRequest, ObjectError, ObjectMeta};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
}

#[derive(Debug, Default)]
struct Objects {
    now: BTreeMap<String, Object>,
    versions: BTreeMap<String, Bytes>,
}

/// A bucket.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<Objects>);

fn not_found(key: &str) -> ObjectError {
    ObjectError::NotFound { key: key.into() }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, key: &str, bytes: Bytes) {
        let etag = sha256_hex(&bytes)[..32].to_owned();
        let mut objects = self.lock();
        objects.versions.insert(etag.clone(), bytes.clone());
        objects.now.insert(key.into(), Object { bytes, etag });
    }

    pub(crate) fn delete(&self, key: &str) {
        self.lock().now.remove(key);
    }

    pub(crate) fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let objects = self.lock();
        let object = objects.now.get(key).ok_or_else(|| not_found(key))?;
        match etag {
            Some(expected) if expected != object.etag => Err(ObjectError::Changed {
                key: key.into(),
                expected: expected.into(),
            }),
            _ => Ok(object.bytes.clone()),
        }
    }

    pub(crate) fn get_range(&self, key: &str, range: &Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let bytes = self.get(key, etag)?;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (place(range.start), place(range.end));
        Ok(bytes.slice(from..to.max(from)))
    }

    pub(crate) fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        let objects = self.lock();
        let object = objects.now.get(key).ok_or_else(|| not_found(key))?;
        Ok(meta(key, object))
    }

    /// The bytes that had this tag.
    pub(crate) fn version(&self, etag: &str) -> Option<Bytes> {
        self.lock().versions.get(etag).cloned()
    }

    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let objects = self.lock();
        let from = objects.now.range(prefix.to_owned()..);
        from.map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }

    pub(crate) fn list(&self, request: &ListRequest) -> ListPage {
        let objects = self.lock();
        let mut page = ListPage::default();
        let mut last = String::new();
        let after = request.start_after.as_deref().unwrap_or_default();
        for (key, object) in objects.now.range(request.prefix.clone()..) {
            if !key.starts_with(&request.prefix) {
                break;
            }
            if key.as_str() <= after
                || page
                    .common_prefixes
                    .last()
                    .is_some_and(|prefix| key.starts_with(prefix))
            {
                continue;
            }
            if page.objects.len() + page.common_prefixes.len() == request.limit {
                page.next = Some(last);
                break;
            }
            let rest = &key[request.prefix.len()..];
            match rest.split_once('/').filter(|_| request.fold) {
                Some((folder, _)) => {
                    let prefix = format!("{}{folder}/", request.prefix);
                    last = format!("{prefix}\u{10FFFF}");
                    page.common_prefixes.push(prefix);
                }
                None => {
                    last.clone_from(key);
                    page.objects.push(meta(key, object));
                }
            }
        }
        page
    }
}

fn meta(key: &str, object: &Object) -> ObjectMeta {
    ObjectMeta {
        key: key.into(),
        etag: object.etag.clone(),
        size: object.bytes.len() as u64,
    }
}
