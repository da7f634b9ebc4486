//! What is allocated beside decoded pixels: by the network's resize, and by previews.

use crate::allocator::{peak_of, turn};
use crate::{FIXED_BYTES, files, jpeg};
use sightline_core::{DicomSpec, PreviewFormat, PreviewSpec};
use sightline_model_folder::{ImagePreprocessing, Resample, Resize};
use sightline_pictures::{DecodeLimits, Preprocessor};

fn preprocessor(edge: u32) -> Preprocessor {
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

/// Of three quarters of the pictures' sides.
fn preview(format: PreviewFormat) -> PreviewSpec {
    PreviewSpec {
        width: 1500,
        height: 1050,
        format,
        root: None,
    }
}

#[test]
fn preparing_a_picture_and_its_preview_has_no_more_allocated_than_was_estimated() {
    let _turn = turn();
    let limits = DecodeLimits::default();
    let formats = [PreviewFormat::Jpeg { quality: 90 }, PreviewFormat::Png];
    let previews = [None].into_iter().chain(formats.map(|format| Some(preview(format))));
    let previews: Vec<Option<PreviewSpec>> = previews.collect();
    let mut wrong = Vec::new();
    for (name, bytes) in jpeg::files().into_iter().chain(files::files()) {
        // Exactly; and fast, where a JPEG is decoded once more for previews of this size.
        for (edge, fast) in [(448, false), (240, true)] {
            let preprocessor = preprocessor(edge);
            for preview in &previews {
                let estimated = preprocessor.estimated_bytes(&bytes, &limits, preview.as_ref());
                let (is_made, peak) = peak_of(|| is_made(&preprocessor, &bytes, fast, preview.as_ref()));
                assert!(is_made, "{name}, {preview:?}");
                if peak > estimated + FIXED_BYTES {
                    wrong.push(format!(
                        "{name}, {preview:?}, fast: {fast}: {peak} bytes where {estimated} were estimated"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_made(preprocessor: &Preprocessor, bytes: &[u8], fast: bool, preview: Option<&PreviewSpec>) -> bool {
    let (limits, pixels) = (DecodeLimits::default(), DicomSpec::pixels_alone());
    match preview {
        Some(spec) => {
            let previewed = preprocessor.prepare_with_preview(bytes, &limits, &pixels, fast, spec);
            previewed.is_ok_and(|previewed| previewed.preview.is_ok())
        }
        None => preprocessor.prepare_file(bytes, &limits, &pixels, fast).is_ok(),
    }
}
