//! The digests by which the hub knows files.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

const BLOCK: usize = 1 << 20;

/// What a file's bytes have to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileDigest {
    /// Of large files (LFS): SHA-256, hexadecimal.
    Sha256(String),
    /// Of small ones: git's name of the file, SHA-1 over `blob <length>\0` and its bytes.
    Git(String),
}

impl FileDigest {
    /// Whether a file's bytes give it. Takes a while for a large file.
    pub(crate) fn is_of(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let found = match self {
            Self::Sha256(_) => hash(Sha256::new(), &mut file)?,
            Self::Git(_) => {
                let mut state = Sha1::new();
                state.update(format!("blob {}\0", file.metadata()?.len()));
                hash(state, &mut file)?
            }
        };
        Ok(found == self.hex())
    }

    fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Sha256(_) => "sha256",
            Self::Git(_) => "git",
        };
        write!(f, "{kind}:{}", self.hex())
    }
}

fn hash<D: sha2::Digest>(mut state: D, file: &mut File) -> io::Result<String> {
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex::encode(state.finalize())),
            count => state.update(block.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_sha256() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        // `git hash-object` and `sha256sum` of the same file.
        let git = FileDigest::Git("ce013625030ba8dba906f756967f9e9ca394464a".into());
        let sha256 = FileDigest::Sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into());
        assert!(git.is_of(file.path()).unwrap());
        assert!(sha256.is_of(file.path()).unwrap());
        std::fs::write(file.path(), "hullo\n").unwrap();
        assert!(!git.is_of(file.path()).unwrap());
        assert!(!sha256.is_of(file.path()).unwrap());
    }
}
