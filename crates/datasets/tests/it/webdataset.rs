//! Tars of samples.

use crate::support::{Store, all, shorts};
use proptest::prelude::*;
use sightline_core::plan::Range;
use sightline_core::{Item, ManifestEntry, Outcome, Source};
use sightline_datasets::{Page, Parts, Reader, ReaderOptions, is_unnamed, pin_again};
use sightline_objects::ObjectStore;
use std::collections::BTreeMap;
use std::sync::Arc;

fn tars(prefix: &str) -> Source {
    Source::Webdataset { prefix: prefix.into() }
}

/// A tar as the `tar` crate writes it.
fn tar_of<N: AsRef<str>, C: AsRef<[u8]>>(files: &[(N, C)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.as_ref().len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name.as_ref(), content.as_ref()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn items(entries: &[ManifestEntry]) -> Vec<&Item> {
    let items = entries.iter().filter_map(|entry| match entry {
        ManifestEntry::Item(item) => Some(item),
        ManifestEntry::Ended(_) => None,
    });
    items.collect()
}

/// The bytes that an item's place names.
fn content<'t>(tar: &'t [u8], item: &Item) -> &'t [u8] {
    let member = item.member.as_ref().unwrap();
    let from = usize::try_from(member.offset).unwrap();
    &tar[from..from + usize::try_from(member.size).unwrap()]
}

async fn read(store: &Arc<dyn ObjectStore>) -> Vec<ManifestEntry> {
    all(store, &tars(""), ReaderOptions::default(), 100).await.unwrap()
}

/// The message of the one entry that says that a tar is not read on.
fn unreadable(entries: &[ManifestEntry]) -> String {
    let found: Vec<_> = entries.iter().filter(|entry| is_unnamed(entry)).collect();
    let [ManifestEntry::Ended(ended)] = &found[..] else {
        panic!("{found:?}")
    };
    match &ended.outcome {
        Outcome::Failed { reason, message, .. } => format!("{} {reason}: {message}", ended.key),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sample_is_its_pictures_with_what_the_files_beside_them_say() {
    let json =
        r#"{"caption": "of the json", "width": 3, "exif": {"a": [1]}, "url": "http://x/1", "none": null, "": 7}"#;
    let tar = tar_of(&[
        ("000.jpg", "jpeg"),
        ("000.json", json),
        ("000.txt", "\u{feff}a red apple\n"),
        ("000.cls", "3"),
        (
            "a/001.json",
            r#"{"caption": "two views", "labels": ["Mass", "Nodule"], "uid": "p7"}"#,
        ),
        ("a/001.left.png", "left"),
        ("a/001.npy", "numbers"),
        ("a/001.right.PNG", "right"),
        ("002.txt", "a text alone"),
        ("003.mp3", "sound"),
        ("README", "words"),
        ("._000.jpg", "of a file system"),
    ]);
    let store = Store::with(&[("d/0.tar", &tar)]).await;
    let entries = read(&store).await;
    assert_eq!(
        shorts(&entries),
        [
            format!("d/0.tar/000.jpg item {} a red apple", tar.len()),
            format!("d/0.tar/a/001.left.png item {} two views", tar.len()),
            format!("d/0.tar/a/001.right.PNG item {} two views", tar.len()),
            "d/0.tar/002.txt item - a text alone".into(),
            "d/0.tar/003.mp3 skipped unsupported_type".into(),
            "d/0.tar/README skipped unsupported_type".into(),
            "d/0.tar/._000.jpg skipped unsupported_type".into(),
        ]
    );
    let items = items(&entries);
    let said: BTreeMap<&str, String> = items[0]
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_string()))
        .collect();
    let expected = [
        ("caption", "\"of the json\""),
        ("exif", "\"{\\\"a\\\":[1]}\""),
        ("url", "\"http://x/1\""),
        ("width", "3"),
    ];
    assert_eq!(said, expected.map(|(name, value)| (name, value.to_owned())).into());
    assert_eq!(
        (items[0].uid.as_deref(), &items[0].labels[..]),
        (Some("000"), &["3".to_owned()][..])
    );
    assert_eq!((items[1].uid.as_deref(), items[1].labels.len()), (Some("p7"), 2));
    let contents: Vec<_> = items[..3].iter().map(|item| content(&tar, item)).collect();
    assert_eq!(contents, [&b"jpeg"[..], b"left", b"right"]);
    assert!(items[3].member.is_none() && items[3].image.is_none());
    assert_ne!(items[1].source_digest(""), items[2].source_digest(""));
}

