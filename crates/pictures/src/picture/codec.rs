//! The one place that calls the decoders of the `image` crate: for all formats but JPEG and DICOM.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use crate::picture::orientation;
use image::codecs::{bmp, gif, png, tiff, webp};
use image::error::{ImageError, ImageFormatHint, LimitErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageResult, Limits};
use std::io::Cursor;

/// What a decoder gives.
pub(super) struct Decoded {
    pub(super) width: u32,
    pub(super) height: u32,
    /// What a sample is.
    pub(super) color: ColorType,
    /// What the file holds.
    pub(super) stored: ExtendedColorType,
    /// Row by row, in the machine's byte order.
    pub(super) samples: Vec<u8>,
    /// How to turn it upright.
    pub(super) orientation: Orientation,
}

/// What a file's header says of the memory that decoding it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Width and height.
    pub(super) size: (u32, u32),
    /// What a sample becomes.
    pub(super) color: ColorType,
    /// Bytes that are held beside the samples until all of them are there.
    pub(super) beside: u64,
    /// Whether turning it upright takes a copy.
    pub(super) turned: bool,
}

impl Header {
    /// Bytes that are allocated at most at any moment, the file's own not counted: decoding is refused by this number, and
    /// room is made for it before, so that the one is never more than the other.
    pub(super) fn bytes(&self) -> u64 {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        let samples = pixels.saturating_mul(self.color.bytes_per_pixel().into());
        let result = pixels.saturating_mul(if self.color.has_color() { 3 } else { 1 });
        let turning = if self.turned { result.saturating_mul(2) } else { 0 };
        samples.saturating_add(self.beside).max(turning)
    }
}

/// A decoder that has read the header and nothing else.
struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    header: Header,
    orientation: Orientation,
}

/// Decodes the pixels of a file of a known format other than JPEG. Of a PNG its essential part is read, and how to turn it
/// is `told`; the others say that themselves.
pub(super) fn decode(
    format: Format,
    bytes: &[u8],
    limits: &DecodeLimits,
    told: Option<Orientation>,
) -> Result<Decoded, DecodeError> {
    if format == Format::Tiff
        && let Some(decoded) = super::tiff::palette(bytes, limits)?
    {
        return Ok(decoded);
    }
    let Opened {
        decoder,
        header,
        orientation,
    } = opened(format, bytes, limits, told)?;
    limits.check_alloc(header.bytes())?;
    let (width, height) = header.size;
    let stored = decoder.original_color_type();
    let total = decoder.total_bytes();
    let mut samples =
        vec![0; usize::try_from(total).map_err(|_| DecodeError::Limit(format!("{total} bytes of pixels")))?];
    decoder
        .read_image_boxed(&mut samples)
        .map_err(|error| from_image(format, error))?;
    Ok(Decoded {
        width,
        height,
        color: header.color,
        stored,
        samples,
        orientation,
    })
}

/// The header of a file whose decoder unpacks nothing before its pixels: a PNG's does, and is not asked.
pub(super) fn header(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Header, DecodeError> {
    opened(format, bytes, limits, None).map(|opened| opened.header)
}

fn opened<'a>(
    format: Format,
    bytes: &'a [u8],
    limits: &DecodeLimits,
    told: Option<Orientation>,
) -> Result<Opened<'a>, DecodeError> {
    if format == Format::WebP {
        super::webp::check_length(bytes)?;
        super::webp::check_size(bytes, limits)?;
    }
    let mut decoder = open(format, bytes, limits).map_err(|error| from_image(format, error))?;
    let size = decoder.dimensions();
    limits.check_size(size.0, size.1)?;
    let orientation = told.unwrap_or_else(|| upright(format, bytes, decoder.as_mut()));
    let header = Header {
        size,
        color: decoder.color_type(),
        beside: beside(format, bytes, limits, decoder.as_ref())?,
        turned: orientation::needs_copy(orientation),
    };
    Ok(Opened {
        decoder,
        header,
        orientation,
    })
}

/// Bytes that a decoder holds beside the samples that it gives.
fn beside(format: Format, bytes: &[u8], limits: &DecodeLimits, decoder: &dyn ImageDecoder) -> Result<u64, DecodeError> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    Ok(match format {
        // The copy that it reads.
        Format::Png => bytes.len() as u64,
        // Whole pictures of their own, of a TIFF as it is stored.
        Format::WebP => super::webp::beside(bytes, pixels),
        Format::Tiff => {
            let bits = u64::from(decoder.original_color_type().bits_per_pixel());
            let stored = pixels.saturating_mul(bits).div_ceil(8);
            stored.saturating_add(super::tiff::jpeg_bytes(bytes, limits)?)
        }
        Format::Gif => super::gif::beside(bytes)?,
        Format::Jpeg | Format::Bmp | Format::Dicom => 0,
    })
}

fn open<'a>(format: Format, bytes: &'a [u8], limits: &DecodeLimits) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    let reader = Cursor::new(bytes);
    let mut allowed = Limits::default();
    allowed.max_alloc = Some(limits.max_alloc_bytes);
    // Sizes are checked beside, so that the error names them.
    (allowed.max_image_width, allowed.max_image_height) = (None, None);
    let mut decoder: Box<dyn ImageDecoder + 'a> = match format {
        Format::Png => Box::new(png::PngDecoder::with_limits(reader, allowed.clone())?),
        Format::Gif => Box::new(gif::GifDecoder::new(reader)?),
        Format::WebP => Box::new(webp::WebPDecoder::new(reader)?),
        Format::Tiff => Box::new(tiff::TiffDecoder::new(reader)?),
        Format::Bmp => Box::new(bmp::BmpDecoder::new(reader)?),
        Format::Jpeg | Format::Dicom => {
            return Err(ImageError::Unsupported(ImageFormatHint::Unknown.into()));
        }
    };
    decoder.set_limits(allowed)?;
    Ok(decoder)
}

/// A broken EXIF block turns nothing: the picture itself may well be whole.
fn upright(format: Format, bytes: &[u8], decoder: &mut dyn ImageDecoder) -> Orientation {
    if format == Format::Tiff {
        return super::tiff::upright(bytes);
    }
    let exif = decoder.exif_metadata().unwrap_or(None);
    let xmp = decoder.xmp_metadata().unwrap_or(None);
    orientation::of(exif.as_deref(), xmp.as_deref())
}

fn from_image(format: Format, error: ImageError) -> DecodeError {
    match error {
        ImageError::Limits(limit) => match limit.kind() {
            LimitErrorKind::InsufficientMemory => DecodeError::Limit("it needs more memory than is allowed".to_owned()),
            other => DecodeError::Limit(format!("{other:?}")),
        },
        ImageError::Unsupported(what) => {
            DecodeError::Unsupported(format!("a {format} of a kind that is not read: {what}"))
        }
        other => DecodeError::corrupt(format, other.to_string()),
    }
}
