//! The chunks of a PNG that decide its pixels.
//!
//! Texts, colour profiles and animation frames can be made to unpack to gigabytes, and none of them changes a pixel of
//! the result. They never reach the decoder.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;

const SIGNATURE_BYTES: usize = 8;
/// IEND with its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
/// An EXIF block longer than this is none.
const MAX_EXIF_BYTES: usize = 1 << 20;

/// A PNG without what does not matter.
pub(super) struct Essential {
    /// Header, palette, transparency, pixels, end.
    pub(super) bytes: Vec<u8>,
    /// The EXIF block.
    pub(super) exif: Option<Vec<u8>>,
}

/// Copies what matters. A missing end chunk is put there, as every reader does.
pub(super) fn essential(bytes: &[u8]) -> Result<Essential, DecodeError> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..SIGNATURE_BYTES.min(bytes.len())]);
    let mut exif = None;
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let [l3, l2, l1, l0, kind @ ..] = *header;
        let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
        if &kind == b"IEND" {
            break;
        }
        let Some(data) = after.get(..length).filter(|_| after.len() >= length + 4) else {
            let kind = String::from_utf8_lossy(&kind).escape_debug().to_string();
            return Err(DecodeError::corrupt(
                Format::Png,
                format!("it ends within its chunk {kind}"),
            ));
        };
        match &kind {
            b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" => {
                kept.extend_from_slice(header);
                kept.extend_from_slice(&after[..length + 4]);
            }
            b"eXIf" if length <= MAX_EXIF_BYTES => exif = Some(data.to_vec()),
            _ => {}
        }
        rest = &after[length + 4..];
    }
    kept.extend_from_slice(&END);
    Ok(Essential { bytes: kept, exif })
}
