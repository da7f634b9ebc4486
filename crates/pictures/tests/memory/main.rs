//! What decoding really allocates, against what is estimated of it.
//!
//! The estimate, and what decoding is refused by, are one sum: a test of the one by the other cannot find that both are too
//! small. Here an allocator counts.
//!
//! It sees what Rust allocates: pixels and copies of our own, and all that the decoders of PNG, GIF, BMP, TIFF (of JPEGs in it,
//! too) and WebP have. It does not see libjpeg-turbo, which is C: its rows, and all coefficients of a JPEG that is progressive or
//! comes in several scans, on their own and in a DICOM. Nor most of openjp2, which is Rust and calls C's `malloc`: tiles, blocks,
//! the stream's copy. What those take is known by reading their code alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may; clippy exempts only the bodies of test functions"
)]

mod allocator;
mod dicom;
mod files;
mod jpeg;
mod png;
mod preparing;
mod tiff;
mod webp;

use allocator::{peak_of, turn};
use sightline_core::DicomSpec;
use sightline_pictures::DecodeLimits;
use sightline_pictures::picture::{estimated_bytes, read_for};

/// Three and six bytes for each pixel are just above a power of two: a vector that doubles until it fits is at its worst.
const WIDTH: u32 = 2000;
const HEIGHT: u32 = 1400;
const PIXELS: usize = WIDTH as usize * HEIGHT as usize;

/// What no estimate counts, since it is the same for a picture of any usual sides: a decoder's rows, window and tables of codes,
/// at most a third of this by what was read, and the mebibyte at a time in which openjp2 is given its stream.
const FIXED_BYTES: u64 = 1 << 20;

/// Names and bytes.
type Files = Vec<(&'static str, Vec<u8>)>;

#[test]
fn decoding_has_no_more_allocated_at_any_moment_than_was_estimated() {
    let _turn = turn();
    let kinds: [fn() -> Files; 6] = [
        jpeg::files,
        png::files,
        files::files,
        tiff::files,
        webp::files,
        dicom::files,
    ];
    let mut wrong = Vec::new();
    for files in kinds {
        for (name, bytes) in files() {
            wrong.extend(check(name, &bytes));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong about a file that can be decoded.
fn check(name: &str, bytes: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let limits = DecodeLimits::default();
    let (estimated, estimating) = peak_of(|| estimated_bytes(bytes, &limits));
    // A frame in several fragments is joined to be looked at.
    if estimating > bytes.len() as u64 + FIXED_BYTES {
        wrong.push(format!("{name}: {estimating} bytes to estimate it"));
    }
    // As it is, and a JPEG at an eighth of its size.
    let divisors: &[u32] = if bytes.starts_with(b"\xff\xd8") { &[1, 16] } else { &[1] };
    for by in divisors {
        let (pixels, peak) = peak_of(|| decoded_pixels(name, bytes, &limits, *by));
        if peak > estimated + FIXED_BYTES {
            wrong.push(format!("{name}, 1/{by}: {peak} bytes where {estimated} were estimated"));
        }
        if peak < pixels {
            wrong.push(format!(
                "{name}, 1/{by}: {peak} bytes for {pixels} pixels, so that not all count"
            ));
        }
    }
    wrong
}

/// Decodes, for a target of a part of the size on both sides, and says how many pixels there are.
fn decoded_pixels(name: &str, bytes: &[u8], limits: &DecodeLimits, by: u32) -> u64 {
    let target = |width: u32, height: u32| (width / by, height / by);
    let content = read_for(bytes, limits, &DicomSpec::pixels_alone(), &target);
    let picture = content.unwrap_or_else(|error| panic!("{name}: {error}")).picture;
    u64::from(picture.width()) * u64::from(picture.height())
}

/// Values in which there is nothing to find.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
