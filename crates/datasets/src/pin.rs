//! Looking up the pictures that rows name, so that the plan pins their versions.

use crate::entry::{Draft, Wanted};
use crate::kind::{extension, is_picture, other_type};
use crate::{DatasetError, Reader};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{FailureReason, Item, ManifestEntry, ObjectRef, Outcome, SkipReason, StoredVector};
use sightline_objects::{ObjectError, ObjectStore};
use std::collections::HashMap;

/// Turns drafts into entries, in their order. Of two with one key, the later fails.
pub(crate) async fn pin(reader: &Reader, drafts: Vec<Draft>) -> Result<Vec<ManifestEntry>, DatasetError> {
    let drafts = without_duplicates(drafts);
    stream::iter(drafts)
        .map(|draft| async move {
            match draft {
                Draft::Ended(ended) => Ok(ManifestEntry::Ended(ended)),
                Draft::Wanted(wanted) => look_up(reader, *wanted).await,
            }
        })
        .buffered(reader.options.lookups.max(1))
        .try_collect()
        .await
}

/// Turns drafts with vectors of their own into entries. Their pictures are named, and not looked up.
pub(crate) fn name_only(drafts: Vec<Draft>) -> Vec<ManifestEntry> {
    let entry = |draft| match draft {
        Draft::Ended(ended) => ManifestEntry::Ended(ended),
        Draft::Wanted(wanted) => {
            let Wanted { mut item, image } = *wanted;
            item.image = image.map(|key| ObjectRef {
                key,
                etag: String::new(),
                size: 0,
            });
            ManifestEntry::Item(item)
        }
    };
    without_duplicates(drafts).into_iter().map(entry).collect()
}

fn without_duplicates(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut seen = HashMap::new();
    drafts
        .into_iter()
        .map(|draft| {
            let (key, line) = (draft.key().clone(), draft.line());
            match (seen.get(&key), &draft) {
                (Some(first), Draft::Wanted(_)) => {
                    let first: &Option<u64> = first;
                    let place = first.map_or_else(|| "before".into(), |line| format!("in line {line}"));
                    let message = format!(
                        "the key {:?} was given {place} already; give each row a key of its own",
                        key.as_str()
                    );
                    Draft::failed(key, line, FailureReason::DuplicateKey, message)
                }
                _ => {
                    seen.entry(key).or_insert(line);
                    draft
                }
            }
        })
        .collect()
}

/// Looks the pictures of planned entries up again: those that changed are pinned as they are now, those that are gone
/// end as skipped. What ended in planning stays as it is. At most `lookups` at once; the order stays.
///
/// # Errors
/// When the store fails for a reason that is no item's own.
pub async fn pin_again(
    store: &dyn ObjectStore,
    entries: Vec<ManifestEntry>,
    lookups: usize,
) -> Result<Vec<ManifestEntry>, DatasetError> {
    let arrays = arrays_now(store, &entries).await?;
    let arrays = &arrays;
    stream::iter(entries)
        .map(|entry| async move {
            match entry {
                ManifestEntry::Ended(ended) => Ok(ManifestEntry::Ended(ended)),
                ManifestEntry::Item(item) if !item.vectors.is_empty() => Ok(with_arrays(item, arrays)),
                ManifestEntry::Item(item) => as_it_is_now(store, item).await,
            }
        })
        .buffered(lookups.max(1))
        .try_collect()
        .await
}

/// The arrays that entries take vectors from, as they are now; none for one that is gone.
async fn arrays_now(
    store: &dyn ObjectStore,
    entries: &[ManifestEntry],
) -> Result<HashMap<String, Option<ObjectRef>>, DatasetError> {
    let mut arrays = HashMap::new();
    for entry in entries {
        let ManifestEntry::Item(item) = entry else { continue };
        for vector in item.vectors.values() {
            let StoredVector::Row { array, .. } = vector else {
                continue;
            };
            if arrays.contains_key(&array.key) {
                continue;
            }
            let now = match store.head(&array.key).await {
                Ok(meta) => Some(ObjectRef {
                    key: array.key.clone(),
                    etag: meta.etag,
                    size: meta.size,
                }),
                Err(ObjectError::NotFound { .. }) => None,
                Err(source) => {
                    return Err(DatasetError::Store {
                        what: format!("array {:?}", array.key),
                        source,
                    });
                }
            };
            arrays.insert(array.key.clone(), now);
        }
    }
    Ok(arrays)
}

fn with_arrays(mut item: Item, arrays: &HashMap<String, Option<ObjectRef>>) -> ManifestEntry {
    for vector in item.vectors.values_mut() {
        let StoredVector::Row { array, .. } = vector else {
            continue;
        };
        match arrays.get(&array.key).and_then(Option::as_ref) {
            Some(now) => *array = now.clone(),
            None => {
                let message = format!("the array {:?} was deleted since the item was planned first", array.key);
                let outcome = Outcome::skipped(SkipReason::Gone, message);
                return ManifestEntry::ended(item.key.clone(), item.line, outcome);
            }
        }
    }
    ManifestEntry::Item(item)
}

async fn as_it_is_now(store: &dyn ObjectStore, mut item: Item) -> Result<ManifestEntry, DatasetError> {
    let Some(planned) = &item.image else {
        return Ok(ManifestEntry::Item(item));
    };
    let ended = |outcome| Ok(ManifestEntry::ended(item.key.clone(), item.line, outcome));
    match store.head(&planned.key).await {
        Ok(meta) => {
            item.image = Some(ObjectRef {
                key: planned.key.clone(),
                etag: meta.etag,
                size: meta.size,
            });
            Ok(ManifestEntry::Item(item))
        }
        Err(ObjectError::NotFound { .. }) => ended(Outcome::skipped(
            SkipReason::Gone,
            format!(
                "{:?} was deleted from {} since it was planned first",
                planned.key,
                store.root()
            ),
        )),
        Err(error @ ObjectError::AccessDenied { .. }) => {
            ended(Outcome::failed(FailureReason::AccessDenied, error.to_string()))
        }
        Err(source) => Err(DatasetError::Store {
            what: format!("picture {:?}", planned.key),
            source,
        }),
    }
}

async fn look_up(reader: &Reader, wanted: Wanted) -> Result<ManifestEntry, DatasetError> {
    let Wanted { mut item, image } = wanted;
    let Some(image) = image else {
        return Ok(ManifestEntry::Item(item));
    };
    let failed = |reason, message: String| {
        Ok(ManifestEntry::ended(
            item.key.clone(),
            item.line,
            Outcome::failed(reason, message),
        ))
    };
    if extension(&image).is_some() && !is_picture(&image) {
        return failed(
            FailureReason::UnsupportedFormat,
            format!("{image:?}: {}", other_type(&image)),
        );
    }
    match reader.store.head(&image).await {
        Ok(meta) => {
            item.image = Some(ObjectRef {
                key: image,
                etag: meta.etag,
                size: meta.size,
            });
            Ok(ManifestEntry::Item(item))
        }
        Err(ObjectError::NotFound { .. }) => {
            let message = format!("there is no picture {image:?} below {}", reader.store.root());
            failed(FailureReason::NotFound, message)
        }
        Err(error @ ObjectError::AccessDenied { .. }) => failed(FailureReason::AccessDenied, error.to_string()),
        Err(error @ ObjectError::Invalid { .. }) => failed(FailureReason::InvalidRow, error.to_string()),
        Err(source) => Err(DatasetError::Store {
            what: format!("picture {image:?}"),
            source,
        }),
    }
}
