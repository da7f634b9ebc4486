//! Reading one object, of one version.

use super::{Root, of_io};
use crate::{ObjectError, ObjectMeta};
use bytes::Bytes;
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// The tag of a file's content.
pub(super) fn etag(meta: &Metadata) -> String {
    let nanos = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    format!("{nanos:x}-{:x}-{:x}", meta.size(), meta.ino())
}

pub(super) fn head(root: &Root, key: &str) -> Result<ObjectMeta, ObjectError> {
    let (_, meta) = open(root, "look at", key)?;
    Ok(ObjectMeta {
        key: key.to_owned(),
        etag: etag(&meta),
        size: meta.size(),
    })
}

pub(super) fn whole(root: &Root, key: &str, expected: Option<&str>) -> Result<Bytes, ObjectError> {
    read(root, key, expected, |meta| 0..meta.size())
}

pub(super) fn range(root: &Root, key: &str, range: Range<u64>, expected: Option<&str>) -> Result<Bytes, ObjectError> {
    read(root, key, expected, |meta| {
        let end = range.end.min(meta.size());
        range.start.min(end)..end
    })
}

fn read(
    root: &Root,
    key: &str,
    expected: Option<&str>,
    part: impl FnOnce(&Metadata) -> Range<u64>,
) -> Result<Bytes, ObjectError> {
    let (mut file, before) = open(root, "read", key)?;
    let tag = etag(&before);
    if let Some(expected) = expected.filter(|expected| **expected != tag) {
        return Err(ObjectError::changed(key, expected));
    }
    let part = part(&before);
    let failed = |error: io::Error| of_io("read", key, &error);
    let length = part.end - part.start;
    let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.seek(SeekFrom::Start(part.start)).map_err(failed)?;
    Read::by_ref(&mut file)
        .take(length)
        .read_to_end(&mut body)
        .map_err(failed)?;
    // A file written in place, not by us, may have changed below the reader.
    let after = etag(&file.metadata().map_err(failed)?);
    if after != tag || body.len() as u64 != length {
        return Err(match expected {
            Some(expected) => ObjectError::changed(key, expected),
            None => ObjectError::unavailable("read", key, "it was written to while it was read"),
        });
    }
    Ok(Bytes::from(body))
}

fn open(root: &Root, action: &'static str, key: &str) -> Result<(File, Metadata), ObjectError> {
    let path = root.existing_path(action, key)?;
    let failed = |error: io::Error| match error.kind() {
        // `a/b` where `a` is a file: there is no such object, as in any store.
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => ObjectError::not_found(key),
        _ => of_io(action, key, &error),
    };
    let real = root.inside(action, key, &path).map_err(failed)??;
    let meta = real.metadata().map_err(failed)?;
    if meta.is_dir() && path.is_symlink() {
        return Err(ObjectError::invalid(
            action,
            key,
            "it is a symbolic link to a directory, which is not followed",
        ));
    }
    if !meta.is_file() {
        return Err(ObjectError::not_found(key));
    }
    // Opening must not wait where a pipe has taken the file's place meanwhile.
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(no_wait)
        .open(&real)
        .map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(ObjectError::not_found(key));
    }
    Ok((file, meta))
}
