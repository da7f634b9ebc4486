//! What a server answers to a listing, read in one pass. The SDK takes three microseconds a key to read it, twice over,
//! which was half of what planning cost a coordinator: so its body is taken before the SDK reads it.

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use std::sync::{Arc, Mutex, PoisonError};

/// What the SDK reads instead.
const EMPTY: &str = "<ListBucketResult/>";

/// An answer as it was sent: nothing of it is decoded, and nothing checked but that it is such a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) objects: Vec<Entry>,
    pub(super) prefixes: Vec<String>,
    /// How many of both it says it has.
    pub(super) announced: Option<usize>,
    /// Whether it says that there is more.
    pub(super) truncated: Option<bool>,
    pub(super) token: Option<String>,
    /// Whether keys and prefixes are in the encoding of URLs.
    pub(super) encoded: bool,
}

/// An object of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) size: Option<u64>,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// In words, where it is no listing or ends too early.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let mut reader = Reader::from_str(text);
        let (mut answer, mut path, mut value) = (Self::default(), Vec::new(), String::new());
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match event {
                Event::Start(start) => {
                    let name = Name::of(start.local_name().as_ref());
                    if path.is_empty() && name != Name::ListBucketResult {
                        return Err(format!("it is <{}>, not a listing", start.local_name().as_ref()));
                    }
                    if path.len() == 1 && name == Name::Contents {
                        answer.objects.push(Entry::default());
                    }
                    path.push(name);
                    value.clear();
                }
                Event::Empty(empty)
                    if path.is_empty() && Name::of(empty.local_name().as_ref()) == Name::ListBucketResult =>
                {
                    return Ok(answer);
                }
                Event::Text(text) => value.push_str(&text.xml10_content()),
                Event::CData(text) => value.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => value.push_str(&resolve(&reference)?),
                Event::End(_) => {
                    answer.take(&path, &mut value)?;
                    path.pop();
                    if path.is_empty() {
                        return Ok(answer);
                    }
                }
                Event::Eof => return Err("it ends too early".into()),
                _ => {}
            }
        }
    }

    /// Takes the value of the element that ends.
    fn take(&mut self, path: &[Name], value: &mut String) -> Result<(), String> {
        use Name::{
            CommonPrefixes, Contents, ETag, EncodingType, IsTruncated, Key, KeyCount, ListBucketResult,
            NextContinuationToken, Prefix, Size,
        };
        let value = std::mem::take(value);
        match path {
            [ListBucketResult, Contents, field] => {
                let Some(entry) = self.objects.last_mut() else {
                    return Ok(());
                };
                match field {
                    Key => entry.key = Some(value),
                    ETag => entry.etag = Some(value),
                    Size => entry.size = Some(number(&value)?),
                    _ => {}
                }
            }
            [ListBucketResult, CommonPrefixes, Prefix] => self.prefixes.push(value),
            [ListBucketResult, KeyCount] => self.announced = Some(number(&value)?),
            [ListBucketResult, NextContinuationToken] => self.token = Some(value),
            [ListBucketResult, EncodingType] => self.encoded = value.trim() == "url",
            [ListBucketResult, IsTruncated] => {
                self.truncated = Some(
                    value
                        .trim()
                        .parse()
                        .map_err(|_| format!("{value:?} is neither true nor false"))?,
                );
            }
            _ => {}
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr>(value: &str) -> Result<N, String> {
    value.trim().parse().map_err(|_| format!("{value:?} is no number"))
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.into());
    }
    resolve_xml_entity(reference)
        .map(Into::into)
        .ok_or_else(|| format!("it holds an unknown entity &{};", &**reference))
}

/// Elements of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    ListBucketResult,
    Contents,
    Key,
    ETag,
    Size,
    CommonPrefixes,
    Prefix,
    KeyCount,
    IsTruncated,
    NextContinuationToken,
    EncodingType,
    Other,
}

impl Name {
    fn of(name: &str) -> Self {
        match name {
            "ListBucketResult" => Self::ListBucketResult,
            "Contents" => Self::Contents,
            "Key" => Self::Key,
            "ETag" => Self::ETag,
            "Size" => Self::Size,
            "CommonPrefixes" => Self::CommonPrefixes,
            "Prefix" => Self::Prefix,
            "KeyCount" => Self::KeyCount,
            "IsTruncated" => Self::IsTruncated,
            "NextContinuationToken" => Self::NextContinuationToken,
            "EncodingType" => Self::EncodingType,
            _ => Self::Other,
        }
    }
}

/// Takes the body of an answer that is no refusal.
#[derive(Debug, Clone, Default)]
pub(super) struct TakeBody(Arc<Mutex<Option<SdkBody>>>);

impl TakeBody {
    /// What was taken of the last attempt.
    pub(super) fn taken(&self) -> Option<SdkBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for TakeBody {
    fn name(&self) -> &'static str {
        "TakeBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::from(EMPTY));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::prop;

    fn escaped(text: &str) -> String {
        quick_xml::escape::escape(text).into_owned()
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(
            keys in prop::collection::vec(("[ -~\u{e9}\u{1f40b}]{1,12}", 0_u64..u64::MAX), 0..5),
            prefixes in prop::collection::vec("[ -~]{1,8}/", 0..4),
            truncated in prop::bool::ANY,
        ) {
            let contents: String = keys.iter().map(|(key, size)| format!(
                "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>&#34;{size:x}&quot;</ETag>\
                 <Size>{size}</Size><Owner><ID>x</ID><Key>not this one</Key></Owner></Contents>\n", escaped(key))).collect();
            let folders: String = prefixes.iter()
                .map(|prefix| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(prefix))).collect();
            let document = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <Name>b</Name><Prefix>p</Prefix><KeyCount>{}</KeyCount><IsTruncated>{truncated}</IsTruncated>\
                 <EncodingType>url</EncodingType><NextContinuationToken>t&amp;u</NextContinuationToken>{contents}{folders}\
                 </ListBucketResult>", keys.len() + prefixes.len());
            let expected = Answer {
                objects: keys.iter().map(|(key, size)| Entry {
                    key: Some(key.clone()), etag: Some(format!("\"{size:x}\"")), size: Some(*size),
                }).collect(),
                announced: Some(keys.len() + prefixes.len()),
                prefixes: prefixes.clone(),
                truncated: Some(truncated),
                token: Some("t&u".into()),
                encoded: true,
            };
            proptest::prop_assert_eq!(Answer::read(document.as_bytes()), Ok(expected));
            for end in 0..document.len() {
                proptest::prop_assert!(Answer::read(&document.as_bytes()[..end]).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn nothing_that_is_sent_ends_the_program(body in prop::collection::vec(0_u8..=255, 0..200)) {
            Answer::read(&body).ok();
        }
    }

    #[test]
    fn another_document_is_told_by_its_name() {
        let error = Answer::read(b"<Error><Code>SlowDown</Code></Error>").unwrap_err();
        assert_eq!(error, "it is <Error>, not a listing");
        assert!(Answer::read(b"").is_err());
    }
}
