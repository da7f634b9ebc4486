//! TIFF pictures of palette colours, which the `tiff` crate refuses: the file is read as if its indexes were grey, and
//! the palette is applied here. And what JPEGs in a TIFF take, which that crate does not limit.

use crate::picture::codec::Decoded;
use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use crate::picture::{jpeg, orientation};
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType};
use std::io::Cursor;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{TiffError, TiffResult};

/// The tag of a packet of XMP.
const XMP: u16 = 700;

/// Decodes a picture of 8-bit indexes into a palette; `None` where it is of another kind.
pub(super) fn palette(bytes: &[u8], limits: &DecodeLimits) -> Result<Option<Decoded>, DecodeError> {
    let Some(grey) = as_grey(bytes) else {
        return Ok(None);
    };
    let mut decoder = Decoder::new(Cursor::new(grey.as_slice())).map_err(from_tiff)?;
    if decoder.colortype().map_err(from_tiff)? != tiff::ColorType::Gray(8) {
        return Err(DecodeError::Unsupported(
            "a TIFF with a palette of other than 256 colours".to_owned(),
        ));
    }
    let (width, height) = decoder.dimensions().map_err(from_tiff)?;
    limits.check_size(width, height)?;
    let pixels = u64::from(width) * u64::from(height);
    limits.check_alloc(palette_bytes(pixels, &grey, limits)?)?;
    let mut allowed = Limits::default();
    // This limit holds for a tag's values too, and the palette has 768 of them.
    allowed.decoding_buffer_size = usize::try_from(pixels.max(MIN_TAG_BYTES)).unwrap_or(usize::MAX);
    allowed.intermediate_buffer_size = usize::try_from(limits.max_alloc_bytes).unwrap_or(usize::MAX);
    allowed.ifd_value_size = allowed.intermediate_buffer_size;
    let (indexes, colours, orientation) = read(&mut decoder.with_limits(allowed)).map_err(from_tiff)?;
    let missing = || DecodeError::corrupt(Format::Tiff, "its palette is no table of 256 colours");
    let table: &[u16; 768] = colours.as_slice().try_into().map_err(|_| missing())?;
    // All reds, then all greens, then all blues, of 16 bits each: the high byte counts.
    let colour = |index: u8| [0, 256, 512].map(|plane| table[plane + usize::from(index)].to_be_bytes()[0]);
    Ok(Some(Decoded {
        width,
        height,
        color: ColorType::Rgb8,
        stored: ExtendedColorType::Unknown(8),
        samples: indexes.into_iter().flat_map(colour).collect(),
        orientation,
    }))
}

/// Width and height of a picture whose colours are a palette's; `None` where it is of another kind.
pub(super) fn palette_size(bytes: &[u8]) -> Option<Result<(u32, u32), DecodeError>> {
    palette_entry(bytes)?;
    let size = Decoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.dimensions());
    Some(size.map_err(from_tiff))
}

/// Bytes that are allocated at most at any moment while indexes become colours: the indexes, the colours and the copy of the
/// file; then the colours, and the colours turned.
pub(super) fn palette_bytes(pixels: u64, file: &[u8], limits: &DecodeLimits) -> Result<u64, DecodeError> {
    let colours = pixels.saturating_mul(4).saturating_add(file.len() as u64);
    let turned = pixels.saturating_mul(6);
    Ok(colours.max(turned).saturating_add(jpeg_bytes(file, limits)?))
}

/// Bytes that are held beside the samples while a strip or tile is unpacked that is a JPEG: all of it is there at once, as large
/// as it says itself, and its data was read into a vector that doubles.
pub(super) fn jpeg_bytes(bytes: &[u8], limits: &DecodeLimits) -> Result<u64, DecodeError> {
    let found = Decoder::new(Cursor::new(bytes)).and_then(|mut decoder| jpegs(&mut decoder));
    // What is damaged is the decoder's to judge.
    let Jpegs { tables, places } = found.unwrap_or_default();
    let mut most = 0;
    for (offset, length) in places {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let data = 2 * (length + tables.len()) as u64;
        most = most.max(data.saturating_add(jpeg::embedded_bytes(&rest[..length], limits)?));
    }
    Ok(most.saturating_add(jpeg::embedded_bytes(&tables, limits)?))
}

