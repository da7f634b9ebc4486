//! From a file's bytes to eight-bit RGB.

mod codec;
mod convert;
mod dicom;
mod error;
mod estimate;
mod facts;
mod format;
mod gif;
mod jpeg;
mod limits;
mod orientation;
mod png;
mod reduced;
mod scanlines;
mod tiff;
mod turbo;
mod webp;

#[cfg(test)]
mod tests;

pub use error::DecodeError;
pub use estimate::estimated_bytes;
pub use facts::Facts;
pub use format::Format;
pub use limits::DecodeLimits;

pub(crate) use convert::spread;
pub(crate) use estimate::Estimate;
pub(crate) use reduced::is_too_small_for;
pub(crate) use scanlines::Scanlines;

use image::ColorType;
use image::metadata::Orientation;
use serde_json::Value;
use sightline_core::DicomSpec;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A decoded picture: eight-bit RGB, row by row, upright. One of grey alone keeps one value a pixel, and shows three.
#[derive(Clone)]
pub struct Picture {
    width: u32,
    height: u32,
    /// Values a pixel: 3, or 1 of grey.
    channels: usize,
    samples: Vec<u8>,
}

/// Two pictures are equal where they show the same, however it is kept.
impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        let kept_alike = self.channels == other.channels;
        (self.width, self.height) == (other.width, other.height)
            && (if kept_alike {
                self.samples == other.samples
            } else {
                self.rgb() == other.rgb()
            })
    }
}

impl Eq for Picture {}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

impl Picture {
    /// Takes `height * width * 3` bytes, row by row; `None` where there are more or fewer of them, or no pixels.
    #[must_use]
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        Self::of(
            width,
            height,
            Samples {
                channels: 3,
                bytes: rgb,
            },
        )
    }

    pub(crate) fn of(width: u32, height: u32, samples: Samples) -> Option<Self> {
        let Samples { channels, bytes } = samples;
        let expected = (width as usize).checked_mul(height as usize)?.checked_mul(channels)?;
        (expected > 0 && expected == bytes.len()).then_some(Self {
            width,
            height,
            channels,
            samples: bytes,
        })
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
    pub fn rgb(&self) -> Cow<'_, [u8]> {
        if self.channels == 1 {
            Cow::Owned(convert::spread(&self.samples))
        } else {
            Cow::Borrowed(&self.samples)
        }
    }

    /// All rows as they are kept: [`Picture::channels`] values a pixel.
    pub(crate) fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Values that are kept of a pixel: 3, or 1 of grey.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }
}

/// Eight-bit values, row by row: 3 of a pixel, or 1 of grey.
pub(crate) struct Samples {
    pub(crate) channels: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What is stored, and what was done.
    pub facts: Facts,
    /// The picture.
    pub picture: Picture,
    /// Of a DICOM, the tags that were asked for and are there.
    pub tags: BTreeMap<String, Value>,
}

/// Decodes a picture. Its content decides the type, never a name.
///
/// Upright by the EXIF orientation; transparency lies on white; 16-bit values become 8-bit by their high byte; grey
/// becomes RGB; CMYK becomes RGB as Pillow's `convert("RGB")` does; of several frames the first one counts. A DICOM's
/// values become 8-bit by its own window, as a viewer shows them first.
///
/// # Errors
/// See [`DecodeError`]; [`DecodeError::reason`] is what an item's failure says. Pixels are allocated only after the
/// header was held against the limits.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, DecodeError> {
    read(bytes, limits, &DicomSpec::pixels_alone()).map(|content| content.picture)
}

/// Decodes a picture as [`decode`] does and says what else is in the file, of a DICOM what `dicom` asks for.
///
/// # Errors
/// As [`decode`], and where `dicom` refuses several frames.
pub fn read(bytes: &[u8], limits: &DecodeLimits, dicom: &DicomSpec) -> Result<Content, DecodeError> {
    read_for(bytes, limits, dicom, &|width, height| (width, height))
}

