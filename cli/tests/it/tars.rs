//! A WebDataset, through the program alone.

use crate::pictures::bmp;
use crate::program::{Server, model};
use std::path::Path;

/// A tar of pictures with captions, numbers and attributes.
fn write_tar(path: &Path, numbers: std::ops::Range<u32>) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for number in numbers {
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        for (ending, content) in [
            ("bmp", bmp(number)),
            ("txt", format!("Pattern number {number}.").into_bytes()),
            ("cls", (number % 10).to_string().into_bytes()),
            ("json", format!(r#"{{"parity": "{parity}"}}"#).into_bytes()),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, format!("{number:05}.{ending}"), &content[..])
                .unwrap();
        }
    }
    tar.into_inner().unwrap();
}

#[test]
fn tars_of_pictures_are_indexed_searched_shown_and_read_no_more_while_they_are_the_same() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shards = folder.path().join("train");
    std::fs::create_dir(&shards).unwrap();
    write_tar(&shards.join("00000.tar"), 0..12);
    write_tar(&shards.join("00001.tar"), 12..24);
    write_tar(&shards.join("00002.tar"), 24..30);
    let whole = std::fs::read(shards.join("00002.tar")).unwrap();
    std::fs::write(shards.join("00002.tar"), &whole[..whole.len() - 20_000]).unwrap();
    std::fs::write(shards.join("00000_stats.json"), "{}").unwrap();

    let model = model();
    let server = Server::start(data.path(), Some(&model));
    let root = folder.path().to_str().unwrap();
    let ingest = [
        "ingest",
        "--root",
        root,
        "--webdataset",
        "train/",
        "--collection",
        "tars",
        "--shard-items",
        "8",
    ];
    let with = |more: &[&str]| server.run(&[&ingest[..], &["--model", model.to_str().unwrap()], more].concat());
    let ran = with(&["--json"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let last = ran.json().pop().unwrap();
    let kept = last["counts"]["indexed"].as_u64().unwrap();
    assert!((27..30).contains(&kept), "{last}");
    assert_eq!(
        (&last["counts"]["skipped"], &last["failures"]),
        (
            &1.into(),
            &serde_json::json!([{ "reason": "unreadable_tar", "count": 1 }])
        )
    );
    let failures = server.run(&["runs", "failures", last["name"].as_str().unwrap(), "--csv"]);
    assert!(
        failures.out.contains("train/00002.tar,unreadable_tar,")
            && failures.out.contains("cannot be read on from byte"),
        "{}",
        failures.out
    );
    let again = with(&["--json"]).json().pop().unwrap();
    assert_eq!(
        (&again["counts"]["unchanged"], &again["counts"]["indexed"]),
        (&kept.into(), &0.into())
    );

    let query = data.path().join("query.bmp");
    std::fs::write(&query, bmp(17)).unwrap();
    let sheet = data.path().join("hits.html");
    let search = [
        "search",
        "--collection",
        "tars",
        "--json",
        "--top-k",
        "3",
        "--filter",
        "attributes.parity = \"odd\" AND labels:\"7\"",
    ];
    let found = server.run(
        &[
            &search[..],
            &["--image", query.to_str().unwrap(), "--html", sheet.to_str().unwrap()],
        ]
        .concat(),
    );
    assert_eq!(found.code, 0, "{}", found.err);
    let best = found.json().remove(0)["hits"][0].clone();
    let item = &best["item"];
    assert_eq!(
        (&item["key"], &item["uid"]),
        (&"train/00001.tar/00017.bmp".into(), &"00017".into()),
        "{best}"
    );
    assert!(best["score"].as_f64().unwrap() > 0.9999, "{best}");
    // Thumbnails of three hits and the query: read from within the tars.
    let page = std::fs::read_to_string(&sheet).unwrap();
    assert_eq!(page.matches("src=\"data:image/").count(), 4);

    // What the tar that is cut short held is not known, so nothing is deleted.
    std::fs::remove_file(shards.join("00000.tar")).unwrap();
    let mirrored = with(&["--mirror", "--json"]);
    let last = mirrored.json().pop().unwrap();
    assert_eq!(last["state"], "FAILED", "{last}");
    write_tar(&shards.join("00002.tar"), 24..30);
    let last = with(&["--mirror", "--json"]).json().pop().unwrap();
    assert_eq!(
        (&last["state"], &last["deleted_rows"]),
        (&"SUCCEEDED".into(), &12.into()),
        "{last}"
    );
    assert_eq!(server.end(), 0);
}
