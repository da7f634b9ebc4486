//! Previews of pictures: smaller, and in a format that browsers show.

mod jpeg;
mod png;

use crate::picture::{Content, DecodeLimits, Picture, is_too_small_for, read_for};
use crate::resize::{Window, resize, resize_bytes};
use sightline_core::DicomSpec;
use sightline_core::preview::{PreviewFormat, PreviewSpec};
use sightline_model_folder::Resample;
use std::borrow::Cow;

const FILTER: Resample = Resample::Bicubic;

/// Why there is no preview of a picture that could be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write a preview of {width} x {height} pixels: {message}; try another format or size")]
pub struct PreviewError {
    width: u32,
    height: u32,
    message: String,
}

/// The bytes of a picture's preview. The same picture and settings give the same bytes.
///
/// # Errors
/// When it cannot be written, for want of memory say.
pub fn preview(picture: &Picture, spec: &PreviewSpec) -> Result<Vec<u8>, PreviewError> {
    let (width, height) = spec.fitted(picture.width(), picture.height());
    let rgb = if (width, height) == (picture.width(), picture.height()) {
        picture.rgb()
    } else {
        Cow::Owned(resize(picture, width, height, FILTER, whole(width, height)))
    };
    let written = match spec.format {
        PreviewFormat::Jpeg { quality } => jpeg::encode(&rgb, width, height, quality),
        PreviewFormat::Png => png::encode(&rgb, width, height),
    };
    written.map_err(|message| PreviewError { width, height, message })
}

/// Bytes that [`preview`] has allocated at most at any moment beside a picture of this width and height that keeps so many values a
/// pixel: while it resizes, and while it encodes what that made.
pub(crate) fn preview_bytes(size: (u32, u32), channels: usize, spec: &PreviewSpec) -> u64 {
    let (width, height) = spec.fitted(size.0, size.1);
    let rgb = u64::from(width) * u64::from(height) * 3;
    let (resizing, shown) = match channels {
        _ if (width, height) != size => {
            let resizing = resize_bytes(size, channels, (width, height), whole(width, height));
            (resizing, rgb)
        }
        1 => (0, rgb),
        _ => (0, 0),
    };
    let encoding = match spec.format {
        PreviewFormat::Jpeg { .. } => jpeg::most_bytes(width, height) as u64,
        PreviewFormat::Png => png::most_bytes(width, height),
    };
    resizing.max(shown + encoding)
}

fn whole(width: u32, height: u32) -> Window {
    Window {
        left: 0,
        top: 0,
        width,
        height,
    }
}

/// The preview of a file whose picture was decoded for something else: of the same pixels, or, where these are fewer than are
/// decoded for a preview, of the file once more. The first ones are given up before, so that both are never there at once.
pub(crate) fn preview_of_file(
    content: Content,
    bytes: &[u8],
    limits: &DecodeLimits,
    dicom: &DicomSpec,
    spec: &PreviewSpec,
) -> Result<Vec<u8>, PreviewError> {
    let target = |width, height| spec.fitted(width, height);
    if !is_too_small_for(&content, &target) {
        return preview(&content.picture, spec);
    }
    drop(content);
    let again = read_for(bytes, limits, dicom, &target).map_err(|error| PreviewError {
        width: spec.width,
        height: spec.height,
        message: error.to_string(),
    })?;
    preview(&again.picture, spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Format, decode, read};

    fn spec(format: PreviewFormat) -> PreviewSpec {
        PreviewSpec {
            width: 60,
            height: 40,
            format,
            root: None,
        }
    }

    fn gradient(width: u32, height: u32) -> Picture {
        let shade = |x: u32, y: u32| [x * 255 / width, y * 255 / height, 128].map(|value| u8::try_from(value).unwrap());
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| shade(x, y)));
        Picture::new(width, height, pixels.collect()).unwrap()
    }

    #[test]
    fn a_jpeg_fits_and_shows_the_picture() {
        let jpeg = preview(&gradient(300, 400), &spec(PreviewFormat::Jpeg { quality: 90 })).unwrap();
        let content = read(&jpeg, &DecodeLimits::default(), &DicomSpec::pixels_alone()).unwrap();
        assert_eq!(content.facts.format, Format::Jpeg);
        assert_eq!((content.picture.width(), content.picture.height()), (30, 40));
        let exact = decode(
            &preview(&gradient(300, 400), &spec(PreviewFormat::Png)).unwrap(),
            &DecodeLimits::default(),
        )
        .unwrap();
        let (shown, expected) = (content.picture.rgb(), exact.rgb());
        let pairs = shown.iter().zip(expected.iter());
        assert!(pairs.clone().count() == 30 * 40 * 3);
        // A smooth picture at this quality is off by a few steps, as JPEG is.
        const STEPS: u8 = 8;
        assert!(pairs.clone().all(|(ours, exact)| ours.abs_diff(*exact) <= STEPS));
    }

    #[test]
    fn a_small_picture_keeps_its_size_and_a_png_its_values() {
        let small = gradient(33, 17);
        let png = preview(&small, &spec(PreviewFormat::Png)).unwrap();
        assert_eq!(decode(&png, &DecodeLimits::default()).unwrap(), small);
    }

    #[test]
    fn the_same_picture_and_settings_give_the_same_bytes_within_the_bound() {
        // Noise is what compresses worst.
        let mut state = 1_u32;
        let noise = (0..120 * 80 * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        });
        let noise = Picture::new(120, 80, noise.collect()).unwrap();
        for format in [PreviewFormat::Jpeg { quality: 100 }, PreviewFormat::Png] {
            let spec = spec(format);
            let first = preview(&noise, &spec).unwrap();
            assert_eq!(first, preview(&noise, &spec).unwrap());
            assert!(first.len() as u64 <= spec.most_bytes(), "{} bytes", first.len());
        }
    }
}
