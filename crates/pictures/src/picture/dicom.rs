//! DICOM files, PS3.10: the first frame, as a viewer shows it first.
//!
//! Grey values pass the modality's rescale or table, then the file's first window or table of values of interest
//! (PS3.3 C.11.1 and C.11.2); `MONOCHROME1` is inverted; colours become RGB. Nothing of a patient is looked at.

mod colour;
mod data_set;
mod frame;
mod jpeg2000;
mod rle;
mod shades;

#[cfg(test)]
mod tests;

use crate::picture::Picture;
use crate::picture::error::DecodeError;
use crate::picture::facts::Facts;
use crate::picture::format::Format;
use crate::picture::limits::DecodeLimits;
use data_set::DataSet;
use frame::{Layout, Shape};

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<(Facts, Picture), DecodeError> {
    let (syntax, file) = DataSet::read(bytes).map_err(corrupt)?;
    let shape = Shape::read(&file, &syntax)?;
    limits.check_size(shape.width, shape.height)?;
    // Values of up to four bytes a sample, what they become, and the decoder's own of both.
    let samples = shape.pixels() as u64 * u64::from(shape.samples);
    limits.check_alloc(samples * u64::from(shape.bits_allocated.div_ceil(8)) * 2 + shape.pixels() as u64 * 3)?;
    let frame = frame::first(&file, &syntax, &shape, limits)?;
    let mut steps = Vec::new();
    if shape.frames > 1 {
        steps.push("the first frame counts");
    }
    let rgb = match (shape.photometric.as_str(), &frame.layout) {
        ("MONOCHROME1" | "MONOCHROME2", Layout::Values) if shape.samples == 1 => {
            shades::to_rgb8(&file, &shape, &frame, &mut steps)
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
    let picture = Picture::new(shape.width, shape.height, rgb);
    Ok((
        facts,
        picture.ok_or_else(|| corrupt("its pixels do not fill its size"))?,
    ))
}

fn corrupt(detail: impl Into<String>) -> DecodeError {
    DecodeError::corrupt(Format::Dicom, detail)
}
