//! What a pull tells while it goes on.

/// Told of a pull. Calls come in order, from one task.
pub trait Progress: Send + Sync {
    /// The name was resolved: `model` is what was asked for, `commit` what is fetched.
    fn resolved(&self, _model: &str, _commit: &str) {}

    /// So many files of so many bytes belong to the folder; `present` of the bytes are there already.
    fn begins(&self, _files: usize, _bytes: u64, _present: u64) {}

    /// A file is being fetched.
    fn file(&self, _path: &str, _bytes: u64) {}

    /// So many bytes of it have come.
    fn bytes(&self, _count: u64) {}

    /// So many bytes are fetched again: the server sent the file from its beginning, or damaged.
    fn again(&self, _count: u64) {}

    /// The connection broke; it is tried again after a moment.
    fn retrying(&self, _path: &str, _reason: &str) {}
}

/// Nothing is told.
impl Progress for () {}

/// Told to the log: for services.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logged;

impl Progress for Logged {
    fn resolved(&self, model: &str, commit: &str) {
        tracing::info!(model, commit, "resolved a model of the hub");
    }

    fn begins(&self, files: usize, bytes: u64, present: u64) {
        tracing::info!(files, bytes, present, "pulling a model");
    }

    fn file(&self, path: &str, bytes: u64) {
        tracing::info!(path, bytes, "fetching");
    }

    fn retrying(&self, path: &str, reason: &str) {
        tracing::warn!(path, reason, "a download broke and is tried again");
    }
}
