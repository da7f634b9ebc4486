//! Keys and the paths that they name. No key names anything outside the root.

use super::{Root, TEMPORARY};
use crate::ObjectError;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longest file name in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Stands before the two digits of a byte that is not UTF-8.
const ESCAPE: char = '\u{FFFD}';

/// What keeps a directory from holding a key.
pub(super) fn refusal(key: &str) -> Option<&'static str> {
    let parts = || key.split('/');
    if key.contains('\0') {
        return Some("a file's name cannot hold a NUL character");
    }
    if parts().any(|part| part.is_empty() || part == "." || part == "..") {
        return Some("a directory holds no key that is empty, starts or ends with '/', or has a part '', '.' or '..'");
    }
    if parts().any(|part| part.len() > MAX_NAME_BYTES) {
        return Some("a file's name has at most 255 bytes");
    }
    if parts().next() == Some(TEMPORARY) {
        return Some("keys below .sightline-tmp/ are the store's own");
    }
    None
}

impl Root {
    /// The path that a key names when it is written.
    pub(super) fn path(&self, action: &'static str, key: &str) -> Result<PathBuf, ObjectError> {
        match refusal(key) {
            Some(reason) => Err(ObjectError::invalid(action, key, reason)),
            None => Ok(self.dir.join(key)),
        }
    }

    /// The path that a key names when it is read: also that of a file whose name is not UTF-8.
    pub(super) fn existing_path(&self, action: &'static str, key: &str) -> Result<PathBuf, ObjectError> {
        let plain = self.path(action, key)?;
        Ok(if key.contains(ESCAPE) && is_missing(&plain) {
            self.dir.join(os_name(key))
        } else {
            plain
        })
    }

    /// A path without symbolic links, if it lies below the root.
    pub(super) fn inside(
        &self,
        action: &'static str,
        key: &str,
        path: &Path,
    ) -> io::Result<Result<PathBuf, ObjectError>> {
        let real = path.canonicalize()?;
        Ok(if real.starts_with(&self.dir) {
            Ok(real)
        } else {
            Err(ObjectError::denied(
                action,
                key,
                "it leads out of the store's root through a symbolic link; copy the file below the root",
            ))
        })
    }
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

/// A file's name as part of a key.
pub(super) fn key_part(name: &OsStr) -> String {
    let mut part = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        part.push_str(chunk.valid());
        for byte in chunk.invalid() {
            part.push_str(&format!("{ESCAPE}{byte:02X}"));
        }
    }
    part
}

/// The file name (or path) that [`key_part`] was made from.
pub(super) fn os_name(part: &str) -> OsString {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        bytes.extend_from_slice(before.as_bytes());
        let escaped = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| *byte >= 0x80);
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.extend_from_slice(ESCAPE.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_utf8_comes_back_from_its_key() {
        for name in [
            &b"caf\xE9.png"[..],
            b"\xFF\xFEab",
            b"plain",
            "사진\u{FFFD}zz".as_bytes(),
        ] {
            assert_eq!(os_name(&key_part(OsStr::from_bytes(name))).as_bytes(), name);
        }
        assert_eq!(key_part(OsStr::from_bytes(b"caf\xE9.png")), "caf\u{FFFD}E9.png");
    }

    #[test]
    fn a_key_that_could_leave_the_root_is_refused() {
        for key in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\0b",
            "..",
            ".sightline-tmp/x",
        ] {
            assert!(refusal(key).is_some(), "{key:?}");
        }
        for key in ["a\nb", "..a", "a..", "a b%2e%2e", "사진.png", ".hidden"] {
            assert!(refusal(key).is_none(), "{key:?}");
        }
    }
}
