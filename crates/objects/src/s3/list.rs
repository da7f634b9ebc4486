//! Listing, with every answer checked: one that is broken is an error, never a short page.

use super::answer::{Answer, TakeBody};
use super::climb::{Step, steps};
use super::descend::is_behind_a_directory;
use super::{S3Store, bare};
use crate::listing::after_prefix;
use crate::{ListHint, ListPage, ListRequest, ObjectError, ObjectMeta};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::EncodingType;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Empty answers in a row that say there is more. A bucket full of deleted versions gives some.
const MAX_EMPTY_ANSWERS: usize = 1000;
/// How long to wait before the first listing is asked for again whose answer was broken; twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a question has no answer.
enum Unanswered {
    /// The server refused it or is away; the SDK has tried it as often as it may.
    Refused(ObjectError),
    /// It was answered with what is no listing.
    Unreadable(ObjectError),
}

/// A question to the server. Its keys are those of the bucket, with the store's prefix.
pub(super) struct Query<'a> {
    pub(super) store: &'a S3Store,
    /// What the caller asked for, for messages.
    pub(super) asked: &'a str,
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) hint: ListHint,
    pub(super) fold: bool,
    pub(super) limit: usize,
}

pub(super) async fn page(store: &S3Store, request: &ListRequest) -> Result<ListPage, ObjectError> {
    let mut query = Query {
        store,
        asked: &request.prefix,
        prefix: format!("{}{}", store.prefix, request.prefix),
        after: request
            .start_after
            .as_ref()
            .map(|start| format!("{}{start}", store.prefix)),
        hint: request.hint.clone(),
        fold: request.fold,
        limit: request.limit,
    };
    // Some servers give nothing where the start lies outside the prefix.
    if let Some(start) = query.after.take_if(|start| !start.starts_with(&query.prefix))
        && start > query.prefix
    {
        return Ok(ListPage::default());
    }
    let steps = match &query.after {
        Some(start) if store.client.climbs => steps(&query.prefix, start, request.fold),
        _ => Vec::new(),
    };
    if steps.is_empty() {
        let behind = query.after.as_deref().is_some_and(is_behind_a_directory);
        return match store.client.climbs && behind && !request.fold {
            true => query.descend().await,
            false => query.answer().await,
        };
    }
    let mut page = ListPage::default();
    for step in steps {
        query.limit = request.limit - page.objects.len() - page.common_prefixes.len();
        if query.limit == 0 {
            page.next = last_of(&page);
            return Ok(page);
        }
        if let Step::After { start, .. } = &step
            && is_behind_a_directory(start)
            && query.limit < request.limit / 2
        {
            // The rest would be the beginning of a directory, which the next page takes whole.
            page.next = start.strip_prefix(&store.prefix).map(str::to_owned);
            return Ok(page);
        }
        let more = query.step(step).await?;
        page.objects.extend(more.objects);
        page.common_prefixes.extend(more.common_prefixes);
        if more.next.is_some() {
            page.next = more.next;
            page.hint = more.hint;
            return Ok(page);
        }
    }
    Ok(page)
}

/// Where to go on after what a page gave.
pub(super) fn last_of(page: &ListPage) -> Option<String> {
    let last_key = page.objects.last().map(|meta| meta.key.clone());
    let last_prefix = page.common_prefixes.last().map(|prefix| after_prefix(prefix));
    last_key.max(last_prefix)
}

