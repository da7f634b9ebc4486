//! Label values that come from outside.

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use std::fmt::{self, Write};

/// A label's value, escaped when it is written. `prometheus-client` writes strings as they are: a quote in a plain
/// `String` breaks the whole scrape. For every value that is not a constant of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelText(String);

impl<T: Into<String>> From<T> for LabelText {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl EncodeLabelValue for LabelText {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => encoder.write_str("\\\\")?,
                '"' => encoder.write_str("\\\"")?,
                '\n' => encoder.write_str("\\n")?,
                other => encoder.write_char(other)?,
            }
        }
        Ok(())
    }
}
