//! Which pixels of the source a pixel of the result is made of, along one axis.

use super::filter::{support, weight};
use sightline_model_folder::Resample;

/// Bits behind the point of a coefficient.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;
const ONE: f64 = (1_u32 << PRECISION_BITS) as f64;
/// What a sum starts with, so that cutting its low bits rounds it.
pub(super) const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The sources of one pixel of the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap<'a> {
    pub(super) first: usize,
    pub(super) coefficients: &'a [i32],
}

/// A window of one axis of the result.
#[derive(Debug)]
pub(super) struct Axis {
    source: usize,
    same_size: bool,
    /// First source and number of sources of each pixel.
    bounds: Vec<(usize, usize)>,
    /// All pixels' coefficients, one pixel's after the other's.
    coefficients: Vec<i32>,
}

impl Axis {
    pub(super) fn new(source: u32, target: u32, start: u32, length: u32, filter: Resample) -> Self {
        let end = start.saturating_add(length).min(target);
        let mut axis = Self {
            source: source as usize,
            same_size: source == target,
            bounds: Vec::new(),
            coefficients: Vec::new(),
        };
        let mut weights = Vec::new();
        for index in start.min(end)..end {
            axis.add(source, target, index, filter, &mut weights);
        }
        axis
    }

    /// Pixels of the result.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// The sources of each pixel.
    pub(super) fn taps(&self) -> impl Iterator<Item = Tap<'_>> {
        let mut rest = self.coefficients.as_slice();
        self.bounds.iter().map(move |(first, count)| {
            let (coefficients, after) = rest.split_at(*count);
            rest = after;
            Tap {
                first: *first,
                coefficients,
            }
        })
    }

    /// Pillow leaves out a pass that changes no size. With a window, that is true of the whole axis only.
    pub(super) fn is_identity(&self) -> bool {
        self.same_size && self.len() == self.source
    }

    /// First and end of the source that any pixel needs.
    pub(super) fn needs(&self) -> (usize, usize) {
        match (self.bounds.first(), self.bounds.last()) {
            (Some((first, _)), Some((last, count))) => (*first, last + count),
            _ => (0, 0),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "indexes within a picture, clamped to it; coefficients below 2^23"
    )]
    fn add(&mut self, source: u32, target: u32, index: u32, filter: Resample, weights: &mut Vec<f64>) {
        let scale = f64::from(source) / f64::from(target);
        let filter_scale = scale.max(1.0);
        let reach = support(filter) * filter_scale;
        let center = (f64::from(index) + 0.5) * scale;
        let inverse = 1.0 / filter_scale;
        // Truncation towards 0, as C converts to int.
        let first = ((center - reach + 0.5) as i64).max(0);
        let end = ((center + reach + 0.5) as i64).min(i64::from(source));
        weights.clear();
        weights.extend((0..end - first).map(|x| weight(filter, ((x + first) as f64 - center + 0.5) * inverse)));
        let sum: f64 = weights.iter().sum();
        self.coefficients.extend(weights.iter().map(|weight| {
            let weight = if sum == 0.0 { *weight } else { weight / sum };
            (weight * ONE + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
        }));
        self.bounds.push((first as usize, weights.len()));
    }
}
