//! From whatever samples a decoder gives to eight-bit RGB.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use image::ColorType;

/// Converts samples in the machine's byte order. Works in place where the result is no longer than the input.
pub(super) fn to_rgb8(color: ColorType, samples: Vec<u8>, format: Format) -> Result<Vec<u8>, DecodeError> {
    match color {
        ColorType::Rgb8 => Ok(samples),
        ColorType::L8 => Ok(widen(&samples, |[grey]: [u8; 1]| [grey; 3])),
        ColorType::La8 => Ok(widen(&samples, |[grey, alpha]: [u8; 2]| [on_white(grey, alpha); 3])),
        ColorType::Rgba8 => Ok(compact(samples, |[r, g, b, a]: [u8; 4]| {
            [on_white(r, a), on_white(g, a), on_white(b, a)]
        })),
        ColorType::L16 => Ok(widen(&samples, |grey: [u8; 2]| [high(grey); 3])),
        ColorType::La16 => Ok(compact(samples, |[g0, g1, a0, a1]: [u8; 4]| {
            [on_white(high([g0, g1]), high([a0, a1])); 3]
        })),
        ColorType::Rgb16 => Ok(compact(samples, |[r0, r1, g0, g1, b0, b1]: [u8; 6]| {
            [high([r0, r1]), high([g0, g1]), high([b0, b1])]
        })),
        ColorType::Rgba16 => Ok(compact(samples, |[r0, r1, g0, g1, b0, b1, a0, a1]: [u8; 8]| {
            let alpha = high([a0, a1]);
            [[r0, r1], [g0, g1], [b0, b1]].map(|value| on_white(high(value), alpha))
        })),
        other => Err(DecodeError::Unsupported(format!("a {format} of samples {other:?}"))),
    }
}

/// A JPEG's four components, which are stored inverted as Adobe's programs do, by Pillow's integer arithmetic.
pub(super) fn inverted_cmyk_to_rgb8(samples: Vec<u8>) -> Vec<u8> {
    compact(samples, |[c, m, y, k]: [u8; 4]| {
        [c, m, y].map(|ink| k.saturating_sub(times_255th(255 - ink, k)))
    })
}

/// `a * b / 255`, rounded: Pillow's `MULDIV255`.
fn times_255th(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
    {
        (((product >> 8) + product) >> 8) as u8
    }
}

/// Whether RGB needs a buffer beside the samples.
pub(super) fn grows(color: ColorType) -> bool {
    matches!(color, ColorType::L8 | ColorType::La8 | ColorType::L16)
}

/// Eight bits of sixteen: the high byte, as Pillow reads 16-bit RGB.
fn high(sample: [u8; 2]) -> u8 {
    sample[usize::from(cfg!(target_endian = "little"))]
}

/// Makes three bytes of each group of `N`.
fn widen<const N: usize>(samples: &[u8], convert: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let groups = samples.as_chunks::<N>().0;
    let mut rgb = vec![0; groups.len() * 3];
    for (pixel, group) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(groups) {
        *pixel = convert(*group);
    }
    rgb
}

/// Replaces each group of `N` bytes by three, within one buffer.
fn compact<const N: usize>(mut samples: Vec<u8>, convert: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        let mut group = [0; N];
        group.copy_from_slice(&samples[pixel * N..(pixel + 1) * N]);
        samples[pixel * 3..(pixel + 1) * 3].copy_from_slice(&convert(group));
    }
    samples.truncate(pixels * 3);
    // Keeping the slack of a large picture would double what is held while the next one is decoded.
    samples.shrink_to_fit();
    samples
}

/// One value over white, by Pillow's integer arithmetic of `Image.alpha_composite`.
fn on_white(value: u8, alpha: u8) -> u8 {
    // Values with 7 extra bits, divided by 255 with rounding.
    let sum = (u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) * 128 + 128 * 128;
    let blended = ((sum >> 8) + sum) >> 15;
    #[expect(clippy::cast_possible_truncation, reason = "a weighted mean of two 8-bit values")]
    {
        blended as u8
    }
}
