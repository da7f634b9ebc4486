//! `sightline inspect`, which asks no server.

use crate::program::{model, run};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/pictures/tests/fixtures/pictures");
    folder.join(name).to_str().unwrap().to_owned()
}

/// What follows the header of an array of format 1.0, after a look at its shape.
fn array(file: PathBuf, shape: &str) -> Vec<u8> {
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let length = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..length]);
    assert!(header.contains(&format!("'shape': {shape}")), "{header}");
    bytes[length..].to_vec()
}

#[test]
fn pictures_become_arrays_and_one_that_is_broken_becomes_its_reason() {
    let out = tempfile::tempdir().unwrap();
    let (good, bad, model) = (fixture("orientation6.jpg"), fixture("claims_65000.png"), model());
    let folders = [out.path().to_str().unwrap(), model.to_str().unwrap()];
    let ran = run(&[
        "inspect", "--json", &bad, &good, "--out", folders[0], "--model", folders[1],
    ]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let lines = ran.json();
    assert_eq!(lines[0]["reason"], "image_too_large");
    assert_eq!(lines[1]["mode"], "YCbCr");
    assert_eq!(lines[1]["decoded"], serde_json::json!({"width": 14, "height": 20}));
    let decoded = array(out.path().join("orientation6.jpg.npy"), "(20, 14, 3)");
    assert_eq!(decoded, std::fs::read(fixture("orientation6.jpg.rgb")).unwrap());
    let pixels = array(out.path().join("orientation6.jpg.pixels.npy"), "(3, 224, 224)");
    assert_eq!(pixels.len(), 3 * 224 * 224 * 4);
    let reason = std::fs::read_to_string(out.path().join("claims_65000.png.err")).unwrap();
    assert!(reason.starts_with("image_too_large: "), "{reason}");
    assert!(!out.path().join("claims_65000.png.npy").exists());
}

#[test]
fn the_exit_code_says_whether_all_some_or_none_was_read() {
    let (good, bad) = (fixture("rgb.bmp"), fixture("claims_65000.png"));
    assert_eq!(run(&["inspect", &good]).code, 0);
    assert_eq!(run(&["inspect", &good, &bad]).code, 3);
    assert_eq!(run(&["inspect", &bad, "no such file"]).code, 1);
    assert_eq!(run(&["inspect", &good, "--model", "/no/such/model"]).code, 2);
}
