//! PNGs by the `image` crate.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Encodes `height * width * 3` bytes, row by row.
///
/// # Errors
/// In words: what the encoder says.
pub(super) fn encode(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let mut png = Vec::new();
    let encoded = PngEncoder::new(&mut png).write_image(rgb, width, height, ExtendedColorType::Rgb8);
    encoded.map_err(|error| error.to_string())?;
    // Its last chunk doubled it, and it is kept until it is written.
    png.shrink_to_fit();
    Ok(png)
}

/// Bytes that encoding has allocated at most at any moment beside the pixels. By the code of `png` 0.18: all rows are packed, at
/// worst twelve bits a byte, and copied where that is more than they are; the file is made of either when the other is gone.
/// Every vector doubles.
pub(super) fn most_bytes(width: u32, height: u32) -> u64 {
    let rows = u64::from(height) * (u64::from(width) * 3 + 1);
    let (packed, copied) = (rows * 3, rows * 2);
    packed + copied
}
