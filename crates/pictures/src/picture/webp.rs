//! What a WebP's chunks say of its length and size, and of what image-webp 0.2.4 holds while it is decoded.
//! <https://developers.google.com/speed/webp/docs/riff_container>

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;

/// Refuses a file that is shorter than it says: what is missing may be its orientation, which the decoder would not
/// notice.
pub(super) fn check_length(bytes: &[u8]) -> Result<(), DecodeError> {
    let claimed = match bytes {
        [_, _, _, _, l0, l1, l2, l3, ..] => u64::from(u32::from_le_bytes([*l0, *l1, *l2, *l3])) + 8,
        _ => 12,
    };
    if (bytes.len() as u64) < claimed {
        let detail = format!("it has {} bytes of {claimed}", bytes.len());
        return Err(DecodeError::corrupt(Format::WebP, detail));
    }
    Ok(())
}

/// Refuses by its header a lossless picture over the limit. The decoder refuses the largest that the format can say,
/// 16,384 on a side, as inconsistent before it says its size.
pub(super) fn check_size(bytes: &[u8], limits: &DecodeLimits) -> Result<(), DecodeError> {
    const SIDE: u32 = (1 << 14) - 1;
    match bytes.get(12..25) {
        Some([b'V', b'P', b'8', b'L', _, _, _, _, 0x2f, b0, b1, b2, b3]) => {
            let sides = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
            limits.check_size((sides & SIDE) + 1, (sides >> 14 & SIDE) + 1)
        }
        _ => Ok(()),
    }
}

/// Bytes that the decoder holds beside the samples of so many pixels.
///
/// Of a lossy frame: its planes and what it says of each block, and its data up to three times, which a vector that doubles reads
/// before it is copied. It is as large as it says itself, which the decoder compares with the picture's size only afterwards. Of
/// a lossless one: what its transforms and codes say of squares of four pixels a side.
pub(super) fn beside(bytes: &[u8], pixels: u64) -> u64 {
    const COPIES: u64 = 3;
    let (pixels, data) = match lossy(bytes) {
        Some((own, data)) => (pixels.max(own), data),
        None => (pixels, 0),
    };
    let half_bytes = pixels.saturating_mul(half_bytes_a_pixel(bytes));
    (half_bytes / 2).saturating_add(data.saturating_mul(COPIES))
}

/// Half bytes a pixel: four bytes of a copy, and of what is lossless one for its transforms; with transparency, which is
/// lossless, the frame in YUV besides; of an animation all of that and the canvas.
fn half_bytes_a_pixel(bytes: &[u8]) -> u64 {
    const ANIMATED: u8 = 0x02;
    const ALPHA: u8 = 0x10;
    match (bytes.get(12..16), bytes.get(20)) {
        (Some(b"VP8X"), Some(flags)) if flags & ANIMATED != 0 => 21,
        (Some(b"VP8X"), Some(flags)) if flags & ALPHA != 0 => 15,
        (Some(b"VP8X" | b"VP8L"), _) => 10,
        _ => 8,
    }
}

/// Pixels of the first lossy frame as it says itself, and how many bytes it has.
fn lossy(bytes: &[u8]) -> Option<(u64, u64)> {
    const CHUNK: usize = 8;
    /// What an animation's frame says of its place and size, before chunks of its own.
    const FRAME: usize = 16;
    const SIDE: u16 = (1 << 14) - 1;
    let mut at = 12;
    loop {
        let [k0, k1, k2, k3, l0, l1, l2, l3] = *bytes.get(at..)?.first_chunk::<CHUNK>()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        match &[k0, k1, k2, k3] {
            b"VP8 " => {
                let header = bytes.get(at + CHUNK..)?.first_chunk::<10>()?;
                let [.., w0, w1, h0, h1] = *header;
                let side = |pair| u64::from(u16::from_le_bytes(pair) & SIDE);
                let data = u64::from(length).min(bytes.len() as u64);
                return Some((side([w0, w1]) * side([h0, h1]), data));
            }
            b"ANMF" => at += CHUNK + FRAME,
            _ => at = at.checked_add(CHUNK + usize::try_from(length.checked_next_multiple_of(2)?).ok()?)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &[u8; 4], flags: u8) -> Vec<u8> {
        [b"RIFF0000WEBP".as_slice(), kind, b"\x0a\0\0\0", &[flags], &[0; 9]].concat()
    }

    /// A lossy frame of 300 x 200 pixels that says that it has twelve bytes.
    const FRAME: &[u8] = b"VP8 \x0c\0\0\0\x10\0\0\x9d\x01\x2a\x2c\x01\xc8\0";

    #[test]
    fn a_webp_counts_what_its_flags_have_the_decoder_hold() {
        assert_eq!(half_bytes_a_pixel(&file(b"VP8 ", 0xff)), 8);
        assert_eq!(half_bytes_a_pixel(&file(b"VP8L", 0xff)), 10);
        assert_eq!(half_bytes_a_pixel(&file(b"VP8X", 0x08)), 10);
        assert_eq!(half_bytes_a_pixel(&file(b"VP8X", 0x10)), 15);
        assert_eq!(half_bytes_a_pixel(&file(b"VP8X", 0x12)), 21);
        assert_eq!(half_bytes_a_pixel(b"RIFF"), 8);
    }

    #[test]
    fn a_lossy_frame_counts_its_data_three_times_and_by_its_own_size() {
        let plain = [b"RIFF0000WEBP".as_slice(), FRAME].concat();
        assert_eq!(beside(&plain, 300 * 200), 300 * 200 * 4 + 36);
        let extended = [file(b"VP8X", 0).as_slice(), FRAME].concat();
        assert_eq!(beside(&extended, 1), 300 * 200 * 5 + 36, "larger than the picture");
        let place = b"ANIM\x06\0\0\0abcdefANMF\xff\0\0\0".as_slice();
        let in_animation = [file(b"VP8X", 0x02).as_slice(), place, &[0; 16], FRAME].concat();
        assert_eq!(beside(&in_animation, 1), 300 * 200 * 21 / 2 + 36);
        let boasting = [b"RIFF0000WEBPVP8 \xff\xff\xff\xff".as_slice(), &FRAME[8..]].concat();
        assert_eq!(lossy(&boasting), Some((300 * 200, boasting.len() as u64)));
        for end in 0..extended.len() {
            assert!(beside(&extended[..end], 1) <= 5, "{end}");
        }
    }

    #[test]
    fn what_is_lossless_has_no_data_that_is_copied() {
        assert_eq!(beside(&file(b"VP8L", 0), 1000), 5000);
        // A chunk that is said to be longer than there are numbers.
        assert_eq!(lossy(b"RIFF0000WEBPVP8X\xff\xff\xff\xff"), None);
    }
}
