use super::*;
use crate::picture;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

const WIDTH: u32 = 30;
const HEIGHT: u32 = 20;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pictures")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn estimated(bytes: &[u8]) -> u64 {
    estimated_bytes(bytes, &DecodeLimits::default())
}

/// Decoding may have as many bytes as were estimated.
fn is_enough(name: &str, bytes: &[u8]) {
    let limits = DecodeLimits {
        max_alloc_bytes: estimated(bytes),
        ..DecodeLimits::default()
    };
    assert!(limits.max_alloc_bytes > 0, "{name}");
    // Limits that a decoder has for itself, on tables say, may be above what so small a picture takes.
    if let Err(error) = picture::decode(bytes, &limits) {
        let is_ours = error.to_string().contains("decoding it needs");
        assert!(!is_ours, "{name}, estimated at {}: {error}", limits.max_alloc_bytes);
    }
}

fn pixels(color: ExtendedColorType) -> Vec<u8> {
    vec![7; (WIDTH * HEIGHT) as usize * usize::from(color.bits_per_pixel()) / 8]
}

fn png_of(color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&pixels(color), WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}

fn tiff_of(color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    TiffEncoder::new(Cursor::new(&mut bytes))
        .write_image(&pixels(color), WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}

/// Markers of a JPEG of 1027 x 513 pixels and three components, each as fine as the others. `frame` is the marker of its
/// kind, `scans` says of each scan how many components come in it.
fn jpeg_of(frame: u8, scans: &[u8]) -> Vec<u8> {
    // A comment of four bytes, and a fill byte before the frame.
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xfe, 0, 6, 1, 2, 3, 4, 0xff, 0xff, frame, 0, 17, 8];
    bytes.extend([2, 1, 4, 3, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1]);
    for components in scans {
        bytes.extend([0xff, 0xda, 0, 6 + 2 * components, *components]);
        bytes.extend((1..=*components).flat_map(|component| [component, 0]));
        bytes.extend([0, 63, 0]);
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

#[test]
fn every_picture_is_decoded_within_what_is_estimated_of_it() {
    let index: Vec<serde_json::Value> = serde_json::from_slice(&fixture("pictures.json")).unwrap();
    for entry in index {
        let name = entry["file"].as_str().unwrap();
        is_enough(name, &fixture(name));
    }
}

#[test]
fn every_picture_becomes_what_its_outline_says() {
    let index: Vec<serde_json::Value> = serde_json::from_slice(&fixture("pictures.json")).unwrap();
    let mut found = 0;
    for entry in index {
        let name = entry["file"].as_str().unwrap();
        let (bytes, limits) = (fixture(name), DecodeLimits::default());
        if let Ok(picture) = picture::decode(&bytes, &limits) {
            let outline = Estimate::of(&bytes, &limits).outline.unwrap();
            let size = (picture.width(), picture.height());
            assert!(outline.sizes().any(|possible| possible == size), "{name}: {outline:?}");
            assert_eq!(outline.channels, picture.channels(), "{name}");
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn samples_count_as_often_as_their_decoder_holds_them() {
    for (color, bytes_a_pixel) in [
        (ExtendedColorType::L8, 2),
        (ExtendedColorType::Rgb8, 6),
        (ExtendedColorType::Rgb16, 12),
        (ExtendedColorType::Rgba16, 16),
        (ExtendedColorType::Rgb32F, 24),
    ] {
        let bytes = tiff_of(color);
        assert_eq!(
            estimated(&bytes),
            u64::from(WIDTH * HEIGHT) * bytes_a_pixel,
            "{color:?}"
        );
        is_enough("TIFF", &bytes);
    }
    for (color, bytes_a_pixel) in [
        (ExtendedColorType::L8, 1),
        (ExtendedColorType::La8, 2),
        (ExtendedColorType::Rgb8, 3),
        (ExtendedColorType::Rgb16, 6),
        (ExtendedColorType::Rgba16, 8),
    ] {
        let bytes = png_of(color);
        // And the copy without what does not matter.
        let copy = png::essential(&bytes).unwrap().bytes.len() as u64;
        assert_eq!(
            estimated(&bytes),
            u64::from(WIDTH * HEIGHT) * bytes_a_pixel + copy,
            "{color:?}"
        );
        is_enough("PNG", &bytes);
    }
}

#[test]
fn a_picture_that_is_turned_counts_twice_once_its_samples_are_there() {
    let upright = fixture("orientation1.jpg");
    assert_eq!(estimated(&upright), 20 * 14 * 3);
    assert_eq!(estimated(&fixture("orientation6.jpg")), 20 * 14 * 6);
    assert_eq!(estimated(&fixture("grey.jpg")), 20 * 14);
    assert!(estimated(&fixture("orientation6.png")) >= 20 * 14 * 6);
}

#[test]
fn a_palette_s_picture_counts_though_its_colours_are_put_in_here() {
    let bytes = fixture("palette.tif");
    assert!(estimated(&bytes) >= 20 * 14 * 6);
}

#[test]
fn a_jpeg_that_comes_in_parts_counts_all_its_coefficients() {
    let rgb = 1027 * 513 * 3;
    // Blocks of eight by eight, two bytes a value.
    let coefficients = 129 * 65 * 64 * 3 * 2;
    assert_eq!(estimated(&jpeg_of(0xc0, &[3])), rgb);
    assert_eq!(estimated(&jpeg_of(0xc0, &[1, 1, 1])), rgb + coefficients);
    assert_eq!(estimated(&jpeg_of(0xc2, &[3])), rgb + coefficients);
}

#[test]
fn a_jpeg_counts_as_much_with_stray_bytes_between_its_segments() {
    let bytes = fixture("chroma420.jpg");
    // Behind its first segment.
    let behind = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let (start, rest) = bytes.split_at(behind);
    let stray = [start, &[1, 2, 3], rest].concat();
    let limits = DecodeLimits::default();
    assert_eq!(picture::decode(&stray, &limits), picture::decode(&bytes, &limits));
    assert_eq!(estimated(&stray), estimated(&bytes));
}

#[test]
fn a_gif_counts_a_first_frame_that_is_larger_than_its_screen() {
    let mut bytes = fixture("still.gif");
    let frame: [u8; 9] = [0x2c, 0, 0, 0, 0, 20, 0, 14, 0];
    let at = bytes.windows(frame.len()).position(|nine| nine == frame).unwrap();
    assert_eq!(estimated(&bytes), 20 * 14 * 5);
    bytes[at + 5..at + 9].copy_from_slice(&[0x10, 0x27, 0x20, 0x03]);
    assert_eq!(estimated(&bytes), 20 * 14 * 4 + 10_000 * 800 * 5);
    bytes[at + 5..at + 9].fill(0xff);
    assert_eq!(estimated(&bytes), DecodeLimits::default().max_alloc_bytes);
    let error = picture::decode(&bytes, &DecodeLimits::default()).unwrap_err();
    assert!(error.to_string().contains("decoding it needs"), "{error}");
}

#[test]
fn a_bomb_beside_the_pixels_counts_as_little_as_it_matters() {
    for name in ["iccp_bomb.png", "ztxt_bomb.png"] {
        assert_eq!(
            estimated(&fixture(name)),
            estimated(&fixture("orientation1.png")),
            "{name}"
        );
    }
}

#[test]
fn what_decoding_refuses_by_its_header_takes_nothing() {
    assert_eq!(estimated(b"not a picture"), 0);
    assert_eq!(estimated(b""), 0);
    let large = fixture("megapixels_196.png");
    assert_eq!(estimated(&large), 0);
    let limits = DecodeLimits {
        max_pixels: u64::MAX,
        ..DecodeLimits::default()
    };
    assert!(estimated_bytes(&large, &limits) >= 14_000 * 14_000);
    let jpeg = fixture("chroma420.jpg");
    assert_eq!(estimated(&jpeg[..jpeg.len() - 1]), 0, "cut short");
}

#[test]
fn a_file_that_does_not_say_how_large_it_is_counts_as_all_that_is_allowed() {
    let limits = DecodeLimits::default();
    assert_eq!(estimated(b"\x89PNG\r\n\x1a\n"), limits.max_alloc_bytes);
}

proptest! {
    #[test]
    fn no_bytes_behind_a_beginning_panic_or_count_more_than_is_allowed(
        beginning in prop::sample::select(vec![
            b"\xff\xd8\xff".as_slice(),
            b"\x89PNG\r\n\x1a\n",
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
            b"GIF89a",
            b"II*\0\x08\0\0\0",
            b"RIFF\x20\0\0\0WEBPVP8X",
            b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [beginning, &tail].concat();
        prop_assert!(estimated(&bytes) <= DecodeLimits::default().max_alloc_bytes);
    }
}
