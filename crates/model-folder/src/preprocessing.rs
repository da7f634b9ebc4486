//! `preprocessor_config.json`, or its successor `processor_config.json`: how a picture becomes the network's input.

mod keys;
mod processor;
mod size;

use crate::error::FolderError;
use crate::path;
use keys::Keys;
use processor::Processor;
use serde::Serialize;
use serde_json::{Map, Value};
use size::Size;
use std::path::Path;

const FILE: &str = "preprocessor_config.json";
const JOINT: &str = "processor_config.json";
const KEEP: &str = "use a model whose preprocessing is resize, centre crop or padding, rescale and normalise";

/// The filter of a resize, by Pillow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// The pixel that lies there.
    Nearest,
    /// The mean of what a pixel covers, support 0.5.
    Box,
    /// Triangle, support 1.
    Bilinear,
    /// Windowed triangle, support 1.
    Hamming,
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
    /// As large as fits into this height and width; the shape is kept, edges are rounded down.
    Within([u32; 2]),
    /// The shorter edge to `shortest`, but the longer one to no more than `longest`.
    Bounded {
        /// The longer edge's limit.
        longest: u32,
        /// The shorter edge.
        shortest: u32,
    },
    /// None: the picture keeps its size.
    Keep,
}

/// Everything that decides how a picture becomes numbers. Fields are in alphabetical order: written as JSON, this is
/// part of a fingerprint, so neither names nor order may change, and what came later is left out where it is unused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImagePreprocessing {
    /// Height and width of the network's input, cut from the middle of the resized picture. Where that is smaller, it
    /// lies in the middle of black; or, with `pad`, at the left top corner of what becomes 0.
    pub crop: [u32; 2],
    /// Channels are blue, green, red; mean and std are in that order then.
    #[serde(skip_serializing_if = "is_false")]
    pub flip: bool,
    /// Subtracted from each channel (red, green, blue) after the rescale.
    pub mean: [f64; 3],
    /// Subtracted from every value after the rescale and before the mean.
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: f64,
    /// Fills up to the right and below, with 0 after the normalisation, instead of cutting from the middle.
    #[serde(skip_serializing_if = "is_false")]
    pub pad: bool,
    /// The filter.
    pub resample: Resample,
    /// What an 8-bit value is multiplied with first.
    pub rescale: f64,
    /// The size before the crop.
    pub resize: Resize,
    /// What each channel is divided by at last.
    pub std: [f64; 3],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl ImagePreprocessing {
    /// Reads a folder's preprocessing.
    pub(crate) fn open(folder: &Path) -> Result<Self, FolderError> {
        // Newer files of transformers hold the processors of pictures and of texts together, and come first there.
        let joint = folder.join(JOINT);
        let raw = path::read_json_if_there::<Map<String, Value>>(&joint)?;
        if let Some(Value::Object(raw)) = raw.as_ref().and_then(|raw| raw.get("image_processor")) {
            return Self::resolve(raw, &joint);
        }
        let remedy = "copy it from the model's page; it says how pictures are prepared";
        let raw: Map<String, Value> = path::read_json(folder, FILE, remedy)?;
        Self::resolve(&raw, &folder.join(FILE))
    }

    /// The canonical text that enters the fingerprint.
    ///
    /// # Errors
    /// Never for a preprocessing that was read from a folder: all its numbers are finite.
    pub fn canonical(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn resolve(raw: &Map<String, Value>, file: &Path) -> Result<Self, FolderError> {
        let keys = Keys::new(raw, file);
        let processor = Processor::of(&keys)?;
        keys.refuse_unknown()?;
        let (resize, cut) = resize(&keys, processor)?;
        let crop = match cut {
            Some(cut) => Some(cut),
            None => crop(&keys, processor)?,
        };
        let (crop, pad) = input(&keys, resize, crop)?;
        let (mean, std) = normalisation(&keys, processor)?;
        let rescale = keys.flag("do_rescale")?.unwrap_or(true);
        Ok(Self {
            crop,
            flip: keys.flag("do_flip_channel_order")?.unwrap_or(false),
            mean,
            offset: if rescale && keys.flag("rescale_offset")?.unwrap_or(false) {
                1.0
            } else {
                0.0
            },
            pad,
            resample: resample(&keys, processor)?,
            rescale: if rescale { rescale_factor(&keys)? } else { 1.0 },
            resize,
            std,
        })
    }
}

/// The resize, and the crop that belongs to it where `crop_pct` says so.
fn resize(keys: &Keys<'_>, processor: &Processor) -> Result<(Resize, Option<[u32; 2]>), FolderError> {
    if keys.flag("do_resize")? == Some(false) {
        return Ok((Resize::Keep, None));
    }
    let size = match keys.value("size") {
        Some(value) => Size::parse(keys, "size", value)?,
        None => processor
            .size
            .ok_or_else(|| keys.wrong("size", "is not there", size::FORMS))?,
    };
    let crop_pct = keys.number("crop_pct")?.or(processor.crop_pct);
    if let Some(share) = crop_pct {
        let (Size::Edge(edge) | Size::Shortest(edge)) = size else {
            return Err(keys.wrong("crop_pct", "is set, but `size` is no shortest edge", size::FORMS));
        };
        return by_share(keys, edge, share);
    }
    let square = keys.flag("default_to_square")?.unwrap_or(processor.square);
    let resize = match size {
        Size::Edge(edge) if square => Resize::Exact([edge, edge]),
        Size::Edge(edge) | Size::Shortest(edge) => Resize::ShortestEdge(edge),
        Size::Exact(size) => Resize::Exact(size),
        Size::Within(size) => Resize::Within(size),
        Size::Bounded { shortest, longest } => Resize::Bounded { longest, shortest },
    };
    Ok((resize, None))
}

/// ConvNeXT's: below this edge, a share of the resized picture is cut out of its middle.
const WARPED_FROM: u32 = 384;

fn by_share(keys: &Keys<'_>, edge: u32, share: f64) -> Result<(Resize, Option<[u32; 2]>), FolderError> {
    if !(share.is_finite() && share > 0.1 && share <= 1.0) {
        return Err(keys.wrong(
            "crop_pct",
            format!("is {share}"),
            "give a share above 0.1, of at most 1",
        ));
    }
    if edge >= WARPED_FROM {
        return Ok((Resize::Exact([edge, edge]), None));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 3840, cut as the original's int() does"
    )]
    let resized = (f64::from(edge) / share) as u32;
    Ok((Resize::ShortestEdge(resized), Some([edge, edge])))
}

