//! A cheap walk over a JPEG's markers, before anything is decoded.
//!
//! It finds what the decoder would not refuse: a file that ends before its end marker (the decoder fills the rest with
//! grey; Pillow refuses it, and so do we), and scans by the thousand. And it finds the orientation.

use crate::picture::error::DecodeError;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use crate::picture::orientation;
use image::metadata::Orientation;

/// What the markers say.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    /// Width and height.
    pub(super) size: (u32, u32),
    /// What the decoder holds beside the pixels: all coefficients, where it cannot work row by row.
    pub(super) coefficient_bytes: u64,
    /// Whether it comes in refinements of the whole.
    pub(super) progressive: bool,
    /// Whether its samples come as they were, never as another colour space's.
    pub(super) lossless: bool,
    /// The EXIF block, put together of all segments that carry one, as Pillow does.
    pub(super) exif: Option<Vec<u8>>,
    /// Bits a sample.
    pub(super) precision: u8,
    /// Components a pixel.
    pub(super) components: u8,
    /// Whether a JFIF or Adobe segment says what the components are.
    pub(super) colours_told: bool,
    /// The last packet of XMP, as Pillow takes it.
    pub(super) xmp: Option<&'a [u8]>,
}

impl Survey<'_> {
    /// How to turn it upright.
    pub(super) fn orientation(&self) -> Orientation {
        orientation::of(self.exif.as_deref(), self.xmp)
    }

    /// Bytes that are allocated at most at any moment while so many pixels of so many channels are decoded and turned: what
    /// decoding is refused by, and what room is made for before.
    pub(super) fn bytes(&self, pixels: u64, channels: u64) -> u64 {
        let turning = if orientation::needs_copy(self.orientation()) {
            2
        } else {
            1
        };
        (pixels * channels + self.coefficient_bytes).max(pixels * channels.min(3) * turning)
    }

    /// As [`Survey::bytes`], of the whole picture.
    pub(super) fn all_bytes(&self) -> u64 {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        let channels = match self.components {
            1 => 1,
            4 => 4,
            _ => 3,
        };
        self.bytes(pixels, channels)
    }
}

/// Which JPEGs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Those of files: 8 bits, baseline and progressive.
    Files,
    /// Those of DICOM as well: up to 16 bits, lossless.
    Medical,
}

/// An EXIF block longer than this is none.
const MAX_EXIF_BYTES: usize = 1 << 20;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

struct Frame {
    size: (u32, u32),
    precision: u8,
    components: u8,
    progressive: bool,
    lossless: bool,
    /// Coefficients of all components, 64 a block.
    coefficients: u64,
}

/// Walks to the end marker.
pub(super) fn survey<'a>(bytes: &'a [u8], kinds: Kinds, limits: &DecodeLimits) -> Result<Survey<'a>, DecodeError> {
    let mut at = 2;
    let mut frame: Option<Frame> = None;
    let mut scans = 0;
    let mut interleaved = true;
    let mut colours_told = false;
    let mut exif: Option<Vec<u8>> = None;
    let mut xmp = None;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or_else(cut_short)?;
        match marker {
            0xD9 => break,
            // Markers without a length: restarts, start of picture, TEM.
            0xD0..=0xD8 | 0x01 => continue,
            _ => {}
        }
        let segment = segment(bytes, at).ok_or_else(cut_short)?;
        at += segment.len() + 2;
        match marker {
            _ if is_frame(marker) => frame = Some(read_frame(marker, segment, kinds, limits)?),
            0xDA => {
                scans += 1;
                let Some(frame) = &frame else {
                    return Err(DecodeError::corrupt(
                        Format::Jpeg,
                        "a scan comes before the frame's header",
                    ));
                };
                interleaved &= segment.first() == Some(&frame.components);
                check_scans(scans, u64::from(frame.size.0) * u64::from(frame.size.1), limits)?;
            }
            0xE0 => colours_told |= segment.starts_with(b"JFIF\0"),
            0xEE => colours_told |= segment.starts_with(b"Adobe"),
            0xE1 => {
                if let Some(part) = segment.strip_prefix(EXIF) {
                    exif.get_or_insert_default().extend_from_slice(part);
                }
                xmp = segment.strip_prefix(XMP).or(xmp);
            }
            _ => {}
        }
    }
    let Some(frame) = frame.filter(|_| scans > 0) else {
        return Err(DecodeError::corrupt(Format::Jpeg, "it holds no picture"));
    };
    let whole = frame.progressive || !interleaved;
    Ok(Survey {
        size: frame.size,
        coefficient_bytes: if whole { frame.coefficients * 2 } else { 0 },
        progressive: frame.progressive,
        lossless: frame.lossless,
        precision: frame.precision,
        components: frame.components,
        colours_told,
        xmp,
        exif: exif.filter(|block| block.len() <= MAX_EXIF_BYTES),
    })
}

