//! The stored values of one frame, whatever they are packed in.

use super::data_set::{self, DataSet, FRAMES, PIXEL_DATA, Value};
use super::fragments::Compressed;
use super::{corrupt, jpeg2000, rle};
use crate::picture::error::DecodeError;
use crate::picture::jpeg::{self, Kinds, Survey};
use crate::picture::limits::DecodeLimits;
use crate::picture::turbo;
use std::borrow::Cow;

const SAMPLES: u32 = 0x0028_0002;
const PHOTOMETRIC: u32 = 0x0028_0004;
const PLANAR: u32 = 0x0028_0006;
const ROWS: u32 = 0x0028_0010;
const COLUMNS: u32 = 0x0028_0011;
const BITS_ALLOCATED: u32 = 0x0028_0100;
const BITS_STORED: u32 = 0x0028_0101;
const HIGH_BIT: u32 = 0x0028_0102;
const REPRESENTATION: u32 = 0x0028_0103;

/// A segment APP14 as Adobe's programs write it: the components are red, green and blue, not YCbCr.
const ADOBE_RGB: &[u8] = b"\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00";

/// What the file says of its pixels: PS3.3 C.7.6.3.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1 or 3.
    pub(super) samples: u16,
    pub(super) photometric: String,
    pub(super) frames: u32,
    /// 1, 8, 16 or 32.
    pub(super) bits_allocated: u16,
    pub(super) bits_stored: u16,
    high_bit: u16,
    pub(super) signed: bool,
    planar: bool,
}

/// What a frame's samples are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As the file says.
    Values,
    /// The decoder made red, green and blue of them.
    Rgb,
}

/// A frame's samples, interleaved, little-endian.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// Bytes a sample: 1, 2 or 4.
    pub(super) width: usize,
    /// Bits that count.
    pub(super) bits: u16,
    /// Bits below those.
    pub(super) shift: u16,
    pub(super) layout: Layout,
}

impl Frame {
    /// All samples, without what lies beside their bits.
    pub(super) fn raw(&self) -> impl Iterator<Item = u32> {
        let mask = u32::MAX >> (32 - u32::from(self.bits.clamp(1, 32)));
        self.bytes.chunks_exact(self.width).map(move |bytes| {
            let number = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            number >> self.shift & mask
        })
    }
}

impl Shape {
    pub(super) fn read(file: &DataSet<'_>, syntax: &str) -> Result<Self, DecodeError> {
        // What is not read has an error of its own, before any of what is missing.
        if syntax_name(syntax) == OTHER {
            return Err(DecodeError::Unsupported(format!(
                "a DICOM in transfer syntax {syntax}; {}",
                hint(syntax)
            )));
        }
        if file.value(PIXEL_DATA).is_none() {
            return Err(DecodeError::Unsupported("a DICOM without pixels".to_owned()));
        }
        let short = |tag, name: &str| file.short(tag).ok_or_else(|| corrupt(format!("it has no {name}")));
        let bits_allocated = short(BITS_ALLOCATED, "Bits Allocated")?;
        let bits_stored = file.short(BITS_STORED).unwrap_or(bits_allocated);
        let samples = file.short(SAMPLES).unwrap_or(1);
        if !matches!(bits_allocated, 1 | 8 | 16 | 32) || !matches!(samples, 1 | 3) {
            return Err(DecodeError::Unsupported(format!(
                "a DICOM of {samples} samples a pixel and {bits_allocated} bits a sample"
            )));
        }
        if bits_stored == 0 || bits_stored > bits_allocated {
            return Err(corrupt(format!(
                "{bits_stored} of {bits_allocated} bits are said to count"
            )));
        }
        let high_bit = file.short(HIGH_BIT).unwrap_or(bits_stored - 1);
        if high_bit >= bits_allocated || high_bit + 1 < bits_stored {
            return Err(corrupt(format!("bit {high_bit} is said to be the highest")));
        }
        let (width, height) = (short(COLUMNS, "Columns")?, short(ROWS, "Rows")?);
        if width == 0 || height == 0 {
            return Err(corrupt("it has no rows or columns"));
        }
        Ok(Self {
            width: width.into(),
            height: height.into(),
            samples,
            photometric: file.text(PHOTOMETRIC).unwrap_or_else(|| "MONOCHROME2".to_owned()),
            frames: file.bytes(FRAMES).and_then(data_set::frames).unwrap_or(1),
            bits_allocated,
            bits_stored,
            high_bit,
            signed: file.short(REPRESENTATION) == Some(1),
            planar: samples > 1 && file.short(PLANAR) == Some(1),
        })
    }

