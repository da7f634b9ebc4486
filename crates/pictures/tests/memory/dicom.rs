//! DICOM files of one frame.

use crate::{Files, HEIGHT, PIXELS, WIDTH, jpeg, noise};
use image::ExtendedColorType;
use std::iter;

const PLAIN: &str = "1.2.840.10008.1.2.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// What stands before the pixels.
#[derive(Clone, Copy)]
struct Kind {
    syntax: &'static str,
    photometric: &'static str,
    samples: u16,
    bits: u16,
    planar: u16,
}

const GREY: Kind = Kind {
    syntax: PLAIN,
    photometric: "MONOCHROME2",
    samples: 1,
    bits: 8,
    planar: 0,
};
const COLOUR: Kind = Kind {
    photometric: "RGB",
    samples: 3,
    ..GREY
};

pub(crate) fn files() -> Files {
    let mut files = plain();
    files.extend(packed());
    files
}

fn plain() -> Files {
    let plain = |kind: Kind, bits: usize| kind.file(&[], &pixels(&noise(PIXELS * bits / 8)));
    let grey = |bits| Kind { bits, ..GREY };
    let colour = |bits, planar| Kind { bits, planar, ..COLOUR };
    let named = |photometric| Kind { photometric, ..COLOUR };
    let palette = Kind {
        photometric: "PALETTE COLOR",
        ..GREY
    };
    vec![
        ("DICOM of 1-bit grey", plain(grey(1), 1)),
        ("DICOM of grey", plain(grey(8), 8)),
        ("DICOM of 16-bit grey", plain(grey(16), 16)),
        ("DICOM of 32-bit grey", plain(grey(32), 32)),
        ("DICOM of colour", plain(colour(8, 0), 24)),
        ("DICOM of colour in planes", plain(colour(8, 1), 24)),
        ("DICOM of 16-bit colour", plain(colour(16, 0), 48)),
        ("DICOM of 16-bit colour in planes", plain(colour(16, 1), 48)),
        ("DICOM of YCbCr", plain(named("YBR_FULL"), 24)),
        ("DICOM of YCbCr at half its width", plain(named("YBR_FULL_422"), 16)),
        (
            "DICOM with a palette",
            palette.file(&colours(), &pixels(&noise(PIXELS))),
        ),
    ]
}

fn packed() -> Files {
    let grey = jpeg::of_noise(ExtendedColorType::L8);
    let colour = jpeg::of_noise(ExtendedColorType::Rgb8);
    let untold = without_jfif(&colour);
    let (start, end) = grey.split_at(grey.len() / 2);
    let of = |kind: Kind, syntax| Kind { syntax, ..kind };
    let deep = |kind: Kind| Kind { bits: 16, ..kind };
    let told = Kind {
        photometric: "YBR_FULL_422",
        ..COLOUR
    };
    let streams = [empty_stream(1, 16), empty_stream(3, 8)];
    let (first, rest) = streams[1].split_at(streams[1].len() / 2);
    vec![
        ("DICOM, RLE", of(GREY, RLE).file(&[], &fragments(&[&run_lengths(1)]))),
        (
            "DICOM, RLE of 16-bit colour",
            of(deep(COLOUR), RLE).file(&[], &fragments(&[&run_lengths(6)])),
        ),
        ("DICOM, JPEG", of(GREY, JPEG).file(&[], &fragments(&[&grey]))),
        (
            "DICOM, JPEG in two fragments",
            of(GREY, JPEG).file(&[], &fragments(&[start, end])),
        ),
        (
            "DICOM, JPEG of colour",
            of(told, JPEG).file(&[], &fragments(&[&colour])),
        ),
        (
            "DICOM, JPEG that does not say that it is red, green and blue",
            of(COLOUR, JPEG).file(&[], &fragments(&[&untold])),
        ),
        (
            "DICOM, JPEG 2000 of 16 bits",
            of(deep(GREY), JPEG_2000).file(&[], &fragments(&[&streams[0]])),
        ),
        (
            "DICOM, JPEG 2000 of colour in two fragments",
            of(COLOUR, JPEG_2000).file(&[], &fragments(&[first, rest])),
        ),
    ]
}

