//! From a decoded picture to the network's input, as Pillow and numpy make it.

mod estimate;
mod file;
mod previewed;
#[cfg(test)]
mod testing;

pub use file::PreparedFile;
pub use previewed::PreviewedFile;

use crate::picture::Picture;
use crate::resize::{Window, resize};
use sightline_model_folder::{ImagePreprocessing, Resize};

/// A picture resized and cropped: still eight bits, a quarter of the network's input in size, so that many can wait.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedPicture {
    /// Less than the network's input where the rest becomes 0.
    width: usize,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for PreparedPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedPicture({} bytes)", self.rgb.len())
    }
}

impl PreparedPicture {
    /// `height * width * 3` bytes, row by row; fewer rows and columns than the network's input where that is filled up
    /// after the normalisation.
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

    /// Width and height that a picture of this size is resized to, before it is cut.
    #[must_use]
    pub fn target(&self, width: u32, height: u32) -> (u32, u32) {
        resized(self.spec.resize, width, height)
    }

    /// Resizes and crops.
    #[must_use]
    pub fn prepare(&self, picture: &Picture) -> PreparedPicture {
        let (size, window) = self.cut(picture.width(), picture.height());
        self.framed(size, resize(picture, size.0, size.1, self.spec.resample, window))
    }

    /// Width and height that a picture is resized to, and the part of that which is wanted.
    fn cut(&self, width: u32, height: u32) -> ((u32, u32), Window) {
        let [crop_height, crop_width] = self.spec.crop;
        let (width, height) = resized(self.spec.resize, width, height);
        let middle = |size: u32, crop: u32| if self.spec.pad { 0 } else { (size - crop.min(size)) / 2 };
        let window = Window {
            left: middle(width, crop_width),
            top: middle(height, crop_height),
            width: crop_width,
            height: crop_height,
        };
        ((width, height), window)
    }

    /// The wanted part of a picture that was resized to `width` and `height`, of the size that the network takes.
    fn framed(&self, (width, height): (u32, u32), rgb: Vec<u8>) -> PreparedPicture {
        let [crop_height, crop_width] = self.spec.crop;
        let (width, height) = (width.min(crop_width), height.min(crop_height));
        if self.spec.pad || [height, width] == self.spec.crop {
            return PreparedPicture {
                width: width as usize,
                rgb,
            };
        }
        PreparedPicture {
            width: crop_width as usize,
            rgb: amid_black(&rgb, width, height, crop_width, crop_height),
        }
    }

    /// What is done to a picture, in words, in order.
    #[must_use]
    pub fn steps(&self, picture: &Picture) -> Vec<String> {
        let spec = &self.spec;
        let [crop_height, crop_width] = spec.crop;
        let (width, height) = resized(spec.resize, picture.width(), picture.height());
        let mut steps = Vec::new();
        if spec.resize != Resize::Keep {
            steps.push(format!("resized to {width} x {height} ({:?})", spec.resample));
        }
        if [height, width] != spec.crop {
            let how = if spec.pad {
                "filled up with 0 after normalising, to"
            } else {
                "its middle, black around it, of"
            };
            let how = if width >= crop_width && height >= crop_height {
                "cut from the middle to"
            } else {
                how
            };
            steps.push(format!("{how} {crop_width} x {crop_height}"));
        }
        steps.push(format!(
            "value x {} - {:?}, by {:?}{}",
            spec.rescale,
            spec.mean.map(|mean| mean + spec.offset),
            spec.std,
            if spec.flip { ", blue first" } else { "" }
        ));
        steps
    }

    /// What each 8-bit value of each channel (red, green, blue) becomes.
    #[must_use]
    pub fn table(&self) -> &[[f32; 256]; 3] {
        &self.table
    }

    /// Whether there may be pictures that are not [full](Self::is_full).
    #[must_use]
    pub fn pads(&self) -> bool {
        self.spec.pad
    }

    /// Whether the picture has a value for every place of the network's input, and is of this preprocessing.
    #[must_use]
    pub fn is_full(&self, picture: &PreparedPicture) -> bool {
        picture.rgb.len() == self.values() && picture.width == self.spec.crop[1] as usize
    }