    pub(super) fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Bytes that a frame takes: its values, what they become, and the RGB that is made of that.
    pub(super) fn bytes(&self) -> u64 {
        let pixels = self.pixels() as u64;
        pixels * u64::from(self.samples) * u64::from(self.bits_allocated.div_ceil(8)) * 2 + pixels * 3
    }

    fn frame(&self, bytes: Vec<u8>) -> Frame {
        Frame {
            bytes,
            width: usize::from(self.bits_allocated.div_ceil(8)),
            bits: self.bits_stored,
            shift: self.high_bit + 1 - self.bits_stored,
            layout: Layout::Values,
        }
    }
}

const OTHER: &str = "another transfer syntax";

/// The name of a transfer syntax that is read.
pub(super) fn syntax_name(syntax: &str) -> &'static str {
    match syntax.strip_prefix("1.2.840.10008.1.2").unwrap_or("?") {
        "" | ".1" | ".2" => "uncompressed",
        ".5" => "RLE Lossless",
        ".4.50" => "JPEG Baseline",
        ".4.51" => "JPEG Extended",
        ".4.57" | ".4.70" => "JPEG Lossless",
        ".4.90" | ".4.91" => "JPEG 2000",
        _ => OTHER,
    }
}

fn hint(syntax: &str) -> &'static str {
    match syntax {
        "1.2.840.10008.1.2.1.99" => "which is deflated: rewrite it uncompressed",
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => {
            "which is JPEG-LS: rewrite it as JPEG 2000 or uncompressed"
        }
        _ => "which is not read: rewrite it uncompressed or as JPEG 2000",
    }
}

/// Bytes that are allocated at most at any moment while one frame is decoded, by its number from 0: what decoding it is
/// refused by.
pub(super) fn bytes(
    file: &DataSet<'_>,
    syntax: &str,
    shape: &Shape,
    number: u32,
    limits: &DecodeLimits,
) -> Result<u64, DecodeError> {
    let Some(Value::Fragments(fragments)) = file.value(PIXEL_DATA) else {
        return Ok(shape.bytes());
    };
    let frame = Compressed::read(file, fragments, shape.frames, number)?;
    Ok(match syntax_name(syntax) {
        "RLE Lossless" | "uncompressed" => shape.bytes() + frame.bytes(),
        "JPEG 2000" => {
            let size = (shape.width, shape.height);
            shape.bytes() + frame.bytes() + jpeg2000::bytes(frame.data(), size, shape.samples)?
        }
        _ => jpeg_bytes(&frame, &jpeg::survey(frame.data(), Kinds::Medical, limits)?, shape),
    })
}

/// What decoding a JPEG's frame takes: coefficients, samples of up to 16 bits, and bytes that are made of them; beside that
/// the copies of the JPEG itself.
fn jpeg_bytes(frame: &Compressed<'_>, survey: &Survey<'_>, shape: &Shape) -> u64 {
    let decoded = survey.coefficient_bytes + shape.pixels() as u64 * 6;
    let marked = if is_rgb_untold(survey, shape) {
        (frame.data().len() + ADOBE_RGB.len()) as u64
    } else {
        0
    };
    shape.bytes().max(decoded) + frame.bytes() + marked
}

