//! How much memory a picture will take while it is decoded, by its header alone.
//!
//! The number is that of the code that decodes, which is refused by it where it is above the limit. Nothing is unpacked
//! for it.

use super::format::{self, Format};
use super::jpeg::{self, Kinds};
use super::{DecodeError, DecodeLimits, codec, dicom, orientation, png, tiff};
use std::iter;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// See [`estimated_bytes`].
    pub(crate) bytes: u64,
    /// What is there once it is decoded; `None` where that is not said, or decoding refuses it.
    pub(crate) outline: Option<Outline>,
}

/// A picture before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Width and height as they are stored.
    pub(super) size: (u32, u32),
    /// Values that are kept of a pixel.
    pub(crate) channels: usize,
    /// Whether rows may become columns: some headers do not say.
    pub(super) turned: bool,
}

impl Outline {
    /// Bytes of its pixels.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.size.0) * u64::from(self.size.1) * self.channels as u64
    }

    /// Width and height, upright, as they may be.
    pub(crate) fn sizes(self) -> impl Iterator<Item = (u32, u32)> {
        let (width, height) = self.size;
        iter::once((width, height)).chain(self.turned.then_some((height, width)))
    }
}

/// How many bytes decoding these bytes will have allocated at most at any moment, the bytes themselves not counted. It is
/// rather too much than too little: all that `limits` allow where the header does not say it, and 0 only for what decoding
/// refuses by the same header, before it allocates.
#[must_use]
pub fn estimated_bytes(bytes: &[u8], limits: &DecodeLimits) -> u64 {
    Estimate::of(bytes, limits).bytes
}

impl Estimate {
    const REFUSED: Self = Self {
        bytes: 0,
        outline: None,
    };

    /// What [`estimated_bytes`] says, and what will be there then.
    pub(crate) fn of(bytes: &[u8], limits: &DecodeLimits) -> Self {
        let estimate = match format::sniff(bytes) {
            Err(_) => Self::REFUSED,
            Ok(Format::Dicom) => dicom::estimate(bytes, limits).unwrap_or(Self::REFUSED),
            Ok(format) => match of_file(format, bytes, limits) {
                Err(_) => Self::REFUSED,
                Ok(estimate) => {
                    let untold = Self {
                        bytes: limits.max_alloc_bytes,
                        outline: None,
                    };
                    let estimate = estimate.unwrap_or(untold);
                    Self {
                        bytes: estimate.bytes.min(limits.max_alloc_bytes),
                        ..estimate
                    }
                }
            },
        };
        // Some decoders refuse what has no pixels later than by its header.
        let outline = estimate.outline.filter(|outline| outline.bytes() > 0);
        Self { outline, ..estimate }
    }
}

/// An error is one that decoding meets as well; `None` where the header does not say how large the picture is.
fn of_file(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Option<Estimate>, DecodeError> {
    let estimate = |bytes, size, channels, turned| {
        let outline = Some(Outline { size, channels, turned });
        Ok(Some(Estimate { bytes, outline }))
    };
    if format == Format::Tiff
        && let Some(size) = tiff::palette_size(bytes)
    {
        let (width, height) = size?;
        limits.check_size(width, height)?;
        let pixels = u64::from(width) * u64::from(height);
        let taken = tiff::palette_bytes(pixels, bytes, limits)?;
        return estimate(taken, (width, height), 3, true);
    }
    let header = match format {
        Format::Jpeg => {
            let survey = jpeg::survey(bytes, Kinds::Files, limits)?;
            let channels = if survey.components == 1 { 1 } else { 3 };
            let turned = orientation::needs_copy(survey.orientation());
            return estimate(survey.all_bytes(), survey.size, channels, turned);
        }
        Format::Png => png::header(bytes)?,
        Format::Gif | Format::WebP | Format::Tiff | Format::Bmp | Format::Dicom => {
            Some(codec::header(format, bytes, limits)?)
        }
    };
    let Some(header) = header else {
        return Ok(None);
    };
    limits.check_size(header.size.0, header.size.1)?;
    let channels = if header.color.has_color() { 3 } else { 1 };
    estimate(header.bytes(), header.size, channels, header.turned)
}

#[cfg(test)]
mod tests;
