//! The architectures that can be opened: each is one file here, and one line in the table.

mod bert;
mod clip;
mod config;
mod dinov2;
mod efficientnet_lite;
mod gemma3;
mod siglip;
mod vit;
mod xlm_roberta;

use crate::error::FolderError;
use crate::image::ImageSide;
use crate::text::TextSide;
use serde_json::Value;
use std::path::Path;

pub(crate) use config::Keys;
pub use efficientnet_lite::{EfficientNetLite, Stage};

/// What a folder embeds.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) image: Option<ImageSide>,
    pub(crate) text: Option<TextSide>,
    /// Whether both make one space.
    pub(crate) shared_space: bool,
}

impl Sides {
    fn image(image: ImageSide) -> Self {
        Self {
            image: Some(image),
            text: None,
            shared_space: false,
        }
    }

    fn text(text: TextSide) -> Self {
        Self {
            image: None,
            text: Some(text),
            shared_space: false,
        }
    }
}

/// Opens a folder by the content of its `config.json`.
type Open = fn(&Path, &Value) -> Result<Sides, FolderError>;

/// `model_type` of `config.json`, and what opens such a folder.
const TABLE: &[(&str, Open)] = &[
    ("bert", bert::open),
    ("clip", clip::open),
    ("clip_text_model", clip::open_text),
    ("clip_vision_model", clip::open_vision),
    ("dinov2", dinov2::open),
    ("dinov2_with_registers", dinov2::open_with_registers),
    ("efficientnet_lite", efficientnet_lite::open),
    ("gemma3_text", gemma3::open),
    ("roberta", xlm_roberta::open),
    ("siglip", siglip::open),
    ("siglip_text_model", siglip::open_text),
    ("siglip_vision_model", siglip::open_vision),
    ("vit", vit::open),
    ("xlm-roberta", xlm_roberta::open),
];

/// Opens a folder of this architecture; none where there is no such architecture.
pub(crate) fn open(architecture: &str, folder: &Path, config: &Value) -> Option<Result<Sides, FolderError>> {
    let (_, open) = TABLE.iter().find(|(name, _)| *name == architecture)?;
    Some(open(folder, config))
}

/// Every `model_type` that can be opened, for error messages.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let mut names = vec!["sightline_pair"];
    names.extend(TABLE.iter().map(|(name, _)| *name));
    names
}