    /// Writes a prepared picture's bytes as three planes into its place of a batch, to be looked up in
    /// [`Preprocessor::table`] by who computes with them.
    ///
    /// # Errors
    /// When the picture is not full, or the place is not [`Preprocessor::values`] long.
    pub fn write_bytes(&self, picture: &PreparedPicture, place: &mut [u8]) -> Result<(), PrepareMismatch> {
        if place.len() != self.values() || !self.is_full(picture) {
            return Err(self.mismatch(picture, place.len()));
        }
        for (channel, plane) in place.chunks_exact_mut(picture.rgb.len() / 3).enumerate() {
            let stored = self.stored(channel);
            for (out, pixel) in plane.iter_mut().zip(picture.rgb.as_chunks::<3>().0) {
                *out = pixel[stored];
            }
        }
        Ok(())
    }

    /// Where a channel of the network's input stands in a pixel.
    fn stored(&self, channel: usize) -> usize {
        if self.spec.flip { 2 - channel } else { channel }
    }

    fn mismatch(&self, picture: &PreparedPicture, values: usize) -> PrepareMismatch {
        PrepareMismatch {
            bytes: picture.rgb.len(),
            values,
            expected: self.values(),
        }
    }

    /// Writes a prepared picture's numbers as three planes (red, green, blue) into its place of a batch.
    ///
    /// # Errors
    /// When the picture was prepared for another network, or the place is not [`Preprocessor::values`] long.
    pub fn write(&self, picture: &PreparedPicture, place: &mut [f32]) -> Result<(), PrepareMismatch> {
        let expected = self.values();
        let [height, width] = self.spec.crop.map(|edge| edge as usize);
        let full = self.is_full(picture);
        let fits = picture.width <= width && picture.rgb.len() <= picture.width * height * 3;
        if place.len() != expected || !(full || (self.spec.pad && fits)) {
            return Err(self.mismatch(picture, place.len()));
        }
        if !full {
            place.fill(0.0);
        }
        for (channel, plane) in place.chunks_exact_mut(width * height).enumerate() {
            let stored = self.stored(channel);
            let rows = picture.rgb.chunks_exact(picture.width * 3);
            for (line, row) in plane.chunks_exact_mut(width).zip(rows) {
                for (out, pixel) in line.iter_mut().zip(row.as_chunks::<3>().0) {
                    *out = self.table[channel][usize::from(pixel[stored])];
                }
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
    #[expect(clippy::cast_possible_truncation, reason = "0 or 1")]
    let offset = spec.offset as f32;
    (scaled - offset - mean) / std
}

/// The picture in the middle of black; where that is half a pixel off, to the right and below.
fn amid_black(rgb: &[u8], width: u32, height: u32, crop_width: u32, crop_height: u32) -> Vec<u8> {
    let left = (crop_width - width).div_ceil(2) as usize * 3;
    let top = (crop_height - height).div_ceil(2) as usize;
    let (stride, crop_stride) = (width as usize * 3, crop_width as usize * 3);
    let mut out = vec![0; crop_stride * crop_height as usize];
    let lines = out.chunks_exact_mut(crop_stride).skip(top);
    for (line, row) in lines.zip(rgb.chunks_exact(stride)) {
        line[left..left + stride].copy_from_slice(row);
    }
    out
}

/// Width and height that a picture is brought to; no edge becomes 0.
fn resized(resize: Resize, width: u32, height: u32) -> (u32, u32) {
    match resize {
        Resize::Exact([height, width]) => (width, height),
        Resize::ShortestEdge(edge) => shortest_edge(width, height, edge),
        Resize::Within([max_height, max_width]) => {
            let scale = (f64::from(max_height) / f64::from(height)).min(f64::from(max_width) / f64::from(width));
            (cut(f64::from(width) * scale), cut(f64::from(height) * scale))
        }
        Resize::Bounded { longest, shortest } => bounded(width, height, shortest, longest),
        Resize::Keep => (width, height),
    }
}

/// The original's `int()`.
fn cut(edge: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; `as` ends at the largest number there is"
    )]
    {
        (edge as u32).max(1)
    }
}

/// `get_size_with_aspect_ratio` of the originals, in their order of roundings: a rounded shorter edge, and the longer
/// one from it before it was rounded.
fn bounded(width: u32, height: u32, shortest: u32, longest: u32) -> (u32, u32) {
    let (low, high) = (f64::from(width.min(height)), f64::from(width.max(height)));
    let mut exact = f64::from(shortest);
    let mut edge = shortest;
    if high / low * exact > f64::from(longest) {
        exact = f64::from(longest) * low / high;
        edge = cut(exact.round_ties_even());
    }
    if width.min(height) == edge {
        return (width, height);
    }
    if width < height {
        (edge, cut(exact * f64::from(height) / f64::from(width)))
    } else {
        (cut(exact * f64::from(width) / f64::from(height)), edge)
    }
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
