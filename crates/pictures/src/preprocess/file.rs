//! From a file's bytes to a prepared picture.

use super::{PreparedPicture, Preprocessor};
use crate::picture::{self, DecodeError, DecodeLimits, Scanlines};
use crate::resize::Strips;
use serde_json::Value;
use sightline_core::DicomSpec;
use std::collections::BTreeMap;

/// A file's picture as the network takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedFile {
    /// The picture, resized and cropped.
    pub picture: PreparedPicture,
    /// Of a DICOM, the tags that were asked for and are there.
    pub tags: BTreeMap<String, Value>,
}

impl Preprocessor {
    /// What [`picture::read`] and [`Preprocessor::prepare`] make of a file; with `fast`, [`picture::read_for`]. A JPEG is
    /// resized while it is decoded, which spares the memory for its pixels and the time to fill it.
    ///
    /// # Errors
    /// As [`picture::read`].
    pub fn prepare_file(
        &self,
        bytes: &[u8],
        limits: &DecodeLimits,
        dicom: &DicomSpec,
        fast: bool,
    ) -> Result<PreparedFile, DecodeError> {
        let target = |width, height| self.target(width, height);
        let target: Option<&dyn Fn(u32, u32) -> (u32, u32)> = if fast { Some(&target) } else { None };
        if let Some(picture) = self.by_rows(bytes, limits, target) {
            let tags = BTreeMap::new();
            return Ok(PreparedFile { picture, tags });
        }
        let content = match target {
            Some(target) => picture::read_for(bytes, limits, dicom, target)?,
            None => picture::read(bytes, limits, dicom)?,
        };
        Ok(PreparedFile {
            picture: self.prepare(&content.picture),
            tags: content.tags,
        })
    }

    /// `None` where the picture has to be decoded as a whole.
    fn by_rows(
        &self,
        bytes: &[u8],
        limits: &DecodeLimits,
        target: Option<&dyn Fn(u32, u32) -> (u32, u32)>,
    ) -> Option<PreparedPicture> {
        let mut rows = Scanlines::open(bytes, limits, target)?;
        let (width, height) = (rows.width(), rows.height());
        let (size, window) = self.cut(width, height);
        let mut strips = Strips::new((width, height), rows.channels(), size, self.spec.resample, window)?;
        loop {
            let read = rows.read(strips.place())?;
            if read == 0 {
                break;
            }
            strips.take(read);
        }
        rows.finish()?;
        Some(self.framed(size, strips.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Picture;
    use crate::preview;
    use sightline_core::preview::{PreviewFormat, PreviewSpec};
    use sightline_model_folder::{ImagePreprocessing, Resample, Resize};
    use std::fs;
    use std::path::Path;

    fn preprocessors() -> [Preprocessor; 3] {
        let spec = |resize, crop, pad, resample| ImagePreprocessing {
            crop,
            flip: false,
            mean: [0.5; 3],
            offset: 0.0,
            pad,
            resample,
            rescale: 1.0 / 255.0,
            resize,
            std: [0.5; 3],
        };
        [
            spec(Resize::Exact([17, 11]), [17, 11], false, Resample::Bicubic),
            spec(Resize::ShortestEdge(14), [12, 12], false, Resample::Bilinear),
            spec(Resize::Within([40, 30]), [40, 40], true, Resample::Lanczos),
        ]
        .map(|spec| Preprocessor::new(&spec))
    }

    fn fixtures() -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for folder in ["pictures", "dicoms"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures")
                .join(folder);
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                files.push((path.display().to_string(), fs::read(path).unwrap()));
            }
        }
        files
    }

    fn small() -> PreviewSpec {
        PreviewSpec {
            width: 96,
            height: 54,
            format: PreviewFormat::Png,
            root: None,
        }
    }

    /// All ways of each file, whole and cut short.
    fn check(name: &str, bytes: &[u8]) {
        let pixels = DicomSpec::pixels_alone();
        for preprocessor in preprocessors() {
            for fast in [false, true] {
                let target = |width, height| preprocessor.target(width, height);
                let content = if fast {
                    picture::read_for(bytes, &DecodeLimits::default(), &pixels, &target)
                } else {
                    picture::read(bytes, &DecodeLimits::default(), &pixels)
                };
                let whole = content.map(|content| preprocessor.prepare(&content.picture));
                let file = preprocessor.prepare_file(bytes, &DecodeLimits::default(), &pixels, fast);
                let file = file.map(|file| file.picture);
                assert!(file == whole, "{name}, fast: {fast}");
                let limits = DecodeLimits::default();
                let previewed = preprocessor.prepare_with_preview(bytes, &limits, &pixels, fast, &small());
                let previewed = previewed.map(|previewed| previewed.prepared.picture);
                assert!(previewed == whole, "{name}, fast: {fast}, with a preview");
            }
        }
    }

    #[test]
    fn every_file_is_prepared_as_its_decoded_picture_is_or_fails_for_the_same_reason() {
        for (name, bytes) in fixtures() {
            check(&name, &bytes);
            check(&name, &bytes[..bytes.len() / 2]);
        }
    }

    #[test]
    fn a_large_jpeg_is_resized_while_it_is_decoded_and_one_on_its_side_is_not() {
        let (width, height) = (403, 307);
        let shade = |x: u32, y: u32| [x * 7 + y, y * 3, x ^ y].map(|value| value.to_le_bytes()[0]);
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| shade(x, y)));
        let picture = Picture::new(width, height, pixels.collect()).unwrap();
        let spec = PreviewSpec {
            width,
            height,
            format: PreviewFormat::Jpeg { quality: 90 },
            root: None,
        };
        let jpeg = preview(&picture, &spec).unwrap();
        check("a large JPEG", &jpeg);
        // Damage in the middle is met by a warning, which both ways have to answer alike.
        let mut damaged = jpeg.clone();
        damaged[jpeg.len() / 2..jpeg.len() / 2 + 9].fill(0x55);
        check("a damaged JPEG", &damaged);
        for preprocessor in preprocessors() {
            assert!(preprocessor.by_rows(&jpeg, &DecodeLimits::default(), None).is_some());
            let tight = DecodeLimits {
                max_alloc_bytes: u64::from(width * height * 3 - 1),
                ..DecodeLimits::default()
            };
            assert!(preprocessor.by_rows(&jpeg, &tight, None).is_none());
        }
        // An EXIF block that says: the first row is on the right.
        let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
        check("a turned JPEG", &turned);
        for preprocessor in preprocessors() {
            assert!(preprocessor.by_rows(&turned, &DecodeLimits::default(), None).is_none());
        }
    }
}
