//! `preprocessor_config.json`: how a picture becomes the network's input.

use crate::error::FolderError;
use crate::path;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "preprocessor_config.json";
const KEEP: &str = "use a model whose preprocessing is resize, centre crop, rescale and normalise";

/// The filter of a resize, by Pillow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// Triangle, support 1.
    Bilinear,
    /// Keys's cubic with a = -0.5, support 2.
    Bicubic,
    /// Windowed sinc, support 3.
    Lanczos,
}

/// The size that a picture is brought to before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The shorter edge to this many pixels, the longer one in proportion, rounded down.
    ShortestEdge(u32),
    /// To exactly this height and width; the shape of the picture is not kept.
    Exact([u32; 2]),
}

/// Everything that decides how a picture becomes numbers. Fields are in alphabetical order: written as JSON, this is
/// part of a fingerprint, so neither names nor order may change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImagePreprocessing {
    /// Height and width of the network's input, cut from the middle of the resized picture.
    pub crop: [u32; 2],
    /// Subtracted from each channel (red, green, blue) after the rescale.
    pub mean: [f64; 3],
    /// The filter.
    pub resample: Resample,
    /// What an 8-bit value is multiplied with first.
    pub rescale: f64,
    /// The size before the crop.
    pub resize: Resize,
    /// What each channel is divided by at last.
    pub std: [f64; 3],
}

#[derive(Deserialize)]
struct Raw {
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Vec<f64>>,
    image_std: Option<Vec<f64>>,
    do_pad: Option<bool>,
    do_flip_channel_order: Option<bool>,
    crop_pct: Option<f64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Size {
    Edge(u32),
    Shortest { shortest_edge: u32 },
    Exact { height: u32, width: u32 },
}

impl ImagePreprocessing {
    /// Reads a folder's preprocessing.
    pub(crate) fn open(folder: &Path) -> Result<Self, FolderError> {
        let raw: Raw = path::read_json(
            folder,
            FILE,
            "copy it from the model's page; it says how pictures are prepared",
        )?;
        Self::resolve(&raw, &folder.join(FILE))
    }

