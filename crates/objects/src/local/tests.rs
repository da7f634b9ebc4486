//! What is particular to a directory.

use super::{LocalStore, of_io};
use crate::{ListRequest, ObjectError, ObjectStore, Symptom};
use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use tempfile::TempDir;

async fn store() -> (TempDir, LocalStore) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let store = LocalStore::open(root).await.unwrap();
    (dir, store)
}

async fn listed(store: &LocalStore) -> Vec<String> {
    let page = store.list(&ListRequest::all("")).await.unwrap();
    page.objects.into_iter().map(|meta| meta.key).collect()
}

#[test]
fn a_file_that_the_disk_cannot_give_may_be_the_only_one_and_too_many_open_files_are_not() {
    for (errno, symptom) in [
        (rustix::io::Errno::IO, Symptom::Answered),
        (rustix::io::Errno::MFILE, Symptom::Away),
    ] {
        let error = std::io::Error::from_raw_os_error(errno.raw_os_error());
        assert_eq!(of_io("read", "k", &error).symptom(), Some(symptom), "{error}");
    }
}

#[tokio::test]
async fn no_key_reads_writes_or_deletes_outside_the_root() {
    let (dir, store) = store().await;
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    for key in [
        "../secret",
        secret.to_str().unwrap(),
        "x/../../secret",
        "a/../x",
        "./x",
        "a\0b",
        "a//b",
        "a/",
        "/",
    ] {
        let invalid = |error: ObjectError| assert!(matches!(error, ObjectError::Invalid { .. }), "{key:?}: {error}");
        invalid(store.get(key, None).await.unwrap_err());
        invalid(store.head(key).await.unwrap_err());
        invalid(store.put(key, Bytes::from_static(b"x")).await.unwrap_err());
        invalid(store.delete(key).await.unwrap_err());
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    let page = store.list(&ListRequest::all("../")).await.unwrap();
    assert!(page.objects.is_empty());
}

#[tokio::test]
async fn a_key_with_a_line_end_is_kept() {
    let (_dir, store) = store().await;
    store.put("new\nline", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.get("new\nline", None).await.unwrap(), "x");
    assert_eq!(listed(&store).await, ["new\nline"]);
}

#[tokio::test]
async fn a_link_out_of_the_root_is_seen_but_never_followed() {
    let (dir, store) = store().await;
    let root = dir.path().join("root");
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.png"), "secret").unwrap();
    symlink(outside.join("secret.png"), root.join("file.png")).unwrap();
    symlink(&outside, root.join("folder")).unwrap();
    assert_eq!(listed(&store).await, ["file.png", "folder"]);
    for key in ["file.png", "folder", "folder/secret.png"] {
        let denied = store.get(key, None).await.unwrap_err();
        assert!(matches!(denied, ObjectError::AccessDenied { .. }), "{key}: {denied}");
    }
    for key in ["folder/new.png", "folder/deep/new.png"] {
        let denied = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
        assert!(matches!(denied, ObjectError::AccessDenied { .. }), "{key}: {denied}");
    }
    let denied = store.delete("folder/secret.png").await.unwrap_err();
    assert!(matches!(denied, ObjectError::AccessDenied { .. }), "{denied}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(
        store
            .list(&ListRequest::all("folder/"))
            .await
            .unwrap()
            .objects
            .is_empty()
    );
}

#[tokio::test]
async fn a_link_to_a_file_below_the_root_is_read_through_and_a_circle_ends() {
    let (dir, store) = store().await;
    let root = dir.path().join("root");
    fs::create_dir(root.join("blobs")).unwrap();
    fs::write(root.join("blobs/1"), "picture").unwrap();
    symlink("blobs/1", root.join("a.png")).unwrap();
    symlink("..", root.join("blobs/up")).unwrap();
    symlink("self", root.join("self")).unwrap();
    assert_eq!(listed(&store).await, ["a.png", "blobs/1", "blobs/up", "self"]);
    let meta = store.head("a.png").await.unwrap();
    assert_eq!(meta.size, 7);
    assert_eq!(store.get("a.png", Some(&meta.etag)).await.unwrap(), "picture");
    for key in ["blobs/up", "self"] {
        let error = store.get(key, None).await.unwrap_err();
        assert!(matches!(error, ObjectError::Invalid { .. }), "{key}: {error}");
    }
}

#[tokio::test]
async fn a_file_whose_name_is_not_utf8_is_listed_and_read() {
    let (dir, store) = store().await;
    let root = dir.path().join("root");
    let folder = root.join(OsStr::from_bytes(b"d\xFF"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"caf\xE9.png")), "one").unwrap();
    fs::write(root.join("b\u{FFFD}AA"), "plain").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"b\xAA")), "escaped").unwrap();
    let keys = ["b\u{FFFD}AA", "d\u{FFFD}FF/caf\u{FFFD}E9.png"];
    assert_eq!(listed(&store).await, keys, "a key is listed once");
    assert_eq!(store.get(keys[0], None).await.unwrap(), "plain");
    let meta = store.head(keys[1]).await.unwrap();
    assert_eq!(store.get(keys[1], Some(&meta.etag)).await.unwrap(), "one");
    let page = store.list(&ListRequest::all("d\u{FFFD}FF/")).await.unwrap();
    assert_eq!(page.objects, [meta]);
}

