//! DICOM files, PS3.10: one frame, as a viewer shows it first, and the tags that are asked for.
//!
//! Grey values pass the modality's rescale or table, then the file's first window or table of values of interest
//! (PS3.3 C.11.1 and C.11.2); `MONOCHROME1` is inverted; colours become RGB. Of a patient nothing is looked at but what is
//! asked for.

mod charset;
mod colour;
mod data_set;
mod fragments;
mod frame;
mod jpeg2000;
mod rle;
mod shades;
mod tags;

#[cfg(test)]
mod tests;

use crate::picture::error::DecodeError;
use crate::picture::estimate::{Estimate, Outline};
use crate::picture::facts::Facts;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use crate::picture::{Content, Picture, Samples};
use data_set::DataSet;
use frame::{Layout, Shape};
use sightline_core::{DicomSpec, FrameChoice};

pub(super) fn read(bytes: &[u8], limits: &DecodeLimits, spec: &DicomSpec) -> Result<Content, DecodeError> {
    let (syntax, file) = DataSet::read(bytes, spec.frame).map_err(corrupt)?;
    let shape = Shape::read(&file, &syntax)?;
    let several = || DecodeError::SeveralFrames { frames: shape.frames };
    let number = spec.frame.of(shape.frames).ok_or_else(several)?;
    limits.check_size(shape.width, shape.height)?;
    limits.check_alloc(shape.bytes())?;
    let frame = frame::nth(&file, &syntax, &shape, number, limits)?;
    let mut steps = Vec::new();
    if shape.frames > 1 {
        steps.push(if spec.frame == FrameChoice::Middle {
            "the middle frame counts"
        } else {
            "the first frame counts"
        });
    }
    let mut channels = 3;
    let bytes = match (shape.photometric.as_str(), &frame.layout) {
        ("MONOCHROME1" | "MONOCHROME2", Layout::Values) if shape.samples == 1 => {
            channels = 1;
            shades::to_8_bits(&file, &shape, &frame, &mut steps)
        }
        ("PALETTE COLOR", Layout::Values) if shape.samples == 1 => {
            steps.push("the palette's colours");
            colour::from_palette(&file, &shape, &frame)?
        }
        (_, Layout::Rgb) => colour::high_bytes(&frame),
        ("RGB" | "YBR_RCT" | "YBR_ICT", Layout::Values) if shape.samples == 3 => colour::high_bytes(&frame),
        ("YBR_FULL" | "YBR_FULL_422", Layout::Values) if shape.samples == 3 => {
            steps.push("YCbCr becomes RGB");
            colour::from_ycbcr(colour::high_bytes(&frame))
        }
        (other, _) => {
            return Err(DecodeError::Unsupported(format!(
                "a DICOM of {} samples {other} a pixel",
                shape.samples
            )));
        }
    };
    let facts = Facts {
        format: Format::Dicom,
        width: shape.width,
        height: shape.height,
        mode: format!(
            "{} of {} bits, {}",
            shape.photometric,
            shape.bits_stored,
            frame::syntax_name(&syntax)
        ),
        orientation: 1,
        steps,
    };
    let picture = Picture::of(shape.width, shape.height, Samples { channels, bytes });
    Ok(Content {
        facts,
        picture: picture.ok_or_else(|| corrupt("its pixels do not fill its size"))?,
        tags: tags::read(&file, spec),
    })
}

/// How many bytes decoding one frame will have allocated at most; `None` for what will not be decoded. Which frame counts is not
/// known here: the one that takes more.
pub(super) fn estimate(bytes: &[u8], limits: &DecodeLimits) -> Option<Estimate> {
    let choices = [FrameChoice::First, FrameChoice::Middle];
    // What is said of one frame alone may be damaged, where another one counts.
    let (syntax, file) = choices.iter().find_map(|choice| DataSet::read(bytes, *choice).ok())?;
    let shape = Shape::read(&file, &syntax).ok()?;
    limits.check_size(shape.width, shape.height).ok()?;
    limits.check_alloc(shape.bytes()).ok()?;
    let mut numbers: Vec<u32> = choices.iter().filter_map(|choice| choice.of(shape.frames)).collect();
    // Of one frame both are the same.
    numbers.dedup();
    let taken = numbers
        .into_iter()
        .filter_map(|number| frame::bytes(&file, &syntax, &shape, number, limits).ok());
    let is_grey = shape.samples == 1 && shape.photometric.starts_with("MONOCHROME");
    Some(Estimate {
        bytes: taken.max()?,
        outline: Some(Outline {
            size: (shape.width, shape.height),
            channels: if is_grey { 1 } else { 3 },
            turned: false,
        }),
    })
}

fn corrupt(detail: impl Into<String>) -> DecodeError {
    DecodeError::corrupt(Format::Dicom, detail)
}
