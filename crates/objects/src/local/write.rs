//! Writing an object: whole or not at all, and durable when it is said to be.

use super::{Root, TEMPORARY, of_io};
use crate::ObjectError;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

pub(super) fn put(root: &Root, key: &str, body: &[u8]) -> Result<(), ObjectError> {
    let target = root.path("write", key)?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
            ObjectError::invalid(
                "write",
                key,
                "a directory cannot hold a key beside keys below it ('a' and 'a/b')",
            )
        }
        // The root itself is gone: a disk that is not mounted, say.
        io::ErrorKind::NotFound => ObjectError::unavailable("write", key, error.to_string()),
        _ => of_io("write", key, &error),
    };
    let temporary = root.dir.join(TEMPORARY);
    make_dir(&temporary).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix("put-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(&temporary)
        .map_err(failed)?;
    file.write_all(body).map_err(failed)?;
    // The file system's own time stamps are coarse: two writes within one of its ticks could share inode, size and
    // time, and so the tag.
    file.as_file().set_modified(SystemTime::now()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let parent = target.parent().unwrap_or(&root.dir);
    make_parents(root, key, parent).map_err(failed)??;
    file.persist(&target).map_err(|error| failed(error.error))?;
    sync_dir(parent).map_err(failed)
}

pub(super) fn delete(root: &Root, key: &str) -> Result<(), ObjectError> {
    let path = root.existing_path("delete", key)?;
    let gone = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
        )
    };
    let parent = path.parent().unwrap_or(&root.dir);
    match root.inside("delete", key, parent) {
        Ok(inside) => inside?,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(of_io("delete", key, &error)),
    };
    if path.is_dir() && !path.is_symlink() {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Err(error) if !gone(&error) => Err(of_io("delete", key, &error)),
        _ => Ok(()),
    }
}

/// Makes the directories above an object, none of them outside the root.
fn make_parents(root: &Root, key: &str, parent: &Path) -> io::Result<Result<(), ObjectError>> {
    match root.inside("write", key, parent) {
        Ok(inside) => return Ok(inside.map(|_| ())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let below = parent.strip_prefix(&root.dir).unwrap_or(Path::new(""));
    let mut path = root.dir.clone();
    for part in below {
        path.push(part);
        make_dir(&path)?;
        if let Err(outside) = root.inside("write", key, &path)? {
            return Ok(Err(outside));
        }
    }
    Ok(Ok(()))
}

fn make_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync_dir(path.parent().unwrap_or(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
