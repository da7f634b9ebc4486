//! Pictures decoded and prepared side by side.

use super::input::{Content, Input};
use sightline_core::DicomSpec;
use sightline_model_folder::Decode;
use sightline_pictures::{DecodeLimits, PreparedPicture, Preprocessor};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What an input's picture became, in words where it failed; none for an input without one.
type Prepared = Option<Result<PreparedPicture, String>>;

/// How pictures are decoded and prepared.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) preprocessor: Preprocessor,
    pub(super) decode: Decode,
    pub(super) limits: DecodeLimits,
}

/// Decodes the pictures of a batch on as many threads as there are cores; the order stays.
pub(super) fn all(batch: &[Input], decoder: &Decoder) -> Vec<Prepared> {
    let threads = thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(batch.len().max(1));
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some((place, input)) = next_of(batch, &next) {
            if let Content::Picture(path) = &input.content {
                done.push((place, decoder.one(path)));
            }
        }
        done
    };
    let mut prepared: Vec<Prepared> = batch.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        for worker in working {
            for (place, picture) in worker.join().unwrap_or_default() {
                prepared[place] = Some(picture);
            }
        }
    });
    prepared
}

fn next_of<'a>(batch: &'a [Input], next: &AtomicUsize) -> Option<(usize, &'a Input)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, batch.get(place)?))
}

impl Decoder {
    fn one(&self, path: &Path) -> Result<PreparedPicture, String> {
        let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let (limits, pixels) = (&self.limits, DicomSpec::pixels_alone());
        let fast = self.decode == Decode::Fast;
        let prepared = self.preprocessor.prepare_file(&bytes, limits, &pixels, fast);
        Ok(prepared.map_err(|error| error.to_string())?.picture)
    }
}
