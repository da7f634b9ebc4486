//! Listings: order, pages, prefixes, folding.

use crate::{ListPage, ListRequest, ObjectError, ObjectStore};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

async fn fill<K: AsRef<str>>(store: &dyn ObjectStore, keys: impl IntoIterator<Item = K>) {
    stream::iter(keys)
        .map(|key| async move { store.put(key.as_ref(), Bytes::from_static(b"x")).await })
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
}

fn keys(page: &ListPage) -> Vec<&str> {
    page.objects.iter().map(|meta| meta.key.as_str()).collect()
}

/// All pages of a listing, as one: the same whether a page is told what the one before knew or not.
async fn all_pages(store: &dyn ObjectStore, request: ListRequest) -> (ListPage, usize) {
    let (alone, _) = follow(store, request.clone(), false).await;
    let (whole, pages) = follow(store, request, true).await;
    assert!(
        whole == alone,
        "with hints: {:?}, without: {:?}",
        keys(&whole),
        keys(&alone)
    );
    (whole, pages)
}

async fn follow(store: &dyn ObjectStore, mut request: ListRequest, hints: bool) -> (ListPage, usize) {
    let mut whole = ListPage::default();
    let mut pages = 0;
    loop {
        let page = store.list(&request).await.unwrap();
        assert!(page.objects.len() + page.common_prefixes.len() <= request.limit);
        whole.objects.extend(page.objects);
        whole.common_prefixes.extend(page.common_prefixes);
        pages += 1;
        let Some(next) = page.next else {
            return (whole, pages);
        };
        assert!(
            request.start_after.as_ref().is_none_or(|last| *last < next),
            "no progress"
        );
        request.start_after = Some(next);
        if hints {
            request.hint = page.hint;
        }
    }
}

/// Names whose order a walk of directories gets wrong: `-` and `.` come before `/`, `0` after it.
const TRAP: [&str; 8] = ["a!", "a-b/c", "a.b", "a/b-", "a/b/c", "a0", "aa", "b"];

pub async fn an_empty_store_lists_nothing(store: &dyn ObjectStore) {
    for prefix in ["", "a", "a/", "a/b/"] {
        let page = store.list(&ListRequest::all(prefix)).await.unwrap();
        assert_eq!(page, ListPage::default(), "{prefix:?}");
    }
}

pub async fn keys_are_listed_in_the_order_of_their_bytes(store: &dyn ObjectStore) {
    fill(store, TRAP.iter().rev()).await;
    for limit in [1, 2, 3, 1000] {
        let request = ListRequest {
            limit,
            ..ListRequest::all("")
        };
        let (whole, _) = all_pages(store, request).await;
        assert_eq!(keys(&whole), TRAP, "{limit} a page");
    }
}

pub async fn a_listing_is_of_its_prefix_only(store: &dyn ObjectStore) {
    fill(store, TRAP).await;
    for prefix in ["a", "a/", "a/b", "a/b/", "a-b/", "b", "b/", "z", "a/b/c", "a/b/c/"] {
        let expected: Vec<_> = TRAP.into_iter().filter(|key| key.starts_with(prefix)).collect();
        let page = store.list(&ListRequest::all(prefix)).await.unwrap();
        assert_eq!(keys(&page), expected, "{prefix:?}");
        assert_eq!(page.next, None);
    }
}

pub async fn a_listing_starts_after_what_it_is_told(store: &dyn ObjectStore) {
    fill(store, TRAP).await;
    for start in [
        "a", "a!", "a-b/c", "a.", "a/", "a/b/", "a/b/b", "a/b/c", "a/z", "a0", "z",
    ] {
        let request = ListRequest {
            start_after: Some(start.into()),
            ..ListRequest::all("")
        };
        let expected: Vec<_> = TRAP.into_iter().filter(|key| *key > start).collect();
        assert_eq!(keys(&store.list(&request).await.unwrap()), expected, "after {start:?}");
    }
}

pub async fn a_start_outside_the_prefix_gives_all_or_nothing(store: &dyn ObjectStore) {
    fill(store, TRAP).await;
    let after = |prefix: &str, start: &str| ListRequest {
        start_after: Some(start.into()),
        ..ListRequest::all(prefix)
    };
    let all = store.list(&after("a/", "a-b/c")).await.unwrap();
    assert_eq!(keys(&all), ["a/b-", "a/b/c"]);
    let nothing = store.list(&after("a/", "a0")).await.unwrap();
    assert_eq!(nothing, ListPage::default());
}

