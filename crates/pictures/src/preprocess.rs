//! From a decoded picture to the network's input, as Pillow and numpy make it.

use crate::picture::Picture;
use crate::resize::{Window, resize};
use sightline_model_folder::{ImagePreprocessing, Resize};

/// A picture resized and cropped: still eight bits, a quarter of the network's input in size, so that many can wait.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedPicture {
    rgb: Vec<u8>,
}

impl std::fmt::Debug for PreparedPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedPicture({} bytes)", self.rgb.len())
    }
}

impl PreparedPicture {
    /// `height * width * 3` bytes, row by row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// A prepared picture and a buffer that do not belong to this preprocessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a picture of {bytes} bytes and {values} values of a batch were given where {expected} of each belong: prepare pictures with the preprocessing of the model that embeds them"
)]
pub struct PrepareMismatch {
    bytes: usize,
    values: usize,
    expected: usize,
}

/// Prepares pictures for one network. Cheap to share: threads that decode hold one in common.
#[derive(Clone, PartialEq)]
pub struct Preprocessor {
    spec: ImagePreprocessing,
    /// What each 8-bit value of each channel becomes.
    table: [[f32; 256]; 3],
}

impl std::fmt::Debug for Preprocessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Preprocessor").field(&self.spec).finish()
    }
}

impl Preprocessor {
    /// For a folder's preprocessing.
    #[must_use]
    pub fn new(spec: &ImagePreprocessing) -> Self {
        let mut table = [[0.0; 256]; 3];
        for (channel, values) in table.iter_mut().enumerate() {
            for (value, out) in (0_u8..=255).zip(values.iter_mut()) {
                *out = normalized(spec, channel, value);
            }
        }
        Self {
            spec: spec.clone(),
            table,
        }
    }

    /// Height and width of what is prepared.
    #[must_use]
    pub fn size(&self) -> [u32; 2] {
        self.spec.crop
    }

    /// Values of one picture in a batch: 3 · height · width.
    #[must_use]
    pub fn values(&self) -> usize {
        let [height, width] = self.spec.crop;
        height as usize * width as usize * 3
    }

    /// Resizes and crops.
    #[must_use]
    pub fn prepare(&self, picture: &Picture) -> PreparedPicture {
        let [crop_height, crop_width] = self.spec.crop;
        let (width, height) = match self.spec.resize {
            Resize::Exact([height, width]) => (width, height),
            Resize::ShortestEdge(edge) => shortest_edge(picture.width(), picture.height(), edge),
        };
        let window = Window {
            left: (width - crop_width.min(width)) / 2,
            top: (height - crop_height.min(height)) / 2,
            width: crop_width,
            height: crop_height,
        };
        PreparedPicture {
            rgb: resize(picture, width, height, self.spec.resample, window),
        }
    }

    /// Writes a prepared picture's numbers as three planes (red, green, blue) into its place of a batch.
    ///
    /// # Errors
    /// When the picture was prepared for another network, or the place is not [`Preprocessor::values`] long.
    pub fn write(&self, picture: &PreparedPicture, place: &mut [f32]) -> Result<(), PrepareMismatch> {
        let expected = self.values();
        if picture.rgb.len() != expected || place.len() != expected {
            return Err(PrepareMismatch {
                bytes: picture.rgb.len(),
                values: place.len(),
                expected,
            });
        }
        let pixels = picture.rgb.as_chunks::<3>().0;
        for (channel, plane) in place.chunks_exact_mut(pixels.len()).enumerate() {
            for (out, pixel) in plane.iter_mut().zip(pixels) {
                *out = self.table[channel][usize::from(pixel[channel])];
            }
        }
        Ok(())
    }
}

/// numpy's order of roundings: the product in f64, rounded to f32, then f32 arithmetic.
fn normalized(spec: &ImagePreprocessing, channel: usize, value: u8) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reference rounds to f32 at these places"
    )]
    let (scaled, mean, std) = (
        (f64::from(value) * spec.rescale) as f32,
        spec.mean[channel] as f32,
        spec.std[channel] as f32,
    );
    (scaled - mean) / std
}

/// The shorter edge to `edge`, the longer one in proportion, rounded down.
fn shortest_edge(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| {
        let scaled = u64::from(edge) * u64::from(long) / u64::from(short);
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    if width <= height {
        (edge, long(height, width))
    } else {
        (long(width, height), edge)
    }
}

#[cfg(test)]
mod tests;
