//! How much memory a file takes until its picture is prepared and its preview is there, by its header alone.

use super::Preprocessor;
use crate::picture::{DecodeLimits, Estimate};
use crate::preview::preview_bytes;
use crate::resize::resize_bytes;
use sightline_core::PreviewSpec;

impl Preprocessor {
    /// How many bytes [`Preprocessor::prepare_file`] will have allocated at most at any moment, or
    /// [`Preprocessor::prepare_with_preview`] where a preview is made; the file's own bytes are not counted, nor is the prepared
    /// picture once it is there. As [`crate::picture::estimated_bytes`], which it is never less than, it is rather too much than too
    /// little: every JPEG counts as decoded exactly and as a whole.
    #[must_use]
    pub fn estimated_bytes(&self, bytes: &[u8], limits: &DecodeLimits, preview: Option<&PreviewSpec>) -> u64 {
        let Estimate { bytes, outline } = Estimate::of(bytes, limits);
        let Some(outline) = outline else { return bytes };
        // One after the other, while the pixels are there.
        let beside = |size: (u32, u32)| {
            let (target, window) = self.cut(size.0, size.1);
            let resizing = resize_bytes(size, outline.channels, target, window);
            let previewing = preview.map_or(0, |spec| preview_bytes(size, outline.channels, spec));
            resizing.max(previewing)
        };
        let beside = outline.sizes().map(beside).max().unwrap_or(0);
        bytes.max(outline.bytes() + beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::estimated_bytes;
    use crate::preprocess::testing::preprocessor;
    use sightline_core::PreviewFormat;

    /// Coefficients of a resize, which are few beside pixels.
    const COEFFICIENTS: u64 = 8 << 20;

    fn large(format: PreviewFormat) -> PreviewSpec {
        PreviewSpec {
            width: 4096,
            height: 4096,
            format,
            root: None,
        }
    }

    /// The markers of a baseline JPEG of so many pixels and components.
    fn jpeg_of(width: u16, height: u16, components: u8) -> Vec<u8> {
        let sides = [height.to_be_bytes(), width.to_be_bytes()].concat();
        let frame = [[0xff, 0xd8, 0xff, 0xc0, 0, 8 + 3 * components, 8].as_slice(), &sides].concat();
        let of_frame = (1..=components).flat_map(|component| [component, 0x11, 0]);
        let scan = [0xff, 0xda, 0, 6 + 2 * components, components];
        let of_scan = (1..=components).flat_map(|component| [component, 0]);
        let bytes = frame.into_iter().chain([components]).chain(of_frame);
        let bytes = bytes.chain(scan).chain(of_scan);
        bytes.chain([0, 63, 0, 0xff, 0xd9]).collect()
    }

    fn check(file: &[u8], preview: Option<&PreviewSpec>, least: u64) {
        let estimated = preprocessor(224).estimated_bytes(file, &DecodeLimits::default(), preview);
        let expected = least..least + COEFFICIENTS;
        assert!(expected.contains(&estimated), "{estimated} where {least} are taken");
    }

    #[test]
    fn resizing_counts_beside_the_pixels_and_so_does_making_a_preview_at_its_worst() {
        const SIDE: u64 = 11_585;
        let rgb = jpeg_of(11_585, 11_585, 3);
        let grey = jpeg_of(11_585, 11_585, 1);
        let pixels = SIDE * SIDE;
        assert_eq!(estimated_bytes(&rgb, &DecodeLimits::default()), pixels * 3);
        check(&rgb, None, pixels * 3 + (SIDE * 224 + 224 * 224) * 3);
        check(&grey, None, pixels + SIDE * 224 + 224 * 224);

        let jpeg = large(PreviewFormat::Jpeg { quality: 85 });
        let shown = 4096 * 4096;
        // All narrowed rows beside what is made of them.
        check(&rgb, Some(&jpeg), pixels * 3 + (SIDE * 4096 + shown) * 3);
        // Three values of each pixel, and a buffer for the longest JPEG.
        check(&grey, Some(&jpeg), pixels + shown * 6);
        // What is packed and was not worth it, and a copy of the rows.
        check(&rgb, Some(&large(PreviewFormat::Png)), pixels * 3 + shown * (3 + 5 * 3));
    }

    #[test]
    fn a_preview_that_is_as_large_as_its_picture_counts_what_encoding_takes() {
        let jpeg = large(PreviewFormat::Jpeg { quality: 85 });
        let pixels = 4096 * 2048;
        check(&jpeg_of(4096, 2048, 3), Some(&jpeg), pixels * 6);
        check(&jpeg_of(4096, 2048, 1), Some(&jpeg), pixels * 7);
    }

    #[test]
    fn what_is_refused_takes_nothing_and_what_has_no_pixels_is_no_panic() {
        let none = preprocessor(224).estimated_bytes(b"no picture", &DecodeLimits::default(), None);
        assert_eq!(none, 0);
        let header = b"\0\0\0\x0dIHDR\0\0\0\0\0\0\0\x05\x08\x02\0\0\0\0\0\0\0";
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), header].concat();
        for file in [png, jpeg_of(0, 9, 3), jpeg_of(9, 0, 1)] {
            check(&file, Some(&large(PreviewFormat::Png)), 0);
        }
    }
}
