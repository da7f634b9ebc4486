//! Prefixes that are cut in ranges: whatever the keys, the pages and the order of reading, each object once.

use bytes::Bytes;
use proptest::prelude::*;
use sightline_core::Source;
use sightline_core::plan::Range;
use sightline_datasets::{Parts, Reader, ReaderOptions};
use sightline_objects::{ListPage, ListRequest, ObjectError, ObjectMeta, ObjectStore, after_prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A store of keys alone, which any text may be.
#[derive(Debug, Default)]
struct Keys {
    keys: Mutex<BTreeSet<String>>,
    listings: AtomicUsize,
}

impl Keys {
    fn of(keys: impl IntoIterator<Item = impl Into<String>>) -> Arc<Self> {
        let keys = keys.into_iter().map(Into::into).collect();
        Arc::new(Self {
            keys: Mutex::new(keys),
            listings: AtomicUsize::new(0),
        })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Keys {
    fn root(&self) -> &str {
        "memory:"
    }
    async fn get(&self, key: &str, _: Option<&str>) -> Result<Bytes, ObjectError> {
        Err(ObjectError::NotFound { key: key.into() })
    }
    async fn get_range(&self, key: &str, _: std::ops::Range<u64>, _: Option<&str>) -> Result<Bytes, ObjectError> {
        Err(ObjectError::NotFound { key: key.into() })
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta, ObjectError> {
        Err(ObjectError::NotFound { key: key.into() })
    }
    async fn put(&self, key: &str, _: Bytes) -> Result<(), ObjectError> {
        self.keys.lock().unwrap().insert(key.into());
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<(), ObjectError> {
        Ok(())
    }
    async fn list(&self, request: &ListRequest) -> Result<ListPage, ObjectError> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let keys = self.keys.lock().unwrap();
        let after = request.start_after.as_deref().unwrap_or_default();
        let mut page = ListPage::default();
        let from = if after < request.prefix.as_str() {
            Bound::Included(request.prefix.clone())
        } else {
            Bound::Excluded(after.to_owned())
        };
        let behind = keys.range((from, Bound::Unbounded));
        for key in behind.take_while(|key| key.starts_with(&request.prefix)) {
            let folder = key[request.prefix.len()..].find('/').filter(|_| request.fold);
            let folder = folder.map(|slash| key[..=request.prefix.len() + slash].to_owned());
            if folder.is_some() && folder.as_ref() == page.common_prefixes.last() {
                continue;
            }
            if page.objects.len() + page.common_prefixes.len() == request.limit {
                let last = page.objects.last().map(|object| object.key.clone());
                page.next = last.max(page.common_prefixes.last().map(|prefix| after_prefix(prefix)));
                break;
            }
            match folder {
                Some(folder) => page.common_prefixes.push(folder),
                None => page.objects.push(ObjectMeta {
                    key: key.clone(),
                    etag: "e".into(),
                    size: 1,
                }),
            }
        }
        Ok(page)
    }
}

struct Todo {
    range: Range,
    start_after: Option<String>,
}

/// Reads a store as planning does: some entries of a range, then a cut, the parts in any order. `turns` decides what
/// is next, `late` is written in between. How often each key was read, and how many ranges there were.
async fn read(
    store: &Arc<Keys>,
    page: usize,
    entries: usize,
    parts: Parts,
    turns: &[usize],
    late: &[String],
) -> (BTreeMap<String, usize>, usize) {
    let mut todo = vec![Todo {
        range: Range::default(),
        start_after: None,
    }];
    let (mut times, mut ranges, mut step) = (BTreeMap::new(), 0, 0);
    while !todo.is_empty() {
        let turn = turns.get(step % turns.len().max(1)).copied().unwrap_or(0) % todo.len();
        let Todo { range, start_after } = todo.swap_remove(turn);
        ranges += 1;
        let reader = Reader::new(
            Arc::clone(store) as Arc<dyn ObjectStore>,
            Source::Prefix {},
            ReaderOptions::default(),
        );
        let (mut cursor, mut taken) = (start_after, 0);
        let more = loop {
            let found = reader.page(&range, cursor.as_deref(), page).await.unwrap();
            taken += found.entries.len();
            for entry in found.entries {
                *times.entry(entry.key().to_string()).or_insert(0) += 1;
            }
            match found.next {
                Some(next) if taken >= entries => break Some(next),
                None => break None,
                next => cursor = next,
            }
        };
        if let Some(key) = late.get(step) {
            store.put(key, Bytes::new()).await.unwrap();
        }
        step += 1;
        let Some(next) = more else { continue };
        let rest = match reader.split(&range, &next, parts).await.unwrap() {
            Some(split) => {
                todo.extend(split.parts.into_iter().map(|part| Todo {
                    range: part.range,
                    start_after: Some(part.start_after),
                }));
                split.rest
            }
            None => range,
        };
        todo.push(Todo {
            range: rest,
            start_after: Some(next),
        });
    }
    (times, ranges)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_object_is_read_once_whatever_the_keys_the_pages_and_the_order_of_reading(
        keys in prop::collection::btree_set("([-./0a\u{10FFFF}]{1,3}/){0,3}[-.0a\u{10FFFF}]{1,3}", 0..120),
        late in prop::collection::vec("([-./0a]{1,3}/){0,3}[-.0a]{1,3}", 0..20),
        page in 1..9_usize,
        entries in 1..20_usize,
        most in 1..9_usize,
        small in 0..6_usize,
        turns in prop::collection::vec(any::<usize>(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let parts = Parts { most, small, gathered: small * 3 };
        let store = Keys::of(keys.clone());
        let (times, _) = runtime.block_on(read(&store, page, entries, parts, &turns, &late));
        for key in &keys {
            prop_assert_eq!(times.get(key), Some(&1), "{:?}", key);
        }
        for (key, times) in times {
            prop_assert_eq!(times, 1, "{:?}", key);
        }
    }
}

const PARTS: Parts = Parts {
    most: 16,
    small: 256,
    gathered: 4096,
};

/// What is left of a prefix after its first objects, cut.
async fn cut(store: &Arc<Keys>) -> Option<sightline_datasets::Split> {
    let reader = Reader::new(
        Arc::clone(store) as Arc<dyn ObjectStore>,
        Source::Prefix {},
        ReaderOptions::default(),
    );
    let first = reader.page(&Range::default(), None, 1000).await.unwrap();
    reader
        .split(&Range::default(), &first.next.unwrap(), PARTS)
        .await
        .unwrap()
}

fn below(folder: &str, count: usize) -> impl Iterator<Item = String> + '_ {
    (0..count).map(move |at| format!("{folder}{at:06}.png"))
}

#[tokio::test]
async fn a_flat_prefix_is_not_cut_and_costs_one_listing_to_know() {
    let store = Keys::of(below("", 20_000));
    assert_eq!(cut(&store).await, None);
    assert_eq!(store.listings.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn folders_of_like_size_become_as_many_parts_as_are_wanted() {
    let folders: Vec<String> = (0..200).map(|at| format!("class-{at:03}/")).collect();
    let store = Keys::of(folders.iter().flat_map(|folder| below(folder, 500)));
    let split = cut(&store).await.unwrap();
    assert_eq!(split.parts.len(), 15);
    assert!(split.parts.iter().all(|part| part.large));
}

#[tokio::test]
async fn thousands_of_tiny_folders_become_a_few_parts() {
    let tiny: Vec<String> = (0..5_000).map(|at| format!("study-{at:05}/")).collect();
    let store = Keys::of(tiny.iter().flat_map(|folder| below(folder, 2)));
    let (times, ranges) = read(&store, 1000, 4096, PARTS, &[0], &[]).await;
    assert_eq!(times.len(), 10_000);
    assert!(ranges <= 20, "{ranges} ranges");
}

#[tokio::test]
async fn one_huge_folder_among_tiny_ones_is_found_and_cut_within() {
    let tiny: Vec<String> = (0..300).map(|at| format!("a{at:03}/")).collect();
    let huge: Vec<String> = (0..40).map(|at| format!("b/{at:02}/")).collect();
    let keys = tiny.iter().flat_map(|folder| below(folder, 4));
    let store = Keys::of(keys.chain(huge.iter().flat_map(|folder| below(folder, 1000))));
    let split = cut(&store).await.unwrap();
    let large: Vec<_> = split.parts.iter().filter(|part| part.large).collect();
    assert_eq!((large.len(), split.parts.len()), (1, 2), "{split:?}");
    let (times, ranges) = read(&store, 1000, 4096, PARTS, &[usize::MAX, 0, 3], &[]).await;
    assert_eq!(times.len(), 41_200);
    assert!((12..40).contains(&ranges), "{ranges} ranges");
}

#[tokio::test]
async fn a_deep_tree_is_cut_at_each_of_its_levels() {
    let folders = (0..4).flat_map(|year| (0..6).flat_map(move |month| (0..9).map(move |day| (year, month, day))));
    let folders: Vec<String> = folders
        .map(|(year, month, day)| format!("d/{year}/{month}/{day}/"))
        .collect();
    let store = Keys::of(folders.iter().flat_map(|folder| below(folder, 300)));
    let split = cut(&store).await.unwrap();
    let prefixes: BTreeSet<_> = split.parts.iter().map(|part| part.range.prefix.as_str()).collect();
    assert!(split.parts.len() >= 12, "{split:?}");
    assert!(prefixes.len() >= 3, "{prefixes:?}");
}
