//! What is wrong with a filter, and where.

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the filter at byte {position}: found {found}, expected {expected}")]
pub struct FilterError {
    /// Where, in bytes from the start of the text.
    pub position: usize,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
}
