//! Previews: a run may write every picture once more, small, for pages and for people whose files no browser shows.
//!
//! A preview's name is made of its content's digest and its settings, so that whoever writes it twice writes the same.

use crate::dicom::FrameChoice;
use serde::{Deserialize, Serialize};

/// Attribute that says where a row's preview lies.
pub const PREVIEW_ATTRIBUTE: &str = "sightline_preview_uri";

/// How previews are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PreviewFormat {
    /// JPEG with halved colours.
    Jpeg {
        /// 1 to 100, as libjpeg takes it.
        quality: u8,
    },
    /// PNG: larger, and lossless.
    Png,
}

/// What previews are like, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewSpec {
    /// Most pixels in a row.
    pub width: u32,
    /// Most rows.
    pub height: u32,
    /// How they are written.
    pub format: PreviewFormat,
    /// Root that they are written below; the state root where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl PreviewFormat {
    /// Its media type, as browsers know it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

impl PreviewSpec {
    /// Pixels in a row unless the caller says otherwise.
    pub const DEFAULT_WIDTH: u32 = 960;
    /// Rows unless the caller says otherwise.
    pub const DEFAULT_HEIGHT: u32 = 540;
    /// Quality of a JPEG unless the caller says otherwise.
    pub const DEFAULT_QUALITY: u8 = 85;
    /// Least and most pixels of a side.
    pub const SIDES: std::ops::RangeInclusive<u32> = 16..=4096;

    /// Width and height of a picture's preview: within the limits, in the picture's proportions, and never larger than it.
    #[must_use]
    pub fn fitted(&self, width: u32, height: u32) -> (u32, u32) {
        if width <= self.width && height <= self.height {
            return (width, height);
        }
        let scaled = |side: u32, to: u32, from: u32| {
            let rounded = (u64::from(side) * u64::from(to) + u64::from(from) / 2) / u64::from(from).max(1);
            u32::try_from(rounded).unwrap_or(to).max(1)
        };
        if u64::from(width) * u64::from(self.height) >= u64::from(height) * u64::from(self.width) {
            (self.width, scaled(height, self.width, width))
        } else {
            (scaled(width, self.height, height), self.height)
        }
    }

    /// Bytes that no preview goes beyond: one that did would be more than its pixels as they are.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * 4
    }

    /// Name of the preview of a picture below the root, by the SHA-256 of the picture's file; `decode` is how that was decoded,
    /// as [`crate::VectorSpace::decode`] says it.
    #[must_use]
    pub fn key(&self, content_hash: &str, frame: FrameChoice, decode: &str) -> String {
        let frame = match frame {
            FrameChoice::Middle => "-middle",
            FrameChoice::First | FrameChoice::Reject => "",
        };
        let ending = match self.format {
            PreviewFormat::Jpeg { .. } => "jpg",
            PreviewFormat::Png => "png",
        };
        // Nothing for the usual one, which bears the names of before there were others.
        let decode = match decode {
            "" | "exact" => String::new(),
            other => format!("-{other}"),
        };
        // Folders of some thousand entries, where the store has folders.
        let start = content_hash.get(..3).unwrap_or("000");
        let settings = self.settings();
        format!("previews/{settings}{frame}{decode}/{start}/{content_hash}.{ending}")
    }

    fn settings(&self) -> String {
        let size = format!("{}x{}", self.width, self.height);
        match self.format {
            PreviewFormat::Jpeg { quality } => format!("{size}-q{quality}"),
            PreviewFormat::Png => format!("{size}-png"),
        }
    }

    /// What identifies the previews as part of a row's `source_digest`: a row says where its preview lies.
    #[must_use]
    pub fn identity(&self) -> String {
        let root = self.root.as_deref().unwrap_or_default();
        format!("previews={}:{root}\n", self.settings())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec() -> PreviewSpec {
        PreviewSpec {
            width: 960,
            height: 540,
            format: PreviewFormat::Jpeg { quality: 85 },
            root: None,
        }
    }

    #[test]
    fn a_preview_fits_within_its_limits_and_is_never_enlarged() {
        let fitted = |width, height| spec().fitted(width, height);
        assert_eq!(fitted(4000, 3000), (720, 540));
        assert_eq!(fitted(1920, 1080), (960, 540));
        assert_eq!(fitted(10_000, 10), (960, 1));
        assert_eq!(fitted(3, 60_000), (1, 540));
        assert_eq!(fitted(640, 480), (640, 480));
    }

    #[test]
    fn names_differ_where_the_bytes_would() {
        let hash = "ab12cd";
        let first = spec().key(hash, FrameChoice::First, "exact");
        assert_eq!(first, "previews/960x540-q85/ab1/ab12cd.jpg");
        assert_eq!(first, spec().key(hash, FrameChoice::Reject, "exact"));
        assert_eq!(
            spec().key(hash, FrameChoice::First, "fast"),
            "previews/960x540-q85-fast/ab1/ab12cd.jpg"
        );
        let png = PreviewSpec {
            format: PreviewFormat::Png,
            ..spec()
        };
        assert_eq!(
            png.key(hash, FrameChoice::Middle, ""),
            "previews/960x540-png-middle/ab1/ab12cd.png"
        );
        assert_eq!(
            [spec().format.media_type(), png.format.media_type()],
            ["image/jpeg", "image/png"]
        );
        let elsewhere = PreviewSpec {
            root: Some("s3://pages".into()),
            ..spec()
        };
        assert_ne!(elsewhere.identity(), spec().identity());
    }

    proptest! {
        #[test]
        fn the_proportions_stay_within_a_pixel(width in 1_u32..70_000, height in 1_u32..70_000) {
            let (w, h) = spec().fitted(width, height);
            prop_assert!((1..=960).contains(&w) && (1..=540).contains(&h) && w <= width && h <= height);
            let scale = f64::from(w.max(h)) / if w >= h { f64::from(width) } else { f64::from(height) };
            prop_assert!((f64::from(width) * scale - f64::from(w)).abs() <= 1.0);
            prop_assert!((f64::from(height) * scale - f64::from(h)).abs() <= 1.0);
        }
    }
}
