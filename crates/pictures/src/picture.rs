//! From a file's bytes to eight-bit RGB.

mod codec;
mod convert;
mod error;
mod format;
mod jpeg;
mod limits;
mod orientation;
mod png;
mod tiff;
mod webp;

#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use format::Format;
pub use limits::DecodeLimits;

use std::borrow::Cow;

/// A decoded picture: eight-bit RGB, row by row, upright.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

impl Picture {
    /// Takes `height * width * 3` bytes, row by row; `None` where there are more or fewer of them, or no pixels.
    #[must_use]
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        let bytes = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        (bytes > 0 && bytes == rgb.len()).then_some(Self { width, height, rgb })
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All rows: red, green, blue, red, …
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// Decodes a picture. Its content decides the type, never a name.
///
/// Upright by the EXIF orientation; transparency lies on white; 16-bit values become 8-bit by their high byte; grey
/// becomes RGB; CMYK becomes RGB as Pillow's `convert("RGB")` does; of several frames the first one counts.
///
/// # Errors
/// See [`DecodeError`]; [`DecodeError::reason`] is what an item's failure says. Pixels are allocated only after the
/// header was held against the limits.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, DecodeError> {
    let format = format::sniff(bytes)?;
    let mut coefficient_bytes = 0;
    let mut essential = Cow::Borrowed(bytes);
    let mut exif = None;
    match format {
        Format::Jpeg => coefficient_bytes = jpeg::survey(bytes, limits)?.coefficient_bytes,
        Format::Png => {
            let parts = png::essential(bytes)?;
            essential = Cow::Owned(parts.bytes);
            exif = parts.exif;
        }
        Format::WebP => {
            webp::check_length(bytes)?;
            webp::check_size(bytes, limits)?;
        }
        Format::Gif | Format::Tiff | Format::Bmp => {}
    }
    let decoded = codec::decode(format, &essential, coefficient_bytes, limits)?;
    let upright = exif.map_or(decoded.orientation, |exif| orientation::from_exif(&exif));
    let rgb = convert::to_rgb8(decoded.color, decoded.samples, format)?;
    orientation::apply(upright, decoded.width, decoded.height, rgb).ok_or_else(|| DecodeError::Corrupt {
        format,
        detail: "its pixels do not fill its size".to_owned(),
    })
}