#[tokio::test]
async fn tars_that_python_writes_in_each_of_its_formats_are_read() {
    let long = format!("d/{}/{}", "n".repeat(90), "m".repeat(90));
    for (name, bytes) in [
        ("ustar", &include_bytes!("../tars/ustar.tar")[..]),
        ("gnu", include_bytes!("../tars/gnu.tar")),
        ("pax", include_bytes!("../tars/pax.tar")),
    ] {
        let store = Store::with(&[("t.tar", bytes)]).await;
        let entries = read(&store).await;
        let size = bytes.len();
        let mut expected = vec![
            format!("t.tar/000.jpg item {size} 한 줄"),
            format!("t.tar/{long}.png item {size} of the json"),
            format!("t.tar/사진/{}.jpg item {size} -", "x".repeat(120)),
            "t.tar/link.jpg skipped unsupported_type".into(),
            "t.tar/hard.jpg skipped unsupported_type".into(),
        ];
        let mut contents = vec![b"first".to_vec(), b"second ".repeat(200), b"third".to_vec()];
        if name == "ustar" {
            expected.remove(2);
            contents.pop();
        }
        assert_eq!(shorts(&entries), expected, "{name}");
        let items = items(&entries);
        let read: Vec<_> = items.iter().map(|item| content(bytes, item).to_vec()).collect();
        assert_eq!(read, contents, "{name}");
        assert_eq!(
            (items[1].labels.as_slice(), &items[1].attributes["width"]),
            (&["7".to_owned()][..], &3.into())
        );
    }
}

#[tokio::test]
async fn a_tar_that_is_damaged_fails_by_its_key_with_place_and_reason_and_the_others_go_on() {
    let whole = tar_of(&[("a.jpg", "aaa"), ("a.txt", "text"), ("b.jpg", "bbb"), ("b.txt", "more")]);
    let damaged = |at: usize, with: &[u8]| {
        let mut tar = whole.clone();
        tar[at..at + with.len()].copy_from_slice(with);
        tar
    };
    // Headers are at 0, 1024, 2048 and 3072.
    for (tar, said) in [
        (
            whole[..2561].to_vec(),
            "from byte 2048: \"b.jpg\" has 3 bytes by its header, and 1 are left",
        ),
        (whole[..3000].to_vec(), "from byte 3072: it ends without the zeros"),
        (whole[..4096].to_vec(), "from byte 4096: it ends without the zeros"),
        (damaged(2048, b"\x01"), "from byte 2048: no header is there"),
        (damaged(2048 + 124, b"77777777777"), "from byte 2048"),
        (b"\x1f\x8b\x08\0".to_vec(), "from byte 0: it is compressed: parts of it"),
        (Vec::new(), "from byte 0: it is empty"),
        (
            b"no tar at all".repeat(100),
            "from byte 0: its header's checksum is no number",
        ),
    ] {
        let store = Store::with(&[("0.tar", &tar), ("1.tar", &whole)]).await;
        let entries = read(&store).await;
        let message = unreadable(&entries);
        let expected = "0.tar unreadable_tar: the tar \"0.tar\" cannot be read on ";
        assert!(
            message.starts_with(expected) && message.contains(said),
            "{said}: {message}"
        );
        let keys: Vec<_> = items(&entries).iter().map(|item| item.key.to_string()).collect();
        assert!(
            keys.ends_with(&["1.tar/a.jpg".into(), "1.tar/b.jpg".into()]),
            "{keys:?}"
        );
        let before = usize::from(
            message.contains("byte 2048") || message.contains("byte 3072") || message.contains("byte 4096"),
        );
        assert!(keys.len() >= 2 + before, "{said}: {keys:?}");
    }
}

