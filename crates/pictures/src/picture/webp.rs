//! What a WebP's first bytes say of its length and size.

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