/// Without a word in the JPEG itself libjpeg takes three components for YCbCr, whatever the file around it says.
fn is_rgb_untold(survey: &Survey<'_>, shape: &Shape) -> bool {
    survey.components == 3 && shape.photometric == "RGB" && !survey.colours_told
}

/// The samples of one frame, by its number from 0.
pub(super) fn nth(
    file: &DataSet<'_>,
    syntax: &str,
    shape: &Shape,
    number: u32,
    limits: &DecodeLimits,
) -> Result<Frame, DecodeError> {
    match file.value(PIXEL_DATA) {
        Some(Value::Bytes(bytes, kind)) => native(bytes, kind == b"OW" && file.big_endian(), file, shape, number),
        Some(Value::Fragments(fragments)) => {
            let frame = Compressed::read(file, fragments, shape.frames, number)?;
            match syntax_name(syntax) {
                "RLE Lossless" => from_rle(&frame, shape, limits),
                "JPEG 2000" => jpeg_2000(&frame, shape, limits),
                "uncompressed" => Err(corrupt("uncompressed pixels are in fragments")),
                _ => from_jpeg(&frame, shape, limits),
            }
        }
        _ => Err(corrupt("its pixels are no bytes")),
    }
}

fn from_rle(frame: &Compressed<'_>, shape: &Shape, limits: &DecodeLimits) -> Result<Frame, DecodeError> {
    limits.check_alloc(shape.bytes() + frame.bytes())?;
    let width = usize::from(shape.bits_allocated.div_ceil(8));
    let bytes = rle::decode(frame.data(), shape.pixels(), usize::from(shape.samples), width);
    Ok(shape.frame(bytes.ok_or_else(|| corrupt("its RLE data does not fill its size"))?))
}

