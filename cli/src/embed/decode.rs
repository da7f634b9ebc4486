//! Pictures decoded and prepared side by side.

use super::input::{Content, Input};
use sightline_pictures::{DecodeLimits, PreparedPicture, Preprocessor, picture};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What an input's picture became, in words where it failed; none for an input without one.
type Prepared = Option<Result<PreparedPicture, String>>;

/// Decodes the pictures of a batch on as many threads as there are cores; the order stays.
pub(super) fn all(batch: &[Input], preprocessor: &Preprocessor, limits: &DecodeLimits) -> Vec<Prepared> {
    let threads = thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(batch.len().max(1));
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some((place, input)) = next_of(batch, &next) {
            if let Content::Picture(path) = &input.content {
                done.push((place, one(path, preprocessor, limits)));
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

fn one(path: &Path, preprocessor: &Preprocessor, limits: &DecodeLimits) -> Result<PreparedPicture, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let picture = picture::decode(&bytes, limits).map_err(|error| error.to_string())?;
    Ok(preprocessor.prepare(&picture))
}
