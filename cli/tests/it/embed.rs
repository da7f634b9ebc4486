//! `sightline embed` and `sightline models inspect`, on the models that the encoders are held against.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/parity/fixtures")
        .join(path)
}

fn sightline(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sightline"))
        .args(args)
        .output()
        .unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Rows and columns of a `.npy` file of f32, and its values.
fn npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let words = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    let shape = words.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    let values = bytes[10 + header..]
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value));
    (shape, values.collect())
}

#[test]
fn pictures_become_rows_in_the_order_of_their_paths_and_a_bad_one_costs_no_other_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir_all(pictures.join("deep")).unwrap();
    fs::copy(fixture("pictures/rgb.png"), pictures.join("b.png")).unwrap();
    fs::copy(fixture("pictures/grey.png"), pictures.join("deep/a.png")).unwrap();
    fs::write(pictures.join("a.png"), "no picture").unwrap();
    fs::write(pictures.join("notes.txt"), "not looked at").unwrap();
    let out = folder.path().join("vectors.npy");
    let model = fixture("clip/0/model");
    let ended = sightline(&[
        "embed",
        "--model",
        text(&model),
        "--images",
        text(&pictures),
        "--out",
        text(&out),
    ]);
    assert_eq!(
        ended.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("vectors.keys.txt")).unwrap(),
        "b.png\ndeep/a.png\n"
    );
    let failed: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("vectors.errors.jsonl")).unwrap()).unwrap();
    assert_eq!(failed["key"], "a.png");
    let (shape, values) = npy(&out);
    assert_eq!(shape[0], 2);
    for row in values.chunks_exact(shape[1]) {
        let length: f32 = row.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[test]
fn texts_are_embedded_line_by_line_and_raw_vectors_keep_their_length() {
    let folder = tempfile::tempdir().unwrap();
    let (texts, out) = (folder.path().join("texts.txt"), folder.path().join("v.npy"));
    fs::write(&texts, "apple\n\nA red apple.\r\n").unwrap();
    let model = fixture("bert/0/model");
    let args = [
        "embed",
        "--model",
        text(&model),
        "--texts",
        text(&texts),
        "--out",
        text(&out),
    ];
    assert!(sightline(&args).status.success());
    let (shape, unit) = npy(&out);
    assert_eq!(shape[0], 3, "an empty line is a text, too");
    assert!(sightline(&[args.as_slice(), &["--raw"]].concat()).status.success());
    let (_, raw) = npy(&out);
    let length: f32 = raw[..shape[1]].iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() > 0.01, "{length}");
    assert!(
        raw.iter()
            .zip(&unit)
            .take(shape[1])
            .all(|(raw, unit)| (raw / length - unit).abs() < 1e-5)
    );
}

#[test]
fn items_of_a_manifest_are_embedded_by_the_side_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("pictures/rgb.png"), folder.path().join("a.png")).unwrap();
    let items = folder.path().join("items.jsonl");
    fs::write(
        &items,
        "{\"key\":\"one\",\"image\":\"a.png\",\"text\":\"apple\"}\n{\"key\":\"two\",\"text\":\"apple\"}\n",
    )
    .unwrap();
    let (model, out) = (fixture("clip/1/model"), folder.path().join("v.npy"));
    let args = [
        "embed",
        "--model",
        text(&model),
        "--items",
        text(&items),
        "--out",
        text(&out),
    ];
    assert_eq!(sightline(&args).status.code(), Some(3));
    assert_eq!(fs::read_to_string(folder.path().join("v.keys.txt")).unwrap(), "one\n");
    assert!(
        sightline(&[args.as_slice(), &["--side", "text"]].concat())
            .status
            .success()
    );
    let (shape, values) = npy(&out);
    assert_eq!(shape[0], 2);
    let (first, second) = values.split_at(shape[1]);
    assert_eq!(first, second);
    assert!(
        !folder.path().join("v.errors.jsonl").exists(),
        "what failed before is not told again"
    );
}

#[test]
fn a_model_tells_what_it_is() {
    let ended = sightline(&["models", "inspect", "--json", text(&fixture("clip/0/model"))]);
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(told["parameters"].as_u64().unwrap() > 10_000, "{told}");
    assert_eq!(
        told["fields"]["image_embedding"]["dimension"],
        told["fields"]["text_embedding"]["dimension"]
    );
    assert!(told["peak_memory_bytes"].as_u64().unwrap() > 1 << 20, "{told}");
    let shown = sightline(&["models", "inspect", text(&fixture("siglip/0/model"))]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("filled up to as many") && shown.contains("attention_head"),
        "{shown}"
    );
}

#[test]
fn a_torchscript_module_is_embedded_with_only_where_it_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("torchscript/0/model"), folder.path().join("v.npy"));
    let pictures = fixture("pictures");
    let args = [
        "embed",
        "--model",
        text(&model),
        "--images",
        text(&pictures),
        "--out",
        text(&out),
    ];
    let refused = sightline(&args);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    let digest = told.split("SHA-256 ").nth(1).unwrap().split(' ').next().unwrap();
    let trusted = sightline(&[args.as_slice(), &["--trust-torchscript", digest]].concat());
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    assert_eq!(npy(&out).0[0], 11);
}
