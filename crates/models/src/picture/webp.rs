//! What a WebP's first bytes say of its length.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;

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
