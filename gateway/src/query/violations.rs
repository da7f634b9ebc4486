//! Everything that is wrong with a request, gathered, so that a caller mends it once.

use crate::error::GatewayError;

/// A field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path: `alpha`, `legs[1].weight`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Violations in the order they were found.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let (field, message) = (field.into(), message.into());
        self.0.push(Violation { field, message });
    }

    /// Keeps a good value, and notes why there is none.
    pub(crate) fn take<T, E: ToString>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// Fails where there is a violation.
    pub(crate) fn check(self) -> Result<(), GatewayError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(GatewayError::Invalid(self.0))
        }
    }
}
