//! How much processor time pictures take to be decoded and prepared, exactly and fast, on one thread:
//! `decode_speed MODEL_FOLDER SECONDS FILE…` prints a JSON object with milliseconds a picture, and how many were reduced.

use sightline_core::DicomSpec;
use sightline_model_folder::ModelFolder;
use sightline_pictures::picture::{DecodeLimits, read_for};
use sightline_pictures::{DecodeError, PreparedFile, Preprocessor};
use std::io::{Error, Write, stdout};
use std::path::Path;
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
    let mut reduced = 0;
    for bytes in &files {
        let content = read_for(bytes, &limits, &pixels, &target)?;
        let stored = (content.facts.width, content.facts.height);
        let kept = (content.picture.width(), content.picture.height());
        reduced += u32::from(kept != stored && (kept.1, kept.0) != stored);
    }
    // Two turns each, so that other load on the machine meets both.
    let mut best = [f64::INFINITY; 2];
    for turn in 0..4 {
        let fast = turn % 2 == 1;
        let prepare = |bytes: &[u8]| preprocessor.prepare_file(bytes, &limits, &pixels, fast);
        let place = &mut best[usize::from(fast)];
        *place = place.min(milliseconds(&files, seconds / 4.0, &prepare)?);
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
    least: f64,
    prepare: &dyn Fn(&[u8]) -> Result<PreparedFile, DecodeError>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let (started, mut spent, mut count) = (processor_seconds()?, 0.0, 0_u32);
    while spent < least {
        for bytes in files {
            std::hint::black_box(prepare(bytes)?);
            count += 1;
        }
        spent = processor_seconds()? - started;
    }
    Ok(spent * 1000.0 / f64::from(count.max(1)))
}

/// Time that this thread was on a processor, as Linux counts it: other programs on the machine do not add to it.
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let spent = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = spent.split_whitespace().next().ok_or("no times")?.parse()?;
    Ok(nanoseconds / 1e9)
}
