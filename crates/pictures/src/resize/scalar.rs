//! The two passes for any processor, and for what is left over at the edges of a faster one.

use super::axis::{Axis, HALF, PRECISION_BITS, Tap};

fn clip(sum: i32) -> u8 {
    #[expect(clippy::cast_sign_loss, reason = "clamped to eight bits")]
    {
        (sum >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

/// Rows of `stride` bytes become rows of `columns.len()` pixels of `N` values.
pub(super) fn horizontal<const N: usize>(source: &[u8], stride: usize, columns: &Axis, out: &mut [u8]) {
    let rows = source.chunks_exact(stride).zip(out.chunks_exact_mut(columns.len() * N));
    for (row, out) in rows {
        for (tap, out) in columns.taps().zip(out.as_chunks_mut::<N>().0) {
            *out = pixel(row.as_chunks::<N>().0, tap);
        }
    }
}

fn pixel<const N: usize>(pixels: &[[u8; N]], tap: Tap<'_>) -> [u8; N] {
    let mut sums = [HALF; N];
    for (pixel, coefficient) in pixels[tap.first..].iter().zip(tap.coefficients) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += i32::from(*value) * coefficient;
        }
    }
    sums.map(clip)
}

/// As many rows as there are coefficients become one. `from` is the first byte of it that is wanted.
pub(super) fn vertical(lines: &[u8], stride: usize, coefficients: &[i32], from: usize, out: &mut [u8]) {
    const TOGETHER: usize = 64;
    let wanted = &mut out[from..];
    for (block, out) in wanted.chunks_mut(TOGETHER).enumerate() {
        let start = from + block * TOGETHER;
        let mut sums = [HALF; TOGETHER];
        for (line, coefficient) in lines.chunks_exact(stride).zip(coefficients) {
            for (sum, value) in sums.iter_mut().zip(&line[start..start + out.len()]) {
                *sum += i32::from(*value) * coefficient;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = clip(sum);
        }
    }
}
