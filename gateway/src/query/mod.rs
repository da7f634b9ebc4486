//! What is asked for: checked, encoded, and folded into one vector a field.

pub(crate) mod fold;
pub(crate) mod mask;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod request;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;
pub(crate) mod violations;
