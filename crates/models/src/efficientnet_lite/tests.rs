use super::*;
use crate::testing::{demo_fixture, demo_model, npy_rows, worst};
use sightline_model_folder::{ImageNetwork, Resample};
use sightline_pictures::resize::{Window, resize};
use sightline_pictures::{DecodeLimits, Preprocessor, picture};

/// Features lie between 0 and 6, logits between -3 and 12; the folded normalisation moves them by some 1e-6.
const FEATURE_TOLERANCE: f32 = 5e-5;
const LOGIT_TOLERANCE: f32 = 2e-4;

fn values(tensor: &Tensor) -> Vec<f32> {
    let mut found = vec![0.0; tensor.numel()];
    let count = found.len();
    tensor.f_contiguous().unwrap().f_copy_data(&mut found, count).unwrap();
    found
}

/// From the very pixels that the original program saw.
#[test]
fn features_and_logits_are_those_of_the_original_program() {
    let side = demo_model().image.unwrap();
    let ImageNetwork::EfficientNetLite(config) = &side.network else {
        panic!("the demo's network is another");
    };
    let network = EfficientNetLite::load(&side, config, Device::Cpu).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&demo_fixture("images.json")).unwrap();
    let (features, logits) = (demo_fixture("image_features.npy"), demo_fixture("image_logits.npy"));
    let expected = npy_rows(&features).into_iter().zip(npy_rows(&logits));
    assert!(entries.len() > 10);
    for (entry, (expected_features, expected_logits)) in entries.iter().zip(expected) {
        let name = entry["file"].as_str().unwrap();
        let pixels = picture::decode(&demo_fixture(&format!("pixels/{name}.png")), &DecodeLimits::default()).unwrap();
        let preprocessor = Preprocessor::new(&sightline_model_folder::ImagePreprocessing {
            resize: sightline_model_folder::Resize::Exact([224, 224]),
            ..side.preprocessing.clone()
        });
        let prepared = preprocessor.prepare(&pixels);
        let window = Window {
            left: 0,
            top: 0,
            width: 224,
            height: 224,
        };
        assert_eq!(prepared.rgb(), resize(&pixels, 224, 224, Resample::Bicubic, window));
        let _no_grad = tch::no_grad_guard();
        let found = network.features(&Pass::Pictures(vec![prepared])).unwrap();
        let difference = worst(&values(&found), &expected_features);
        assert!(
            difference <= FEATURE_TOLERANCE,
            "{name}: features differ by {difference}"
        );
        let difference = worst(
            &values(&network.head.as_ref().unwrap().logits(&found).unwrap()),
            &expected_logits,
        );
        assert!(difference <= LOGIT_TOLERANCE, "{name}: logits differ by {difference}");
    }
}
