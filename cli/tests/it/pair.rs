//! An image encoder and an unrelated text encoder as one model, from the folder to the search.

use crate::program::Server;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn fixture(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/parity/fixtures")
        .join(path)
}

#[test]
fn each_side_of_an_unrelated_pair_has_a_space_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (model, pictures) = (folder.path().join("pair"), folder.path().join("pictures"));
    // Texts' vectors are longer than pictures'.
    copy(&fixture("dinov2/0/model"), &model.join("image"));
    copy(&fixture("bert/0/model"), &model.join("text"));
    let config = json!({"model_type": "sightline_pair", "image": "image", "text": "text"});
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    copy(&fixture("pictures"), &pictures);
    let rows = [
        ("rgb.png", "A red apple."),
        ("grey.png", "The heart is enlarged."),
        ("wide.png", "Two dogs run."),
    ];
    let table: Vec<String> = rows
        .iter()
        .map(|(image, text)| json!({"image": image, "text": text}).to_string())
        .collect();
    fs::write(pictures.join("items.jsonl"), table.join("\n")).unwrap();

    let server = Server::start(&folder.path().join("data"), Some(&model));
    let ran = server.run(&[
        "ingest",
        "--root",
        text(&pictures),
        "--manifest",
        "items.jsonl",
        "--dataset",
        "d",
        "--collection",
        "c",
        "--model",
        text(&model),
    ]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);

    let described = server.run(&["collections", "get", "c", "--json"]);
    let fields = described.json()[0].to_string();
    for side in ["image_embedding", "text_embedding"] {
        assert!(fields.contains(side), "{fields}");
    }
    let best = |args: &[&str]| -> String {
        let ran = server.run(&[&["search", "--collection", "c", "--json"], args].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let answer: Value = ran.json().remove(0);
        answer["hits"][0]["item"]["key"].as_str().unwrap().to_owned()
    };
    let picture = pictures.join("grey.png");
    assert_eq!(best(&["--image", text(&picture)]), "grey.png");
    assert_eq!(best(&["--text", "Two dogs run."]), "wide.png");
    let both = [
        "--image",
        text(&picture),
        "--text",
        "The heart is enlarged.",
        "--alpha",
        "0.5",
    ];
    assert_eq!(best(&both), "grey.png");
}