fn crop(keys: &Keys<'_>, processor: &Processor) -> Result<Option<[u32; 2]>, FolderError> {
    let given = keys.value("crop_size");
    // Without a processor's name, a crop's size that is given is meant.
    let wanted = keys
        .flag("do_center_crop")?
        .unwrap_or(processor.center_crop.unwrap_or(given.is_some()));
    if !wanted {
        return Ok(None);
    }
    match given {
        None => processor
            .crop
            .map(Some)
            .ok_or_else(|| keys.wrong("crop_size", "is not there", "give its height and width")),
        Some(value) => match Size::parse(keys, "crop_size", value)? {
            Size::Edge(edge) | Size::Shortest(edge) => Ok(Some([edge, edge])),
            Size::Exact(size) => Ok(Some(size)),
            Size::Within(_) | Size::Bounded { .. } => {
                Err(keys.wrong("crop_size", "is no height and width", "give its height and width"))
            }
        },
    }
}

/// The network's input, and whether it is filled up.
fn input(keys: &Keys<'_>, resize: Resize, crop: Option<[u32; 2]>) -> Result<([u32; 2], bool), FolderError> {
    // What the resize makes at most, where that has a limit.
    let largest = match resize {
        Resize::Exact(size) | Resize::Within(size) => Some(size),
        Resize::Bounded { longest, .. } => Some([longest, longest]),
        Resize::ShortestEdge(_) | Resize::Keep => None,
    };
    if keys.flag("do_pad")? != Some(true) {
        return match (crop, resize) {
            (Some(crop), _) => Ok((crop, false)),
            (None, Resize::Exact(size)) => Ok((size, false)),
            (None, Resize::Keep) => {
                let problem = "is false, and nothing is cut, so that the network's input would have no fixed size";
                Err(keys.wrong("do_resize", problem, KEEP))
            }
            (None, _) => {
                let problem = "is off while `size` keeps the picture's shape, so that the network's input would have \
                               no fixed size";
                Err(keys.wrong("do_center_crop", problem, KEEP))
            }
        };
    }
    let size = match keys.value("pad_size") {
        None => crop.or(largest),
        Some(value) => match Size::parse(keys, "pad_size", value)? {
            Size::Exact(size) => Some(size),
            Size::Edge(edge) => Some([edge, edge]),
            _ => None,
        },
    };
    let size = size.ok_or_else(|| keys.wrong("pad_size", "is no height and width", "give its height and width"))?;
    match crop.or(largest) {
        Some(largest) if largest[0] <= size[0] && largest[1] <= size[1] => {}
        Some(largest) => {
            let problem = format!(
                "is {} x {}, less than the picture's {} x {}",
                size[0], size[1], largest[0], largest[1]
            );
            return Err(keys.wrong("pad_size", problem, "give at least that"));
        }
        None => {
            let problem = "is true while `size` leaves the longer edge open, so that a picture may be larger than what \
                           it is padded to";
            return Err(keys.wrong("do_pad", problem, "give `size` a longest edge too"));
        }
    }
    match crop {
        Some(crop) if crop != size => {
            let problem = "is true for a picture that was cut to another size";
            Err(keys.wrong("do_pad", problem, "cut or pad, not both"))
        }
        Some(crop) => Ok((crop, false)),
        None => Ok((size, true)),
    }
}

