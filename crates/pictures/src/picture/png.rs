//! The chunks of a PNG that decide its pixels.
//!
//! Texts, colour profiles and animation frames can be made to unpack to gigabytes, and none of them changes a pixel of
//! the result, but for an XMP's orientation. They never reach the decoder, and XMP is unpacked within a limit.

use crate::picture::codec::Header;
use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::orientation::{self, MAX_XMP_BYTES};
use flate2::read::ZlibDecoder;
use image::ColorType;
use image::metadata::Orientation;
use std::io::Read as _;
use std::iter;

const SIGNATURE_BYTES: usize = 8;
/// A chunk's length, kind and checksum.
const FRAMING_BYTES: usize = 12;
/// IEND with its checksum.
const END: [u8; FRAMING_BYTES] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
/// An EXIF block longer than this is none.
const MAX_EXIF_BYTES: usize = 1 << 20;
/// How the text begins that holds a packet of XMP.
const XMP: &[u8] = b"XML:com.adobe.xmp\0";

/// A PNG without what does not matter.
pub(super) struct Essential {
    /// Header, palette, transparency, pixels, end.
    pub(super) bytes: Vec<u8>,
    /// How to turn it upright.
    pub(super) orientation: Orientation,
}

/// Copies what matters. A missing end chunk is put there, as every reader does.
pub(super) fn essential(bytes: &[u8]) -> Result<Essential, DecodeError> {
    // As much as `header` counts: what does not matter may be most of the file, and a byte too few would double the copy.
    let matters = chunks(bytes).flatten().filter(|chunk| chunk.is_essential());
    let length: usize = matters.map(|chunk| chunk.whole.len()).sum();
    let mut kept = Vec::with_capacity(SIGNATURE_BYTES + length + END.len());
    kept.extend_from_slice(&bytes[..SIGNATURE_BYTES.min(bytes.len())]);
    let (mut exif, mut xmp) = (None, None);
    for chunk in chunks(bytes) {
        let chunk = chunk?;
        match &chunk.kind {
            b"eXIf" if chunk.data.len() <= MAX_EXIF_BYTES => exif = Some(chunk.data),
            b"iTXt" if chunk.data.len() <= MAX_XMP_BYTES => xmp = packet(chunk.data).or(xmp),
            _ if chunk.is_essential() => kept.extend_from_slice(chunk.whole),
            _ => {}
        }
    }
    kept.extend_from_slice(&END);
    Ok(Essential {
        bytes: kept,
        orientation: orientation::of(exif, xmp.as_deref()),
    })
}

/// What decoding a PNG takes, by its chunks alone, of which nothing is unpacked: one with an XMP is taken for one to be
/// turned. `None` where the chunks do not say it.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>, DecodeError> {
    let mut first = None;
    let (mut transparent, mut turned) = (false, false);
    let mut kept = SIGNATURE_BYTES + END.len();
    for chunk in chunks(bytes) {
        let chunk = chunk?;
        kept += if chunk.is_essential() { chunk.whole.len() } else { 0 };
        match &chunk.kind {
            b"IHDR" => first = first.or(chunk.data.first_chunk::<10>()),
            b"tRNS" => transparent = true,
            b"eXIf" => turned |= orientation::needs_copy(orientation::of(Some(chunk.data), None)),
            b"iTXt" => turned |= chunk.data.starts_with(XMP),
            _ => {}
        }
    }
    let Some(&[w3, w2, w1, w0, h3, h2, h1, h0, depth, kind]) = first else {
        return Ok(None);
    };
    Ok(color(kind, depth, transparent).map(|color| Header {
        size: (
            u32::from_be_bytes([w3, w2, w1, w0]),
            u32::from_be_bytes([h3, h2, h1, h0]),
        ),
        color,
        beside: kept as u64,
        turned,
    }))
}

/// What the decoder makes of samples: palettes and less than eight bits are spread, and the transparency that stands
/// beside the pixels becomes a channel.
fn color(kind: u8, depth: u8, transparent: bool) -> Option<ColorType> {
    let deep = depth == 16;
    Some(match (kind, transparent) {
        (0, false) if deep => ColorType::L16,
        (0, false) => ColorType::L8,
        (0, true) | (4, _) if deep => ColorType::La16,
        (0, true) | (4, _) => ColorType::La8,
        (2, false) if deep => ColorType::Rgb16,
        (2 | 3, false) => ColorType::Rgb8,
        (2, true) | (6, _) if deep => ColorType::Rgba16,
        (2 | 3, true) | (6, _) => ColorType::Rgba8,
        _ => return None,
    })
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// The data between its length and its checksum.
    whole: &'a [u8],
}

impl Chunk<'_> {
    fn is_essential(&self) -> bool {
        matches!(&self.kind, b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT")
    }
}

/// The chunks before the end; an error is the last.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Result<Chunk<'_>, DecodeError>> {
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    iter::from_fn(move || {
        let [l3, l2, l1, l0, kind @ ..] = *rest.first_chunk::<8>()?;
        if &kind == b"IEND" {
            return None;
        }
        let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
        let Some((whole, after)) = rest.split_at_checked(length + FRAMING_BYTES) else {
            rest = &[];
            let kind = String::from_utf8_lossy(&kind).escape_debug().to_string();
            return Some(Err(DecodeError::corrupt(
                Format::Png,
                format!("it ends within its chunk {kind}"),
            )));
        };
        rest = after;
        let data = &whole[8..8 + length];
        Some(Ok(Chunk { kind, data, whole }))
    })
}

/// The XMP of an international text: after its keyword two bytes that say how it is packed, a language, and the keyword in
/// that language, each with a zero at its end. None where it is of another keyword, damaged, or too long.
fn packet(text: &[u8]) -> Option<Vec<u8>> {
    let (packing, rest) = text.strip_prefix(XMP)?.split_first_chunk::<2>()?;
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
