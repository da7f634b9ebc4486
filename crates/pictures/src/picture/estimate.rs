//! How much memory a picture will take while it is decoded, by its header alone.

use super::dicom;
use super::format::{self, Format};
use image::ImageReader;
use std::io::Cursor;

/// Bytes a pixel: as RGB, and once more while it is turned upright.
const RGB_TWICE: u64 = 6;
/// A progressive JPEG's coefficients of three channels beside one RGB.
const PROGRESSIVE: u64 = 9;
/// Samples of up to 16 bits and four channels, and RGB.
const ANY: u64 = 11;

/// About how many bytes decoding these bytes will have allocated at most, the bytes themselves not counted. It is rather
/// too much than too little, and 0 for what will not be decoded at all.
#[must_use]
pub fn estimated_bytes(bytes: &[u8]) -> u64 {
    let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
    match format::sniff(bytes) {
        Err(_) => 0,
        Ok(Format::Jpeg) => frame(bytes).map_or(0, |(size, progressive)| {
            pixels(size).saturating_mul(if progressive { PROGRESSIVE } else { RGB_TWICE })
        }),
        Ok(Format::Dicom) => dicom::estimated_bytes(bytes),
        Ok(Format::Png | Format::Gif | Format::WebP | Format::Tiff | Format::Bmp) => {
            let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok();
            let size = reader.and_then(|reader| reader.into_dimensions().ok());
            size.map_or(0, |size| pixels(size).saturating_mul(ANY))
        }
    }
}

/// A JPEG's size and whether its frame is progressive, by its first frame header (ITU-T T.81, B.2.2).
fn frame(bytes: &[u8]) -> Option<((u32, u32), bool)> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match marker {
            // Filled up.
            0xff => at += 1,
            // Without a length.
            0x01 | 0xd0..=0xd8 => at += 2,
            // A frame: not a table, a scan or the end.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let side = |from: usize| {
                    Some(u32::from(u16::from_be_bytes([
                        *bytes.get(from)?,
                        *bytes.get(from + 1)?,
                    ])))
                };
                return Some((
                    (side(at + 7)?, side(at + 5)?),
                    matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
                ));
            }
            0xd9 | 0xda => return None,
            _ => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, picture};
    use image::{ExtendedColorType, ImageEncoder};
    use proptest::prelude::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![7; (width * height * 3) as usize];
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    #[test]
    fn a_picture_is_estimated_at_no_less_than_its_pixels() {
        let bytes = png(30, 20);
        let picture = picture::decode(&bytes, &DecodeLimits::default()).unwrap();
        assert!(estimated_bytes(&bytes) >= picture.rgb().len() as u64);
        assert!(estimated_bytes(&bytes) <= 30 * 20 * ANY);
    }

    #[test]
    fn a_jpeg_s_frame_is_found_behind_its_other_segments() {
        // A comment of four bytes, a fill byte, then the frame: 8 bits, 513 rows of 1027 pixels.
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xfe, 0, 6, 1, 2, 3, 4, 0xff, 0xff, 0xc0, 0, 17, 8];
        bytes.extend([2, 1, 4, 3, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        assert_eq!(frame(&bytes), Some(((1027, 513), false)));
        assert_eq!(estimated_bytes(&bytes), 1027 * 513 * RGB_TWICE);
        bytes[12] = 0xc2;
        assert_eq!(frame(&bytes), Some(((1027, 513), true)));
    }

    #[test]
    fn what_is_no_picture_takes_nothing() {
        assert_eq!(estimated_bytes(b"not a picture"), 0);
        assert_eq!(estimated_bytes(b""), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_behind_a_jpeg_s_beginning_panic_or_loop(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = vec![0xff, 0xd8, 0xff];
            bytes.extend(tail);
            let most = u64::from(u16::MAX) * u64::from(u16::MAX) * PROGRESSIVE;
            prop_assert!(estimated_bytes(&bytes) <= most);
        }
    }
}
