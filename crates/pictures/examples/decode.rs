//! Decodes files for a comparison with other programs: `decode OUT FILE…` writes `OUT/<number>.rgb` (rows of red, green
//! and blue bytes) or `OUT/<number>.err` (the reason) for each file, counted from 0.

use sightline_pictures::picture::{DecodeLimits, decode};
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut paths = env::args_os().skip(1).map(PathBuf::from);
    let out = paths
        .next()
        .ok_or_else(|| io::Error::other("usage: decode OUT FILE…"))?;
    for (number, path) in paths.enumerate() {
        match decode(&fs::read(path)?, &DecodeLimits::default()) {
            Ok(picture) => fs::write(out.join(format!("{number}.rgb")), picture.rgb())?,
            Err(error) => fs::write(out.join(format!("{number}.err")), error.to_string())?,
        }
    }
    Ok(())
}
