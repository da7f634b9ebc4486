//! The two passes with AVX2.
//!
//! A coefficient of 23 bits and a sign is parted into 15 low bits and the rest, both of which fit a signed 16-bit
//! number, so that one instruction multiplies and adds two sources of eight sums: `c = high * 2^15 + low`, and sums
//! modulo 2^32 are the same in whichever order they are made. The scalar sums do not leave 32 bits, so neither do these.

mod grey;

use super::axis::{Axis, HALF, PRECISION_BITS};
use super::scalar;
use grey::GreySteps;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_packs_epi32, _mm_packus_epi16,
    _mm_set1_epi32, _mm_setr_epi32, _mm_srai_epi32, _mm256_add_epi32, _mm256_broadcastsi128_si256,
    _mm256_castsi256_si128, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi32, _mm256_setr_epi8,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srai_epi32,
    _mm256_storeu_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

const LOW_BITS: i32 = 15;
/// Sources that the horizontal pass takes in one step, and the bytes that it loads for them, of which it uses 12.
const STEP: usize = 4;
const LOAD: usize = 16;
/// Rows that share a load of the coefficients.
const ROWS: usize = 4;
/// Bytes that the vertical pass makes in one step.
const BLOCK: usize = 32;

/// Two coefficients, low and high parts, each as a pair of 16-bit numbers.
fn pair(first: i32, second: i32) -> [i32; 2] {
    const MASK: i32 = (1 << LOW_BITS) - 1;
    let join = |a: i32, b: i32| (a & 0xFFFF) | (b << 16);
    [
        join(first & MASK, second & MASK),
        join(first >> LOW_BITS, second >> LOW_BITS),
    ]
}

/// The coefficients of all columns, laid out as the horizontal pass takes them.
pub(super) enum Steps {
    /// Of three values a pixel.
    Colour(ColourSteps),
    /// Of one.
    Grey(GreySteps),
}

impl Steps {
    pub(super) fn new(columns: &Axis, channels: usize) -> Self {
        if channels == 1 {
            Self::Grey(GreySteps::new(columns))
        } else {
            Self::Colour(ColourSteps::new(columns))
        }
    }
}

/// The first `rows` rows of `stride` bytes become rows of as many pixels as there are columns. Gives back how many were
/// made: a load may begin at the last byte of a row and reaches into what follows, where it is multiplied by 0, so that
/// rows with nothing behind them are left, and those that do not fill a group.
#[target_feature(enable = "avx2")]
pub(super) fn horizontal(steps: &Steps, source: &[u8], stride: usize, rows: usize, out: &mut [u8]) -> usize {
    let safe = source.len().saturating_sub(LOAD) / stride;
    let made = rows.min(safe) / ROWS * ROWS;
    match steps {
        Steps::Colour(steps) => colour(steps, source, stride, made, out),
        Steps::Grey(steps) => grey::horizontal(steps, source, stride, made, out),
    }
    made
}

/// Coefficients in steps: low and high part of the first two, then of the next two.
pub(super) struct ColourSteps {
    values: Vec<[i32; 4]>,
    /// First byte of the source and number of steps of each column.
    columns: Vec<(usize, usize)>,
}

impl ColourSteps {
    fn new(columns: &Axis) -> Self {
        let mut steps = Self {
            values: Vec::new(),
            columns: Vec::with_capacity(columns.len()),
        };
        for tap in columns.taps() {
            for four in tap.coefficients.chunks(STEP) {
                let at = |index: usize| four.get(index).copied().unwrap_or(0);
                let ([low0, high0], [low1, high1]) = (pair(at(0), at(1)), pair(at(2), at(3)));
                steps.values.push([low0, low1, high0, high1]);
            }
            steps
                .columns
                .push((tap.first * 3, tap.coefficients.len().div_ceil(STEP)));
        }
        steps
    }
}

#[target_feature(enable = "avx2")]
fn colour(steps: &ColourSteps, source: &[u8], stride: usize, rows: usize, out: &mut [u8]) {
    let width = steps.columns.len() * 3;
    for row in (0..rows).step_by(ROWS) {
        let out = &mut out[row * width..(row + ROWS) * width];
        let mut values = steps.values.as_slice();
        for (column, (first, count)) in steps.columns.iter().enumerate() {
            let (these, rest) = values.split_at(*count);
            values = rest;
            let sources = Sources::new(source, row * stride + first, stride, *count, STEP * 3);
            let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
            for (step, value) in these.iter().enumerate() {
                let coefficients = _mm_setr_epi32(value[0], value[1], value[2], value[3]);
                let coefficients = _mm256_broadcastsi128_si256(coefficients);
                let low = _mm256_permutevar8x32_epi32(coefficients, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
                let high = _mm256_permutevar8x32_epi32(coefficients, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3));
                for (line, sums) in sums.iter_mut().enumerate() {
                    let pairs = channels(sources.load(line, step));
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(pairs, low));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(pairs, high));
                }
            }
            for (line, sums) in sums.iter().enumerate() {
                let start = line * width + column * 3;
                out[start..start + 3].copy_from_slice(&pixel(sums[0], sums[1]));
            }
        }
    }
}

