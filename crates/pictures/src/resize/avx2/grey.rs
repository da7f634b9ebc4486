//! The horizontal pass of pictures with one value a pixel.

use super::{HALF, LOAD, LOW_BITS, PRECISION_BITS, ROWS, Sources};
use crate::resize::axis::Axis;
use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_packs_epi32, _mm_packus_epi16, _mm_set1_epi32, _mm_srai_epi32,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_setzero_si256, _mm256_slli_epi32,
};

/// Coefficients in steps of as many sources as a load brings, each parted into low bits and the rest.
pub(in crate::resize) struct GreySteps {
    values: Vec<[[i16; LOAD]; 2]>,
    /// First byte of the source and number of steps of each column.
    columns: Vec<(usize, usize)>,
}

impl GreySteps {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "15 bits, and what is left of 23 bits and a sign"
    )]
    pub(super) fn new(columns: &Axis) -> Self {
        let mut steps = Self {
            values: Vec::new(),
            columns: Vec::with_capacity(columns.len()),
        };
        for tap in columns.taps() {
            for some in tap.coefficients.chunks(LOAD) {
                let mut parts = [[0; LOAD]; 2];
                for (at, coefficient) in some.iter().enumerate() {
                    parts[0][at] = (coefficient & ((1 << LOW_BITS) - 1)) as i16;
                    parts[1][at] = (coefficient >> LOW_BITS) as i16;
                }
                steps.values.push(parts);
            }
            steps.columns.push((tap.first, tap.coefficients.len().div_ceil(LOAD)));
        }
        steps
    }
}

/// `rows` is a multiple of [`ROWS`], and [`LOAD`] bytes lie behind the last of them.
#[target_feature(enable = "avx2")]
pub(super) fn horizontal(steps: &GreySteps, source: &[u8], stride: usize, rows: usize, out: &mut [u8]) {
    let width = steps.columns.len();
    for row in (0..rows).step_by(ROWS) {
        let out = &mut out[row * width..(row + ROWS) * width];
        let mut values = steps.values.as_slice();
        for (column, (first, count)) in steps.columns.iter().enumerate() {
            let (these, rest) = values.split_at(*count);
            values = rest;
            let sources = Sources::new(source, row * stride + first, stride, *count, LOAD);
            let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
            for (step, value) in these.iter().enumerate() {
                let (low, high) = (load(&value[0]), load(&value[1]));
                for (line, sums) in sums.iter_mut().enumerate() {
                    let words = _mm256_cvtepu8_epi16(sources.load(line, step));
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(words, low));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(words, high));
                }
            }
            for (line, value) in values_of(&sums).into_iter().enumerate() {
                out[line * width + column] = value;
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn load(part: &[i16; LOAD]) -> __m256i {
    #[expect(unsafe_code, reason = "an unaligned load of the 32 bytes of the array")]
    unsafe {
        _mm256_loadu_si256(part.as_ptr().cast())
    }
}

/// Joins the parts of the sums, adds up the eight of each row, rounds and clips.
#[target_feature(enable = "avx2")]
fn values_of(sums: &[[__m256i; 2]; ROWS]) -> [u8; ROWS] {
    let joined = [joined(&sums[0]), joined(&sums[1]), joined(&sums[2]), joined(&sums[3])];
    let halves = _mm256_hadd_epi32(
        _mm256_hadd_epi32(joined[0], joined[1]),
        _mm256_hadd_epi32(joined[2], joined[3]),
    );
    let sums = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
    let values = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sums, _mm_set1_epi32(HALF)));
    let words = _mm_packs_epi32(values, values);
    _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes()
}

#[target_feature(enable = "avx2")]
fn joined([low, high]: &[__m256i; 2]) -> __m256i {
    _mm256_add_epi32(*low, _mm256_slli_epi32::<LOW_BITS>(*high))
}
