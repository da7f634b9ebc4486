//! What a GIF's first frame takes beside the screen that it is drawn on: it may be larger.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;

/// Where the screen's size stands, in two numbers of two bytes each.
const SCREEN: usize = 6;
/// Where the flags of the table of colours for all frames stand, and where it begins.
const FLAGS: usize = 10;
const TABLE: usize = 13;
const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2C;

/// Bytes that the decoder holds beside the screen's pixels: an index for each of the first frame's, and four bytes for each
/// where the frame does not reach from the screen's left edge to its right one, within its height.
pub(super) fn beside(bytes: &[u8]) -> Result<u64, DecodeError> {
    let missing = || DecodeError::corrupt(Format::Gif, "it ends before its first frame");
    let [screen_width, screen_height] = pair(bytes, SCREEN).ok_or_else(missing)?;
    let at = first_frame(bytes).ok_or_else(missing)?;
    let [left, top] = pair(bytes, at).ok_or_else(missing)?;
    let [width, height] = pair(bytes, at + 4).ok_or_else(missing)?;
    let is_drawn_in_place = left == 0 && width == screen_width && top + height <= screen_height;
    Ok(width * height * if is_drawn_in_place { 1 } else { 5 })
}

/// Where the first frame's place and size stand.
fn first_frame(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(FLAGS)?;
    let colours: usize = if flags & 0x80 == 0 { 0 } else { 2 << (flags & 7) };
    let mut at = TABLE + 3 * colours;
    loop {
        match *bytes.get(at)? {
            FRAME => return Some(at + 1),
            EXTENSION => at += 2,
            _ => return None,
        }
        // An extension's blocks, up to an empty one.
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += length + 1;
            if length == 0 {
                break;
            }
        }
    }
}

fn pair(bytes: &[u8], at: usize) -> Option<[u64; 2]> {
    let [a0, a1, b0, b1] = *bytes.get(at..)?.first_chunk::<4>()?;
    Some([[a0, a1], [b0, b1]].map(|number| u16::from_le_bytes(number).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen of 20 x 14 pixels with two colours, an extension of two blocks, and a frame.
    fn gif(left: u8, top: u8, width: u8, height: u8) -> Vec<u8> {
        let mut bytes = b"GIF89a\x14\0\x0e\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
        bytes.extend(b"\x21\xff\x02ab\x01c\0");
        bytes.extend([FRAME, left, 0, top, 0, width, 0, height, 0, 0]);
        bytes
    }

    #[test]
    fn a_frame_counts_by_its_own_size_and_where_it_lies() {
        let taken = |left, top, width, height| beside(&gif(left, top, width, height)).unwrap();
        assert_eq!(taken(0, 0, 20, 14), 280);
        assert_eq!(taken(0, 4, 20, 10), 200);
        assert_eq!(taken(0, 5, 20, 10), 1000, "below the screen");
        assert_eq!(taken(1, 0, 10, 10), 500);
        assert_eq!(taken(0, 0, 200, 200), 200_000);
    }

    #[test]
    fn a_file_without_a_frame_is_corrupt() {
        let bytes = gif(0, 0, 20, 14);
        for end in 0..bytes.len() - 1 {
            assert!(beside(&bytes[..end]).is_err(), "{end}");
        }
        let ended = [&bytes[..19], b"\x3b"].concat();
        assert!(beside(&ended).is_err());
    }
}
