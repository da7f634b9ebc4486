//! WebPs, of which nothing here writes but lossless ones: streams in which nothing has to be said of any pixel.

use crate::{Files, HEIGHT, PIXELS, WIDTH, noise};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

const ANIMATED: u8 = 0x02;
const ALPHA: u8 = 0x10;

pub(crate) fn files() -> Files {
    // Data of three bytes a pixel, as much as there is at the highest quality.
    let (lossy, large) = (lossy(PIXELS / 8), lossy(PIXELS * 3));
    let transparent = [[1_u8].as_slice(), &packed(&squares())].concat();
    // Where the frame lies, how large it is, and for how long it is shown.
    let place = [[0_u8; 6].as_slice(), &sides(), &[0; 4]].concat();
    let frame = [place, chunk(b"VP8L", &lossless())].concat();
    vec![
        ("WebP, lossless, of noise", of_noise(ExtendedColorType::Rgb8)),
        (
            "WebP, lossless, of noise with transparency",
            of_noise(ExtendedColorType::Rgba8),
        ),
        ("WebP, lossless, with transforms", riff(&[chunk(b"VP8L", &lossless())])),
        ("WebP, lossy", riff(&[chunk(b"VP8 ", &lossy)])),
        ("WebP, lossy, of much data", riff(&[chunk(b"VP8 ", &large)])),
        (
            "WebP, lossy with transparency",
            riff(&[extended(ALPHA), chunk(b"ALPH", &transparent), chunk(b"VP8 ", &lossy)]),
        ),
        (
            "WebP, animated",
            riff(&[extended(ANIMATED), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)]),
        ),
    ]
}

fn of_noise(color: ExtendedColorType) -> Vec<u8> {
    let samples = noise(PIXELS * usize::from(color.channel_count()));
    let mut bytes = Vec::new();
    WebPEncoder::new_lossless(&mut bytes)
        .write_image(&samples, WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}

/// A lossless stream of one colour.
fn lossless() -> Vec<u8> {
    let header: [(u32, u32); 4] = [(0x2F, 8), (WIDTH - 1, 14), (HEIGHT - 1, 14), (0, 4)];
    packed(&[header.as_slice(), &squares()].concat())
}

/// The numbers of a lossless stream, and their bits, of which squares of four pixels a side, the smallest there are, have
/// predictors, colours and codes of their own: all the same, and each code of one symbol, which takes no bits.
fn squares() -> Vec<(u32, u32)> {
    // For each of five alphabets: that its code is simple, and of the symbol 0 alone.
    let codes: [(u32, u32); 5] = [(1, 4); 5];
    // A picture of numbers, one a square, without a cache of colours.
    let picture = [[(0, 1)].as_slice(), &codes].concat();
    let transform = |kind| [[(1, 1), (kind, 2), (0, 3)].as_slice(), &picture].concat();
    let codes_of_squares = [[(1, 1), (0, 3)].as_slice(), &picture].concat();
    [
        transform(0),
        transform(1),
        // No more transforms, and no cache.
        vec![(0, 1), (0, 1)],
        codes_of_squares,
        codes.to_vec(),
    ]
    .concat()
}

/// Numbers of so many bits, the lowest first, and some bytes more, in which readers may look ahead.
fn packed(numbers: &[(u32, u32)]) -> Vec<u8> {
    let bits = numbers
        .iter()
        .flat_map(|&(number, bits)| (0..bits).map(move |bit| number >> bit & 1));
    let bits: Vec<u32> = bits.collect();
    let byte = |eight: &[u32]| eight.iter().rev().fold(0_u32, |byte, bit| byte << 1 | bit);
    let bytes = bits.chunks(8).map(|eight| u8::try_from(byte(eight)).unwrap());
    bytes.chain([0; 16]).collect()
}

/// A lossy frame all of whose data is 0: each decision comes out as its first branch, and no block has coefficients. `length` is
/// that of the data of its blocks.
fn lossy(length: usize) -> Vec<u8> {
    // More than decisions about the blocks take, and less than the header can say.
    let decisions = 1_u32 << 18;
    // Of a picture that stands alone and is shown.
    let tag = decisions << 5 | 1 << 4;
    let [width, height] = [WIDTH, HEIGHT].map(|side| u16::try_from(side).unwrap().to_le_bytes());
    let header = [&tag.to_le_bytes()[..3], &[0x9D, 0x01, 0x2A], &width, &height].concat();
    [header, vec![0; decisions as usize + length]].concat()
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [b"WEBP".as_slice(), &chunks.concat()].concat();
    chunk(b"RIFF", &body)
}

fn extended(flags: u8) -> Vec<u8> {
    chunk(b"VP8X", &[[flags, 0, 0, 0].as_slice(), &sides()].concat())
}

/// Width and height less one, of three bytes each.
fn sides() -> Vec<u8> {
    let [width, height] = [WIDTH, HEIGHT].map(|side| (side - 1).to_le_bytes());
    [&width[..3], &height[..3]].concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let padding = &[0][..data.len() % 2];
    [kind.as_slice(), &length.to_le_bytes(), data, padding].concat()
}
