//! What the server and its client say, in the words of the seam.

use crate::IndexError;
use milvus::v2::error::Error;
use sightline_core::CollectionName;

/// What a failed call means for us. Told by codes where the server gives them; older servers and milvus-lite say
/// "unexpected error" for many things, and then their words are all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// There is no such collection.
    NoCollection,
    /// The collection is there, and not in memory.
    NotLoaded,
    /// The answer would be longer than a message may be.
    TooLarge,
    /// The server does not know or not allow the user.
    Forbidden,
    /// Never, whatever the time.
    Refused,
    /// Perhaps later.
    Unavailable,
}

/// The error below the client's account of its attempts.
fn root(error: &Error) -> &Error {
    match error {
        Error::RetryExhausted { source, .. } => root(source),
        other => other,
    }
}

pub(super) fn meaning(error: &Error) -> Meaning {
    match root(error) {
        Error::Server(error) => of_server(error.code(), error.legacy_code(), error.reason()),
        Error::Grpc(status) => {
            // The client's own tonic is not ours: its codes are told apart by their numbers.
            match status.code() as i32 {
                // OUT_OF_RANGE is how tonic says that a message is longer than the limit.
                11 => Meaning::TooLarge,
                8 if status.message().contains("larger than max") => Meaning::TooLarge,
                7 | 16 => Meaning::Forbidden,
                3 | 9 | 12 => Meaning::Refused,
                _ => Meaning::Unavailable,
            }
        }
        Error::Conversion(_) | Error::Validation(_) => Meaning::Refused,
        _ => Meaning::Unavailable,
    }
}

/// Whether the server does not have this call at all.
pub(super) fn is_unimplemented(error: &Error) -> bool {
    matches!(root(error), Error::Grpc(status) if status.code() as i32 == 12)
}

/// Whether there is no such alias.
pub(super) fn is_no_alias(error: &Error) -> bool {
    matches!(root(error), Error::Server(server) if server.code() == 1600)
}

fn of_server(code: i32, legacy_code: i32, reason: &str) -> Meaning {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    match code {
        100 => return Meaning::NoCollection,
        101 => return Meaning::NotLoaded,
        1400..1500 => return Meaning::Forbidden,
        // Schemas, indexes, databases, parameters, fields, functions: wrong today and tomorrow.
        105 | 106 | 700..900 | 1100..1200 | 1600..1800 => return Meaning::Refused,
        _ => {}
    }
    match legacy_code {
        3 => return Meaning::Forbidden,
        4 | 28 => return Meaning::NoCollection,
        5 | 7..=13 | 22 | 23 | 51 | 62 => return Meaning::Refused,
        _ => {}
    }
    if says(&[
        "can't find collection",
        "collection not found",
        "not existed",
        "Collection not exist",
    ]) {
        Meaning::NoCollection
    } else if says(&["not loaded", "not been loaded", "NotLoad"]) {
        Meaning::NotLoaded
    } else if says(&["larger than max", "exceeds the limit", "exceed the limit"]) {
        Meaning::TooLarge
    } else if says(&[
        "cannot parse expression",
        "failed to create query plan",
        "invalid",
        "illegal",
        "not support",
    ]) || is_no_field(reason)
    {
        Meaning::Refused
    } else {
        Meaning::Unavailable
    }
}

/// Whether the words are that a collection lacks a field: Milvus has "field x not exist", milvus-lite "Field x not exist".
fn is_no_field(reason: &str) -> bool {
    // With one word between, the field's name: an object that storage lacks for a moment does not exist, either.
    reason.split("ield ").skip(1).any(|behind| {
        let mut words = behind.split_whitespace().skip(1);
        words.next() == Some("not") && words.next().is_some_and(|word| word.starts_with("exist"))
    })
}

/// What a server says that it lacks, with what can be done about it; none for other words.
fn lacking(message: &str) -> Option<String> {
    // Milvus 2.3.
    if message.contains("multiple vector fields is not supported") {
        let remedy = "use Milvus 2.4 or later, or one field (of a run: `--fields image`)";
        return Some(format!("this Milvus has one vector field a collection: {remedy}"));
    }
    // milvus-lite: "invalid index type: HNSW, local mode only support FLAT IVF_FLAT AUTOINDEX".
    let (asked, has) = message.split_once(", local mode only support ")?;
    let (_, asked) = asked.rsplit_once(' ')?;
    let kinds = has.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    // What AUTOINDEX is differs between servers, and no collection of ours says it.
    let kinds: Vec<&str> = kinds.filter(|kind| !kind.is_empty() && *kind != "AUTOINDEX").collect();
    let kinds = kinds.join(" and ");
    Some(format!(
        "this server, milvus-lite, has no index {asked}, only {kinds}: name one of them, or use Milvus"
    ))
}

/// The seam's error for a call about a collection.
pub(super) fn index_error(action: &'static str, collection: Option<&CollectionName>, error: &Error) -> IndexError {
    let message = match root(error) {
        // Its own words come with all its headers.
        Error::Grpc(status) => format!("{:?}: {}", status.code(), status.message()),
        other => other.to_string(),
    };
    let message = lacking(&message).unwrap_or(message);
    match (meaning(error), collection) {
        (Meaning::NoCollection, Some(collection)) => IndexError::NoCollection(collection.clone()),
        (Meaning::Unavailable | Meaning::NotLoaded, _) => IndexError::Unavailable { action, message },
        (_, collection) => IndexError::Refused {
            action,
            collection: collection.map_or_else(|| "the server".into(), ToString::to_string),
            message,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_there_is_refused_and_not_waited_for() {
        for (reason, expected) in [
            ("field text_embedding not exist", Meaning::Refused),
            ("Field text_embedding not exist", Meaning::Refused),
            ("Collection not exist", Meaning::NoCollection),
            ("channel not exist", Meaning::Unavailable),
            (
                "failed to load field data 100: The specified key does not exist.",
                Meaning::Unavailable,
            ),
        ] {
            assert_eq!(of_server(65_535, 1, reason), expected, "{reason}");
        }
    }

    #[test]
    fn what_a_server_lacks_is_told_with_what_to_do() {
        let two = "Milvus server error (code=65535, message=multiple vector fields is not supported, fields name: \
                   image_embedding, text_embedding)";
        let told = lacking(two).unwrap();
        assert!(
            told.contains("Milvus 2.4 or later, or one field (of a run: `--fields image`)"),
            "{told}"
        );
        for (asked, end) in [("HNSW", ""), ("IVF_SQ8", ")")] {
            let said = format!(
                "Milvus server error (code=1100, message=invalid index type: {asked}, local mode only support FLAT IVF_FLAT \
                 AUTOINDEX{end}"
            );
            assert_eq!(
                lacking(&said).unwrap(),
                format!(
                    "this server, milvus-lite, has no index {asked}, only FLAT and IVF_FLAT: name one of them, or use Milvus"
                )
            );
        }
        assert_eq!(lacking("field x not exist"), None);
    }
}
