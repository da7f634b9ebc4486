//! Looking up the pictures that rows name, so that the plan pins their versions.

use crate::entry::{Draft, Wanted};
use crate::kind::{extension, is_picture, other_type};
use crate::{DatasetError, Reader};
use futures::{StreamExt, TryStreamExt, stream};
use sightline_core::{FailureReason, ManifestEntry, ObjectRef, Outcome};
use sightline_objects::ObjectError;
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
