//! Listing, with every answer checked: one that is broken is an error, never a short page.

use super::{S3Store, bare};
use crate::listing::after_prefix;
use crate::{ListPage, ListRequest, ObjectError, ObjectMeta};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use std::borrow::Cow;

/// Empty answers in a row that say there is more. A bucket full of deleted versions gives some.
const MAX_EMPTY_ANSWERS: usize = 1000;

pub(super) async fn page(store: &S3Store, request: &ListRequest) -> Result<ListPage, ObjectError> {
    let broken = |message: &str| ObjectError::unavailable("list", &request.prefix, message);
    let mut token: Option<String> = None;
    for _ in 0..MAX_EMPTY_ANSWERS {
        let answer = ask(store, request, token.as_deref()).await?;
        let page = read(store, request, &answer)?;
        if page.next.is_some() || !page.objects.is_empty() || !page.common_prefixes.is_empty() {
            return Ok(page);
        }
        if answer.is_truncated() == Some(false) {
            return Ok(ListPage::default());
        }
        let next = answer
            .next_continuation_token
            .ok_or_else(|| broken("the server says that there is more, and gives neither keys nor a token"))?;
        if token.as_ref() == Some(&next) {
            return Err(broken("the server says that there is more, and makes no progress"));
        }
        token = Some(next);
    }
    Err(broken("the server gave a thousand empty pages in a row"))
}

async fn ask(store: &S3Store, request: &ListRequest, token: Option<&str>) -> Result<ListObjectsV2Output, ObjectError> {
    let start_after = request
        .start_after
        .as_ref()
        .filter(|start| !start.is_empty())
        .map(|start| format!("{}{start}", store.prefix));
    store
        .client
        .sdk
        .list_objects_v2()
        .bucket(&store.bucket)
        .prefix(format!("{}{}", store.prefix, request.prefix))
        .set_start_after(start_after)
        .set_continuation_token(token.map(str::to_owned))
        .set_delimiter(request.fold.then(|| "/".to_owned()))
        .max_keys(i32::try_from(request.limit).unwrap_or(i32::MAX))
        // XML cannot carry every character that a key may hold.
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .map_err(|error| match store.failure("list", &request.prefix).of(&error, None) {
            // There is no object in the question, so it is the bucket that is not there.
            ObjectError::NotFound { .. } => ObjectError::invalid(
                "list",
                &request.prefix,
                format!("there is no bucket {:?}", store.bucket),
            ),
            error => error,
        })
}

/// Takes an answer apart, if it is whole, in order, and of what was asked.
fn read(store: &S3Store, request: &ListRequest, answer: &ListObjectsV2Output) -> Result<ListPage, ObjectError> {
    let broken = |message: String| ObjectError::unavailable("list", &request.prefix, message);
    let decoded = answer.encoding_type() == Some(&EncodingType::Url);
    let key_of = |raw: Option<&str>| -> Result<String, ObjectError> {
        let raw = raw.ok_or_else(|| broken("an entry of the listing has no key".into()))?;
        let full = if decoded {
            url_decode(raw)
        } else {
            Some(Cow::Borrowed(raw))
        };
        full.as_deref()
            .and_then(|full| full.strip_prefix(store.prefix.as_str()))
            .filter(|key| key.starts_with(&request.prefix))
            .map(str::to_owned)
            .ok_or_else(|| broken(format!("the listing holds {raw:?}, which was not asked for")))
    };
    let mut page = ListPage::default();
    for object in answer.contents() {
        let key = key_of(object.key())?;
        // The root's own "folder".
        if key.is_empty() {
            continue;
        }
        let missing = |what: &str| broken(format!("the listing gives no {what} for {key:?}"));
        page.objects.push(ObjectMeta {
            etag: bare(object.e_tag().ok_or_else(|| missing("ETag"))?).to_owned(),
            size: object
                .size()
                .and_then(|size| u64::try_from(size).ok())
                .ok_or_else(|| missing("size"))?,
            key,
        });
    }
    for prefix in answer.common_prefixes() {
        page.common_prefixes.push(key_of(prefix.prefix())?);
    }
    check(request, answer, &page).map_err(|message| broken(message.into()))?;
    if answer.is_truncated() == Some(true) {
        let last_key = page.objects.last().map(|meta| meta.key.clone());
        let last_prefix = page.common_prefixes.last().map(|prefix| after_prefix(prefix));
        page.next = last_key.max(last_prefix);
    }
    Ok(page)
}

fn check(request: &ListRequest, answer: &ListObjectsV2Output, page: &ListPage) -> Result<(), &'static str> {
    if answer.is_truncated().is_none() {
        return Err("the listing does not say whether there is more");
    }
    let given = answer.contents().len() + answer.common_prefixes().len();
    let announced = answer.key_count().and_then(|count| usize::try_from(count).ok());
    // An answer that was cut between two entries still reads as a document: only the count tells.
    if announced != Some(given) {
        return Err("the listing has another number of keys than it says");
    }
    let after = request.start_after.as_deref().unwrap_or_default();
    let late = |key: &str| key > after || after.is_empty();
    let keys_ascend = page.objects.is_sorted_by(|a, b| a.key < b.key);
    let prefixes_ascend = page.common_prefixes.is_sorted_by(|a, b| a < b);
    if !keys_ascend || !prefixes_ascend {
        return Err("the listing is not in the order of keys");
    }
    let keys_late = page.objects.first().is_none_or(|first| late(&first.key));
    let prefixes_late = page
        .common_prefixes
        .first()
        .is_none_or(|first| late(first) || after.starts_with(first.as_str()));
    if keys_late && prefixes_late {
        Ok(())
    } else {
        Err("the listing starts before the key it was to go on from")
    }
}

/// Undoes `encoding-type=url`, in which `+` stands for a space; none where it is not UTF-8 or not encoded so.
fn url_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::url_decode;

    #[test]
    fn an_encoded_key_is_decoded_once() {
        assert_eq!(url_decode("a%2520b+c%2Bd%EA%B0%80").as_deref(), Some("a%20b c+d가"));
        assert_eq!(url_decode("plain/key").as_deref(), Some("plain/key"));
        assert_eq!(url_decode("bad%2"), None);
        assert_eq!(url_decode("bad%FF"), None);
    }
}
