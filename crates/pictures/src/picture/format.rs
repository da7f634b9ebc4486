//! What a file is, by its first bytes.

use crate::picture::error::DecodeError;
use std::fmt;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline and progressive.
    Jpeg,
    /// PNG; of an animated one the default picture.
    Png,
    /// GIF, first frame.
    Gif,
    /// WebP, first frame.
    WebP,
    /// TIFF, first picture.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// DICOM, one frame.
    Dicom,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Dicom => "DICOM",
        })
    }
}

/// Says which format some bytes are in.
pub(super) fn sniff(bytes: &[u8]) -> Result<Format, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        // First: what the 128 bytes before hold is left to the writer, and some write a TIFF's header.
        _ if bytes.get(128..132) == Some(b"DICM") => Ok(Format::Dicom),
        [0xFF, 0xD8, 0xFF, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Ok(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
        // "BM" alone starts many a text; a bitmap's reserved bytes are 0 and its header has a known length.
        [
            b'B',
            b'M',
            _,
            _,
            _,
            _,
            0,
            0,
            0,
            0,
            _,
            _,
            _,
            _,
            12 | 40 | 52 | 56 | 64 | 108 | 124,
            0,
            0,
            0,
            ..,
        ] => Ok(Format::Bmp),
        other => Err(DecodeError::Unsupported(guess(other).to_owned())),
    }
}

/// Names what is not read, so that a person knows what to convert.
fn guess(bytes: &[u8]) -> &'static str {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'h', b'e', ..] | [b'm', b'i', b'f', b'1', ..] | [b'm', b's', b'f', b'1', ..] => "HEIC",
            [b'a', b'v', b'i', ..] => "AVIF",
            [b'c', b'r', b'x', ..] => "a Canon raw photograph",
            _ => "a video or another file in an ISO container",
        },
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "JPEG XL",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => "JPEG 2000",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        [b'%', b'P', b'D', b'F', ..] => "PDF",
        [b'%', b'!', b'P', b'S', ..] => "PostScript",
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a ZIP archive",
        [0x1F, 0x8B, ..] => "gzip",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "zstd",
        [0, 0, 1 | 2, 0, ..] => "an icon",
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => "a portable bitmap",
        _ if bytes.get(257..262) == Some(b"ustar") => "a tar archive",
        _ => guess_text(bytes),
    }
}

fn guess_text(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(4096)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The cut may fall into the middle of a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return "none of the known file types",
    };
    let unprintable = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    if text.is_empty() || text.chars().any(unprintable) {
        return "none of the known file types";
    }
    let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if lower.contains("<svg") {
        "SVG"
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        "an HTML page"
    } else if lower.starts_with("<?xml") {
        "XML"
    } else {
        "text"
    }
}
