//! What the image processors of `transformers` take where the file leaves something out.

use super::Resample;
use super::keys::Keys;
use super::size::Size;
use crate::error::FolderError;

/// A processor's own values; `None` where there is no usual one and the file has to say it.
pub(super) struct Processor {
    pub(super) size: Option<Size>,
    /// Whether a size that is one number is a square, or the shorter edge.
    pub(super) square: bool,
    pub(super) resample: Option<Resample>,
    pub(super) center_crop: Option<bool>,
    pub(super) crop: Option<[u32; 2]>,
    pub(super) mean: Option<[f64; 3]>,
    pub(super) std: Option<[f64; 3]>,
    pub(super) crop_pct: Option<f64>,
}

const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// A file that names no processor says everything itself.
const NAMELESS: Processor = Processor {
    size: None,
    square: false,
    resample: None,
    center_crop: None,
    crop: None,
    mean: None,
    std: None,
    crop_pct: None,
};
const CLIP: Processor = Processor {
    size: Some(Size::Shortest(224)),
    square: false,
    resample: Some(Resample::Bicubic),
    center_crop: Some(true),
    crop: Some([224, 224]),
    mean: Some(CLIP_MEAN),
    std: Some(CLIP_STD),
    crop_pct: None,
};
const VIT: Processor = Processor {
    size: Some(Size::Exact([224, 224])),
    square: true,
    resample: Some(Resample::Bilinear),
    center_crop: Some(false),
    crop: None,
    mean: Some([0.5; 3]),
    std: Some([0.5; 3]),
    crop_pct: None,
};
const SIGLIP: Processor = Processor {
    square: false,
    resample: Some(Resample::Bicubic),
    ..VIT
};
const BLIP: Processor = Processor {
    size: Some(Size::Exact([384, 384])),
    square: true,
    center_crop: Some(false),
    crop: None,
    ..CLIP
};
const DEIT: Processor = Processor {
    size: Some(Size::Exact([256, 256])),
    resample: Some(Resample::Bicubic),
    center_crop: Some(true),
    crop: Some([224, 224]),
    ..VIT
};
const CONVNEXT: Processor = Processor {
    size: Some(Size::Shortest(384)),
    square: false,
    resample: Some(Resample::Bicubic),
    crop_pct: Some(224.0 / 256.0),
    ..VIT
};

/// Names without their endings.
const PROCESSORS: [(&str, &Processor); 9] = [
    ("Bit", &CLIP),
    ("Blip", &BLIP),
    ("CLIP", &CLIP),
    ("ChineseCLIP", &CLIP),
    ("ConvNext", &CONVNEXT),
    ("DeiT", &DEIT),
    ("Siglip", &SIGLIP),
    ("SiglipVision", &SIGLIP),
    ("ViT", &VIT),
];

/// A processor's name may end in any of these; all mean the same picture here.
const ENDINGS: [&str; 4] = [
    "ImageProcessorFast",
    "ImageProcessorPil",
    "ImageProcessor",
    "FeatureExtractor",
];

impl Processor {
    /// The processor that the file names, in either generation's key.
    pub(super) fn of(keys: &Keys<'_>) -> Result<&'static Self, FolderError> {
        let Some((key, name)) = ["image_processor_type", "feature_extractor_type"]
            .into_iter()
            .find_map(|key| Some((key, keys.text(key)?)))
        else {
            return Ok(&NAMELESS);
        };
        let short = ENDINGS
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        match PROCESSORS.iter().find(|(known, _)| *known == short) {
            Some((_, processor)) => Ok(processor),
            None => {
                let known: Vec<String> = PROCESSORS
                    .iter()
                    .map(|(name, _)| format!("{name}ImageProcessor"))
                    .collect();
                let problem = format!("is {name:?}, which is not implemented");
                Err(keys.wrong(key, problem, format!("use a model with one of {}", known.join(", "))))
            }
        }
    }
}
