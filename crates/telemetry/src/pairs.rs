//! Lists of `name=value,name=value`, as OpenTelemetry's variables have them.

use sightline_core::percent;
use std::fmt;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

/// What is wrong with a list. Entries are counted from 1 and not repeated: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairsError {
    /// There is no equals sign, or nothing before it.
    #[error("entry {0} is not of the form name=value")]
    NoPair(usize),
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("entry {0} has a broken percent escape")]
    Escape(usize),
    /// Not what a header may have: its name in letters, digits and hyphens, its value in printable ASCII.
    #[error("entry {0} has a name or a value that no header has")]
    Header(usize),
}

/// The attributes in the text of `OTEL_RESOURCE_ATTRIBUTES`; both sides of a pair are percent-encoded.
///
/// # Errors
/// Where an entry is no pair or is encoded wrongly.
pub fn resource_attributes(text: &str) -> Result<Vec<(String, String)>, PairsError> {
    pairs(text, |_, _, _| Ok(()))
}

/// The pairs of a list, of which each passes this check of its number, name and value.
fn pairs(
    text: &str,
    check: impl Fn(usize, &str, &str) -> Result<(), PairsError>,
) -> Result<Vec<(String, String)>, PairsError> {
    let entries = text.split(',').map(str::trim).enumerate();
    let entries = entries.filter(|(_, entry)| !entry.is_empty());
    let pair = |(at, entry): (usize, &str)| {
        let number = at + 1;
        let (name, value) = entry.split_once('=').ok_or(PairsError::NoPair(number))?;
        let decode = |text: &str| percent::decode(text.trim()).ok_or(PairsError::Escape(number));
        let (name, value) = (decode(name)?, decode(value)?);
        if name.is_empty() {
            return Err(PairsError::NoPair(number));
        }
        check(number, &name, &value)?;
        Ok((name, value))
    };
    entries.map(pair).collect()
}

/// What a collector is sent with every export. They hold tokens, so Debug shows their names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(Vec<(String, String)>);

impl OtlpHeaders {
    /// Reads `name=value,name=value`, percent-encoded.
    ///
    /// # Errors
    /// Where an entry is no pair, is encoded wrongly, or is none that a header may be.
    pub fn parse(text: &str) -> Result<Self, PairsError> {
        let check = |number, name: &str, value: &str| header(name, value).map(drop).ok_or(PairsError::Header(number));
        pairs(text, check).map(Self)
    }

    /// The headers as gRPC has them.
    pub(crate) fn metadata(&self) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (name, value) in self.0.iter().filter_map(|(name, value)| header(name, value)) {
            metadata.append(name, value);
        }
        metadata
    }
}

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

fn header(name: &str, value: &str) -> Option<(AsciiMetadataKey, AsciiMetadataValue)> {
    let name = AsciiMetadataKey::from_bytes(name.as_bytes()).ok()?;
    let mut value = AsciiMetadataValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_what_is_empty_is_left_out() {
        let read = resource_attributes(" k8s.pod.name = web-0 ,,a%3Db=c%2Cd,empty=,eq=x=y").unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            read,
            [("k8s.pod.name", "web-0"), ("a=b", "c,d"), ("empty", ""), ("eq", "x=y")]
        );
        assert_eq!(resource_attributes(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_pair_is_refused_by_its_place_and_not_repeated() {
        for (text, error) in [
            ("a=b,hunter2", PairsError::NoPair(2)),
            ("=hunter2", PairsError::NoPair(1)),
            ("a=hunter2%2", PairsError::Escape(1)),
            ("a=%ff", PairsError::Escape(1)),
        ] {
            assert_eq!(resource_attributes(text), Err(error), "{text}");
        }
        for text in ["na me=hunter2", "a=b%0A", "token-bin=hunter2", "ä=b"] {
            assert_eq!(OtlpHeaders::parse(text), Err(PairsError::Header(1)), "{text}");
        }
        assert_eq!(OtlpHeaders::parse("a=b,,na me=x"), Err(PairsError::Header(3)));
    }

    #[test]
    fn headers_keep_their_values_to_themselves() {
        let headers = OtlpHeaders::parse("Authorization=Bearer%20hunter2").unwrap();
        let metadata = headers.metadata();
        assert_eq!(
            metadata.get("authorization").unwrap().to_str().unwrap(),
            "Bearer hunter2"
        );
        let shown = format!("{headers:?} {metadata:?}");
        assert!(shown.contains("Authorization") && !shown.contains("hunter2"), "{shown}");
    }
}
