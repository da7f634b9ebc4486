//! JPEG 2000 code streams, ISO 15444-1, by `openjp2`, the Rust port of OpenJPEG.
//!
//! What a stream may make the decoder allocate is surveyed before: a few bytes may ask for a precinct a pixel.

mod parts;

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use parts::Parts;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A decoded frame.
pub(super) struct Frame {
    /// Interleaved.
    pub(super) samples: Vec<i32>,
    /// Bits a sample.
    pub(super) precision: u32,
    /// Whether the components were transformed, so that they are red, green and blue now.
    pub(super) transformed: bool,
}

/// Bytes that the decoder keeps for a code-block, 448: the block, ten segments, its nodes in two trees, its data's place; and 200 for
/// a band's precinct, which may be as small.
const BYTES_PER_BLOCK: u64 = 648;
/// And for a packet, which is one layer of a precinct: whether it came.
const BYTES_PER_PACKET: u64 = 2;
/// And for a tile until all are decoded: its parameters, and places of a hundred markers.
const BYTES_PER_TILE: u64 = 8300;
const BYTES_PER_TILE_COMPONENT: u64 = 1100;
/// And for a sample. By openjp2 0.6.1's code it is eight: four of its tile, and four of the picture that several tiles are put
/// together to, or else of the interleaved copy. Twice that, as its C-like allocations are not counted by our tests.
const BYTES_PER_SAMPLE: u64 = 16;
/// Tiles of which it refuses more.
const MAX_TILES: u64 = 65_535;

/// The markers SOC and SIZ.
const START: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];

struct Survey {
    transformed: bool,
    /// The smallest area of a code-block or precinct, in samples.
    smallest_area: u64,
    tiles: Tiles,
    /// What a component has in one tile at most: the decoder keeps it of one tile after the other.
    most: Parts,
    /// Layers of a tile at most.
    layers: u64,
}

struct Tiles {
    count: u64,
    /// Width and height of the largest one.
    size: (u64, u64),
    /// Whether all begin where a grid of blocks does: others may lie across one column and one row more.
    aligned: bool,
}

impl Survey {
    /// About how many bytes the decoder keeps beside a frame's samples, however little there is in its blocks and tiles.
    fn beside(&self, (width, height): (u32, u32), components: u16) -> u64 {
        let components = u64::from(components);
        let samples = u64::from(width) * u64::from(height) * components;
        let tile = BYTES_PER_TILE + components * BYTES_PER_TILE_COMPONENT;
        let blocks = (samples / self.smallest_area).max(self.most.blocks * components);
        // The decoder has marks for one layer more, and for as many precincts of each resolution as one has.
        let packets = (self.layers + 1) * self.most.resolutions * self.most.precincts * components;
        blocks * BYTES_PER_BLOCK + packets * BYTES_PER_PACKET + self.tiles.count * tile
    }

    /// Bytes that are allocated at most at any moment until a frame's samples are interleaved, the copy that the decoder makes
    /// of the stream among them: what room is made for, and what decoding is refused by.
    fn bytes(&self, stream: &[u8], size: (u32, u32), components: u16) -> u64 {
        let samples = u64::from(size.0) * u64::from(size.1) * u64::from(components);
        let beside = self.beside(size, components);
        beside.saturating_add(samples * BYTES_PER_SAMPLE + stream.len() as u64)
    }
}

/// Bytes that decoding a frame has allocated at most at any moment until its samples are interleaved.
pub(super) fn bytes(stream: &[u8], size: (u32, u32), components: u16) -> Result<u64, DecodeError> {
    let stream = without_boxes(stream);
    Ok(survey(stream, size, components)?.bytes(stream, size, components))
}

/// Some programs put the whole file, boxes and all, where only the stream belongs.
fn without_boxes(stream: &[u8]) -> &[u8] {
    let boxed = stream.starts_with(b"\0\0\0\x0CjP  ");
    let start = if boxed {
        stream.windows(4).position(|four| four == START)
    } else {
        None
    };
    &stream[start.unwrap_or(0)..]
}

/// Decodes a frame that has to be of the size and components that the file claims. `beside` are the bytes of what the caller
/// holds meanwhile and makes of it.
pub(super) fn decode(
    stream: &[u8],
    (width, height): (u32, u32),
    components: u16,
    beside: u64,
    limits: &DecodeLimits,
) -> Result<Frame, DecodeError> {
    let stream = without_boxes(stream);
    let survey = survey(stream, (width, height), components)?;
    limits.check_alloc(beside.saturating_add(survey.bytes(stream, (width, height), components)))?;
    let corrupt = |detail: String| DecodeError::corrupt(Format::Dicom, detail);
    // A port of C code: where it meets what it does not expect, it may panic.
    let image = catch_unwind(AssertUnwindSafe(|| jpeg2k::Image::from_bytes(stream)))
        .map_err(|_| corrupt("its JPEG 2000 stream cannot be decoded".to_owned()))?
        .map_err(|error| corrupt(format!("its JPEG 2000 stream: {error}")))?;
    let planes = image.components();
    let pixels = width as usize * height as usize;
    if planes.len() != usize::from(components) || planes.iter().any(|plane| plane.data().len() != pixels) {
        return Err(corrupt("its JPEG 2000 stream is of another size".to_owned()));
    }
    let mut interleaved = vec![0; pixels * planes.len()];
    for (number, plane) in planes.iter().enumerate() {
        let places = interleaved.iter_mut().skip(number).step_by(planes.len());
        places.zip(plane.data()).for_each(|(place, value)| *place = *value);
    }
    Ok(Frame {
        samples: interleaved,
        precision: planes.first().map_or(8, jpeg2k::ImageComponent::precision),
        transformed: survey.transformed,
    })
}

