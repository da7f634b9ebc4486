//! The chunks of a PNG that decide its pixels.
//!
//! Texts, colour profiles and animation frames can be made to unpack to gigabytes, and none of them changes a pixel of
//! the result, but for an XMP's orientation. They never reach the decoder, and XMP is unpacked within a limit.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::orientation::MAX_XMP_BYTES;
use flate2::read::ZlibDecoder;
use std::io::Read as _;

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
    /// The packet of XMP.
    pub(super) xmp: Option<Vec<u8>>,
}

/// Copies what matters. A missing end chunk is put there, as every reader does.
pub(super) fn essential(bytes: &[u8]) -> Result<Essential, DecodeError> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..SIGNATURE_BYTES.min(bytes.len())]);
    let (mut exif, mut xmp) = (None, None);
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
            b"iTXt" if length <= MAX_XMP_BYTES => xmp = packet(data).or(xmp),
            _ => {}
        }
        rest = &after[length + 4..];
    }
    kept.extend_from_slice(&END);
    Ok(Essential { bytes: kept, exif, xmp })
}

/// The XMP of an international text: after its keyword two bytes that say how it is packed, a language, and the keyword in
/// that language, each with a zero at its end. None where it is of another keyword, damaged, or too long.
fn packet(text: &[u8]) -> Option<Vec<u8>> {
    let (packing, rest) = text.strip_prefix(b"XML:com.adobe.xmp\0")?.split_first_chunk::<2>()?;
    let mut parts = rest.splitn(3, |byte| *byte == 0).skip(2);
    let packet = parts.next()?;
    match packing {
        [0, _] => Some(packet.to_vec()),
        [1, 0] => {
            let mut unpacked = Vec::new();
            let limit = MAX_XMP_BYTES as u64 + 1;
            ZlibDecoder::new(packet).take(limit).read_to_end(&mut unpacked).ok()?;
            (unpacked.len() <= MAX_XMP_BYTES).then_some(unpacked)
        }
        _ => None,
    }
}
