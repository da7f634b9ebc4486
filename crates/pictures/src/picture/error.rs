//! Why a picture cannot be decoded.

use crate::picture::format::Format;
use sightline_core::FailureReason;

/// Why a picture cannot be decoded. Trying again gives the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty: upload it again")]
    Empty,
    /// The content is none of the formats that are read.
    #[error(
        "the file is no picture of a type that is read here (JPEG, PNG, WebP, TIFF, BMP, GIF, DICOM): it looks like {0}"
    )]
    Unsupported(String),
    /// The content is damaged or cut short.
    #[error("the {format} is damaged or cut short ({detail}): upload it again")]
    Corrupt {
        /// What it claims to be.
        format: Format,
        /// What the decoder met.
        detail: String,
    },
    /// The header claims too many pixels.
    #[error(
        "the picture has {width} x {height} pixels, above the limit of {max_pixels}: shrink it, or raise the limit"
    )]
    TooManyPixels {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// The header claims a side that is too long.
    #[error(
        "the picture has {width} x {height} pixels, a side above the limit of {max_side}: shrink it, or raise the limit"
    )]
    TooLong {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
        /// The limit.
        max_side: u32,
    },
    /// There are several frames where one alone is taken.
    #[error(
        "the picture has {frames} frames, and its dataset takes files of one: let the dataset's dicom.frame be first or middle, or split the file"
    )]
    SeveralFrames {
        /// How many it has.
        frames: u32,
    },
    /// Decoding would cost more memory or time than is allowed.
    #[error("the picture cannot be decoded within the limits: {0}")]
    Limit(String),
}

impl DecodeError {
    /// What an item's failure says.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Empty => FailureReason::EmptyObject,
            Self::Unsupported(_) => FailureReason::UnsupportedFormat,
            Self::Corrupt { .. } => FailureReason::CorruptImage,
            Self::TooManyPixels { .. } | Self::TooLong { .. } => FailureReason::ImageTooLarge,
            Self::SeveralFrames { .. } => FailureReason::SeveralFrames,
            Self::Limit(_) => FailureReason::DecodeLimit,
        }
    }

    pub(super) fn corrupt(format: Format, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            format,
            detail: detail.into(),
        }
    }
}