fn resample(keys: &Keys<'_>, processor: &Processor) -> Result<Resample, FolderError> {
    const FILTERS: &str = "give 0 (nearest), 1 (Lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (Hamming)";
    match keys.value("resample") {
        None => processor
            .resample
            .ok_or_else(|| keys.wrong("resample", "is not there", FILTERS)),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(Resample::Nearest),
            Some(1) => Ok(Resample::Lanczos),
            Some(2) => Ok(Resample::Bilinear),
            Some(3) => Ok(Resample::Bicubic),
            Some(4) => Ok(Resample::Box),
            Some(5) => Ok(Resample::Hamming),
            _ => Err(keys.wrong("resample", format!("is {value}"), FILTERS)),
        },
    }
}

fn rescale_factor(keys: &Keys<'_>) -> Result<f64, FolderError> {
    let factor = keys.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
    if factor.is_finite() && factor > 0.0 {
        return Ok(factor);
    }
    let remedy = "give a number above 0, 1/255 as a rule";
    Err(keys.wrong("rescale_factor", format!("is {factor}"), remedy))
}

fn normalisation(keys: &Keys<'_>, processor: &Processor) -> Result<([f64; 3], [f64; 3]), FolderError> {
    if keys.flag("do_normalize")? == Some(false) {
        return Ok(([0.0; 3], [1.0; 3]));
    }
    let mean = keys.three("image_mean", processor.mean)?;
    let std = keys.three("image_std", processor.std)?;
    if std.iter().any(|value| *value <= 0.0) {
        let problem = "holds a value that is not above 0";
        return Err(keys.wrong("image_std", problem, "give three numbers above 0"));
    }
    Ok((mean, std))
}

#[cfg(test)]
mod tests;
