//! How long pictures take to be decoded and prepared, exactly and fast, on one thread:
//! `decode_speed MODEL_FOLDER SECONDS FILE…` prints a JSON object with milliseconds a picture, and how many were reduced.

use sightline_core::DicomSpec;
use sightline_model_folder::ModelFolder;
use sightline_pictures::picture::{Content, DecodeLimits, read, read_for};
use sightline_pictures::{DecodeError, Preprocessor};
use std::io::{Error, Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = || Error::other("usage: decode_speed MODEL_FOLDER SECONDS FILE…");
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or_else(usage)?;
    let seconds: f64 = arguments.next().ok_or_else(usage)?.parse()?;
    let files: Vec<Vec<u8>> = arguments.map(fs::read).collect::<Result<_, _>>()?;
    let preprocessor = Preprocessor::new(&ModelFolder::preprocessing(Path::new(&folder))?);
    let (limits, pixels) = (DecodeLimits::default(), DicomSpec::pixels_alone());
    let target = |width, height| preprocessor.target(width, height);
    let exact = |bytes: &[u8]| read(bytes, &limits, &pixels);
    let fast = |bytes: &[u8]| read_for(bytes, &limits, &pixels, &target);
    let mut reduced = 0;
    for bytes in &files {
        let content = fast(bytes)?;
        let stored = u64::from(content.facts.width) * u64::from(content.facts.height);
        reduced += u32::from(content.picture.rgb().len() as u64 != stored * 3);
    }
    let each = Duration::from_secs_f64(seconds / 4.0);
    // Two turns each, so that other load on the machine meets both.
    let mut best = [f64::INFINITY; 2];
    for _ in 0..2 {
        best[0] = best[0].min(milliseconds(&files, &preprocessor, each, &exact)?);
        best[1] = best[1].min(milliseconds(&files, &preprocessor, each, &fast)?);
    }
    let [exact, fast] = best;
    let count = files.len();
    writeln!(
        stdout(),
        r#"{{"pictures": {count}, "reduced": {reduced}, "exact_ms": {exact:.3}, "fast_ms": {fast:.3}}}"#
    )?;
    Ok(())
}

fn milliseconds(
    files: &[Vec<u8>],
    preprocessor: &Preprocessor,
    least: Duration,
    decode: &dyn Fn(&[u8]) -> Result<Content, DecodeError>,
) -> Result<f64, DecodeError> {
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < least {
        for bytes in files {
            std::hint::black_box(preprocessor.prepare(&decode(bytes)?.picture));
            count += 1;
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1000.0 / f64::from(count.max(1)))
}