/// A header with a right checksum.
fn header(name: &str, kind: u8, size: &[u8; 12]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(size);
    block[148..156].fill(b' ');
    block[156] = kind;
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[tokio::test]
async fn sizes_and_names_that_nobody_writes_are_refused_before_anything_is_fetched_for_them() {
    let large = b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff";
    for (tar, said) in [
        (
            header("a.jpg", b'0', large),
            "has 9223372036854775807 bytes by its header",
        ),
        (
            header("a.jpg", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            "size is negative",
        ),
        (
            header("././@LongLink", b'L', b"00010000001\0"),
            "has 2097153 bytes, more than 1048576",
        ),
        (header("x", b'x', large), "bytes, more than 1048576"),
        (
            header("././@LongLink", b'L', b"00000000000\0").repeat(1100),
            "more headers stand before one file",
        ),
    ] {
        let store = Store::counting(&[("0.tar", &tar)]).await;
        let as_store: Arc<dyn ObjectStore> = Arc::<Store>::clone(&store);
        let message = unreadable(&read(&as_store).await);
        assert!(message.contains(said), "{said}: {message}");
        assert!(store.ranges() <= 2, "{said}");
    }
}

#[tokio::test]
async fn compressed_tars_and_other_files_are_told_apart_and_say_what_to_do() {
    let store = Store::with(&[
        ("0.tar.gz", b"x"),
        ("0.parquet", b"x"),
        ("none.jpg", b"x"),
        ("t/1.tar", &tar_of(&[("a.jpg", "a")])),
    ])
    .await;
    let entries = read(&store).await;
    assert!(unreadable(&entries).contains("uncompress it (gunzip) and store the .tar"));
    assert_eq!(
        shorts(&entries)[..3],
        [
            "0.parquet skipped unsupported_type",
            "0.tar.gz failed unreadable_tar",
            "none.jpg skipped unsupported_type"
        ]
    );
    let below = all(&store, &tars("t/"), ReaderOptions::default(), 9).await.unwrap();
    assert_eq!(below.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_understood_of_a_sample_is_that_sample_s_failure() {
    let long = "x".repeat(1100);
    let too_long = format!("{long}.jpg");
    let files: [(&str, &[u8]); 10] = [
        ("0.jpg", b"a"),
        ("0.json", b"[1]"),
        ("1.jpg", b"a"),
        ("1.txt", b"\xff\xfe"),
        ("2.jpg", b""),
        ("3.jpg", b"a"),
        ("3.jpg", b"b"),
        (&too_long, b"a"),
        ("4.txt", &[b'x'; 5000]),
        ("4.jpg", b"a"),
    ];
    let tar = tar_of(&files);
    let store = Store::with(&[("t.tar", &tar)]).await;
    let options = ReaderOptions {
        max_row_bytes: 4096,
        ..ReaderOptions::default()
    };
    let entries = all(&store, &tars(""), options, 100).await.unwrap();
    let ends: Vec<String> = shorts(&entries)
        .into_iter()
        .map(|end| end.replace(&long, "long"))
        .collect();
    assert_eq!(
        ends[..5],
        [
            "t.tar/0.jpg failed invalid_row",
            "t.tar/1.jpg failed invalid_row",
            "t.tar/2.jpg failed empty_object",
            &format!("t.tar/3.jpg item {} -", tar.len()),
            "t.tar/3.jpg failed duplicate_key",
        ]
    );
    assert!(ends[5].ends_with("failed row_too_large"), "{}", ends[5]);
    assert_eq!(ends[6..], ["t.tar/4.jpg failed invalid_row"]);
}

#[tokio::test]
async fn headers_of_small_files_are_read_along_and_large_files_are_passed_over() {
    let small: Vec<(String, Vec<u8>)> = (0..500).map(|at| (format!("{at:04}.jpg"), vec![1; 3000])).collect();
    let large: Vec<(String, Vec<u8>)> = (0..4).map(|at| (format!("{at}.jpg"), vec![1; 3 << 20])).collect();
    let store = Store::counting(&[("large.tar", &tar_of(&large)), ("small.tar", &tar_of(&small))]).await;
    let as_store: Arc<dyn ObjectStore> = Arc::<Store>::clone(&store);
    let read = async |prefix| {
        all(&as_store, &tars(prefix), ReaderOptions::default(), 1000)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(read("small").await, 500);
    assert_eq!(store.ranges(), 2, "1.8 MB in ranges of 1 MiB");
    assert_eq!(read("large").await, 4);
    assert!(store.ranges() <= 5, "a range for each header");
}

#[tokio::test]
async fn a_tar_that_is_replaced_meanwhile_is_no_mixture_and_one_that_is_gone_is_skipped() {
    let tar = tar_of(&[("0.jpg", "a"), ("1.jpg", "b")]);
    let other = tar_of(&[("0.jpg", "another"), ("1.jpg", "b")]);
    for (now, said) in [
        (Some(other), "t.tar failed unreadable_tar"),
        (None, "t.tar skipped gone"),
    ] {
        let store = Store::with(&[("t.tar", &tar)]).await;
        let reader = Reader::new(Arc::clone(&store), tars(""), ReaderOptions::default());
        let first: Page = reader.page(&Range::default(), None, 1).await.unwrap();
        match now {
            Some(now) => store.put("t.tar", now.into()).await.unwrap(),
            None => store.delete("t.tar").await.unwrap(),
        }
        let rest = reader.page(&Range::default(), first.next.as_deref(), 9).await.unwrap();
        assert_eq!(shorts(&rest.entries), [said]);
        let again = pin_again(store.as_ref(), first.entries, 4).await.unwrap();
        let expected = if said.contains("gone") { "gone" } else { "changed" };
        assert_eq!(shorts(&again), [format!("t.tar/0.jpg skipped {expected}")]);
    }
    let store = Store::with(&[("t.tar", &tar)]).await;
    let entries = read(&store).await;
    assert_eq!(pin_again(store.as_ref(), entries.clone(), 4).await.unwrap(), entries);
}

/// Reads all ranges of a dataset that is cut after every page; how often each key was found, and how many ranges.
async fn in_ranges(store: &Arc<dyn ObjectStore>, page: usize, most: usize) -> (BTreeMap<String, usize>, usize) {
    let (mut keys, mut ranges) = (BTreeMap::new(), 1);
    let mut todo = vec![(Range::default(), None)];
    let parts = Parts {
        most,
        small: 1,
        gathered: 1,
    };
    while let Some((range, cursor)) = todo.pop() {
        let reader = Reader::new(Arc::clone(store), tars(""), ReaderOptions::default());
        let found = reader.page(&range, cursor.as_deref(), page).await.unwrap();
        for entry in found.entries {
            *keys.entry(entry.key().to_string()).or_insert(0) += 1;
        }
        let Some(next) = found.next else { continue };
        let split = reader.split(&range, &next, parts).await.unwrap();
        let rest = split.as_ref().map_or(range, |split| split.rest.clone());
        for part in split.into_iter().flat_map(|split| split.parts) {
            ranges += 1;
            todo.push((part.range, Some(part.start_after)));
        }
        todo.push((rest, Some(next)));
    }
    (keys, ranges)
}

#[tokio::test]
async fn ranges_are_cut_between_tars_and_hold_each_file_once() {
    let tar = tar_of(&[("0.jpg", "a"), ("1.jpg", "b"), ("2.jpg", "c")]);
    let names: Vec<String> = (0..9).map(|at| format!("d/{at}.tar")).collect();
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &tar[..])).collect();
    files.extend([("a.csv", &b"x"[..]), ("d/4.tar.json", b"x"), ("z.csv", b"x")]);
    let store = Store::with(&files).await;
    for (page, most) in [(1, 2), (1, 16), (2, 3), (3, 4), (4, 16), (100, 4)] {
        let (keys, ranges) = in_ranges(&store, page, most).await;
        assert_eq!(keys.len(), 9 * 3 + 3, "{page} {most}");
        assert!(keys.values().all(|times| *times == 1), "{page} {most}: {keys:?}");
        assert!(page == 100 || ranges >= most.min(8), "{page} {most}: {ranges}");
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-c]{1,3}(/[a-c가]{1,60}){0,4}\\.(jpg|txt|seg\\.png|npy)"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_picture_that_is_written_is_found_where_it_lies_in_pages_of_any_size(
        files in prop::collection::btree_map(name(), prop::collection::vec(any::<u8>(), 1..1500), 1..25),
        limit in 1..9_usize,
        chunk in 1..4000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
        let tar = tar_of(&files);
        runtime.block_on(async {
            let store = Store::with(&[("t.tar", &tar)]).await;
            let whole = read(&store).await;
            for item in items(&whole) {
                let Some(member) = &item.member else { continue };
                let written = &files.iter().find(|(name, _)| *name == member.path).unwrap().1;
                assert_eq!(content(&tar, item), &written[..]);
            }
            let found = |name: &str| whole.iter().any(|entry| entry.key().as_str() == format!("t.tar/{name}"));
            assert!(files.iter().filter(|(name, _)| !name.ends_with("txt") && !name.ends_with("npy")).all(|(name, _)| found(name)));
            let tiny = ReaderOptions { chunk_bytes: chunk, ..ReaderOptions::default() };
            assert_eq!(all(&store, &tars(""), tiny, limit).await.unwrap(), whole);
        });
    }

    #[test]
    fn no_damage_ends_the_program_or_touches_another_tar(
        at in 0..5000_usize,
        with in prop::collection::vec(any::<u8>(), 1..40),
        cut in 0..6000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let good = tar_of(&[("a.jpg", "a"), ("a.txt", "text"), ("b.jpg", "b")]);
        let mut bad = tar_of(&[("a.jpg", vec![1; 700]), ("a.json", b"{\"a\": 1}".to_vec()), ("b.jpg", vec![2; 9])]);
        let from = at.min(bad.len() - with.len());
        bad[from..from + with.len()].copy_from_slice(&with);
        bad.truncate(cut.max(1));
        runtime.block_on(async {
            let store = Store::with(&[("0.tar", &bad), ("1.tar", &good)]).await;
            let entries = read(&store).await;
            assert!(shorts(&entries).iter().filter(|end| end.starts_with("1.tar/")).count() == 2);
            assert!(entries.iter().filter(|entry| is_unnamed(entry)).count() <= 1);
        });
    }
}