#[tokio::test]
async fn what_is_being_written_is_not_listed_and_keeps_usual_permissions() {
    let (dir, store) = store().await;
    store.put("a/k", Bytes::from_static(b"x")).await.unwrap();
    let root = dir.path().join("root");
    fs::write(root.join(".sightline-tmp/put-crashed"), "half").unwrap();
    assert_eq!(listed(&store).await, ["a/k"]);
    let hidden = store.get(".sightline-tmp/put-crashed", None).await.unwrap_err();
    assert!(matches!(hidden, ObjectError::Invalid { .. }), "{hidden}");
    let made_by_others = root.join("plain");
    fs::write(&made_by_others, "x").unwrap();
    assert_eq!(
        fs::metadata(root.join("a/k")).unwrap().mode(),
        fs::metadata(made_by_others).unwrap().mode()
    );
}

#[tokio::test]
async fn a_key_above_or_below_another_is_refused_and_harms_neither() {
    let (_dir, store) = store().await;
    store.put("a/b", Bytes::from_static(b"x")).await.unwrap();
    for key in ["a", "a/b/c"] {
        let error = store.put(key, Bytes::from_static(b"y")).await.unwrap_err();
        assert!(matches!(error, ObjectError::Invalid { .. }), "{key}: {error}");
    }
    let long = "x".repeat(256);
    let error = store.put(&long, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, ObjectError::Invalid { .. }), "{error}");
    assert_eq!(listed(&store).await, ["a/b"]);
}

#[tokio::test]
async fn a_pipe_is_no_object_and_does_not_hang_its_reader() {
    let (dir, store) = store().await;
    let pipe = dir.path().join("root/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(listed(&store).await.is_empty());
    let error = store.get("pipe", None).await.unwrap_err();
    assert!(matches!(error, ObjectError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_root_that_went_away_is_an_error_and_no_empty_store() {
    let (dir, store) = store().await;
    fs::remove_dir(dir.path().join("root")).unwrap();
    let error = store.list(&ListRequest::all("")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let error = store.put("k", Bytes::new()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn an_edit_in_place_changes_the_tag() {
    let (dir, store) = store().await;
    let path = dir.path().join("root/k");
    fs::write(&path, "one").unwrap();
    let before = store.head("k").await.unwrap();
    fs::write(&path, "four").unwrap();
    let error = store.get("k", Some(&before.etag)).await.unwrap_err();
    assert!(matches!(error, ObjectError::Changed { .. }), "{error}");
}

/// Keys over a small alphabet around `/`, none of them above another.
fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    let part = "[-.0a]{1,3}".prop_filter("a name of its own", |part| part != "." && part != "..");
    let key = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    prop::collection::btree_set(key, 0..25).prop_map(|keys| {
        let above = |key: &String| keys.range(format!("{key}/")..format!("{key}0")).next().is_some();
        keys.iter().filter(|key| !above(key)).cloned().collect()
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn pages_of_any_size_give_what_sorting_the_keys_gives(
        keys in keys(),
        prefix in "[-.0a/]{0,3}",
        start in proptest::option::of("[-.0a/]{0,4}"),
        fold in any::<bool>(),
        limit in 1..6_usize,
    ) {
        // After a start inside a folded prefix, stores may differ.
        let start = start.filter(|_| !fold);
        let mut objects: Vec<&str> = Vec::new();
        let mut prefixes = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with(&prefix)) {
            if start.as_ref().is_some_and(|start| key <= start) {
                continue;
            }
            match key[prefix.len()..].find('/').filter(|_| fold) {
                Some(slash) => { prefixes.insert(&key[..=prefix.len() + slash]); }
                None => objects.push(key),
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (found, folded) = runtime.block_on(async {
            let (dir, store) = store().await;
            for key in &keys {
                let path = dir.path().join("root").join(key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
            fs::create_dir_all(dir.path().join("root/aa/empty/empty")).ok();
            let mut request = ListRequest { start_after: start.clone(), fold, limit, ..ListRequest::all(prefix.as_str()) };
            let (mut found, mut folded) = (Vec::new(), Vec::new());
            loop {
                let page = store.list(&request).await.unwrap();
                assert!(page.objects.len() + page.common_prefixes.len() <= limit);
                found.extend(page.objects.into_iter().map(|meta| meta.key));
                folded.extend(page.common_prefixes);
                let Some(next) = page.next else { break };
                request.start_after = Some(next);
            }
            (found, folded)
        });
        assert_eq!(found, objects);
        assert_eq!(folded, Vec::from_iter(prefixes));
    }
}
