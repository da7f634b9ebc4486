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

/// Decodes the pixels of a file of a known format other than JPEG.
pub(super) fn decode(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    if format == Format::Tiff
        && let Some(decoded) = super::tiff::palette(bytes, limits)?
    {
        return Ok(decoded);
    }
    let failed = |error| from_image(format, error);
    let mut decoder = open(format, bytes, limits).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    let orientation = upright(format, bytes, decoder.as_mut());
    let color = decoder.color_type();
    let stored = decoder.original_color_type();
    let total = decoder.total_bytes();
    let pixels = u64::from(width) * u64::from(height);
    let result = pixels.saturating_mul(if color.has_color() { 3 } else { 1 });
    // What these decoders hold beside the samples: whole frames of their own.
    let working = match format {
        Format::WebP => pixels * 4,
        Format::Tiff => total,
        Format::Jpeg | Format::Png | Format::Gif | Format::Bmp | Format::Dicom => 0,
    };
    let turning = if orientation::needs_copy(orientation) {
        result * 2
    } else {
        0
    };
    limits.check_alloc((total + working).max(turning))?;
    let mut samples =
        vec![0; usize::try_from(total).map_err(|_| DecodeError::Limit(format!("{total} bytes of pixels")))?];
    decoder.read_image_boxed(&mut samples).map_err(failed)?;
    Ok(Decoded {
        width,
        height,
        color,
        stored,
        samples,
        orientation,
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
