//! Walking a directory in the order of keys.
//!
//! A directory's entries are ordered with `/` after the names of directories, since that is how the keys below them
//! go on: `a-b`, `a.b`, `a/b`, `a0`. Each directory is read in chunks of its smallest names after a point, so that
//! memory is bounded by what is asked for and not by what the directory holds.

use super::names::{key_part, os_name, refusal};
use super::{Root, TEMPORARY, of_io, read};
use crate::{ListRequest, ObjectError, ObjectMeta};
use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names are taken from a directory at least so many at once, so that many empty directories do not cost a reading each.
const MIN_CHUNK: usize = 64;

/// One thing that a listing gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An object.
    Object(ObjectMeta),
    /// A common prefix.
    Prefix(String),
}

/// A listing of part of a store.
pub(super) struct Walk<'a> {
    root: &'a Root,
    prefix: &'a str,
    start_after: Option<&'a str>,
    fold: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Directory,
}

struct Entry {
    path: PathBuf,
    kind: Kind,
}

/// A directory that is being walked.
struct Frame {
    dir: PathBuf,
    /// What the keys below it start with.
    at: String,
    chunk: IntoIter<String, Entry>,
    last: Option<String>,
    /// Whether the directory may hold more than the chunk.
    more: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Root, request: &'a ListRequest) -> Self {
        Self {
            root,
            prefix: &request.prefix,
            start_after: request.start_after.as_deref(),
            fold: request.fold,
        }
    }

    /// The first `count` things of the listing, in order.
    pub(super) fn first(&self, count: usize) -> Result<Vec<Found>, ObjectError> {
        let mut found = Vec::new();
        let Some((dir, at)) = self.start()? else {
            return Ok(found);
        };
        let mut stack = vec![self.frame(dir, at, None, count)?];
        while let Some(frame) = stack.last_mut() {
            let wanted = count - found.len();
            let Some((name, entry)) = frame.chunk.next() else {
                if let Some(done) = stack.pop().filter(|frame| frame.more) {
                    stack.push(self.frame(done.dir, done.at, done.last, wanted)?);
                }
                continue;
            };
            let key = format!("{}{name}", frame.at);
            frame.last = Some(name);
            if entry.kind != Kind::Directory {
                found.extend(self.object(key, &entry)?.map(Found::Object));
            } else if !(self.fold && key.starts_with(self.prefix)) {
                stack.push(self.frame(entry.path, key, None, wanted)?);
            } else if self.holds_any(&key)? {
                found.push(Found::Prefix(key));
            }
            if found.len() == count {
                break;
            }
        }
        Ok(found)
    }

    /// Where keys with the prefix can lie: the deepest directory that the prefix names in full.
    fn start(&self) -> Result<Option<(PathBuf, String)>, ObjectError> {
        let mut dir = self.root.dir.clone();
        // A root that is away is no empty store.
        dir.metadata()
            .map_err(|error| ObjectError::unavailable("list", &self.root.url, error.to_string()))?;
        let Some((above, _)) = self.prefix.rsplit_once('/') else {
            return Ok(Some((dir, String::new())));
        };
        if refusal(above).is_some() {
            return Ok(None);
        }
        for part in above.split('/') {
            let plain = dir.join(part);
            let path = if plain.symlink_metadata().is_ok() {
                plain
            } else {
                dir.join(os_name(part))
            };
            if !path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                return Ok(None);
            }
            dir = path;
        }
        Ok(Some((dir, format!("{above}/"))))
    }

    fn holds_any(&self, prefix: &str) -> Result<bool, ObjectError> {
        let below = Walk {
            root: self.root,
            prefix,
            start_after: self.start_after,
            fold: false,
        };
        Ok(!below.first(1)?.is_empty())
    }

    fn frame(&self, dir: PathBuf, at: String, last: Option<String>, wanted: usize) -> Result<Frame, ObjectError> {
        let wanted = wanted.max(MIN_CHUNK);
        let chunk = self.smallest(&dir, &at, last.as_deref(), wanted)?;
        Ok(Frame {
            more: chunk.len() == wanted,
            chunk: chunk.into_iter(),
            dir,
            at,
            last,
        })
    }

    /// The `wanted` smallest entries of a directory after `last` that are, or may hold, what is asked for.
    fn smallest(
        &self,
        dir: &Path,
        at: &str,
        last: Option<&str>,
        wanted: usize,
    ) -> Result<BTreeMap<String, Entry>, ObjectError> {
        let failed = |error: io::Error| of_io("list", at, &error);
        let mut smallest: BTreeMap<String, Entry> = BTreeMap::new();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            // Removed since its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(smallest),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Some(kind) = kind_of(&entry).map_err(failed)? else {
                continue;
            };
            let os_name = entry.file_name();
            let mut name = key_part(&os_name);
            if at.is_empty() && name == TEMPORARY {
                continue;
            }
            let plain = os_name.to_str().is_some();
            if kind == Kind::Directory {
                name.push('/');
            }
            let behind = last.is_some_and(|last| name.as_str() <= last);
            let beyond =
                smallest.len() == wanted && smallest.last_key_value().is_some_and(|(largest, _)| name > *largest);
            if behind || beyond || !self.wants(&format!("{at}{name}"), kind) {
                continue;
            }
            // An escaped name that reads like another file's plain one gives way to it.
            if plain || !smallest.contains_key(&name) {
                let path = entry.path();
                smallest.insert(name, Entry { path, kind });
            }
            if smallest.len() > wanted {
                smallest.pop_last();
            }
        }
        Ok(smallest)
    }

    fn wants(&self, key: &str, kind: Kind) -> bool {
        let prefix = key.starts_with(self.prefix) || (kind == Kind::Directory && self.prefix.starts_with(key));
        let after = self
            .start_after
            .is_none_or(|start| key > start || (kind == Kind::Directory && start.starts_with(key)));
        prefix && after
    }

    fn object(&self, key: String, entry: &Entry) -> Result<Option<ObjectMeta>, ObjectError> {
        let meta = match self.metadata(&key, entry) {
            Ok(meta) => meta,
            // Removed since its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(of_io("list", &key, &error)),
        };
        Ok(Some(ObjectMeta {
            etag: read::etag(&meta),
            size: meta.size(),
            key,
        }))
    }

    /// Of the file, also where a link to a file below the root stands for it; else of the link itself.
    fn metadata(&self, key: &str, entry: &Entry) -> io::Result<Metadata> {
        if entry.kind == Kind::Link
            && let Ok(Ok(real)) = self.root.inside("list", key, &entry.path)
            && let Ok(meta) = real.metadata()
            && meta.is_file()
        {
            return Ok(meta);
        }
        entry.path.symlink_metadata()
    }
}

/// What an entry is; none for what is neither file, directory nor link, or was removed since its name was read.
fn kind_of(entry: &DirEntry) -> io::Result<Option<Kind>> {
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => Ok(Some(Kind::Directory)),
        Ok(kind) if kind.is_symlink() => Ok(Some(Kind::Link)),
        Ok(kind) if kind.is_file() => Ok(Some(Kind::File)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