impl Kind {
    /// `more` are elements before the pixels.
    fn file(self, more: &[u8], pixels: &[u8]) -> Vec<u8> {
        let number = |tag, value: u32| element([0x28, tag], b"US", &u16::try_from(value).unwrap().to_le_bytes());
        let (samples, bits) = (u32::from(self.samples), u32::from(self.bits));
        [
            [0_u8; 128].as_slice(),
            b"DICM",
            &element([2, 0x10], b"UI", &even(self.syntax)),
            &number(2, samples),
            &element([0x28, 4], b"CS", &even(self.photometric)),
            &number(6, self.planar.into()),
            &number(0x10, HEIGHT),
            &number(0x11, WIDTH),
            &number(0x100, bits),
            &number(0x101, bits),
            &number(0x102, bits - 1),
            &number(0x103, 0),
            more,
            pixels,
        ]
        .concat()
    }
}

/// A text of an even number of bytes.
fn even(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), b' ');
    bytes
}

fn element([group, number]: [u16; 2], kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    // Two bytes say how long a short value is, and six what is of a kind that may be long.
    let length = if kind == b"OW" {
        [[0_u8; 2].as_slice(), &length].concat()
    } else {
        length[..2].to_vec()
    };
    let tag = [group.to_le_bytes(), number.to_le_bytes()].concat();
    [tag.as_slice(), kind, &length, value].concat()
}

/// Uncompressed pixels.
fn pixels(values: &[u8]) -> Vec<u8> {
    element([0x7FE0, 0x10], b"OW", values)
}

/// Compressed ones, behind a table of offsets that says nothing.
fn fragments(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF".to_vec();
    for part in iter::once([].as_slice()).chain(parts.iter().copied()) {
        bytes.extend(b"\xFE\xFF\0\xE0");
        bytes.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    bytes
}

/// A palette of 256 colours of 8 bits.
fn colours() -> Vec<u8> {
    let descriptor = [0, 1, 0, 0, 8, 0];
    let tables = (1..=3).flat_map(|channel| {
        let descriptor = element([0x28, 0x1100 + channel], b"US", &descriptor);
        [descriptor, element([0x28, 0x1200 + channel], b"OW", &noise(256))].concat()
    });
    tables.collect()
}

/// Planes of one value, each in runs of 128.
fn run_lengths(planes: usize) -> Vec<u8> {
    let plane = [129_u8, 7].repeat(PIXELS / 128);
    let offsets = (0..planes).map(|number| 64 + number * plane.len());
    let header = iter::once(planes).chain(offsets).chain(iter::repeat(0)).take(16);
    let header = header.flat_map(|number| u32::try_from(number).unwrap().to_le_bytes());
    header.chain(plane.repeat(planes)).collect()
}

/// A JPEG without the segment that says what its components are.
fn without_jfif(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes[2..4], [0xFF, 0xE0]);
    let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    [&bytes[..2], &bytes[4 + length..]].concat()
}

/// A code stream of one tile, blocks of 64 x 64 samples and five levels, all of whose packets are empty.
fn empty_stream(components: u16, bits: u8) -> Vec<u8> {
    let sides = [WIDTH, HEIGHT, 0, 0, WIDTH, HEIGHT, 0, 0];
    let sides: Vec<u8> = sides.into_iter().flat_map(u32::to_be_bytes).collect();
    let each = [bits - 1, 1, 1].repeat(components.into());
    let size = [[0_u8; 2].as_slice(), &sides, &components.to_be_bytes(), &each].concat();
    let coding = [0, 0, 0, 1, 0, 5, 4, 4, 0, 1];
    let exponents = [0x40; 1 + 16];
    // A byte each, for six resolutions of each component.
    let packets = vec![0; 6 * usize::from(components)];
    // The tile-part is as long as its header, a marker and its packets.
    let part = 12 + 2 + 6 * components;
    let [high, low] = part.to_be_bytes();
    [
        [0xFF_u8, 0x4F].as_slice(),
        &segment(0x51, &size),
        &segment(0x52, &coding),
        &segment(0x5C, &exponents),
        &segment(0x90, &[0, 0, 0, 0, high, low, 0, 1]),
        &[0xFF, 0x93],
        &packets,
        &[0xFF, 0xD9],
    ]
    .concat()
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap();
    [[0xFF, marker].as_slice(), &length.to_be_bytes(), content].concat()
}
