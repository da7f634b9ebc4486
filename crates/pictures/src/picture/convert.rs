//! From whatever samples a decoder gives to eight-bit RGB, or to eight bits of grey.

use crate::picture::Samples;
use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use image::ColorType;

/// Converts samples in the machine's byte order. Works in place where the result is no longer than the input.
pub(super) fn to_8_bits(color: ColorType, samples: Vec<u8>, format: Format) -> Result<Samples, DecodeError> {
    let bytes = match color {
        ColorType::Rgb8 | ColorType::L8 => samples,
        ColorType::La8 => compact(samples, |[grey, alpha]: [u8; 2]| [on_white(grey, alpha)]),
        ColorType::Rgba8 => compact(samples, |[r, g, b, a]: [u8; 4]| {
            [on_white(r, a), on_white(g, a), on_white(b, a)]
        }),
        ColorType::L16 => compact(samples, |grey: [u8; 2]| [high(grey)]),
        ColorType::La16 => compact(samples, |[g0, g1, a0, a1]: [u8; 4]| {
            [on_white(high([g0, g1]), high([a0, a1]))]
        }),
        ColorType::Rgb16 => compact(samples, |[r0, r1, g0, g1, b0, b1]: [u8; 6]| {
            [high([r0, r1]), high([g0, g1]), high([b0, b1])]
        }),
        ColorType::Rgba16 => compact(samples, |[r0, r1, g0, g1, b0, b1, a0, a1]: [u8; 8]| {
            let alpha = high([a0, a1]);
            [[r0, r1], [g0, g1], [b0, b1]].map(|value| on_white(high(value), alpha))
        }),
        other => return Err(DecodeError::Unsupported(format!("a {format} of samples {other:?}"))),
    };
    let channels = if color.has_color() { 3 } else { 1 };
    Ok(Samples { channels, bytes })
}

/// Grey as red, green and blue.
pub(crate) fn spread(grey: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; grey.len() * 3];
    for (pixel, value) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(grey) {
        *pixel = [*value; 3];
    }
    rgb
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

/// Eight bits of sixteen: the high byte, as Pillow reads 16-bit RGB.
fn high(sample: [u8; 2]) -> u8 {
    sample[usize::from(cfg!(target_endian = "little"))]
}

/// Replaces each group of `N` bytes by `M`, no more than it has, within one buffer.
fn compact<const N: usize, const M: usize>(mut samples: Vec<u8>, convert: impl Fn([u8; N]) -> [u8; M]) -> Vec<u8> {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        let mut group = [0; N];
        group.copy_from_slice(&samples[pixel * N..(pixel + 1) * N]);
        samples[pixel * M..(pixel + 1) * M].copy_from_slice(&convert(group));
    }
    samples.truncate(pixels * M);
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
