//! Single objects: put, get, head, delete.

use crate::{ListRequest, ObjectError, ObjectStore};
use bytes::Bytes;
use futures::future::join_all;

pub async fn what_is_put_is_read_back_whole(store: &dyn ObjectStore) {
    store.put("a/b.txt", Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(store.get("a/b.txt", None).await.unwrap(), "hello");
    let meta = store.head("a/b.txt").await.unwrap();
    assert_eq!((meta.key.as_str(), meta.size), ("a/b.txt", 5));
    assert!(!meta.etag.is_empty() && !meta.etag.contains('"'), "{:?}", meta.etag);
    assert_eq!(store.get("a/b.txt", Some(&meta.etag)).await.unwrap(), "hello");
}

pub async fn what_is_put_with_a_media_type_is_an_object_like_any_other(store: &dyn ObjectStore) {
    let pixels = || Bytes::from_static(b"pixels");
    store.put_as("a/b.png", pixels(), "image/png").await.unwrap();
    assert_eq!(store.get("a/b.png", None).await.unwrap(), "pixels");
    let meta = store.head("a/b.png").await.unwrap();
    assert_eq!((meta.key.as_str(), meta.size), ("a/b.png", 6));
    store
        .put_as("a/b.png", Bytes::from_static(b"others"), "image/jpeg")
        .await
        .unwrap();
    assert_eq!(store.get("a/b.png", None).await.unwrap(), "others");
    let refused = store.put_as("", pixels(), "image/png").await.unwrap_err();
    assert!(matches!(refused, ObjectError::Invalid { .. }), "{refused}");
}

pub async fn an_empty_object_is_an_object(store: &dyn ObjectStore) {
    store.put("empty", Bytes::new()).await.unwrap();
    let meta = store.head("empty").await.unwrap();
    assert_eq!(meta.size, 0);
    assert_eq!(store.get("empty", Some(&meta.etag)).await.unwrap(), "");
    assert_eq!(store.get_range("empty", 0..10, None).await.unwrap(), "");
    assert_eq!(store.list(&ListRequest::all("")).await.unwrap().objects, [meta]);
}

pub async fn a_put_replaces_the_whole_object(store: &dyn ObjectStore) {
    store
        .put("k", Bytes::from_static(b"a long first content"))
        .await
        .unwrap();
    store.put("k", Bytes::from_static(b"short")).await.unwrap();
    assert_eq!(store.get("k", None).await.unwrap(), "short");
}

pub async fn a_missing_object_is_not_found(store: &dyn ObjectStore) {
    store.put("there/below", Bytes::from_static(b"x")).await.unwrap();
    for key in ["missing", "no/such/folder", "there", "there/below/nothing"] {
        let not_found = ObjectError::NotFound { key: key.into() };
        assert_eq!(store.get(key, None).await.unwrap_err(), not_found);
        assert_eq!(store.get(key, Some("0123")).await.unwrap_err(), not_found);
        assert_eq!(store.get_range(key, 0..1, None).await.unwrap_err(), not_found);
        assert_eq!(store.head(key).await.unwrap_err(), not_found);
        assert!(!not_found.is_retryable());
    }
}

pub async fn a_deleted_object_is_gone_and_may_be_deleted_again(store: &dyn ObjectStore) {
    store.put("a/gone", Bytes::from_static(b"x")).await.unwrap();
    store.put("a/kept", Bytes::from_static(b"y")).await.unwrap();
    store.delete("a/gone").await.unwrap();
    store.delete("a/gone").await.unwrap();
    store.delete("never/was").await.unwrap();
    store.delete("a").await.unwrap();
    let error = store.get("a/gone", None).await.unwrap_err();
    assert!(matches!(error, ObjectError::NotFound { .. }), "{error}");
    let page = store.list(&ListRequest::all("")).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(page.objects[0].key, "a/kept");
}

pub async fn a_get_of_another_version_says_that_it_changed(store: &dyn ObjectStore) {
    store.put("k", Bytes::from_static(b"one")).await.unwrap();
    let planned = store.head("k").await.unwrap().etag;
    store.put("k", Bytes::from_static(b"two")).await.unwrap();
    let changed = ObjectError::Changed {
        key: "k".into(),
        expected: planned.clone(),
    };
    assert_eq!(store.get("k", Some(&planned)).await.unwrap_err(), changed);
    assert!(!changed.is_retryable());
    assert_eq!(store.get("k", None).await.unwrap(), "two");
}

pub async fn another_content_has_another_tag(store: &dyn ObjectStore) {
    let mut tags = std::collections::BTreeSet::new();
    for round in 0..50_u8 {
        store.put("k", Bytes::from(vec![round; 3])).await.unwrap();
        assert!(
            tags.insert(store.head("k").await.unwrap().etag),
            "round {round} repeats a tag"
        );
    }
}

pub async fn head_and_list_agree(store: &dyn ObjectStore) {
    store.put("a", Bytes::from_static(b"1")).await.unwrap();
    store.put("b/c", Bytes::from_static(b"22")).await.unwrap();
    for meta in store.list(&ListRequest::all("")).await.unwrap().objects {
        assert_eq!(store.head(&meta.key).await.unwrap(), meta);
    }
}

pub async fn a_range_is_clamped_to_the_end(store: &dyn ObjectStore) {
    store.put("k", Bytes::from_static(b"0123456789")).await.unwrap();
    for (range, expected) in [
        (0..4, "0123"),
        (4..10, "456789"),
        (8..100, "89"),
        (10..20, ""),
        (50..60, ""),
        (3..3, ""),
        (0..10, "0123456789"),
    ] {
        assert_eq!(
            store.get_range("k", range.clone(), None).await.unwrap(),
            expected,
            "{range:?}"
        );
    }
}

pub async fn a_range_of_another_version_says_that_it_changed(store: &dyn ObjectStore) {
    store.put("k", Bytes::from_static(b"0123456789")).await.unwrap();
    let planned = store.head("k").await.unwrap().etag;
    assert_eq!(store.get_range("k", 2..4, Some(&planned)).await.unwrap(), "23");
    store.put("k", Bytes::from_static(b"abcdefghij")).await.unwrap();
    let error = store.get_range("k", 2..4, Some(&planned)).await.unwrap_err();
    assert!(matches!(error, ObjectError::Changed { .. }), "{error}");
    store.put("k", Bytes::from_static(b"short")).await.unwrap();
    let error = store.get_range("k", 6..8, Some(&planned)).await.unwrap_err();
    assert!(matches!(error, ObjectError::Changed { .. }), "behind its end: {error}");
    let short = store.head("k").await.unwrap().etag;
    assert_eq!(store.get_range("k", 6..8, Some(&short)).await.unwrap(), "");
}

pub async fn eight_mebibytes_are_read_back_whole(store: &dyn ObjectStore) {
    let body: Vec<u8> = (0..8_u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let body = Bytes::from(body);
    store.put("big", body.clone()).await.unwrap();
    assert!(
        store.get("big", None).await.unwrap() == body,
        "8 MiB come back otherwise"
    );
    let part = store.get_range("big", 5_000_000..5_000_100, None).await.unwrap();
    assert_eq!(part, body[5_000_000..5_000_100]);
}

/// Keys with characters that some layer (path, URL, XML, percent encoding) treats as its own.
const ODD_KEYS: &[&str] = &[
    "a b/c d.png",
    " lead and trail ",
    "사진/가슴 엑스선.png",
    "e\u{301}.png",
    "\u{e9}.png",
    "100%.png",
    "a%20b",
    "a+b",
    "a&b=c",
    "a?b#c",
    "<tag>&amp;\"'",
    "back\\slash",
    "semi;colon,comma",
    "*[glob]{x}~",
    "😀.png",
    "..hidden",
    "%2e%2e/x",
];

pub async fn keys_may_hold_any_character(store: &dyn ObjectStore) {
    for key in ODD_KEYS {
        store.put(key, Bytes::from(format!("body of {key}"))).await.unwrap();
    }
    for key in ODD_KEYS {
        assert_eq!(store.head(key).await.unwrap().key, *key);
        assert_eq!(store.get(key, None).await.unwrap(), format!("body of {key}"));
    }
    let mut expected: Vec<&str> = ODD_KEYS.to_vec();
    expected.sort_unstable();
    // Pages of one key: each of them serves as a place to go on from.
    let mut request = ListRequest {
        limit: 1,
        ..ListRequest::all("")
    };
    let mut listed = Vec::new();
    loop {
        let page = store.list(&request).await.unwrap();
        listed.extend(page.objects.into_iter().map(|meta| meta.key));
        let Some(next) = page.next else { break };
        request.start_after = Some(next);
    }
    assert_eq!(listed, expected);
    for key in ODD_KEYS {
        let page = store.list(&ListRequest::all(*key)).await.unwrap();
        assert_eq!(page.objects[0].key, *key, "as a prefix");
        store.delete(key).await.unwrap();
    }
    assert!(store.list(&ListRequest::all("")).await.unwrap().objects.is_empty());
}

pub async fn keys_of_almost_a_thousand_bytes_are_kept(store: &dyn ObjectStore) {
    // The store's root may have a prefix, which counts towards the 1024 bytes that S3 allows; some servers allow a part
    // between slashes no more than a file's name may have.
    let ascii = ["a".repeat(235), "b".repeat(235), "c".repeat(235), "d".repeat(235)].join("/");
    let korean = ["가".repeat(78), "나".repeat(78), "다".repeat(78), "라".repeat(78)].join("/");
    for key in [&ascii, &korean] {
        assert!((930..=950).contains(&key.len()), "{}", key.len());
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(store.get(key, None).await.unwrap(), "x");
    }
    let page = store.list(&ListRequest::all("")).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|meta| &meta.key).collect();
    assert_eq!(keys, [&ascii, &korean]);
}

pub async fn a_key_that_names_nothing_is_refused(store: &dyn ObjectStore) {
    let error = store.put("", Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(error, ObjectError::Invalid { .. }), "{error}");
    let error = store.get("", None).await.unwrap_err();
    assert!(matches!(error, ObjectError::Invalid { .. }), "{error}");
}

pub async fn concurrent_puts_of_one_key_are_read_whole(store: &dyn ObjectStore) {
    let body = |writer: u8| Bytes::from(vec![writer; 100_000]);
    store.put("k", body(0)).await.unwrap();
    let writes = join_all((1..=8_u8).map(|writer| store.put("k", body(writer))));
    let reads = join_all((0..24).map(|_| store.get("k", None)));
    let (written, read) = futures::join!(writes, reads);
    for result in written {
        result.unwrap();
    }
    for result in read {
        let bytes = result.unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two writers are mixed");
    }
    let last = store.get("k", None).await.unwrap();
    assert!((1..=8).contains(&last[0]) && last == body(last[0]));
}