/// Walks all headers: the main one, and those of the tile-parts.
fn survey(stream: &[u8], size: (u32, u32), components: u16) -> Result<Survey, DecodeError> {
    let cut_short = || DecodeError::corrupt(Format::Dicom, "its JPEG 2000 stream is cut short");
    if !stream.starts_with(&START) {
        return Err(DecodeError::corrupt(
            Format::Dicom,
            "its pixels are no JPEG 2000 stream",
        ));
    }
    let mut found = Survey {
        transformed: false,
        smallest_area: u64::MAX,
        tiles: Tiles {
            count: 1,
            size: (size.0.into(), size.1.into()),
            aligned: false,
        },
        most: Parts::default(),
        layers: 1,
    };
    let mut at = 2;
    // Where the tile-part ends whose header is read.
    let mut tile_end = None;
    loop {
        let Some(marker) = word(stream, at) else {
            // A stream without its end marker, or with fewer tiles, is the decoder's to judge.
            return if tile_end.is_some() {
                Ok(found)
            } else {
                Err(cut_short())
            };
        };
        match marker {
            0xFFD9 => return Ok(found),
            // The tile-part's data follows.
            0xFF93 => {
                // One that ends in its own header would be walked for ever.
                at = tile_end.filter(|end| *end > at).ok_or_else(cut_short)?;
                continue;
            }
            _ => {}
        }
        let length = usize::from(word(stream, at + 2).ok_or_else(cut_short)?);
        let segment = stream.get(at + 4..at + 2 + length).ok_or_else(cut_short)?;
        match marker {
            0xFF51 => found.tiles = tiles(segment, size, components)?,
            0xFF52 => {
                found.transformed |= *segment.get(4).ok_or_else(cut_short)? != 0;
                let layers = word(segment, 2).ok_or_else(cut_short)?;
                found.layers = found.layers.max(layers.into());
                found.smallest_area = found.smallest_area.min(parts::smallest(segment).ok_or_else(cut_short)?);
                found.most = found
                    .most
                    .or_more(Parts::of(segment, &found.tiles).ok_or_else(cut_short)?);
            }
            0xFF53 => {
                // As COD, for one component: its number has two bytes where there are more than 256.
                let own = segment
                    .get(if components > 256 { 2 } else { 1 }..)
                    .ok_or_else(cut_short)?;
                let (style, own) = own.split_first().ok_or_else(cut_short)?;
                let as_default = [&[*style, 0, 0, 0, 0], own].concat();
                found.smallest_area = found
                    .smallest_area
                    .min(parts::smallest(&as_default).ok_or_else(cut_short)?);
                found.most = found
                    .most
                    .or_more(Parts::of(&as_default, &found.tiles).ok_or_else(cut_short)?);
            }
            0xFF90 => {
                let part = segment.get(2..).and_then(|rest| rest.first_chunk::<4>());
                let part = u32::from_be_bytes(*part.ok_or_else(cut_short)?) as usize;
                // 0: up to the end of the stream.
                tile_end = Some(if part == 0 { stream.len() } else { at + part });
            }
            _ => {}
        }
        at += 2 + length;
    }
}

fn word(stream: &[u8], at: usize) -> Option<u16> {
    stream
        .get(at..)?
        .first_chunk::<2>()
        .map(|pair| u16::from_be_bytes(*pair))
}

/// The tiles that the segment SIZ speaks of: the decoder believes it, so that it has to say what the file says.
fn tiles(segment: &[u8], (width, height): (u32, u32), components: u16) -> Result<Tiles, DecodeError> {
    let mismatch = || DecodeError::corrupt(Format::Dicom, "its JPEG 2000 stream is of another size");
    let long = |at: usize| segment.get(at..).and_then(|rest| rest.first_chunk::<4>());
    let long = |at: usize| long(at).map(|four| u32::from_be_bytes(*four)).ok_or_else(mismatch);
    let wide = long(2)?.checked_sub(long(10)?);
    let high = long(6)?.checked_sub(long(14)?);
    let tile = u64::from(long(18)?) * u64::from(long(22)?);
    // A tile costs kilobytes, however small it is.
    let many = tile == 0 || u64::from(width) * u64::from(height) / tile > 65_535;
    let subsampled = segment
        .get(36..)
        .is_none_or(|parts| parts.chunks(3).any(|part| part.get(1..3) != Some(&[1, 1])));
    if (wide, high) != (Some(width), Some(height)) || word(segment, 34) != Some(components) || many || subsampled {
        return Err(mismatch());
    }
    let along = |end: usize, start: usize, side: usize| {
        let length = long(end)?.saturating_sub(long(start)?);
        Ok::<u64, DecodeError>(length.div_ceil(long(side)?).into())
    };
    let count = (along(2, 26, 18)? * along(6, 30, 22)?).min(MAX_TILES);
    Ok(Tiles {
        count,
        size: (long(18)?.min(width).into(), long(22)?.min(height).into()),
        aligned: count == 1 && (long(10)?, long(14)?) == (0, 0),
    })
}
