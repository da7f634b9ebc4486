use super::*;
use sightline_model_folder::Resample;

fn spec(resize: Resize, crop: [u32; 2]) -> ImagePreprocessing {
    ImagePreprocessing {
        crop,
        flip: false,
        mean: [0.5, 0.25, 0.0],
        offset: 0.0,
        pad: false,
        resample: Resample::Bicubic,
        rescale: 1.0 / 255.0,
        resize,
        std: [0.5, 0.25, 1.0],
    }
}

fn grey(width: u32, height: u32, value: u8) -> Picture {
    Picture::new(width, height, vec![value; width as usize * height as usize * 3]).unwrap()
}

#[test]
fn the_longer_edge_is_rounded_down() {
    assert_eq!(shortest_edge(300, 220, 256), (349, 256));
    assert_eq!(shortest_edge(220, 300, 256), (256, 349));
    assert_eq!(shortest_edge(256, 256, 256), (256, 256));
}

#[test]
fn one_pixel_by_sixty_thousand_becomes_the_middle_of_a_huge_picture_without_making_it() {
    let preprocessor = Preprocessor::new(&spec(Resize::ShortestEdge(256), [224, 224]));
    for (width, height) in [(1, 60_000), (60_000, 1), (1, 1)] {
        let prepared = preprocessor.prepare(&grey(width, height, 77));
        assert_eq!(prepared.rgb().len(), preprocessor.values());
        assert!(prepared.rgb().iter().all(|value| *value == 77));
    }
}

#[test]
fn numbers_lie_in_planes_and_are_rescaled_shifted_and_divided_by_channel() {
    let preprocessor = Preprocessor::new(&spec(Resize::Exact([1, 2]), [1, 2]));
    let picture = Picture::new(2, 1, vec![0, 255, 51, 255, 0, 255]).unwrap();
    let mut place = vec![9.0; 6];
    preprocessor.write(&preprocessor.prepare(&picture), &mut place).unwrap();
    assert_eq!(place, [-1.0, 1.0, 3.0, -1.0, 0.2, 1.0]);
}

#[test]
fn a_picture_prepared_for_another_network_is_refused() {
    let small = Preprocessor::new(&spec(Resize::Exact([2, 2]), [2, 2]));
    let large = Preprocessor::new(&spec(Resize::Exact([4, 4]), [4, 4]));
    let prepared = small.prepare(&grey(3, 3, 1));
    assert!(large.write(&prepared, &mut [0.0; 48]).is_err());
    assert!(small.write(&prepared, &mut [0.0; 11]).is_err());
}

/// A linear congruential generator's bytes, as `make_resize.py` makes them.
fn noise(width: u32, height: u32) -> Picture {
    let mut state = u64::from(width) * 1000 + u64::from(height);
    let bytes = (0..width * height * 3).map(|_| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state >> 16).to_le_bytes()[0]
    });
    Picture::new(width, height, bytes.collect()).unwrap()
}

#[test]
fn every_number_is_the_one_that_the_image_processors_of_transformers_give() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/preprocessing/preprocessing.json")).unwrap();
    let mut expected = include_bytes!("../../tests/fixtures/preprocessing/pixels.bin").as_slice();
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        std::fs::write(
            folder.path().join("preprocessor_config.json"),
            case["config"].to_string(),
        )
        .unwrap();
        let spec = sightline_model_folder::ModelFolder::preprocessing(folder.path()).unwrap();
        let preprocessor = Preprocessor::new(&spec);
        let number = |key: &str, index: usize| u32::try_from(case[key][index].as_u64().unwrap()).unwrap();
        let picture = noise(number("from", 0), number("from", 1));
        let mut ours = vec![9.0; preprocessor.values()];
        preprocessor.write(&preprocessor.prepare(&picture), &mut ours).unwrap();
        let values = (number("shape", 0) * number("shape", 1) * number("shape", 2)) as usize;
        let (theirs, rest) = expected.split_at(values * 4);
        expected = rest;
        let ours: Vec<u8> = ours.iter().flat_map(|value| value.to_le_bytes()).collect();
        if preprocessor.size() != [number("shape", 1), number("shape", 2)] || ours != theirs {
            let off = ours
                .as_chunks::<4>()
                .0
                .iter()
                .zip(theirs.as_chunks::<4>().0)
                .filter(|(a, b)| a != b);
            wrong.push(format!(
                "{case}: {:?}, {} values differ",
                preprocessor.size(),
                off.count()
            ));
        }
    }
    assert!(expected.is_empty() && cases.len() > 100);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
