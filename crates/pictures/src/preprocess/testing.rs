//! Preprocessors for tests.

use super::Preprocessor;
use sightline_model_folder::{ImagePreprocessing, Resample, Resize};

/// To a square of so many pixels, and values from −1 to 1.
pub(super) fn preprocessor(edge: u32) -> Preprocessor {
    Preprocessor::new(&ImagePreprocessing {
        crop: [edge, edge],
        flip: false,
        mean: [0.5; 3],
        offset: 0.0,
        pad: false,
        resample: Resample::Bicubic,
        rescale: 1.0 / 255.0,
        resize: Resize::ShortestEdge(edge),
        std: [0.5; 3],
    })
}
