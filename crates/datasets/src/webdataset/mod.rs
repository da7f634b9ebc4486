//! WebDataset: tars of samples, read header by header, so that an item is a place in its tar and workers read many
//! items at once.
//!
//! A tar that cannot be read, or not to its end, fails by its own key; what lies before the damage, and the other tars, go
//! on.

mod header;
mod sample;
mod split;
mod walk;

pub(crate) use split::split;

use crate::kind::extension;
use crate::{DatasetError, Page, Reader};
use sample::Samples;
use serde::{Deserialize, Serialize};
use sightline_core::plan::Range;
use sightline_core::{FailureReason, ItemKey, ManifestEntry, Outcome, SkipReason};
use sightline_objects::{ListPage, ListRequest, ObjectError, ObjectMeta};
use std::collections::HashSet;
use walk::{Broken, Tar, Walk, unpack};

/// A page ends early when what is said of its items has more bytes.
const PAGE_BYTES: usize = 16 << 20;
/// Endings of tars that are compressed, and what takes that away.
const PACKED: [(&str, &str); 8] = [
    (".tar.gz", "gunzip"),
    (".tgz", "gunzip"),
    (".tar.zst", "unzstd"),
    (".tar.bz2", "bunzip2"),
    (".tbz2", "bunzip2"),
    (".tar.xz", "unxz"),
    (".txz", "unxz"),
    (".tar.lz4", "lz4 -d"),
];

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Place {
    /// With the next object.
    Behind {
        /// A key, or a text in the order of keys.
        behind: String,
    },
    /// Within a tar.
    Within {
        tar: String,
        etag: String,
        size: u64,
        /// Where the next sample's first header begins.
        at: u64,
        /// Entries of that sample that were given already.
        given: usize,
    },
}

impl Place {
    fn read(cursor: &str) -> Result<Self, DatasetError> {
        serde_json::from_str(cursor).map_err(|_| DatasetError::Cursor { cursor: cursor.into() })
    }

    fn write(&self) -> String {
        // An enum of texts and whole numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(crate) async fn page(
    reader: &Reader,
    prefix: &str,
    range: &Range,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let mut place = start_after.map(Place::read).transpose()?;
    let mut filling = Filling {
        reader,
        limit,
        entries: Vec::new(),
        keys: HashSet::new(),
        bytes: 0,
    };
    loop {
        place = match place {
            Some(Place::Within {
                tar: key,
                etag,
                size,
                at,
                given,
            }) => {
                let tar = Tar { key, etag, size };
                Some(filling.read_tar(tar, at, given).await?)
            }
            Some(Place::Behind { behind }) => filling.list(prefix, range, Some(behind)).await?,
            None => filling.list(prefix, range, None).await?,
        };
        if place.is_none() || filling.is_full() {
            return Ok(Page {
                entries: filling.entries,
                next: place.map(|place| place.write()),
            });
        }
    }
}

/// A page that is being filled.
struct Filling<'a> {
    reader: &'a Reader,
    limit: usize,
    entries: Vec<ManifestEntry>,
    keys: HashSet<ItemKey>,
    bytes: usize,
}