fn native(bytes: &[u8], words: bool, file: &DataSet<'_>, shape: &Shape, number: u32) -> Result<Frame, DecodeError> {
    let pixels = shape.pixels();
    let count = pixels * usize::from(shape.samples);
    // Two pixels share a pair of colour differences.
    let halved = shape.photometric == "YBR_FULL_422" && shape.samples == 3 && shape.bits_allocated == 8;
    // Frames follow each other without a gap: of one bit a sample, they may begin within a byte.
    let bits = match shape.bits_allocated {
        8 if halved => pixels.div_ceil(2) * 32,
        bits => count * usize::from(bits),
    };
    let start = usize::try_from(number).ok().and_then(|number| number.checked_mul(bits));
    let swapped = words && shape.bits_allocated <= 8;
    let unit = if swapped { 2 } else { 1 };
    let place = start.and_then(|start| Some((start, start.checked_add(bits)?.div_ceil(8))));
    let place = place.map(|(start, end)| (start, start / 8 / unit * unit..end.next_multiple_of(unit)));
    let found = place.and_then(|(start, range)| Some((start - range.start * 8, bytes.get(range)?.to_vec())));
    let (skipped, mut frame) = found.ok_or_else(|| {
        corrupt(format!(
            "a frame has {} bytes, and frame {} ends behind the {} bytes of its pixels",
            bits.div_ceil(8),
            number + 1,
            bytes.len()
        ))
    })?;
    if swapped {
        frame.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
    } else if file.big_endian() && shape.bits_allocated > 8 {
        let width = usize::from(shape.bits_allocated / 8);
        frame.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    if shape.bits_allocated == 1 {
        let place = |at: usize| skipped + at;
        frame = (0..count)
            .map(|at| frame[place(at) / 8] >> (place(at) % 8) & 1)
            .collect();
        return Ok(shape.frame(frame));
    }
    frame.drain(..skipped / 8);
    frame.truncate(bits / 8);
    if halved {
        let four = frame.as_chunks::<4>().0.iter();
        frame = four
            .flat_map(|[y0, y1, cb, cr]| [*y0, *cb, *cr, *y1, *cb, *cr])
            .take(count)
            .collect();
    } else if shape.planar {
        frame = interleaved(
            &frame,
            usize::from(shape.samples),
            usize::from(shape.bits_allocated / 8),
        );
    }
    Ok(shape.frame(frame))
}

fn interleaved(planes: &[u8], samples: usize, width: usize) -> Vec<u8> {
    let plane = planes.len() / samples;
    let pixels = (0..plane / width).flat_map(|pixel| (0..samples).map(move |sample| sample * plane + pixel * width));
    // At once: collected, it would double until it fits, and take up to twice of what is estimated.
    let mut interleaved = Vec::with_capacity(planes.len());
    interleaved.extend(pixels.flat_map(|at| planes[at..at + width].iter().copied()));
    interleaved
}

fn jpeg_2000(frame: &Compressed<'_>, shape: &Shape, limits: &DecodeLimits) -> Result<Frame, DecodeError> {
    let beside = shape.bytes() + frame.bytes();
    let size = (shape.width, shape.height);
    let frame = jpeg2000::decode(frame.data(), size, shape.samples, beside, limits)?;
    let width = if frame.precision > 16 {
        4
    } else if frame.precision > 8 {
        2
    } else {
        1
    };
    let values = frame.samples.iter();
    // At once, as in `interleaved`.
    let mut bytes = Vec::with_capacity(frame.samples.len() * width);
    bytes.extend(values.flat_map(|value| value.to_le_bytes().into_iter().take(width)));
    Ok(Frame {
        bytes,
        width,
        bits: u16::try_from(frame.precision.clamp(1, 32)).unwrap_or(8),
        shift: 0,
        layout: if frame.transformed { Layout::Rgb } else { Layout::Values },
    })
}

fn from_jpeg(compressed: &Compressed<'_>, shape: &Shape, limits: &DecodeLimits) -> Result<Frame, DecodeError> {
    let data = compressed.data();
    let survey = jpeg::survey(data, Kinds::Medical, limits)?;
    let components = u16::from(survey.components);
    let frame = |bytes, bits, layout| Frame {
        bytes,
        width: if bits > 8 { 2 } else { 1 },
        bits,
        shift: 0,
        layout,
    };
    if components != shape.samples {
        return Err(corrupt(format!(
            "its JPEG has {components} components, and the file says {}",
            shape.samples
        )));
    }
    limits.check_alloc(jpeg_bytes(compressed, &survey, shape))?;
    if components == 1 {
        let values = turbo::decode_grey(data, (shape.width, shape.height), survey.precision)?;
        let bytes = values.into_iter().flat_map(u16::to_le_bytes);
        let bytes = bytes.enumerate().filter(|(at, _)| survey.precision > 8 || at % 2 == 0);
        return Ok(frame(
            bytes.map(|(_, byte)| byte).collect(),
            u16::from(survey.precision),
            Layout::Values,
        ));
    }
    if survey.precision != 8 {
        return Err(DecodeError::Unsupported(format!(
            "a DICOM with a JPEG of {} bits and {components} components",
            survey.precision
        )));
    }
    let data = match data.split_at_checked(2) {
        Some((start, rest)) if is_rgb_untold(&survey, shape) => Cow::Owned([start, ADOBE_RGB, rest].concat()),
        _ => Cow::Borrowed(data),
    };
    // Before its pixels are allocated: the check above was of the file's size.
    let is_as_told = |width: u32, height: u32, channels: u64| {
        if (width, height, channels) == (shape.width, shape.height, 3) {
            Ok(())
        } else {
            Err(corrupt("its JPEG is of another size"))
        }
    };
    let decoded = turbo::decode(&data, limits, |_, _| 1, is_as_told)?;
    // libjpeg converts no lossless samples: without a word in the JPEG it calls them RGB, and what the file says counts.
    let is_left = survey.lossless && !survey.colours_told && shape.photometric.starts_with("YBR_FULL");
    let layout = if is_left { Layout::Values } else { Layout::Rgb };
    Ok(frame(decoded.samples, 8, layout))
}