/// A server that looks for the place to go on from by the names of directories finds the neighbours of `train` there.
pub async fn a_page_goes_on_behind_a_directory_with_full_neighbours(store: &dyn ObjectStore) {
    let below = |folder: &str, count: u32| (0..count).map(move |n| format!("{folder}/{n:04}")).collect::<Vec<_>>();
    let mut expected = [below("train-extra", 30), below("train.old", 30), below("train", 25)].concat();
    expected.push("train0".into());
    expected.extend(below("val", 5));
    fill(store, &expected).await;
    expected.sort_unstable();
    for limit in [1, 4, 10, 25] {
        let request = ListRequest {
            limit,
            ..ListRequest::all("")
        };
        let (whole, _) = all_pages(store, request).await;
        assert_eq!(keys(&whole), expected, "{limit} a page");
    }
}

fn folded(prefix: &str) -> ListRequest {
    ListRequest {
        fold: true,
        ..ListRequest::all(prefix)
    }
}

pub async fn keys_are_folded_at_the_first_slash_after_the_prefix(store: &dyn ObjectStore) {
    fill(store, TRAP).await;
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("", &["a!", "a.b", "a0", "aa", "b"], &["a-b/", "a/"]),
        ("a", &["a!", "a.b", "a0", "aa"], &["a-b/", "a/"]),
        ("a/", &["a/b-"], &["a/b/"]),
        ("a/b/", &["a/b/c"], &[]),
        ("a/b", &["a/b-"], &["a/b/"]),
    ];
    for (prefix, objects, prefixes) in cases {
        let page = store.list(&folded(prefix)).await.unwrap();
        assert_eq!(keys(&page), objects, "{prefix:?}");
        assert_eq!(page.common_prefixes, prefixes, "{prefix:?}");
    }
}

pub async fn folded_pages_give_each_prefix_once(store: &dyn ObjectStore) {
    fill(store, TRAP).await;
    for limit in [1, 2, 3] {
        let (whole, pages) = all_pages(store, ListRequest { limit, ..folded("") }).await;
        assert_eq!(keys(&whole), ["a!", "a.b", "a0", "aa", "b"], "{limit} a page");
        assert_eq!(whole.common_prefixes, ["a-b/", "a/"], "{limit} a page");
        assert!(pages >= 7_usize.div_ceil(limit));
    }
}

pub async fn a_limit_outside_its_range_is_refused(store: &dyn ObjectStore) {
    for limit in [0, 1001] {
        let request = ListRequest {
            limit,
            ..ListRequest::all("")
        };
        let error = store.list(&request).await.unwrap_err();
        assert!(matches!(error, ObjectError::Invalid { .. }), "{error}");
    }
}

pub async fn directories_of_every_size_are_paged_without_loss(store: &dyn ObjectStore) {
    let sizes = [1, 130, 3, 60, 60, 2, 300, 12, 13, 15, 1, 1, 51, 100];
    let mut expected = Vec::new();
    for (number, size) in sizes.into_iter().enumerate() {
        expected.extend((0..size).map(|n| format!("x/d{number:02}/{}", n * 7 % size)));
        // What sorts right before and right behind a directory.
        expected.push(format!("x/d{number:02}-"));
        expected.extend((number % 2 == 0).then(|| format!("x/d{number:02}0")));
        expected.extend((number % 4 == 1).then(|| format!("x/d{number:02}0/in")));
    }
    fill(store, &expected).await;
    expected.sort_unstable();
    for (prefix, limit) in [
        ("", 100),
        ("x/", 7),
        ("x/", 13),
        ("x/", 60),
        ("x/", 61),
        ("x/", 120),
        ("x/", 130),
        ("x/", 300),
        ("x/d", 40),
        ("x/", 1000),
    ] {
        let request = ListRequest {
            limit,
            ..ListRequest::all(prefix)
        };
        let (whole, _) = all_pages(store, request).await;
        assert!(
            keys(&whole) == expected,
            "{prefix:?}, {limit} a page: {:?}",
            keys(&whole)
        );
    }
}

pub async fn ten_thousand_keys_are_paged_without_loss(store: &dyn ObjectStore) {
    let mut expected: Vec<String> = (0..10_000_u32)
        .map(|n| match n % 4 {
            0 => format!("d{}/{n}", n % 40),
            1 => format!("d{}-{n}", n % 40),
            2 => format!("d{}.{n}", n % 40),
            _ => format!("flat{n}"),
        })
        .collect();
    fill(store, &expected).await;
    expected.sort_unstable();
    let (whole, pages) = all_pages(store, ListRequest::all("")).await;
    assert_eq!(whole.objects.len(), 10_000);
    assert!(keys(&whole) == expected, "the listing is not what was put");
    assert!(pages >= 10);
    let (whole, _) = all_pages(
        store,
        ListRequest {
            limit: 100,
            ..folded("d")
        },
    )
    .await;
    assert_eq!(whole.common_prefixes.len(), 10);
    assert_eq!(whole.objects.len(), 5_000);
}
