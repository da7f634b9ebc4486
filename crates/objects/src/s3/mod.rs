//! S3, and servers that speak as it does.

mod answer;
mod client;
mod climb;
mod descend;
mod errors;
mod list;

pub(crate) use client::S3Client;
pub use client::S3Options;
pub(crate) use descend::Neighbours;

use crate::{ListPage, ListRequest, ObjectError, ObjectMeta, ObjectStore, Symptom};
use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use errors::{Failure, error_chain, symptom_of_body};
use std::ops::Range;

/// A store of objects in a bucket, below a prefix.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: S3Client,
    bucket: String,
    /// Put before every key: "" or a text that ends in `/`.
    prefix: String,
    url: String,
}

impl S3Store {
    /// Opens `s3://bucket/prefix` with the credentials that the machine offers (environment, profile, web identity,
    /// container, instance). Nothing is asked of the server yet. The prefix is taken as it is written, without
    /// decoding.
    ///
    /// # Errors
    /// When the URL names no bucket.
    pub async fn open(url: &str, options: &S3Options) -> Result<Self, ObjectError> {
        Self::at(&S3Client::new(options).await, url)
    }

    pub(crate) fn at(client: &S3Client, url: &str) -> Result<Self, ObjectError> {
        let (bucket, prefix) = parse(url)?;
        Ok(Self {
            client: client.clone(),
            url: format!("s3://{bucket}{}{prefix}", if prefix.is_empty() { "" } else { "/" }),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            bucket,
        })
    }

    fn full(&self, action: &'static str, key: &str) -> Result<String, ObjectError> {
        if key.is_empty() {
            return Err(ObjectError::invalid(action, key, "a key has at least one byte"));
        }
        Ok(format!("{}{key}", self.prefix))
    }

    fn failure<'a>(&'a self, action: &'static str, key: &'a str) -> Failure<'a> {
        Failure {
            action,
            key,
            bucket: &self.bucket,
        }
    }

    /// What a refusal to look at an object means. It comes without a body, and so does not tell credentials that have
    /// expired from an object that is not ours to read; a refusal to read does.
    async fn explained(&self, key: &str, error: ObjectError) -> ObjectError {
        if !matches!(error, ObjectError::AccessDenied { .. } | ObjectError::Invalid { .. }) {
            return error;
        }
        match self.fetch(key, Some(0..1), None).await {
            Err(told @ ObjectError::Unavailable { .. }) => told,
            _ => error,
        }
    }

    async fn fetch(&self, key: &str, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        let full = self.full("read", key)?;
        let reading = async {
            let answer = self
                .client
                .sdk
                .get_object()
                .bucket(&self.bucket)
                .key(full)
                .set_if_match(etag.map(|etag| format!("\"{etag}\"")))
                .set_range(
                    range
                        .as_ref()
                        .map(|range| format!("bytes={}-{}", range.start, range.end - 1)),
                )
                .send()
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                // The range lies behind the end: nothing of it is there.
                Err(error) if range.is_some() && error.raw_response().is_some_and(|r| r.status().as_u16() == 416) => {
                    return self.of_version(key, etag, Bytes::new()).await;
                }
                Err(error) => return Err(self.failure("read", key).of(&error, etag)),
            };
            if let Some(expected) = etag
                && answer.e_tag().is_some_and(|actual| bare(actual) != expected)
            {
                // A server that does not know If-Match gives what is there.
                return Err(ObjectError::changed(key, expected));
            }
            let is_told = answer.e_tag().is_some();
            let wanted = range.as_ref().map(|range| range.end - range.start);
            let body = read_body(key, answer, range).await?;
            if is_told || wanted.is_some_and(|wanted| body.len() as u64 >= wanted) {
                return Ok(body);
            }
            self.of_version(key, etag, body).await
        };
        tokio::time::timeout(self.client.operation_timeout, reading)
            .await
            .unwrap_or_else(|_| {
                let message = format!("it was not read within {:?}", self.client.operation_timeout);
                Err(ObjectError::of_symptom(Symptom::Silent, "read", key, message))
            })
    }

    async fn write(&self, key: &str, body: Bytes, media_type: Option<&str>) -> Result<(), ObjectError> {
        let request = self
            .client
            .sdk
            .put_object()
            .bucket(&self.bucket)
            .key(self.full("write", key)?)
            .set_content_type(media_type.map(str::to_owned));
        request
            .body(ByteStream::from(body))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.failure("write", key).of(&error, None))
    }

    /// What was read of an object up to its end, where the answer did not tell of which version: a server that does not know
    /// If-Match gives what is there, and another version would be of another length for ever.
    async fn of_version(&self, key: &str, etag: Option<&str>, body: Bytes) -> Result<Bytes, ObjectError> {
        if let Some(expected) = etag
            && self.head(key).await?.etag != expected
        {
            return Err(ObjectError::changed(key, expected));
        }
        Ok(body)
    }
}

