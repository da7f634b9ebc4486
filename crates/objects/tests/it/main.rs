//! The conformance suite on every implementation, and what is particular to each.

#[cfg(test)]
mod broken_s3;
#[cfg(test)]
mod listing_property;
#[cfg(test)]
mod local;
#[cfg(test)]
mod s3;
