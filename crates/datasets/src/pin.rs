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
/// end as skipped. So do those whose place is in a tar or an array that changed: their place in the new one is not known.
/// What ended in planning stays as it is. At most `lookups` at once; the order stays.
///
/// # Errors
/// When the store fails for a reason that is no item's own.
pub async fn pin_again(
    store: &dyn ObjectStore,
    entries: Vec<ManifestEntry>,
    lookups: usize,
) -> Result<Vec<ManifestEntry>, DatasetError> {
    let shared = Shared::now(store, &entries).await?;
    let shared = &shared;
    stream::iter(entries)
        .map(|entry| async move {
            match entry {
                ManifestEntry::Ended(ended) => Ok(ManifestEntry::Ended(ended)),
                ManifestEntry::Item(item) if !item.vectors.is_empty() => Ok(shared.with_arrays(item)),
                ManifestEntry::Item(item) if item.member.is_some() => Ok(shared.with_tar(item)),
                ManifestEntry::Item(item) => as_it_is_now(store, item).await,
            }
        })
        .buffered(lookups.max(1))
        .try_collect()
        .await
}

/// Objects that hold something of many entries, arrays and tars, as they are now; none for one that is gone.
struct Shared(HashMap<String, Option<ObjectRef>>);

impl Shared {
    async fn now(store: &dyn ObjectStore, entries: &[ManifestEntry]) -> Result<Self, DatasetError> {
        let mut objects = HashMap::new();
        for entry in entries {
            let ManifestEntry::Item(item) = entry else { continue };
            let arrays = item.vectors.values().filter_map(array_of);
            let tar = item.image.as_ref().filter(|_| item.member.is_some());
            for object in arrays.chain(tar) {
                if objects.contains_key(&object.key) {
                    continue;
                }
                let now = match store.head(&object.key).await {
                    Ok(meta) => Some(ObjectRef {
                        key: object.key.clone(),
                        etag: meta.etag,
                        size: meta.size,
                    }),
                    Err(ObjectError::NotFound { .. }) => None,
                    Err(source) => {
                        return Err(DatasetError::Store {
                            what: format!("object {:?}", object.key),
                            source,
                        });
                    }
                };
                objects.insert(object.key.clone(), now);
            }
        }
        Ok(Self(objects))
    }

    fn of(&self, key: &str) -> Option<&ObjectRef> {
        self.0.get(key).and_then(Option::as_ref)
    }

    /// Which row of another array is the item's is not known: the place alone says it, in the table that was planned.
    fn with_arrays(&self, item: Item) -> ManifestEntry {
        let is_other = |array: &&ObjectRef| self.of(&array.key) != Some(*array);
        let other = item.vectors.values().filter_map(array_of).find(is_other);
        let Some(other) = other else {
            return ManifestEntry::Item(item);
        };
        match self.of(&other.key) {
            Some(_) => {
                let message = format!(
                    "{:?}: the arrays changed since the run was planned: start a new import",
                    other.key
                );
                skipped(&item, SkipReason::Changed, message)
            }
            None => {
                let message = format!("the array {:?} was deleted since the item was planned first", other.key);
                skipped(&item, SkipReason::Gone, message)
            }
        }
    }

    /// Where in another tar the picture lies is not known without reading that from its beginning.
    fn with_tar(&self, item: Item) -> ManifestEntry {
        let Some(tar) = &item.image else {
            return ManifestEntry::Item(item);
        };
        match self.of(&tar.key) {
            Some(now) if now == tar => ManifestEntry::Item(item),
            Some(_) => {
                let message = format!(
                    "the tar {:?} was replaced since: ingest the dataset again to read it",
                    tar.key
                );
                skipped(&item, SkipReason::Changed, message)
            }
            None => {
                let message = format!("the tar {:?} was deleted since the item was planned first", tar.key);
                skipped(&item, SkipReason::Gone, message)
            }
        }
    }
}

/// The array that a vector is a row of.
fn array_of(vector: &StoredVector) -> Option<&ObjectRef> {
    match vector {
        StoredVector::Row { array, .. } => Some(array),
        StoredVector::Inline { .. } | StoredVector::Missing { .. } => None,
    }
}

fn skipped(item: &Item, reason: SkipReason, message: String) -> ManifestEntry {
    ManifestEntry::ended(item.key.clone(), item.line, Outcome::skipped(reason, message))
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
