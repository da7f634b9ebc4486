//! From a URL to the store behind it.

use crate::s3::S3Client;
use crate::{LocalStore, ObjectError, ObjectStore, S3Options, S3Store};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

/// Stores that are kept open; a store is cheap to open again, since all of S3 share one client.
const MAX_KEPT: usize = 256;

/// Whether `file:` URLs may be opened. A caller from elsewhere must not read a server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileAccess {
    /// `file:` URLs are refused.
    #[default]
    Refused,
    /// Any directory of this machine may be a root.
    Allowed,
}

/// How stores are opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// Whether `file:` URLs may be opened.
    pub files: FileAccess,
    /// How S3 is reached.
    pub s3: S3Options,
}

/// Opens the store at a URL: `file:///folder` or `s3://bucket/prefix`. Whoever opens several uses [`Stores`].
///
/// # Errors
/// When the URL names no store, may not be opened, or its directory is not there.
pub async fn open(url: &str, options: &OpenOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    Stores::new(options.clone()).open(url).await
}

/// Opens stores by URL and keeps them, with one client and one pool of connections for all of S3.
#[derive(Debug)]
pub struct Stores {
    options: OpenOptions,
    s3: OnceCell<S3Client>,
    given: BTreeMap<String, Arc<dyn ObjectStore>>,
    kept: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// A resolver that has opened nothing.
    #[must_use]
    pub fn new(options: OpenOptions) -> Self {
        Self {
            options,
            s3: OnceCell::new(),
            given: BTreeMap::new(),
            kept: Mutex::new(HashMap::new()),
        }
    }

    /// Answers that URL with a store that is open already, whatever it is.
    #[must_use]
    pub fn with(mut self, url: impl Into<String>, store: Arc<dyn ObjectStore>) -> Self {
        self.given.insert(url.into(), store);
        self
    }

    /// The store at a URL. A directory must be there: a mistyped dataset is no empty one.
    ///
    /// # Errors
    /// When the URL names no store, may not be opened, or its directory is not there.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        self.resolve(url, false).await
    }

    /// The store at a URL; a directory is made where it is not there. For state of our own.
    ///
    /// # Errors
    /// When the URL names no store, may not be opened, or its directory cannot be made.
    pub async fn open_or_create(&self, url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        self.resolve(url, true).await
    }

    async fn resolve(&self, url: &str, create: bool) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        if let Some(store) = self.given.get(url) {
            return Ok(Arc::clone(store));
        }
        let mut kept = self.kept.lock().await;
        if let Some(store) = kept.get(url) {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn ObjectStore> = match url.split_once(':') {
            Some(("s3", _)) => {
                let client = self.s3.get_or_init(|| S3Client::new(&self.options.s3)).await;
                Arc::new(S3Store::at(client, url)?)
            }
            Some(("file", rest)) if rest.starts_with("///") => Arc::new(self.open_directory(url, create).await?),
            _ => {
                return Err(invalid(
                    url,
                    "use s3://bucket/prefix, or file:///folder for a directory",
                ));
            }
        };
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(url.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    async fn open_directory(&self, url: &str, create: bool) -> Result<LocalStore, ObjectError> {
        if self.options.files == FileAccess::Refused {
            let message = "this service does not open its own disk for callers; use s3://bucket/prefix";
            return Err(ObjectError::denied("open", url, message));
        }
        let parsed = Url::parse(url).map_err(|error| invalid(url, &error.to_string()))?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(invalid(url, "write '?' as %3F and '#' as %23 in a file URL"));
        }
        let dir = parsed
            .to_file_path()
            .map_err(|()| invalid(url, "a directory is written with three slashes: file:///folder"))?;
        if create {
            LocalStore::create(dir).await
        } else {
            LocalStore::open(dir).await
        }
    }
}

fn invalid(url: &str, message: &str) -> ObjectError {
    // A URL may carry a password where it does not belong.
    let shown = match url.split_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => url.to_owned(),
    };
    ObjectError::invalid("open", &shown, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_files() -> Stores {
        Stores::new(OpenOptions {
            files: FileAccess::Allowed,
            ..OpenOptions::default()
        })
    }

    #[tokio::test]
    async fn a_directory_is_refused_unless_files_are_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(dir.path()).unwrap();
        let refused = open(url.as_str(), &OpenOptions::default()).await.unwrap_err();
        assert!(matches!(refused, ObjectError::AccessDenied { .. }), "{refused}");
        let store = with_files().open(url.as_str()).await.unwrap();
        assert_eq!(store.root(), url.as_str());
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error_unless_it_is_to_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(dir.path().join("사진 1")).unwrap();
        let stores = with_files();
        let missing = stores.open(url.as_str()).await.unwrap_err();
        assert!(matches!(missing, ObjectError::NotFound { .. }), "{missing}");
        stores.open_or_create(url.as_str()).await.unwrap();
        assert!(dir.path().join("사진 1").is_dir());
        stores.open(url.as_str()).await.unwrap();
    }

    #[tokio::test]
    async fn one_url_is_opened_once() {
        let stores = Stores::new(OpenOptions::default());
        let first = stores.open("s3://bucket/a/b/").await.unwrap();
        let again = stores.open("s3://bucket/a/b/").await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(first.root(), "s3://bucket/a/b");
    }

    #[tokio::test]
    async fn a_store_that_was_given_is_what_its_url_opens() {
        let dir = tempfile::tempdir().unwrap();
        let given: Arc<dyn ObjectStore> = Arc::new(LocalStore::open(dir.path()).await.unwrap());
        let stores = Stores::new(OpenOptions::default()).with("s3://bucket/a", Arc::clone(&given));
        assert!(Arc::ptr_eq(&stores.open("s3://bucket/a").await.unwrap(), &given));
        assert_eq!(stores.open("s3://bucket/b").await.unwrap().root(), "s3://bucket/b");
    }

    #[tokio::test]
    async fn a_url_that_names_no_store_says_what_to_write() {
        for url in [
            "",
            "bucket/prefix",
            "http://host/x",
            "file:relative",
            "file://host/x",
            "s3://",
            "s3:///prefix",
        ] {
            let error = with_files().open(url).await.unwrap_err();
            assert!(matches!(error, ObjectError::Invalid { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_password_in_a_url_is_refused_and_not_repeated() {
        for url in ["s3://AKIA:hunter2@bucket/x", "gs://AKIA:hunter2@bucket"] {
            let error = with_files().open(url).await.unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
