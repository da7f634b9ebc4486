//! Pillow's resampling of eight-bit pictures, bit for bit.
//!
//! Weights were trained on what Pillow makes, so its fixed-point arithmetic is the reference: coefficients of 22 bits,
//! a horizontal and a vertical pass in its order, each rounded to eight bits, and a support that widens when shrinking. Only a
//! window of the result is computed, which changes no value: a picture of 1 x 60,000 brought to a shorter edge of 256
//! would have 3.9 thousand million values, of which a crop of 224 x 224 is wanted.

use crate::picture::Picture;
use sightline_model_folder::Resample;

/// Bits behind the point of a coefficient.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const ONE: f64 = (1_u32 << PRECISION_BITS) as f64;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

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

/// Resizes a picture to `width` x `height` and returns the window of it: `window.height * window.width * 3` bytes.
/// A window that reaches beyond the result is cut.
#[must_use]
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Resample, window: Window) -> Vec<u8> {
    let columns = Axis::new(picture.width(), width, window.left, window.width, filter);
    let rows = Axis::new(picture.height(), height, window.top, window.height, filter);
    if columns.taps.is_empty() || rows.taps.is_empty() {
        return Vec::new();
    }
    if vertical_first(picture, width, height) {
        return rows_then_columns(picture, &rows, &columns);
    }
    let (first, end) = rows.needs();
    let stride = picture.width() as usize * 3;
    let source = &picture.rgb()[first * stride..end * stride];
    let narrowed = if columns.is_identity() {
        source.to_vec()
    } else {
        horizontal(source, stride, &columns)
    };
    if rows.is_identity() {
        return narrowed;
    }
    vertical(&narrowed, columns.taps.len() * 3, &rows, first)
}

/// Pillow's rule since version 13: where the height shrinks by more than twice as many pixels as the width, the rows are
/// made first. Each pass rounds, so that the order shows.
fn vertical_first(picture: &Picture, width: u32, height: u32) -> bool {
    let [shorter, narrower] =
        [(picture.height(), height), (picture.width(), width)].map(|(from, to)| i64::from(from) - i64::from(to));
    shorter > 0 && shorter > narrower * 2
}

fn rows_then_columns(picture: &Picture, rows: &Axis, columns: &Axis) -> Vec<u8> {
    let stride = picture.width() as usize * 3;
    let (first, end) = rows.needs();
    let source = &picture.rgb()[first * stride..end * stride];
    let shortened = if rows.is_identity() {
        source.to_vec()
    } else {
        vertical(source, stride, rows, first)
    };
    if columns.is_identity() {
        shortened
    } else {
        horizontal(&shortened, stride, columns)
    }
}

/// The sources of one pixel of the result along one axis.
#[derive(Debug)]
struct Tap {
    first: usize,
    coefficients: Vec<i32>,
}

#[derive(Debug)]
struct Axis {
    source: usize,
    same_size: bool,
    taps: Vec<Tap>,
}

impl Axis {
    fn new(source: u32, target: u32, start: u32, length: u32, filter: Resample) -> Self {
        let end = start.saturating_add(length).min(target);
        let taps = (start.min(end)..end)
            .map(|index| tap(source, target, index, filter))
            .collect();
        Self {
            source: source as usize,
            same_size: source == target,
            taps,
        }
    }

    /// Pillow leaves out a pass that changes no size. With a window, that is true of the whole axis only.
    fn is_identity(&self) -> bool {
        self.same_size && self.taps.len() == self.source
    }

    /// First and end of the source that any pixel needs.
    fn needs(&self) -> (usize, usize) {
        match (self.taps.first(), self.taps.last()) {
            (Some(first), Some(last)) => (first.first, last.first + last.coefficients.len()),
            _ => (0, 0),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "indexes within a picture, clamped to it; coefficients below 2^23"
)]
fn tap(source: u32, target: u32, index: u32, filter: Resample) -> Tap {
    let scale = f64::from(source) / f64::from(target);
    let filter_scale = scale.max(1.0);
    let reach = support(filter) * filter_scale;
    let center = (f64::from(index) + 0.5) * scale;
    let inverse = 1.0 / filter_scale;
    // Truncation towards 0, as C converts to int.
    let first = ((center - reach + 0.5) as i64).max(0);
    let end = ((center + reach + 0.5) as i64).min(i64::from(source));
    let weights: Vec<f64> = (0..end - first)
        .map(|x| weight(filter, ((x + first) as f64 - center + 0.5) * inverse))
        .collect();
    let sum: f64 = weights.iter().sum();
    let coefficients = weights
        .into_iter()
        .map(|weight| if sum == 0.0 { weight } else { weight / sum })
        .map(|weight| (weight * ONE + if weight < 0.0 { -0.5 } else { 0.5 }) as i32)
        .collect();
    Tap {
        first: first as usize,
        coefficients,
    }
}

fn support(filter: Resample) -> f64 {
    match filter {
        Resample::Bilinear => 1.0,
        Resample::Bicubic => 2.0,
        Resample::Lanczos => 3.0,
    }
}

fn weight(filter: Resample, x: f64) -> f64 {
    match filter {
        Resample::Bilinear => (1.0 - x.abs()).max(0.0),
        Resample::Bicubic => bicubic(x.abs()),
        Resample::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Resample::Lanczos => 0.0,
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

fn clip(sum: i32) -> u8 {
    #[expect(clippy::cast_sign_loss, reason = "clamped to eight bits")]
    {
        (sum >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

fn horizontal(source: &[u8], stride: usize, columns: &Axis) -> Vec<u8> {
    let rows = source.len() / stride;
    let mut out = Vec::with_capacity(rows * columns.taps.len() * 3);
    for row in source.chunks_exact(stride) {
        let pixels = row.as_chunks::<3>().0;
        for tap in &columns.taps {
            let mut sums = [HALF; 3];
            for (pixel, coefficient) in pixels[tap.first..].iter().zip(&tap.coefficients) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * coefficient;
                }
            }
            out.extend(sums.map(clip));
        }
    }
    out
}

/// `first` is the row of the picture that `source` begins with.
fn vertical(source: &[u8], stride: usize, rows: &Axis, first: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.taps.len() * stride);
    let mut sums = vec![HALF; stride];
    for tap in &rows.taps {
        sums.fill(HALF);
        let lines = source[(tap.first - first) * stride..].chunks_exact(stride);
        for (line, coefficient) in lines.zip(&tap.coefficients) {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += i32::from(*value) * coefficient;
            }
        }
        out.extend(sums.iter().map(|sum| clip(*sum)));
    }
    out
}

#[cfg(test)]
mod tests;
