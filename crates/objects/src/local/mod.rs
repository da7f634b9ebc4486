//! A directory as an object store: a key is a path below it.
//!
//! An object's tag is made of the file's modification time in nanoseconds, its size and its inode: cheap enough for
//! a listing, and another after every `put`. It is not a digest of the content, so a copy of a directory has other
//! tags than its original.
//!
//! Names that are not UTF-8 are listed with each offending byte as U+FFFD and two hexadecimal digits, and are read
//! under that key. A symbolic link to a file below the root is read through. One that leads out of the root, to a
//! directory or nowhere is listed as an object, so that it is seen, and reading it is refused.
//!
//! A page of a listing costs one reading of each directory that it touches: memory is bounded by the page, time by
//! pages × entries of a directory.

mod names;
mod read;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use crate::listing::after_prefix;
use crate::{ListPage, ListRequest, ObjectError, ObjectMeta, ObjectStore, Symptom};
use async_trait::async_trait;
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Where objects are written before they are renamed into place, below the root. No key may start with it.
const TEMPORARY: &str = ".sightline-tmp";

/// A store of objects in a directory.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    /// Canonical: absolute and without symbolic links.
    dir: PathBuf,
    url: String,
}

impl LocalStore {
    /// Opens a directory that is there.
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be reached.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, ObjectError> {
        let dir = dir.into();
        blocking("open", dir.display().to_string(), move || Root::open(&dir))
            .await
            .map(|root| Self { root: Arc::new(root) })
    }

    /// Opens a directory, making it first where it is not there.
    ///
    /// # Errors
    /// When it cannot be made or reached.
    pub async fn create(dir: impl Into<PathBuf>) -> Result<Self, ObjectError> {
        let dir = dir.into();
        blocking("create", dir.display().to_string(), move || {
            std::fs::create_dir_all(&dir).map_err(|error| of_io("create", &dir.display().to_string(), &error))?;
            Root::open(&dir)
        })
        .await
        .map(|root| Self { root: Arc::new(root) })
    }

    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        work: impl FnOnce(&Root, &str) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let root = Arc::clone(&self.root);
        let owned = key.to_owned();
        blocking(action, key.to_owned(), move || work(&root, &owned)).await
    }
}

impl Root {
    fn open(dir: &Path) -> Result<Self, ObjectError> {
        let shown = dir.display().to_string();
        let dir = dir.canonicalize().map_err(|error| of_io("open", &shown, &error))?;
        if !dir.is_dir() {
            return Err(ObjectError::invalid("open", &shown, "it is not a directory"));
        }
        let url = Url::from_file_path(&dir)
            .map_err(|()| ObjectError::invalid("open", &shown, "its path cannot be written as a URL"))?;
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { dir, url })
    }
}

/// Runs file operations on the runtime's threads for blocking work.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    key: String,
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ObjectError::unavailable(action, &key, error.to_string())))
}

/// What an error of the file system means for whoever asked.
fn of_io(action: &'static str, key: &str, error: &io::Error) -> ObjectError {
    match error.kind() {
        io::ErrorKind::NotFound => ObjectError::not_found(key),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ObjectError::denied(action, key, error.to_string())
        }
        io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::CrossesDevices => ObjectError::invalid(action, key, error.to_string()),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            ObjectError::invalid(action, key, "its symbolic links lead in a circle")
        }
        // Of a file on a damaged place of a disk it is said for ever, while the others are read.
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            ObjectError::of_symptom(Symptom::Answered, action, key, error.to_string())
        }
        _ => ObjectError::unavailable(action, key, error.to_string()),
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    fn root(&self) -> &str {
        &self.root.url
    }

    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let etag = etag.map(str::to_owned);
        self.run("read", key, move |root, key| read::whole(root, key, etag.as_deref()))
            .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let etag = etag.map(str::to_owned);
        self.run("read", key, move |root, key| {
            read::range(root, key, range, etag.as_deref())
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        self.run("look at", key, read::head).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        self.run("write", key, move |root, key| write::put(root, key, &body))
            .await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        self.run("delete", key, write::delete).await
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        request.check()?;
        let request = request.clone();
        let prefix = request.prefix.clone();
        self.run("list", &prefix, move |root, _| {
            let mut found = walk::Walk::new(root, &request).first(request.limit + 1)?;
            let more = found.len() > request.limit;
            found.truncate(request.limit);
            let mut page = ListPage::default();
            for entry in found {
                page.next = Some(match &entry {
                    walk::Found::Object(meta) => meta.key.clone(),
                    walk::Found::Prefix(prefix) => after_prefix(prefix),
                });
                match entry {
                    walk::Found::Object(meta) => page.objects.push(meta),
                    walk::Found::Prefix(prefix) => page.common_prefixes.push(prefix),
                }
            }
            page.next = page.next.filter(|_| more);
            Ok(page)
        })
        .await
    }
}