/// What the pixels of one column in [`ROWS`] rows are made of. That all loads lie within the source is asked once, since
/// asking at each of them took longer than computing.
struct Sources<'a> {
    bytes: &'a [u8],
    stride: usize,
    steps: usize,
    step_bytes: usize,
}

impl<'a> Sources<'a> {
    /// `steps` loads a row, `step_bytes` apart, the first of them at `first`.
    fn new(source: &'a [u8], first: usize, stride: usize, steps: usize, step_bytes: usize) -> Self {
        let length = (ROWS - 1) * stride + steps.saturating_sub(1) * step_bytes + LOAD;
        Self {
            bytes: &source[first..first + length],
            stride,
            steps,
            step_bytes,
        }
    }

    #[target_feature(enable = "avx2")]
    fn load(&self, line: usize, step: usize) -> __m128i {
        debug_assert!(line < ROWS && step < self.steps);
        #[expect(
            unsafe_code,
            reason = "an unaligned load of 16 bytes, which end within `bytes` for every line and step, as its length says"
        )]
        unsafe {
            let place = self.bytes.as_ptr().add(line * self.stride + step * self.step_bytes);
            _mm_loadu_si128(place.cast())
        }
    }
}

/// Four pixels as pairs of 16-bit numbers: red of two pixels, green, blue, nothing, and so the next two.
#[target_feature(enable = "avx2")]
fn channels(loaded: __m128i) -> __m256i {
    let order = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1,
        -1, -1,
    );
    _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(loaded), order)
}

/// Joins the two parts of the sums of both halves, rounds and clips.
#[target_feature(enable = "avx2")]
fn pixel(low: __m256i, high: __m256i) -> [u8; 3] {
    let sums = _mm256_add_epi32(low, _mm256_slli_epi32::<LOW_BITS>(high));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let values = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sums, _mm_set1_epi32(HALF)));
    let words = _mm_packs_epi32(values, values);
    let [red, green, blue, _] = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
    [red, green, blue]
}

/// As many rows as there are coefficients become one.
#[target_feature(enable = "avx2")]
pub(super) fn vertical(lines: &[u8], stride: usize, coefficients: &[i32], out: &mut [u8]) {
    let pairs: Vec<[i32; 2]> = coefficients
        .chunks(2)
        .map(|two| pair(two[0], two.get(1).copied().unwrap_or(0)))
        .collect();
    let whole = stride / BLOCK * BLOCK;
    for start in (0..whole).step_by(BLOCK) {
        let mut sums = [[_mm256_setzero_si256(); 2]; 4];
        for (index, [low, high]) in pairs.iter().enumerate() {
            let first = index * 2 * stride + start;
            // An odd last row is multiplied by 0 the second time.
            let second = if index * 2 + 1 < coefficients.len() {
                first + stride
            } else {
                first
            };
            let (low, high) = (_mm256_set1_epi32(*low), _mm256_set1_epi32(*high));
            for half in 0..2 {
                let a = words(&lines[first + half * 16..]);
                let b = words(&lines[second + half * 16..]);
                for (part, both) in [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)]
                    .into_iter()
                    .enumerate()
                {
                    let sums = &mut sums[half * 2 + part];
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(both, low));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(both, high));
                }
            }
        }
        let rounded = sums.map(|[low, high]| {
            let sum = _mm256_add_epi32(low, _mm256_slli_epi32::<LOW_BITS>(high));
            _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(sum, _mm256_set1_epi32(HALF)))
        });
        let front = _mm256_packs_epi32(rounded[0], rounded[1]);
        let back = _mm256_packs_epi32(rounded[2], rounded[3]);
        let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(front, back));
        let target: &mut [u8] = &mut out[start..start + BLOCK];
        #[expect(unsafe_code, reason = "an unaligned store of 32 bytes into a slice of 32")]
        unsafe {
            _mm256_storeu_si256(target.as_mut_ptr().cast(), bytes);
        }
    }
    scalar::vertical(lines, stride, coefficients, whole, out);
}

/// 16 bytes as 16-bit numbers.
#[target_feature(enable = "avx2")]
fn words(bytes: &[u8]) -> __m256i {
    let bytes: &[u8; LOAD] = match bytes.first_chunk() {
        Some(bytes) => bytes,
        // Never: a block ends within its row.
        None => &[0; LOAD],
    };
    #[expect(unsafe_code, reason = "an unaligned load of the 16 bytes of the array")]
    let loaded = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    _mm256_cvtepu8_epi16(loaded)
}
