//! Decodes files for a comparison with other programs: `decode [--middle] OUT FILE…` writes `OUT/<number>.rgb` (rows of red,
//! green and blue bytes) or `OUT/<number>.err` (the reason) for each file, counted from 0; of several frames of a DICOM the
//! first, or the middle one.

use sightline_core::{DicomSpec, FrameChoice};
use sightline_pictures::picture::{DecodeLimits, read};
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut paths = env::args_os().skip(1).map(PathBuf::from).peekable();
    let middle = paths.next_if(|first| first.as_os_str() == "--middle").is_some();
    let dicom = DicomSpec {
        frame: if middle {
            FrameChoice::Middle
        } else {
            FrameChoice::First
        },
        ..DicomSpec::pixels_alone()
    };
    let out = paths
        .next()
        .ok_or_else(|| io::Error::other("usage: decode [--middle] OUT FILE…"))?;
    for (number, path) in paths.enumerate() {
        match read(&fs::read(path)?, &DecodeLimits::default(), &dicom) {
            Ok(content) => fs::write(out.join(format!("{number}.rgb")), content.picture.rgb())?,
            Err(error) => fs::write(out.join(format!("{number}.err")), error.to_string())?,
        }
    }
    Ok(())
}
