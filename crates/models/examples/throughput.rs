//! How many pictures or texts a second a model embeds: one line on standard output for each line on standard input.
//!
//! ```text
//! throughput MODEL (images|texts FILE) PRECISION DEVICE THREADS BATCH SECONDS
//! ```
//!
//! A line of input starts one round of that many seconds; so another program can let its own rounds take turns with
//! these. Pictures are prepared already and random; texts are the lines of FILE.

use sightline_core::ModelName;
use sightline_model_folder::{DigestCache, ModelFolder};
use sightline_models::{LoadOptions, LoadedModel, TextRole, load};
use sightline_pictures::{Picture, PreparedPicture};
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, what, precision, device, threads, batch, seconds] = arguments.as_slice() else {
        return Err("usage: throughput MODEL (images|texts:FILE) PRECISION DEVICE THREADS BATCH SECONDS".into());
    };
    let options = LoadOptions {
        device: device.parse()?,
        precision: precision.parse()?,
        threads: Some(threads.parse()?),
        ..LoadOptions::default()
    };
    let folder = ModelFolder::open_as(Path::new(model), ModelName::new("bench")?, &DigestCache::new())?;
    let model = load(folder, &options)?;
    let batch: usize = batch.parse()?;
    let round = Duration::from_secs_f64(seconds.parse()?);
    let work = match what.strip_prefix("texts:") {
        Some(file) => Work::Texts(std::fs::read_to_string(file)?.lines().map(str::to_owned).collect()),
        None => Work::Images(pictures(&model, batch)?),
    };
    work.once(&model, batch, 0)?;
    for line in io::stdin().lock().lines() {
        line?;
        let (started, mut items, mut number) = (Instant::now(), 0, 0);
        while started.elapsed() < round {
            items += work.once(&model, batch, number)?;
            number += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = items as f64 / started.elapsed().as_secs_f64();
        writeln!(io::stdout(), "{rate}")?;
        io::stdout().flush()?;
    }
    Ok(())
}

enum Work {
    Images(Vec<PreparedPicture>),
    Texts(Vec<String>),
}

impl Work {
    /// Embeds one batch and gives its size.
    fn once(&self, model: &LoadedModel, batch: usize, number: usize) -> Result<usize, Box<dyn Error>> {
        match self {
            Self::Images(pictures) => Ok(model.encode_images(pictures)?.len()),
            Self::Texts(texts) => {
                let some: Vec<String> = texts
                    .iter()
                    .cycle()
                    .skip(number * batch % texts.len())
                    .take(batch)
                    .cloned()
                    .collect();
                Ok(model.encode_texts(&some, TextRole::Document)?.len())
            }
        }
    }
}

fn pictures(model: &LoadedModel, count: usize) -> Result<Vec<PreparedPicture>, Box<dyn Error>> {
    let preprocessor = model.preprocessor().ok_or("the model embeds no pictures")?;
    let [height, width] = preprocessor.size();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count)
        .map(|_| {
            let rgb = (0..height as usize * width as usize * 3).map(|_| next()).collect();
            let picture = Picture::new(width, height, rgb).ok_or("the picture has no shape")?;
            Ok(preprocessor.prepare(&picture))
        })
        .collect()
}