/// The strips and tiles of a file that are JPEGs.
#[derive(Default)]
struct Jpegs {
    /// That all of them share.
    tables: Vec<u8>,
    /// Where each lies: offset and length.
    places: Vec<(u64, u64)>,
}

fn jpegs(decoder: &mut Decoder<Cursor<&[u8]>>) -> TiffResult<Jpegs> {
    if decoder.find_tag_unsigned::<u16>(Tag::Compression)? != Some(JPEG) {
        return Ok(Jpegs::default());
    }
    let (offsets, lengths) = match decoder.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let offsets = decoder.find_tag_unsigned_vec::<u64>(offsets)?.unwrap_or_default();
    let lengths = decoder.find_tag_unsigned_vec::<u64>(lengths)?.unwrap_or_default();
    Ok(Jpegs {
        tables: decoder.get_tag_u8_vec(Tag::JPEGTables).unwrap_or_default(),
        places: offsets.into_iter().zip(lengths).collect(),
    })
}

/// The compression that is JPEG as it is written today.
const JPEG: u16 = 7;
const MIN_TAG_BYTES: u64 = 1 << 20;
/// Tag of the photometric interpretation, and the type of a 16-bit value.
const PHOTOMETRIC: [u16; 2] = [262, 3];
const BLACK_IS_ZERO: u16 = 1;
const RGB_PALETTE: u16 = 3;

/// A copy of the file whose indexes are declared to be grey; `None` where there is no palette.
fn as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let (value, little) = palette_entry(bytes)?;
    let mut copy = bytes.to_vec();
    let grey = if little {
        BLACK_IS_ZERO.to_le_bytes()
    } else {
        BLACK_IS_ZERO.to_be_bytes()
    };
    copy.get_mut(value..value + 2)?.copy_from_slice(&grey);
    Some(copy)
}

/// Where the file says that its colours are a palette's, and whether its numbers are little-endian; `None` where it does
/// not say so. Walks the first directory of a classic TIFF: a count, then entries of tag, type, count and value.
fn palette_entry(bytes: &[u8]) -> Option<(usize, bool)> {
    let little = bytes.starts_with(b"II*\0");
    let short = |at: usize| {
        let pair = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    };
    let offset = *bytes.get(4..)?.first_chunk::<4>()?;
    let offset = if little {
        u32::from_le_bytes(offset)
    } else {
        u32::from_be_bytes(offset)
    };
    let start = usize::try_from(offset).ok()?;
    let entry = (0..usize::from(short(start)?))
        .map(|number| start + 2 + number * 12)
        .find(|at| [short(*at), short(at + 2)] == PHOTOMETRIC.map(Some))?;
    (short(entry + 8)? == RGB_PALETTE).then_some((entry + 8, little))
}

/// The orientation that a file's tag names; without the tag, that of its XMP.
pub(super) fn upright(bytes: &[u8]) -> Orientation {
    let named = Decoder::new(Cursor::new(bytes)).and_then(|mut decoder| orientation(&mut decoder));
    named.unwrap_or(Orientation::NoTransforms)
}

fn orientation(decoder: &mut Decoder<Cursor<&[u8]>>) -> TiffResult<Orientation> {
    match decoder.find_tag_unsigned::<u8>(Tag::Orientation)? {
        Some(value) => Ok(Orientation::from_exif(value).unwrap_or(Orientation::NoTransforms)),
        None => {
            let xmp = decoder.get_tag_u8_vec(Tag::Unknown(XMP)).ok();
            Ok(orientation::of(None, xmp.as_deref()))
        }
    }
}

fn read(decoder: &mut Decoder<Cursor<&[u8]>>) -> TiffResult<(Vec<u8>, Vec<u16>, Orientation)> {
    let colours = decoder.get_tag_u16_vec(Tag::ColorMap)?;
    let orientation = orientation(decoder)?;
    let DecodingResult::U8(indexes) = decoder.read_image()? else {
        return Err(TiffError::FormatError(tiff::TiffFormatError::InvalidTypeForTag));
    };
    Ok((indexes, colours, orientation))
}

fn from_tiff(error: TiffError) -> DecodeError {
    match error {
        TiffError::LimitsExceeded => DecodeError::Limit("it needs more memory than is allowed".to_owned()),
        TiffError::UnsupportedError(what) => {
            DecodeError::Unsupported(format!("a TIFF of a kind that is not read: {what}"))
        }
        other => DecodeError::corrupt(Format::Tiff, other.to_string()),
    }
}
