//! TIFFs.

use crate::{Files, HEIGHT, PIXELS, WIDTH, jpeg, noise};
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::io::Cursor;

/// A value of two bytes, and one of four.
const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Where a strip begins: behind the header.
const STRIP: u32 = 8;

pub(crate) fn files() -> Files {
    let encoded = [
        ("TIFF of grey", ExtendedColorType::L8),
        ("TIFF of colour", ExtendedColorType::Rgb8),
        ("TIFF of colour with transparency", ExtendedColorType::Rgba8),
        ("TIFF of 16-bit grey", ExtendedColorType::L16),
        ("TIFF of 16-bit colour", ExtendedColorType::Rgb16),
        ("TIFF of 16-bit colour with transparency", ExtendedColorType::Rgba16),
    ];
    let mut files: Files = encoded.map(|(name, color)| (name, in_strips(color))).into();
    let jpeg = jpeg::of_noise(ExtendedColorType::L8);
    files.extend([
        ("TIFF of 1-bit grey", Kind { bits: 1, ..GREY }.file(&noise(PIXELS / 8))),
        ("TIFF of four inks", INKS.file(&noise(PIXELS * 4))),
        ("TIFF with a palette", PALETTE.file(&noise(PIXELS))),
        (
            "TIFF with a palette, on its side",
            Kind {
                orientation: 6,
                ..PALETTE
            }
            .file(&noise(PIXELS)),
        ),
        (
            "TIFF on its side",
            Kind {
                orientation: 6,
                ..COLOUR
            }
            .file(&noise(PIXELS * 3)),
        ),
        ("TIFF of one JPEG", Kind { compression: 7, ..GREY }.file(&jpeg)),
        (
            "TIFF of a JPEG that is larger",
            Kind {
                compression: 7,
                size: (100, 100),
                ..GREY
            }
            .file(&jpeg),
        ),
    ]);
    files
}

/// Uncompressed, in strips of a megabyte.
fn in_strips(color: ExtendedColorType) -> Vec<u8> {
    let samples = noise(PIXELS * usize::from(color.bits_per_pixel()) / 8);
    let mut bytes = Vec::new();
    TiffEncoder::new(Cursor::new(&mut bytes))
        .write_image(&samples, WIDTH, HEIGHT, color)
        .unwrap();
    bytes
}

/// A file of one strip.
struct Kind {
    size: (u32, u32),
    /// A sample's.
    bits: u16,
    /// 1 is none, 7 is JPEG.
    compression: u16,
    /// What a sample means.
    photometric: u16,
    orientation: u16,
    samples: u16,
}

const GREY: Kind = Kind {
    size: (WIDTH, HEIGHT),
    bits: 8,
    compression: 1,
    photometric: 1,
    orientation: 1,
    samples: 1,
};
const COLOUR: Kind = Kind {
    photometric: 2,
    samples: 3,
    ..GREY
};
const PALETTE: Kind = Kind { photometric: 3, ..GREY };
const INKS: Kind = Kind {
    photometric: 5,
    samples: 4,
    ..GREY
};

impl Kind {
    fn file(&self, strip: &[u8]) -> Vec<u8> {
        let length = u32::try_from(strip.len()).unwrap();
        let colours = STRIP + length.next_multiple_of(2);
        // Reds, greens and blues of 256 colours.
        let table = if self.photometric == 3 {
            noise(768 * 2)
        } else {
            Vec::new()
        };
        let directory = colours + u32::try_from(table.len()).unwrap();
        let mut entries = vec![
            (256, LONG, 1, self.size.0),
            (257, LONG, 1, self.size.1),
            (258, SHORT, 1, self.bits.into()),
            (259, SHORT, 1, self.compression.into()),
            (262, SHORT, 1, self.photometric.into()),
            (273, LONG, 1, STRIP),
            (274, SHORT, 1, self.orientation.into()),
            (277, SHORT, 1, self.samples.into()),
            (278, LONG, 1, self.size.1),
            (279, LONG, 1, length),
        ];
        if !table.is_empty() {
            entries.push((320, SHORT, 768, colours));
        }
        let mut bytes = b"II*\0".to_vec();
        bytes.extend(directory.to_le_bytes());
        bytes.extend_from_slice(strip);
        bytes.resize(colours as usize, 0);
        bytes.extend(table);
        bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
        bytes.extend(entries.iter().flat_map(entry));
        // No other picture.
        bytes.extend([0; 4]);
        bytes
    }
}

/// A tag, the type of its values, their number, and the only one or where they are.
fn entry((tag, kind, count, value): &(u16, u16, u32, u32)) -> Vec<u8> {
    let [tag, kind] = [tag, kind].map(|number| number.to_le_bytes());
    let [count, value] = [count, value].map(|number| number.to_le_bytes());
    [tag.as_slice(), &kind, &count, &value].concat()
}