impl Filling<'_> {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn add(&mut self, entry: ManifestEntry) {
        let entry = match entry {
            ManifestEntry::Item(item) if !self.keys.insert(item.key.clone()) => {
                let why = "the tar holds a file of this path already; give each a path of its own";
                ManifestEntry::ended(item.key, None, Outcome::failed(FailureReason::DuplicateKey, why))
            }
            entry => entry,
        };
        self.entries.push(entry);
    }

    /// Looks for the next tar. What lies before it are no tars.
    async fn list(
        &mut self,
        prefix: &str,
        range: &Range,
        mut behind: Option<String>,
    ) -> Result<Option<Place>, DatasetError> {
        loop {
            let listed = list(self.reader, prefix, range, behind.take()).await?;
            for object in listed.objects {
                if is_tar(&object.key) {
                    return Ok(Some(Place::Within {
                        tar: object.key,
                        etag: object.etag,
                        size: object.size,
                        at: 0,
                        given: 0,
                    }));
                }
                if let Some(entry) = other(&object) {
                    self.add(entry);
                }
                if self.is_full() {
                    return Ok(Some(Place::Behind { behind: object.key }));
                }
            }
            behind = listed.next;
            if behind.is_none() {
                return Ok(None);
            }
        }
    }

    /// Reads samples of a tar until the page is full or the tar ends.
    async fn read_tar(&mut self, tar: Tar, at: u64, mut given: usize) -> Result<Place, DatasetError> {
        let walk = Walk::new(self.reader, tar.clone(), at);
        let mut samples = Samples::new(walk, self.reader.options.max_row_bytes);
        let behind = Place::Behind {
            behind: tar.key.clone(),
        };
        loop {
            let sample = match samples.next().await {
                Ok(Some(sample)) => sample,
                Ok(None) => return Ok(behind),
                Err(broken) => {
                    self.add(unread(&tar, broken)?);
                    return Ok(behind);
                }
            };
            self.bytes += sample.weight();
            for (number, entry) in sample.entries(&tar).into_iter().enumerate().skip(given) {
                if self.entries.len() >= self.limit {
                    return Ok(within(tar, sample.start, number));
                }
                self.add(entry);
            }
            given = 0;
            if self.is_full() {
                return Ok(within(tar, samples.at(), 0));
            }
        }
    }
}

fn within(tar: Tar, at: u64, given: usize) -> Place {
    let Tar { key: tar, etag, size } = tar;
    Place::Within {
        tar,
        etag,
        size,
        at,
        given,
    }
}

fn is_tar(key: &str) -> bool {
    extension(key).is_some_and(|ending| ending.eq_ignore_ascii_case("tar"))
}

/// Objects of a range of a dataset's keys.
async fn list(reader: &Reader, prefix: &str, range: &Range, behind: Option<String>) -> Result<ListPage, DatasetError> {
    let request = ListRequest {
        start_after: behind,
        ..ListRequest::all(prefix)
    };
    let listed = reader.store.list(&request).await;
    let mut page = listed.map_err(|source| DatasetError::Store {
        what: format!("listing of {:?}", reader.store.root()),
        source,
    })?;
    if let Some(until) = &range.until {
        page.objects.retain(|object| object.key <= *until);
        page.next = page.next.filter(|next| next < until);
    }
    Ok(page)
}

/// What an object that is no tar is to a run; none for the empty objects that stand for folders.
fn other(object: &ObjectMeta) -> Option<ManifestEntry> {
    if object.key.ends_with('/') && object.size == 0 {
        return None;
    }
    let name = object.key.to_ascii_lowercase();
    let packed = PACKED.iter().find(|(ending, _)| name.ends_with(ending));
    let outcome = match (packed, extension(&object.key)) {
        (Some((_, program)), _) => {
            let message = format!("the tar {:?} is compressed: {}", object.key, unpack(program));
            Outcome::failed(FailureReason::UnreadableTar, message)
        }
        (None, Some(ending)) => Outcome::skipped(
            SkipReason::UnsupportedType,
            format!("it is a .{ending} file and no .tar"),
        ),
        (None, None) => Outcome::skipped(SkipReason::UnsupportedType, "it has no extension and is no .tar"),
    };
    Some(ManifestEntry::ended(ItemKey::clamped(&object.key), None, outcome))
}

/// The entry of a tar that is read no further.
fn unread(tar: &Tar, broken: Broken) -> Result<ManifestEntry, DatasetError> {
    let failed = |why: String| Outcome::failed(FailureReason::UnreadableTar, format!("the tar {:?} {why}", tar.key));
    let outcome = match broken {
        Broken::Damaged(at, why) => failed(format!("cannot be read on from byte {at}: {why}")),
        Broken::Store(source) if source.is_retryable() => {
            let what = format!("tar {:?}", tar.key);
            return Err(DatasetError::Store { what, source });
        }
        Broken::Store(error @ ObjectError::NotFound { .. }) => Outcome::skipped(SkipReason::Gone, error.to_string()),
        Broken::Store(ObjectError::Changed { .. }) => {
            failed("was replaced while the run was planned; start a new run to read the new one".into())
        }
        Broken::Store(error) => failed(format!("cannot be read: {error}")),
    };
    Ok(ManifestEntry::ended(ItemKey::clamped(&tar.key), None, outcome))
}
