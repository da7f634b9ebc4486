//! What a resize has allocated, told before it.

use super::{Window, rows_first};

/// Bytes that [`super::resize`] has allocated at most at any moment, of a picture of `from` width and height and so many values a
/// pixel: what the first pass makes beside what the second one does, or that beside three values of each pixel of grey.
pub(crate) fn resize_bytes(from: (u32, u32), channels: usize, to: (u32, u32), window: Window) -> u64 {
    let columns = u64::from(window.width.min(to.0));
    let rows = u64::from(window.height.min(to.1));
    let made = columns * rows;
    let between = if rows_first(from, to) {
        rows * u64::from(from.0)
    } else {
        columns * sources(from.1, to.1, rows)
    };
    let passes = (between + made) * channels as u64;
    let shown = if channels == 1 { made * 4 } else { 0 };
    passes.max(shown) + coefficients(from.0, to.0, columns) + coefficients(from.1, to.1, rows)
}

/// Most sources that so many neighbours along an axis are made of.
pub(super) fn sources(source: u32, target: u32, length: u64) -> u64 {
    let apart = (length * u64::from(source)).div_ceil(u64::from(target.max(1)));
    (apart + taps(source, target)).min(source.into())
}

/// Most sources that one of them is made of: no filter reaches further than Lanczos' does.
pub(super) fn taps(source: u32, target: u32) -> u64 {
    let scale = u64::from(source).div_ceil(u64::from(target.max(1)));
    (6 * scale + 2).min(source.into())
}

/// Bytes of an axis' coefficients, as they are and as kernels take them, all in vectors that double.
fn coefficients(source: u32, target: u32, length: u64) -> u64 {
    /// Of a pixel: which sources it has, as two numbers.
    const PLACE: u64 = 16;
    /// As it is, and as kernels take it.
    const COEFFICIENT: u64 = 4 + 4;
    /// Kernels take so many at a time, and zeros where there are fewer.
    const GROUP: u64 = 16;
    /// As it is computed, for one pixel at a time.
    const WEIGHT: u64 = 8;
    let taps = taps(source, target);
    2 * (length * (2 * PLACE + (taps + GROUP) * COEFFICIENT) + taps * WEIGHT)
}
