//! From a file's bytes to a prepared picture and its preview.

use super::{PreparedFile, Preprocessor};
use crate::picture::{self, DecodeError, DecodeLimits};
use crate::preview::{PreviewError, preview_of_file};
use sightline_core::{DicomSpec, PreviewSpec};

/// A file's picture as the network takes it, and its preview.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedFile {
    /// What [`Preprocessor::prepare_file`] makes of the file.
    pub prepared: PreparedFile,
    /// The preview's bytes, or why there is none: the picture itself is as good as any other.
    pub preview: Result<Vec<u8>, PreviewError>,
}

impl Preprocessor {
    /// What [`Preprocessor::prepare_file`] makes of a file, to the bit, and a preview of its picture: a vector must not depend on
    /// whether one is written. With `fast` a JPEG is therefore decoded twice where a preview wants more pixels than the network.
    ///
    /// # Errors
    /// As [`picture::read`].
    pub fn prepare_with_preview(
        &self,
        bytes: &[u8],
        limits: &DecodeLimits,
        dicom: &DicomSpec,
        fast: bool,
        preview: &PreviewSpec,
    ) -> Result<PreviewedFile, DecodeError> {
        let target = |width, height| self.target(width, height);
        let mut content = if fast {
            picture::read_for(bytes, limits, dicom, &target)?
        } else {
            picture::read(bytes, limits, dicom)?
        };
        let prepared = PreparedFile {
            picture: self.prepare(&content.picture),
            tags: std::mem::take(&mut content.tags),
        };
        Ok(PreviewedFile {
            prepared,
            preview: preview_of_file(content, bytes, limits, dicom, preview),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::testing::preprocessor;
    use crate::{Picture, preview};
    use sightline_core::PreviewFormat;

    const WIDTH: u32 = 400;
    const HEIGHT: u32 = 300;

    fn png(width: u32, height: u32) -> PreviewSpec {
        PreviewSpec {
            width,
            height,
            format: PreviewFormat::Png,
            root: None,
        }
    }

    /// A JPEG full of edges, upright and on its side.
    fn jpegs() -> [Vec<u8>; 2] {
        let shade = |x: u32, y: u32| [x * 7 + y, y * 3, x ^ y].map(|value| value.to_le_bytes()[0]);
        let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| shade(x, y)));
        let picture = Picture::new(WIDTH, HEIGHT, pixels.collect()).unwrap();
        let spec = PreviewSpec {
            format: PreviewFormat::Jpeg { quality: 90 },
            ..png(WIDTH, HEIGHT)
        };
        let upright = preview(&picture, &spec).unwrap();
        // An EXIF block that says: the first row is on the right.
        let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&upright[..2], exif, &upright[2..]].concat();
        [upright, turned]
    }

    #[test]
    fn the_network_is_shown_the_same_with_and_without_a_preview_which_has_the_pixels_that_it_wants() {
        let (limits, pixels) = (DecodeLimits::default(), DicomSpec::pixels_alone());
        for jpeg in jpegs() {
            for (edge, spec) in [(14, png(96, 54)), (14, png(WIDTH, WIDTH)), (30, png(96, 54))] {
                let preprocessor = preprocessor(edge);
                let previewed = preprocessor.prepare_with_preview(&jpeg, &limits, &pixels, true, &spec);
                let previewed = previewed.unwrap();
                let plain = preprocessor.prepare_file(&jpeg, &limits, &pixels, true).unwrap();
                assert!(previewed.prepared == plain, "{edge}, {spec:?}");

                let wanted = |width, height| spec.fitted(width, height);
                let decoded = picture::read_for(&jpeg, &limits, &pixels, &wanted).unwrap().picture;
                assert_eq!(previewed.preview, preview(&decoded, &spec), "{edge}, {spec:?}");
                // What the case is made of: the network's pixels are fewer.
                let target = |width, height| preprocessor.target(width, height);
                let shown = picture::read_for(&jpeg, &limits, &pixels, &target).unwrap().picture;
                assert!(shown.width() < decoded.width(), "{edge}, {spec:?}");
                let exact = picture::decode(&jpeg, &limits).unwrap();
                let made = picture::decode(&previewed.preview.unwrap(), &limits).unwrap();
                let size = (made.width(), made.height());
                assert_eq!(size, spec.fitted(exact.width(), exact.height()), "{edge}, {spec:?}");
            }
        }
    }

    #[test]
    fn a_preview_is_made_of_the_networks_pixels_where_these_are_enough() {
        let (limits, pixels) = (DecodeLimits::default(), DicomSpec::pixels_alone());
        let [upright, turned] = jpegs();
        for (jpeg, fast) in [(&upright, true), (&turned, true), (&upright, false)] {
            let (preprocessor, spec) = (preprocessor(100), png(16, 16));
            let previewed = preprocessor.prepare_with_preview(jpeg, &limits, &pixels, fast, &spec);
            let exact = picture::decode(jpeg, &limits).unwrap();
            assert_eq!(previewed.unwrap().preview, preview(&exact, &spec));
        }
    }

    #[test]
    fn a_picture_that_is_too_large_to_be_decoded_for_its_preview_is_prepared_without_one() {
        let tight = DecodeLimits {
            max_alloc_bytes: u64::from(WIDTH * HEIGHT),
            ..DecodeLimits::default()
        };
        let (pixels, whole) = (DicomSpec::pixels_alone(), png(WIDTH, HEIGHT));
        let [upright, _] = jpegs();
        let previewed = preprocessor(14).prepare_with_preview(&upright, &tight, &pixels, true, &whole);
        let error = previewed.unwrap().preview.unwrap_err().to_string();
        assert!(error.contains("decoding it needs"), "{error}");
    }
}
