//! Every picture below a prefix.

use crate::kind::{is_picture, other_type};
use crate::{DatasetError, Page, Reader};
use sightline_core::plan::Range;
use sightline_core::{FailureReason, Item, ItemKey, ManifestEntry, ObjectRef, Outcome, SkipReason};
use sightline_objects::{ListHint, ListPage, ListRequest, MAX_LIST_LIMIT, ObjectMeta};
use std::sync::PoisonError;

pub(crate) async fn page(
    reader: &Reader,
    range: &Range,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let mut page = Page::default();
    let mut next = start_after.map(str::to_owned);
    loop {
        let listed = list(reader, range, next, limit - page.entries.len(), false).await?;
        page.entries.extend(listed.objects.into_iter().filter_map(entry));
        next = listed.next;
        if next.is_none() || page.entries.len() >= limit {
            page.next = next;
            return Ok(page);
        }
    }
}

/// One page of what is in a range, and nothing behind its end.
pub(crate) async fn list(
    reader: &Reader,
    range: &Range,
    start_after: Option<String>,
    limit: usize,
    fold: bool,
) -> Result<ListPage, DatasetError> {
    let hint = match fold {
        true => ListHint::default(),
        false => reader.hint.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    };
    let request = ListRequest {
        prefix: range.prefix.clone(),
        start_after,
        hint,
        fold,
        limit: limit.clamp(1, MAX_LIST_LIMIT),
    };
    let listed = reader.store.list(&request).await;
    let mut page = listed.map_err(|source| DatasetError::Store {
        what: format!("listing of {:?}", reader.store.root()),
        source,
    })?;
    if !fold {
        reader
            .hint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&page.hint);
    }
    if let Some(until) = &range.until {
        page.objects.retain(|object| object.key <= *until);
        page.common_prefixes.retain(|prefix| prefix <= until);
        page.next = page.next.filter(|next| next < until);
    }
    Ok(page)
}

/// What an object is to a run; none for the empty objects that stand for folders.
fn entry(object: ObjectMeta) -> Option<ManifestEntry> {
    if object.key.ends_with('/') && object.size == 0 {
        return None;
    }
    let Ok(key) = ItemKey::new(object.key.as_str()) else {
        let message = "its key is longer than the 1024 bytes that a row's key may have; shorten the path";
        let outcome = Outcome::failed(FailureReason::RowTooLarge, message);
        return Some(ManifestEntry::ended(ItemKey::clamped(&object.key), None, outcome));
    };
    if !is_picture(&object.key) {
        let outcome = Outcome::skipped(SkipReason::UnsupportedType, other_type(&object.key));
        return Some(ManifestEntry::ended(key, None, outcome));
    }
    let mut item = Item::new(key);
    item.image = Some(ObjectRef {
        key: object.key,
        etag: object.etag,
        size: object.size,
    });
    Some(ManifestEntry::Item(item))
}
