//! Pillow's resampling of eight-bit pictures, bit for bit.
//!
//! Weights were trained on what Pillow makes, so its fixed-point arithmetic is the reference: coefficients of 22 bits,
//! a horizontal and a vertical pass in its order, each rounded to eight bits, and a support that widens when shrinking.
//! Only a window of the result is computed, which changes no value: a picture of 1 x 60,000 brought to a shorter edge of
//! 256 would have 3.9 thousand million values, of which a crop of 224 x 224 is wanted.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod axis;
mod filter;
mod memory;
mod narrowing;
mod nearest;
mod scalar;
mod strips;

pub(crate) use memory::resize_bytes;
pub(crate) use strips::Strips;

use crate::picture::{Picture, spread};
use axis::Axis;
use narrowing::Narrowing;
use sightline_model_folder::Resample;
use std::borrow::Cow;

/// A part of a resized picture, in pixels from its left top corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What computes the two passes; all give the same values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Any processor.
    Scalar,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    /// The fastest one that this processor can run.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Avx2;
        }
        Self::Scalar
    }
}

/// Resizes a picture to `width` x `height` and returns the window of it: `window.height * window.width * 3` bytes.
/// A window that reaches beyond the result is cut.
#[must_use]
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Resample, window: Window) -> Vec<u8> {
    resize_with(Kernel::detect(), picture, width, height, filter, window)
}

/// The same by a kernel of choice, to compare them. A kernel that this processor cannot run falls back.
#[must_use]
pub fn resize_with(
    kernel: Kernel,
    picture: &Picture,
    width: u32,
    height: u32,
    filter: Resample,
    window: Window,
) -> Vec<u8> {
    if filter == Resample::Nearest {
        return nearest::resize(picture, width, height, window);
    }
    let channels = picture.channels();
    let (source_width, source_height) = (picture.width(), picture.height());
    let columns = Axis::new(source_width, width, window.left, window.width, filter);
    let rows = Axis::new(source_height, height, window.top, window.height, filter);
    if columns.len() == 0 || rows.len() == 0 {
        return Vec::new();
    }
    let (first, end) = rows.needs();
    let stride = source_width as usize * channels;
    let source = Cow::Borrowed(&picture.samples()[first * stride..end * stride]);
    let line = columns.len() * channels;
    let columns = Narrowing::new(kernel, columns, channels);
    if rows_first((source_width, source_height), (width, height)) {
        let shortened = vertical(kernel, source, stride, &rows, first);
        return shown(columns.narrowed(shortened, stride).into_owned(), channels);
    }
    let narrowed = columns.narrowed(source, stride);
    shown(vertical(kernel, narrowed, line, &rows, first).into_owned(), channels)
}

/// Three values a pixel of what was resized as one: of three equal channels each becomes the same.
fn shown(samples: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 1 { spread(&samples) } else { samples }
}

/// Pillow's rule since version 13: where the height shrinks by more than twice as many pixels as the width, the rows are
/// made first. Each pass rounds, so that the order shows.
fn rows_first(from: (u32, u32), to: (u32, u32)) -> bool {
    let [shorter, narrower] = [(from.1, to.1), (from.0, to.0)].map(|(from, to)| i64::from(from) - i64::from(to));
    shorter > 0 && shorter > narrower * 2
}

/// `first` is the row of the picture that `source` begins with.
fn vertical<'a>(kernel: Kernel, source: Cow<'a, [u8]>, stride: usize, rows: &Axis, first: usize) -> Cow<'a, [u8]> {
    if rows.is_identity() {
        return source;
    }
    let mut out = vec![0; rows.len() * stride];
    for (tap, line) in rows.taps().zip(out.chunks_exact_mut(stride)) {
        let start = (tap.first - first) * stride;
        let lines = &source[start..start + tap.coefficients.len() * stride];
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 if is_x86_feature_detected!("avx2") => {
                #[expect(unsafe_code, reason = "the processor has AVX2, as was just asked")]
                unsafe {
                    avx2::vertical(lines, stride, tap.coefficients, line);
                }
            }
            _ => scalar::vertical(lines, stride, tap.coefficients, 0, line),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests;
