//! JPEGs.

use crate::{Files, HEIGHT, PIXELS, WIDTH, noise};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::fs;
use std::path::Path;

/// Baseline and progressive, grey and of four inks, upright and on its side.
pub(crate) fn files() -> Files {
    let names = [
        "chroma420.jpg",
        "grey.jpg",
        "cmyk.jpg",
        "ycck.jpg",
        "progressive.jpg",
        "orientation6.jpg",
    ];
    names.map(|name| (name, enlarged(name))).into()
}

/// A fixture that says that it is larger: libjpeg fills what is missing, as we and Pillow have it do.
fn enlarged(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pictures")
        .join(name);
    let mut bytes = fs::read(path).unwrap();
    let is_frame = |five: &[u8]| matches!(five, [0xFF, 0xC0 | 0xC2, 0, _, 8]);
    let sides = bytes.windows(5).position(is_frame).unwrap() + 5;
    bytes[sides..sides + 2].copy_from_slice(&side(HEIGHT));
    bytes[sides + 2..sides + 4].copy_from_slice(&side(WIDTH));
    bytes
}

fn side(pixels: u32) -> [u8; 2] {
    u16::try_from(pixels).unwrap().to_be_bytes()
}

/// A baseline JPEG of about a byte for each value.
pub(crate) fn of_noise(color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let samples = noise(PIXELS * usize::from(color.channel_count()));
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .write_image(&samples, WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}
