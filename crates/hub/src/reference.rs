//! How a model on the hub is written: `hf:org/name[@revision]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a model on the hub begins with.
const SCHEME: &str = "hf:";
/// The hub's own limit of each part of a name.
const MAX_NAME: usize = 96;
const MAX_REVISION: usize = 200;

/// A model on the hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubRef {
    organisation: String,
    name: String,
    revision: Option<String>,
}

/// What is wrong with a model's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} names no model of the hub: {reason}; write hf:org/name or hf:org/name@revision")]
pub struct ReferenceError {
    given: String,
    reason: &'static str,
}

/// Where a model is: what `--model` and `model.folder` take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// The hub.
    Hub(HubRef),
}

impl ModelPlace {
    /// Reads what a person gave: `hf:…` is of the hub, all else is a folder.
    ///
    /// # Errors
    /// Where it begins with `hf:` and goes on as no model's name does.
    pub fn of(given: &Path) -> Result<Self, ReferenceError> {
        match given.to_str() {
            Some(text) if text.starts_with(SCHEME) => text.parse().map(Self::Hub),
            _ => Ok(Self::Folder(given.to_owned())),
        }
    }
}

impl HubRef {
    /// `org/name`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.organisation, self.name)
    }

    /// Whose it is.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was asked for: a branch, a tag or a commit; `main` where nothing was.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The commit, where the name itself says it.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.revision.as_deref().filter(|revision| is_commit(revision))
    }

    /// The same model at a commit.
    #[must_use]
    pub fn at(&self, commit: &str) -> Self {
        Self {
            revision: Some(commit.to_owned()),
            ..self.clone()
        }
    }
}

/// Whether a text is a whole commit: 40 hexadecimal digits in lower case.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names become parts of addresses and of paths, so nothing in them may lead elsewhere.
fn is_name(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(letters) && !text.starts_with('.') && !text.contains("..")
}

fn is_revision(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let parts = text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    (1..=MAX_REVISION).contains(&text.len()) && text.bytes().all(letters) && parts && !text.contains("..")
}

impl FromStr for HubRef {
    type Err = ReferenceError;

    fn from_str(given: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason| ReferenceError {
            given: given.chars().take(MAX_REVISION).collect(),
            reason,
        };
        let rest = given
            .strip_prefix(SCHEME)
            .ok_or_else(|| wrong("it does not begin with hf:"))?;
        let (repository, revision) = match rest.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (rest, None),
        };
        let (organisation, name) = repository
            .split_once('/')
            .ok_or_else(|| wrong("it has no organisation before the name"))?;
        if !is_name(organisation) || !is_name(name) {
            return Err(wrong("names are letters, digits, '-', '_' and '.', 96 at most"));
        }
        if revision.is_some_and(|revision| !is_revision(revision)) {
            return Err(wrong("a revision is a branch, a tag or a commit"));
        }
        Ok(Self {
            organisation: organisation.to_owned(),
            name: name.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }
}

impl fmt::Display for HubRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.organisation, self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_model_reads_back_as_it_is_written() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for text in [
            "hf:intfloat/multilingual-e5-small".to_owned(),
            "hf:google/siglip-base-patch16-224@refs/pr/3".to_owned(),
            format!("hf:BAAI/bge-base-en-v1.5@{commit}"),
        ] {
            let read: HubRef = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(read.commit().is_some(), text.contains(commit));
        }
        let unpinned: HubRef = "hf:a/b".parse().unwrap();
        assert_eq!((unpinned.revision(), unpinned.commit()), ("main", None));
        assert_eq!(unpinned.at(commit).commit(), Some(commit));
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for text in [
            "hf:",
            "hf:b",
            "hf:/b",
            "hf:a/",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@../../x",
            "hf:a/b@x y",
            "hf:a/b@x?y",
            "hf:a/b@/x",
            "hf:a/b@x//y",
            "hf:.a/b",
            "hf:a/b@.git",
            "a/b",
        ] {
            let error = text.parse::<HubRef>().unwrap_err().to_string();
            assert!(error.contains("hf:org/name@revision"), "{text}: {error}");
        }
    }

    #[test]
    fn what_does_not_begin_with_hf_is_a_folder() {
        for folder in ["models/a", "/models/hf:a", "hf", "a/b"] {
            assert_eq!(ModelPlace::of(Path::new(folder)), Ok(ModelPlace::Folder(folder.into())));
        }
        assert!(matches!(ModelPlace::of(Path::new("hf:a/b@v1")), Ok(ModelPlace::Hub(_))));
        assert!(ModelPlace::of(Path::new("hf:a")).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_as_it_was_and_stays_below_its_folder(text in "hf:[a-z./@-]{0,12}") {
            if let Ok(read) = text.parse::<HubRef>() {
                prop_assert_eq!(read.to_string(), text);
                for part in [read.organisation(), read.name()] {
                    prop_assert!(!part.contains('/') && part != "." && part != "..");
                }
            }
        }
    }
}
