//! EfficientNet-Lite, a convolutional classifier of pictures.

use super::Sides;
use super::config::{COPY, MAX_SIZE, above_zero, in_range, only, parse};
use crate::error::FolderError;
use crate::image::ImageSide;
use serde::{Deserialize, Serialize};
use std::path::Path;

pub(super) fn open(folder: &Path, config: &serde_json::Value) -> Result<Sides, FolderError> {
    Ok(Sides::image(ImageSide::open_efficientnet_lite(folder, config)?))
}

/// The configuration of an EfficientNet-Lite. Fields in alphabetical order: as JSON it is part of a fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EfficientNetLite {
    /// Added to a variance before its root is taken.
    pub batch_norm_eps: f64,
    /// Channels after the last convolution, which are also the pooled features.
    pub head_channels: u32,
    /// Edge of the network's square input.
    pub image_size: u32,
    /// Classes of the last layer.
    pub num_classes: u32,
    /// The groups of blocks, first to last.
    pub stages: Vec<Stage>,
    /// Channels after the first convolution.
    pub stem_channels: u32,
}

/// A group of like blocks; the first one strides and changes the number of channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Factor by which a block widens its channels inside.
    pub expand_ratio: u32,
    /// Channels before the first block.
    pub in_channels: u32,
    /// Edge of the depthwise kernel; odd.
    pub kernel_size: u32,
    /// Channels after each block.
    pub out_channels: u32,
    /// Number of blocks.
    pub repeats: u32,
    /// Step of the first block.
    pub stride: u32,
}

impl EfficientNetLite {
    pub(crate) fn parse(file: &Path, config: &serde_json::Value) -> Result<Self, FolderError> {
        only(file, config, "hidden_act", "relu6")?;
        only(file, config, "padding", "same")?;
        if let Some(channels) = config
            .get("num_channels")
            .filter(|channels| channels.as_u64() != Some(3))
        {
            let problem = format!("is {channels}, which is not implemented");
            return Err(FolderError::setting(
                file,
                "num_channels",
                problem,
                "use a model of 3 channels",
            ));
        }
        let parsed: Self = parse(file, config)?;
        above_zero(file, "batch_norm_eps", parsed.batch_norm_eps)?;
        in_range(file, "head_channels", parsed.head_channels, MAX_SIZE)?;
        in_range(file, "image_size", parsed.image_size, 4096)?;
        in_range(file, "num_classes", parsed.num_classes, MAX_SIZE)?;
        in_range(file, "stem_channels", parsed.stem_channels, MAX_SIZE)?;
        let mut channels = parsed.stem_channels;
        for (number, stage) in parsed.stages.iter().enumerate() {
            let key = |name: &str| format!("stages[{number}].{name}");
            in_range(file, &key("expand_ratio"), stage.expand_ratio, 64)?;
            in_range(file, &key("kernel_size"), stage.kernel_size, 31)?;
            in_range(file, &key("out_channels"), stage.out_channels, MAX_SIZE)?;
            in_range(file, &key("repeats"), stage.repeats, 256)?;
            in_range(file, &key("stride"), stage.stride, 8)?;
            if stage.kernel_size % 2 == 0 {
                return Err(FolderError::setting(file, key("kernel_size"), "is even", COPY));
            }
            if stage.in_channels != channels {
                let problem = format!("is {}, but {channels} channels come before it", stage.in_channels);
                return Err(FolderError::setting(file, key("in_channels"), problem, COPY));
            }
            channels = stage.out_channels;
        }
        Ok(parsed)
    }
}
