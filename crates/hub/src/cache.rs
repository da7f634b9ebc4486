//! Where pulled models lie: `<cache>/<org>/<name>/<commit>/<name>`, so that a folder bears its model's name, and
//! `<cache>/<org>/<name>/refs/<revision>` with the commit that a branch or tag was when it was last pulled.

use crate::error::HubError;
use crate::reference::{HubRef, is_commit};
use crate::source::Source;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A cache folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cache<'a>(pub(crate) &'a Path);

impl Cache<'_> {
    fn of(&self, model: &HubRef) -> PathBuf {
        self.0.join(model.organisation()).join(model.name())
    }

    /// Where a commit's folder is, or would be.
    pub(crate) fn folder(&self, model: &HubRef, commit: &str) -> PathBuf {
        self.of(model).join(commit).join(model.name())
    }

    fn reference(&self, model: &HubRef) -> PathBuf {
        // A name that no commit's folder has, and without a `/`.
        self.of(model).join("refs").join(model.revision().replace('/', "%2F"))
    }

    /// The commit that a model is here: its own, or what its revision was when it was pulled.
    pub(crate) fn commit(&self, model: &HubRef) -> Result<Option<String>, HubError> {
        if let Some(commit) = model.commit() {
            return Ok(Some(commit.to_owned()));
        }
        let path = self.reference(model);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HubError::io("read", &path, error)),
        }
    }

    /// The folder of a model that was pulled whole.
    pub(crate) fn find(&self, model: &HubRef) -> Result<Option<(String, PathBuf)>, HubError> {
        let Some(commit) = self.commit(model)? else {
            return Ok(None);
        };
        let folder = self.folder(model, &commit);
        let whole = Source::read(&folder)?.is_some();
        Ok(whole.then_some((commit, folder)))
    }

    /// Records what a revision is.
    pub(crate) fn record(&self, model: &HubRef, commit: &str) -> Result<(), HubError> {
        if model.commit().is_some() {
            return Ok(());
        }
        let path = self.reference(model);
        let part = path.with_added_extension(format!("{}.part", std::process::id()));
        let parent = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(parent).map_err(|error| HubError::write(parent, 0, error))?;
        std::fs::write(&part, format!("{commit}\n")).map_err(|error| HubError::write(&part, 41, error))?;
        std::fs::rename(&part, &path).map_err(|error| HubError::io("write", &path, error))
    }
}