    /// The canonical text that enters the fingerprint.
    ///
    /// # Errors
    /// Never for a preprocessing that was read from a folder: all its numbers are finite.
    pub fn canonical(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn resolve(raw: &Raw, file: &Path) -> Result<Self, FolderError> {
        for (key, value) in [
            ("do_pad", raw.do_pad),
            ("do_flip_channel_order", raw.do_flip_channel_order),
        ] {
            if value == Some(true) {
                return Err(FolderError::setting(
                    file,
                    key,
                    "is true, which is not implemented",
                    KEEP,
                ));
            }
        }
        if raw.crop_pct.is_some() {
            return Err(FolderError::setting(
                file,
                "crop_pct",
                "is set, which is not implemented",
                KEEP,
            ));
        }
        let resize = resize(raw, file)?;
        let crop = crop(raw, resize, file)?;
        let (mean, std) = normalisation(raw, file)?;
        Ok(Self {
            crop,
            mean,
            resample: resample(raw, file)?,
            rescale: rescale(raw, file)?,
            resize,
            std,
        })
    }
}

/// An edge may have this many pixels; networks take hundreds.
const MAX_EDGE: u32 = 4096;

fn checked(value: u32, key: &str, file: &Path) -> Result<u32, FolderError> {
    if (1..=MAX_EDGE).contains(&value) {
        return Ok(value);
    }
    let problem = format!("has an edge of {value} pixels");
    Err(FolderError::setting(
        file,
        key,
        problem,
        format!("give 1 to {MAX_EDGE}"),
    ))
}

fn resize(raw: &Raw, file: &Path) -> Result<Resize, FolderError> {
    if raw.do_resize == Some(false) {
        let problem = "is false, so that the network's input would have no fixed size";
        return Err(FolderError::setting(file, "do_resize", problem, KEEP));
    }
    match raw.size {
        Some(Size::Edge(edge) | Size::Shortest { shortest_edge: edge }) => {
            Ok(Resize::ShortestEdge(checked(edge, "size", file)?))
        }
        Some(Size::Exact { height, width }) => Ok(Resize::Exact([
            checked(height, "size", file)?,
            checked(width, "size", file)?,
        ])),
        None => Err(FolderError::setting(
            file,
            "size",
            "is not there",
            "give {\"shortest_edge\": n} or height and width",
        )),
    }
}

fn crop(raw: &Raw, resize: Resize, file: &Path) -> Result<[u32; 2], FolderError> {
    let wanted = match (raw.do_center_crop, raw.crop_size) {
        (Some(false), _) | (None, None) => None,
        (_, Some(Size::Edge(edge) | Size::Shortest { shortest_edge: edge })) => Some([edge, edge]),
        (_, Some(Size::Exact { height, width })) => Some([height, width]),
        (Some(true), None) => {
            return Err(FolderError::setting(
                file,
                "crop_size",
                "is not there",
                "give its height and width",
            ));
        }
    };
    match (wanted, resize) {
        (None, Resize::Exact(size)) => Ok(size),
        (None, Resize::ShortestEdge(_)) => {
            let problem =
                "is off while `size` keeps the picture's shape, so that the network's input would have no fixed size";
            Err(FolderError::setting(file, "do_center_crop", problem, KEEP))
        }
        (Some(crop), resize) => {
            let limit = match resize {
                Resize::ShortestEdge(edge) => [edge, edge],
                Resize::Exact(size) => size,
            };
            if checked(crop[0], "crop_size", file)? > limit[0] || checked(crop[1], "crop_size", file)? > limit[1] {
                let problem = "is larger than the resized picture, so that edges would have to be invented";
                return Err(FolderError::setting(file, "crop_size", problem, KEEP));
            }
            Ok(crop)
        }
    }
}

fn resample(raw: &Raw, file: &Path) -> Result<Resample, FolderError> {
    match raw.resample {
        Some(1) => Ok(Resample::Lanczos),
        Some(2) => Ok(Resample::Bilinear),
        Some(3) => Ok(Resample::Bicubic),
        Some(other) => {
            let problem = format!("is {other}, which is not implemented");
            Err(FolderError::setting(
                file,
                "resample",
                problem,
                "give 1 (Lanczos), 2 (bilinear) or 3 (bicubic)",
            ))
        }
        None => Err(FolderError::setting(
            file,
            "resample",
            "is not there",
            "give 1 (Lanczos), 2 (bilinear) or 3 (bicubic)",
        )),
    }
}

fn rescale(raw: &Raw, file: &Path) -> Result<f64, FolderError> {
    if raw.do_rescale == Some(false) {
        return Ok(1.0);
    }
    let factor = raw.rescale_factor.unwrap_or(1.0 / 255.0);
    if factor.is_finite() && factor > 0.0 {
        return Ok(factor);
    }
    Err(FolderError::setting(
        file,
        "rescale_factor",
        format!("is {factor}"),
        "give a number above 0, 1/255 as a rule",
    ))
}

fn normalisation(raw: &Raw, file: &Path) -> Result<([f64; 3], [f64; 3]), FolderError> {
    if raw.do_normalize == Some(false) {
        return Ok(([0.0; 3], [1.0; 3]));
    }
    let mean = three(raw.image_mean.as_deref(), "image_mean", file)?;
    let std = three(raw.image_std.as_deref(), "image_std", file)?;
    if std.iter().any(|value| *value <= 0.0) {
        return Err(FolderError::setting(
            file,
            "image_std",
            "holds a value that is not above 0",
            "give three numbers above 0",
        ));
    }
    Ok((mean, std))
}

fn three(values: Option<&[f64]>, key: &str, file: &Path) -> Result<[f64; 3], FolderError> {
    match values {
        Some(&[r, g, b]) if [r, g, b].iter().all(|value| value.is_finite()) => Ok([r, g, b]),
        Some(other) => Err(FolderError::setting(
            file,
            key,
            format!("is {other:?}"),
            "give three numbers: red, green, blue",
        )),
        None => Err(FolderError::setting(
            file,
            key,
            "is not there",
            "give three numbers: red, green, blue",
        )),
    }
}

#[cfg(test)]
mod tests;