impl Query<'_> {
    fn broken(&self, message: impl Into<String>) -> ObjectError {
        ObjectError::unavailable("list", self.asked, message)
    }

    async fn step(&self, step: Step) -> Result<ListPage, ObjectError> {
        let mut query = Query {
            store: self.store,
            asked: self.asked,
            prefix: String::new(),
            after: None,
            hint: self.hint.clone(),
            fold: self.fold,
            limit: self.limit,
        };
        match step {
            Step::After { prefix, start } => {
                let descends = !self.fold && is_behind_a_directory(&start);
                query.prefix = prefix;
                query.after = Some(start);
                match descends {
                    true => query.descend().await,
                    false => query.answer().await,
                }
            }
            Step::Exactly(key) => {
                query.prefix.clone_from(&key);
                query.limit = 1;
                let mut page = query.answer().await?;
                page.objects
                    .retain(|meta| key.strip_prefix(&self.store.prefix) == Some(meta.key.as_str()));
                page.common_prefixes.clear();
                page.next = None;
                Ok(page)
            }
        }
    }

    /// One page of answers that holds something, or none at the end.
    pub(super) async fn answer(&self) -> Result<ListPage, ObjectError> {
        let mut token: Option<String> = None;
        for _ in 0..MAX_EMPTY_ANSWERS {
            let (answer, page) = self.ask_whole(token.as_deref()).await?;
            if page.next.is_some() || answer.truncated == Some(false) {
                return Ok(page);
            }
            let next = answer
                .token
                .ok_or_else(|| self.broken("the server says that there is more, and gives neither keys nor a token"))?;
            if token.as_ref() == Some(&next) {
                return Err(self.broken("the server says that there is more, and makes no progress"));
            }
            token = Some(next);
        }
        Err(self.broken("the server gave a thousand empty pages in a row"))
    }

    /// A whole answer, asked for again where it is broken: planning needs many in a row, and the SDK sees only an answer.
    async fn ask_whole(&self, token: Option<&str>) -> Result<(Answer, ListPage), ObjectError> {
        let mut pause = PAUSE;
        for _ in 1..self.store.client.max_attempts {
            match self.ask_once(token).await {
                Ok(whole) => return Ok(whole),
                Err(Unanswered::Refused(error)) => return Err(error),
                Err(Unanswered::Unreadable(_)) => {
                    sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        self.ask_once(token).await.map_err(|unanswered| match unanswered {
            Unanswered::Refused(error) | Unanswered::Unreadable(error) => error,
        })
    }

    async fn ask_once(&self, token: Option<&str>) -> Result<(Answer, ListPage), Unanswered> {
        let mut answer = self.ask(token).await?;
        let page = self.read(&mut answer).map_err(Unanswered::Unreadable)?;
        Ok((answer, page))
    }

    async fn ask(&self, token: Option<&str>) -> Result<Answer, Unanswered> {
        let (bucket, body) = (&self.store.bucket, TakeBody::default());
        let request = self.store.client.sdk.list_objects_v2().bucket(bucket);
        request
            .prefix(&self.prefix)
            .set_start_after(self.after.clone())
            .set_continuation_token(token.map(str::to_owned))
            .set_delimiter(self.fold.then(|| "/".to_owned()))
            .max_keys(i32::try_from(self.limit).unwrap_or(i32::MAX))
            // XML cannot carry every character that a key may hold.
            .encoding_type(EncodingType::Url)
            .customize()
            .interceptor(body.clone())
            .send()
            .await
            .map_err(|error| {
                let answered = error.raw_response().is_some_and(|answer| answer.status().is_success());
                match self.store.failure("list", self.asked).of(&error, None) {
                    error if answered => Unanswered::Unreadable(error),
                    // There is no object in the question, so it is the bucket that is not there.
                    ObjectError::NotFound { .. } => Unanswered::Refused(ObjectError::invalid(
                        "list",
                        self.asked,
                        format!("there is no bucket {bucket:?}"),
                    )),
                    error => Unanswered::Refused(error),
                }
            })?;
        let unreadable = |message: String| Unanswered::Unreadable(self.broken(message));
        let body = body
            .taken()
            .ok_or_else(|| unreadable("the listing has no body".into()))?;
        let bytes = timeout(self.store.client.operation_timeout, whole(ByteStream::new(body)))
            .await
            .map_err(|_| unreadable("the listing did not end in time".into()))?
            .map_err(|error| unreadable(format!("the listing broke off: {error}")))?;
        Answer::read(&bytes).map_err(|message| unreadable(format!("the listing cannot be read: {message}")))
    }

    /// Takes an answer's entries, if it is whole, in order, and of what was asked.
    fn read(&self, answer: &mut Answer) -> Result<ListPage, ObjectError> {
        let mut page = ListPage::default();
        let given = answer.objects.len() + answer.prefixes.len();
        page.objects.reserve_exact(answer.objects.len());
        for object in std::mem::take(&mut answer.objects) {
            let key = self.key(answer, object.key)?;
            // The root's own "folder".
            if key.is_empty() {
                continue;
            }
            let missing = |what: &str| self.broken(format!("the listing gives no {what} for {key:?}"));
            page.objects.push(ObjectMeta {
                etag: bare(&object.etag.ok_or_else(|| missing("ETag"))?).to_owned(),
                size: object.size.ok_or_else(|| missing("size"))?,
                key,
            });
        }
        for prefix in std::mem::take(&mut answer.prefixes) {
            page.common_prefixes.push(self.key(answer, Some(prefix))?);
        }
        self.check(answer, given, &page)
            .map_err(|message| self.broken(message))?;
        if answer.truncated == Some(true) {
            page.next = last_of(&page);
        }
        Ok(page)
    }

    /// A key of the answer as the store's caller knows it.
    fn key(&self, answer: &Answer, raw: Option<String>) -> Result<String, ObjectError> {
        let raw = raw.ok_or_else(|| self.broken("an entry of the listing has no key"))?;
        let full = match answer.encoded {
            true => url_decode(&raw),
            false => Some(Cow::Borrowed(raw.as_str())),
        };
        full.as_deref()
            .filter(|full| full.starts_with(&self.prefix))
            .and_then(|full| full.strip_prefix(self.store.prefix.as_str()))
            .map(str::to_owned)
            .ok_or_else(|| self.broken(format!("the listing holds {raw:?}, which was not asked for")))
    }

    fn check(&self, answer: &Answer, given: usize, page: &ListPage) -> Result<(), &'static str> {
        if answer.truncated.is_none() {
            return Err("the listing does not say whether there is more");
        }
        if answer.announced != Some(given) {
            return Err("the listing has another number of keys than it says");
        }
        let keys_ascend = page.objects.is_sorted_by(|a, b| a.key < b.key);
        let prefixes_ascend = page.common_prefixes.is_sorted_by(|a, b| a < b);
        if !keys_ascend || !prefixes_ascend {
            return Err("the listing is not in the order of keys");
        }
        let after = self
            .after
            .as_deref()
            .and_then(|after| after.strip_prefix(self.store.prefix.as_str()))
            .unwrap_or_default();
        let keys_late = page.objects.first().is_none_or(|first| first.key.as_str() > after);
        let prefixes_late = page
            .common_prefixes
            .first()
            .is_none_or(|first| first.as_str() > after || after.starts_with(first.as_str()));
        if keys_late && prefixes_late {
            Ok(())
        } else {
            Err("the listing starts before the key it was to go on from")
        }
    }
}

/// A body in one piece, which is not copied a second time: pages of several listings are in memory at once.
async fn whole(mut body: ByteStream) -> Result<Vec<u8>, ByteStreamError> {
    let mut bytes = Vec::new();
    while let Some(more) = body.next().await {
        bytes.extend_from_slice(&more?);
    }
    Ok(bytes)
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