/// Reads the body, whole as announced.
async fn read_body(key: &str, answer: GetObjectOutput, range: Option<Range<u64>>) -> Result<Bytes, ObjectError> {
    let broken = |symptom, message: String| ObjectError::of_symptom(symptom, "read", key, message);
    let announced = answer.content_length().and_then(|length| u64::try_from(length).ok());
    let ignored_range = range.is_some() && answer.content_range().is_none();
    if ignored_range {
        return Err(ObjectError::invalid(
            "read",
            key,
            "the server does not serve ranges of objects",
        ));
    }
    let mut stream = answer.body;
    // As large as the object and no larger: grown by doubling, it would take up to three times what a budget counts.
    // Pages that nothing is written to are no memory, whatever was announced.
    let mut body = Vec::<u8>::new();
    let size = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
    body.try_reserve_exact(size)
        .map_err(|_| broken(Symptom::Away, format!("there is no memory for {size} bytes")))?;
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(|error| broken(symptom_of_body(&error), error_chain(&error)))?);
    }
    match announced {
        Some(announced) if body.len() as u64 != announced => {
            let message = format!("the answer ended after {} of {announced} bytes", body.len());
            Err(broken(Symptom::Answered, message))
        }
        _ => Ok(body.into()),
    }
}

/// Splits `s3://bucket/prefix`.
fn parse(url: &str) -> Result<(String, String), ObjectError> {
    let rest = url.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        let message = "credentials do not belong in a URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(ObjectError::invalid("open", "s3://…", message));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if bucket.is_empty() || !bucket.chars().all(good) {
        return Err(ObjectError::invalid("open", url, "use s3://bucket/prefix"));
    }
    Ok((bucket.to_owned(), prefix.trim_end_matches('/').to_owned()))
}

/// A tag without its quotes.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[async_trait]
impl ObjectStore for S3Store {
    fn root(&self) -> &str {
        &self.url
    }

    async fn get(&self, key: &str, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        self.fetch(key, None, etag).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.fetch(key, Some(range), etag).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        let request = self
            .client
            .sdk
            .head_object()
            .bucket(&self.bucket)
            .key(self.full("look at", key)?);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.failure("look at", key).of(&error, None);
                return Err(self.explained(key, error).await);
            }
        };
        let broken = |what| ObjectError::unavailable("look at", key, format!("the answer has no {what}"));
        Ok(ObjectMeta {
            key: key.to_owned(),
            etag: bare(answer.e_tag().ok_or_else(|| broken("ETag"))?).to_owned(),
            size: answer
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
                .ok_or_else(|| broken("Content-Length"))?,
        })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        self.write(key, body, None).await
    }

    async fn put_as(&self, key: &str, body: Bytes, media_type: &str) -> Result<(), ObjectError> {
        self.write(key, body, Some(media_type)).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let request = self
            .client
            .sdk
            .delete_object()
            .bucket(&self.bucket)
            .key(self.full("delete", key)?);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.failure("delete", key).of(&error, None) {
                ObjectError::NotFound { .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        request.check()?;
        list::page(self, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_bucket_and_prefix_as_it_is_written() {
        let of = |url| parse(url).map_err(|error| error.to_string());
        assert_eq!(of("s3://b"), Ok(("b".into(), String::new())));
        assert_eq!(of("s3://b/"), Ok(("b".into(), String::new())));
        assert_eq!(of("s3://b/a%20b/c d//"), Ok(("b".into(), "a%20b/c d".into())));
        assert!(of("s3://").is_err() && of("s3:b").is_err() && of("s3://b c/x").is_err());
    }
}
