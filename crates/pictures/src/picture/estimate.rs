//! How much memory a picture will take while it is decoded, by its header alone.
//!
//! The number is that of the code that decodes, which is refused by it where it is above the limit. Nothing is unpacked
//! for it.

use super::format::{self, Format};
use super::jpeg::{self, Kinds};
use super::{DecodeError, DecodeLimits, codec, dicom, png, tiff};

/// How many bytes decoding these bytes will have allocated at most at any moment, the bytes themselves not counted. It is
/// rather too much than too little: all that `limits` allow where the header does not say it, and 0 only for what decoding
/// refuses by the same header, before it allocates.
#[must_use]
pub fn estimated_bytes(bytes: &[u8], limits: &DecodeLimits) -> u64 {
    let estimated = match format::sniff(bytes) {
        Err(_) => return 0,
        Ok(Format::Dicom) => return dicom::estimated_bytes(bytes, limits),
        Ok(format) => of_file(format, bytes, limits),
    };
    match estimated {
        Err(_) => 0,
        Ok(estimated) => estimated.map_or(limits.max_alloc_bytes, |bytes| bytes.min(limits.max_alloc_bytes)),
    }
}

/// An error is one that decoding meets as well; `None` where the header does not say how large the picture is.
fn of_file(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Option<u64>, DecodeError> {
    if format == Format::Tiff
        && let Some(size) = tiff::palette_size(bytes)
    {
        let (width, height) = size?;
        limits.check_size(width, height)?;
        let pixels = u64::from(width) * u64::from(height);
        return tiff::palette_bytes(pixels, bytes, limits).map(Some);
    }
    let header = match format {
        Format::Jpeg => return Ok(Some(jpeg::survey(bytes, Kinds::Files, limits)?.all_bytes())),
        Format::Png => png::header(bytes)?,
        Format::Gif | Format::WebP | Format::Tiff | Format::Bmp | Format::Dicom => {
            Some(codec::header(format, bytes, limits)?)
        }
    };
    let Some(header) = header else {
        return Ok(None);
    };
    limits.check_size(header.size.0, header.size.1)?;
    Ok(Some(header.bytes()))
}

#[cfg(test)]
mod tests;
