//! PNGs.

use crate::{Files, HEIGHT, PIXELS, WIDTH, noise};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::io::Write as _;

/// Kinds of samples as the header says them.
const GREY: u8 = 0;
const RGB: u8 = 2;
const PALETTE: u8 = 3;
const RGBA: u8 = 6;

pub(crate) fn files() -> Files {
    let encoded = [
        ("PNG of grey", ExtendedColorType::L8),
        ("PNG of grey with transparency", ExtendedColorType::La8),
        ("PNG of colour", ExtendedColorType::Rgb8),
        ("PNG of colour with transparency", ExtendedColorType::Rgba8),
        ("PNG of 16-bit grey", ExtendedColorType::L16),
        ("PNG of 16-bit grey with transparency", ExtendedColorType::La16),
        ("PNG of 16-bit colour", ExtendedColorType::Rgb16),
        ("PNG of 16-bit colour with transparency", ExtendedColorType::Rgba16),
    ];
    let mut files: Files = encoded.map(|(name, color)| (name, of_noise(color))).into();
    let (colours, four) = (chunk(b"PLTE", &noise(768)), chunk(b"PLTE", &noise(12)));
    let transparent = [colours.clone(), chunk(b"tRNS", &noise(256))].concat();
    // An EXIF block that says: the first row is on the right.
    let turned = chunk(
        b"eXIf",
        b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    );
    let text = chunk(b"tEXt", &[b"Comment\0".as_slice(), &noise(PIXELS * 3)].concat());
    files.extend([
        ("PNG with a palette", black(PALETTE, 8, false, &colours)),
        ("PNG with a palette of 2 bits", black(PALETTE, 2, false, &four)),
        ("PNG with a transparent palette", black(PALETTE, 8, false, &transparent)),
        ("PNG of 1-bit grey", black(GREY, 1, false, &[])),
        ("PNG in passes", black(RGB, 8, true, &[])),
        ("PNG of 16 bits in passes", black(RGBA, 16, true, &[])),
        ("PNG on its side", black(RGB, 8, false, &turned)),
        ("PNG with a long text", black(RGB, 8, false, &text)),
    ]);
    files
}

fn of_noise(color: ExtendedColorType) -> Vec<u8> {
    let samples = noise(PIXELS * usize::from(color.bits_per_pixel()) / 8);
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&samples, WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}

/// A picture all of whose values are 0, with chunks before its pixels.
fn black(kind: u8, depth: u8, in_passes: bool, before: &[u8]) -> Vec<u8> {
    let sides = [WIDTH.to_be_bytes(), HEIGHT.to_be_bytes()].concat();
    let header = [sides.as_slice(), &[depth, kind, 0, 0, u8::from(in_passes)]].concat();
    let channels = match kind {
        RGB => 3,
        RGBA => 4,
        _ => 1,
    };
    let bits = channels * usize::from(depth);
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![0; packed_bytes(bits, in_passes)]).unwrap();
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        before,
        &chunk(b"IDAT", &packed.finish().unwrap()),
        &chunk(b"IEND", &[]),
    ]
    .concat()
}

/// Bytes of all rows, each behind one for its filter.
fn packed_bytes(bits: usize, in_passes: bool) -> usize {
    // First column and step, first row and step.
    const PASSES: [[usize; 4]; 7] = [
        [0, 8, 0, 8],
        [4, 8, 0, 8],
        [0, 4, 4, 8],
        [2, 4, 0, 4],
        [0, 2, 2, 4],
        [1, 2, 0, 2],
        [0, 1, 1, 2],
    ];
    let passes: &[[usize; 4]] = if in_passes { &PASSES } else { &[[0, 1, 0, 1]] };
    let pass = |[left, right, top, down]: &[usize; 4]| {
        let columns = (WIDTH as usize - left).div_ceil(*right);
        let rows = (HEIGHT as usize - top).div_ceil(*down);
        rows * (1 + (columns * bits).div_ceil(8))
    };
    passes.iter().map(pass).sum()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    let length = u32::try_from(data.len()).unwrap();
    [length.to_be_bytes().as_slice(), kind, data, &sum.sum().to_be_bytes()].concat()
}