/// As [`read`], but a JPEG may be decoded at a half, a quarter or an eighth of its size: the least of these that is still
/// twice as wide and twice as high as what the picture is going to be resized to. `target` says that, of the upright
/// picture's width and height.
///
/// # Errors
/// As [`read`].
pub fn read_for(
    bytes: &[u8],
    limits: &DecodeLimits,
    dicom: &DicomSpec,
    target: &dyn Fn(u32, u32) -> (u32, u32),
) -> Result<Content, DecodeError> {
    if format::sniff(bytes)? == Format::Dicom {
        return dicom::read(bytes, limits, dicom);
    }
    let (facts, picture) = file(bytes, limits, target)?;
    Ok(Content {
        facts,
        picture,
        tags: BTreeMap::new(),
    })
}

/// The largest of 8, 4 and 2 by which a picture can be divided and is still twice as large as its target on both sides;
/// else 1. Between there and the target an exact resize with a wide support follows, which hides most of how a JPEG's
/// blocks were cut.
fn reduction(size: (u32, u32), target: (u32, u32)) -> u32 {
    let enough = |side: u32, target: u32, by: u32| side.div_ceil(by) >= target.saturating_mul(2);
    let fits = |by: &u32| enough(size.0, target.0, *by) && enough(size.1, target.1, *by);
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// A file without tags.
fn file(
    bytes: &[u8],
    limits: &DecodeLimits,
    target: &dyn Fn(u32, u32) -> (u32, u32),
) -> Result<(Facts, Picture), DecodeError> {
    let format = format::sniff(bytes)?;
    let decoded = match format {
        Format::Jpeg => return jpeg(bytes, limits, target),
        Format::Png => {
            let parts = png::essential(bytes)?;
            codec::decode(format, &parts.bytes, limits, Some(parts.orientation))?
        }
        Format::Gif | Format::WebP | Format::Tiff | Format::Bmp | Format::Dicom => {
            codec::decode(format, bytes, limits, None)?
        }
    };
    let upright = decoded.orientation;
    let facts = Facts {
        format,
        width: decoded.width,
        height: decoded.height,
        mode: facts::mode(format, decoded.stored),
        orientation: upright.to_exif(),
        steps: facts::steps(decoded.color, upright),
    };
    let samples = convert::to_8_bits(decoded.color, decoded.samples, format)?;
    Ok((facts, turned(format, upright, decoded.width, decoded.height, samples)?))
}

fn jpeg(
    bytes: &[u8],
    limits: &DecodeLimits,
    target: &dyn Fn(u32, u32) -> (u32, u32),
) -> Result<(Facts, Picture), DecodeError> {
    let survey = jpeg::survey(bytes, jpeg::Kinds::Files, limits)?;
    let upright = survey.orientation();
    let reduced = |width, height| {
        if orientation::needs_copy(upright) {
            let (rows, columns) = target(height, width);
            reduction((width, height), (columns, rows))
        } else {
            reduction((width, height), target(width, height))
        }
    };
    let decoded = turbo::decode(bytes, limits, reduced, |width, height, channels| {
        limits.check_alloc(survey.bytes(u64::from(width) * u64::from(height), channels))
    })?;
    let mut steps = facts::steps(
        if decoded.mode == "grey" {
            ColorType::L8
        } else {
            ColorType::Rgb8
        },
        upright,
    );
    let samples = if decoded.channels == 4 {
        steps.insert(0, "inverted CMYK becomes RGB");
        Samples {
            channels: 3,
            bytes: convert::inverted_cmyk_to_rgb8(decoded.samples),
        }
    } else {
        Samples {
            channels: decoded.channels,
            bytes: decoded.samples,
        }
    };
    if decoded.stored != (decoded.width, decoded.height) {
        steps.insert(0, "decoded at a part of its size");
    }
    let facts = Facts {
        format: Format::Jpeg,
        width: decoded.stored.0,
        height: decoded.stored.1,
        mode: if survey.progressive {
            format!("{}, progressive", decoded.mode)
        } else {
            decoded.mode.to_owned()
        },
        orientation: upright.to_exif(),
        steps,
    };
    Ok((
        facts,
        turned(Format::Jpeg, upright, decoded.width, decoded.height, samples)?,
    ))
}

fn turned(
    format: Format,
    upright: Orientation,
    width: u32,
    height: u32,
    samples: Samples,
) -> Result<Picture, DecodeError> {
    orientation::apply(upright, width, height, samples)
        .ok_or_else(|| DecodeError::corrupt(format, "its pixels do not fill its size"))
}