/// Bytes that zune-jpeg 0.5.15 has at most at any moment for a JPEG in a TIFF, its samples among them: all coefficients beside
/// them, where the first scan does not hold every component as it is. By its headers, since it is decoded without an end as
/// well; tables alone take nothing.
pub(super) fn embedded_bytes(bytes: &[u8], limits: &DecodeLimits) -> Result<u64, DecodeError> {
    let mut at = 2;
    let mut frame: Option<Frame> = None;
    let mut interleaved = false;
    while let Some(marker) = next_marker(bytes, &mut at) {
        if matches!(marker, 0xD0..=0xD9 | 0x01) {
            continue;
        }
        let Some(segment) = segment(bytes, at) else { break };
        at += segment.len() + 2;
        if is_frame(marker) {
            frame = Some(read_frame(marker, segment, Kinds::Files, limits)?);
        } else if marker == 0xDA {
            interleaved = segment.first() == frame.as_ref().map(|frame| &frame.components);
            break;
        }
    }
    Ok(frame.map_or(0, |frame| {
        let samples = u64::from(frame.size.0) * u64::from(frame.size.1) * u64::from(frame.components);
        let whole = frame.progressive || !interleaved;
        samples + if whole { frame.coefficients * 2 } else { 0 }
    }))
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
}

fn cut_short() -> DecodeError {
    DecodeError::corrupt(Format::Jpeg, "it ends before its end marker")
}

/// The code of the next marker from `at` on, which moves behind it. Skips what lies between: entropy-coded data, in
/// which 0xFF is followed by 0, and fill bytes.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*at..)?;
        *at += memchr::memchr(0xFF, rest)? + 1;
        match *bytes.get(*at)? {
            0xFF => {}
            0 => *at += 1,
            marker => {
                *at += 1;
                return Some(marker);
            }
        }
    }
}

/// The bytes of a segment after its length.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    bytes.get(at + 2..at + length)
}

fn read_frame(marker: u8, segment: &[u8], kinds: Kinds, limits: &DecodeLimits) -> Result<Frame, DecodeError> {
    let &[precision, h1, h0, w1, w0, components, ref table @ ..] = segment else {
        return Err(DecodeError::corrupt(Format::Jpeg, "the frame's header is too short"));
    };
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    let size = (u32::from(width), u32::from(height));
    limits.check_size(size.0, size.1)?;
    let medical = kinds == Kinds::Medical;
    if precision != 8 && !(medical && (2..=16).contains(&precision)) {
        return Err(DecodeError::Unsupported(format!("a JPEG of {precision} bits")));
    }
    if !(matches!(marker, 0xC0..=0xC2) || medical && marker == 0xC3) {
        return Err(DecodeError::Unsupported(
            "a lossless, arithmetic or hierarchical JPEG".to_owned(),
        ));
    }
    let samplings: Vec<(u64, u64)> = table
        .chunks_exact(3)
        .take(usize::from(components))
        .map(|component| (u64::from(component[1] >> 4), u64::from(component[1] & 15)))
        .collect();
    let (wide, high) = samplings.iter().fold((1, 1), |(w, h), (x, y)| (w.max(*x), h.max(*y)));
    let units = u64::from(width).div_ceil(8 * wide) * u64::from(height).div_ceil(8 * high);
    Ok(Frame {
        size,
        precision,
        components,
        progressive: marker == 0xC2,
        lossless: marker == 0xC3,
        coefficients: samplings.iter().map(|(x, y)| units * x * y * 64).sum(),
    })
}

fn check_scans(scans: u32, pixels: u64, limits: &DecodeLimits) -> Result<(), DecodeError> {
    if scans > limits.max_jpeg_scans || u64::from(scans) * pixels > limits.max_jpeg_scan_pixels {
        return Err(DecodeError::Limit(format!(
            "the JPEG has {scans} scans or more over {pixels} pixels, above the limits of {} scans and {} pixels in all of them",
            limits.max_jpeg_scans, limits.max_jpeg_scan_pixels
        )));
    }
    Ok(())
}
