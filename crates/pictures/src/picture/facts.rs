//! What a file holds, in words for a person who looks at one.

use crate::picture::format::Format;
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType};

/// What a file holds before anything is done to it, and what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The format, by its content.
    pub format: Format,
    /// Pixels in a row, as stored.
    pub width: u32,
    /// Rows, as stored.
    pub height: u32,
    /// What is stored for a pixel.
    pub mode: String,
    /// EXIF's number of the orientation, 1 (upright) to 8.
    pub orientation: u8,
    /// What is done to make upright eight-bit RGB of it, in order.
    pub steps: Vec<&'static str>,
}

/// The words for what the `image` crate's decoders find.
pub(super) fn mode(format: Format, stored: ExtendedColorType) -> String {
    match stored {
        _ if format == Format::Gif => "palette".to_owned(),
        ExtendedColorType::L1 => "1-bit grey".to_owned(),
        ExtendedColorType::L2 => "2-bit grey".to_owned(),
        ExtendedColorType::L4 => "4-bit grey".to_owned(),
        ExtendedColorType::L8 => "grey".to_owned(),
        ExtendedColorType::La8 => "grey and alpha".to_owned(),
        ExtendedColorType::Rgb8 => "RGB".to_owned(),
        ExtendedColorType::Rgba8 => "RGB and alpha".to_owned(),
        ExtendedColorType::L16 => "16-bit grey".to_owned(),
        ExtendedColorType::La16 => "16-bit grey and alpha".to_owned(),
        ExtendedColorType::Rgb16 => "16-bit RGB".to_owned(),
        ExtendedColorType::Rgba16 => "16-bit RGB and alpha".to_owned(),
        ExtendedColorType::Cmyk8 => "CMYK".to_owned(),
        ExtendedColorType::Unknown(bits) => format!("palette of {bits}-bit indexes"),
        other => format!("{other:?}"),
    }
}

/// What becomes of decoded samples.
pub(super) fn steps(color: ColorType, orientation: Orientation) -> Vec<&'static str> {
    let deep = matches!(
        color,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16
    );
    let all = [
        (deep, "the high byte of 16 bits counts"),
        (color.has_alpha(), "transparency is put on white"),
        (!color.has_color(), "grey becomes red, green and blue"),
        (orientation != Orientation::NoTransforms, "turned upright"),
    ];
    all.into_iter()
        .filter(|(done, _)| *done)
        .map(|(_, step)| step)
        .collect()
}
