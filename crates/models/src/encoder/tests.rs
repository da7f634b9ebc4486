use super::*;
use crate::testing::{TinyModel, demo_fixture, demo_model, npy_rows, worst};
use sightline_core::vector::cosine;
use sightline_pictures::{DecodeLimits, Picture, picture};
use std::fs;

/// What any two correct f32 programs agree in.
const MIN_COSINE: f64 = 0.999_99;
/// Unit vectors of 384 values: sums in another order move them by some 1e-7.
const EMBEDDING_TOLERANCE: f32 = 2e-6;
/// Pixels of a JPEG differ by up to 6 steps from libjpeg-turbo's, and the mixture of classes with them: 0.9968 was the
/// lowest that was measured.
const JPEG_MIN_COSINE: f64 = 0.996;
/// A batch pads texts and chooses other kernels than one item does.
const BATCH_TOLERANCE: f32 = 1e-5;

fn load_cpu(folder: ModelFolder) -> Result<LoadedModel, ModelError> {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..LoadOptions::default()
    };
    load(folder, &options)
}

fn json(name: &str) -> Vec<serde_json::Value> {
    serde_json::from_slice(&demo_fixture(name)).unwrap()
}

fn demo_pictures(preprocessor: &Preprocessor) -> Vec<(String, bool, PreparedPicture)> {
    let prepare = |entry: &serde_json::Value| {
        let name = entry["file"].as_str().unwrap().to_owned();
        let picture = picture::decode(&demo_fixture(&format!("images/{name}")), &DecodeLimits::default()).unwrap();
        (name, entry["exact"].as_bool().unwrap(), preprocessor.prepare(&picture))
    };
    json("images.json").iter().map(prepare).collect()
}

#[test]
fn the_demos_pictures_are_prepared_as_pillow_prepares_them() {
    let model = demo_model();
    let preprocessor = Preprocessor::new(&model.image.unwrap().preprocessing);
    for (name, exact, prepared) in demo_pictures(&preprocessor) {
        let expected = demo_fixture(&format!("pixels/{name}.png"));
        let expected = picture::decode(&expected, &DecodeLimits::default()).unwrap();
        let differing = prepared
            .rgb()
            .iter()
            .zip(&*expected.rgb())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(differing <= if exact { 0 } else { 6 }, "{name} differs by {differing}");
    }
}

#[test]
fn the_demos_picture_embeddings_are_those_of_the_original_program() {
    let model = load_cpu(demo_model()).unwrap();
    let expected = npy_rows(&demo_fixture("image_embeddings.npy"));
    let pictures = demo_pictures(&model.preprocessor().unwrap());
    assert_eq!(pictures.len(), expected.len());
    for ((name, exact, picture), expected) in pictures.into_iter().zip(expected) {
        let ours = model.encode_images(&[picture]).unwrap().remove(0).unwrap();
        let cosine = cosine(&ours, &expected);
        assert!(
            cosine >= if exact { MIN_COSINE } else { JPEG_MIN_COSINE },
            "{name}: cosine {cosine}"
        );
        if exact {
            assert!(
                worst(&ours, &expected) <= EMBEDDING_TOLERANCE,
                "{name}: {}",
                worst(&ours, &expected)
            );
        }
    }
}

#[test]
fn the_demos_text_embeddings_are_those_of_the_original_program() {
    let model = load_cpu(demo_model()).unwrap();
    let expected = npy_rows(&demo_fixture("text_embeddings.npy"));
    let texts: Vec<String> = json("texts.json")
        .iter()
        .map(|entry| entry["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts.len(), expected.len());
    for (text, expected) in texts.iter().zip(&expected) {
        let ours = model
            .encode_texts(std::slice::from_ref(text), TextRole::Document)
            .unwrap()
            .remove(0)
            .unwrap();
        let cosine = cosine(&ours, expected);
        assert!(cosine >= MIN_COSINE, "{text:?}: cosine {cosine}");
        assert!(
            worst(&ours, expected) <= EMBEDDING_TOLERANCE,
            "{text:?}: {}",
            worst(&ours, expected)
        );
    }
    // All at once: lengths from 2 to 256 tokens in one padded batch.
    for ((text, ours), expected) in texts
        .iter()
        .zip(model.encode_texts(&texts, TextRole::Document).unwrap())
        .zip(&expected)
    {
        let difference = worst(&ours.unwrap(), expected);
        assert!(difference <= BATCH_TOLERANCE, "{text:?} in a batch: {difference}");
    }
}

#[test]
fn a_batch_of_pictures_gives_what_its_pictures_give() {
    let model = load_cpu(demo_model()).unwrap();
    let pictures = demo_pictures(&model.preprocessor().unwrap());
    let batch: Vec<PreparedPicture> = pictures.into_iter().map(|(_, _, picture)| picture).collect();
    let together = model.encode_images(&batch).unwrap();
    for (picture, together) in batch.into_iter().zip(together) {
        let alone = model.encode_images(&[picture]).unwrap().remove(0).unwrap();
        assert!(worst(&alone, &together.unwrap()) <= BATCH_TOLERANCE);
    }
}

#[test]
fn an_empty_batch_gives_no_vectors() {
    let model = load_cpu(TinyModel::new().open().unwrap()).unwrap();
    assert!(model.encode_images(&[]).unwrap().is_empty());
    assert!(model.encode_texts(&[], TextRole::Document).unwrap().is_empty());
}

#[test]
fn a_tiny_model_gives_unit_vectors_of_its_dimension_for_both_sides() {
    let model = load_cpu(TinyModel::new().open().unwrap()).unwrap();
    let picture = Picture::new(50, 40, (0..6000_u32).map(|i| i.to_le_bytes()[0]).collect()).unwrap();
    let prepared = model.preprocessor().unwrap().prepare(&picture);
    let texts = ["a red apple", "", "trees and houses. ".repeat(50).as_str()].map(str::to_owned);
    let vectors = [
        model.encode_images(&[prepared]).unwrap(),
        model.encode_texts(&texts, TextRole::Document).unwrap(),
    ]
    .concat();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let vector = vector.unwrap();
        assert_eq!(vector.len(), 8);
        assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-6);
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_vector_without_length_fails_alone() {
    let vectors = Tensor::from_slice2(&[[3.0_f32, 4.0], [0.0, 0.0], [f32::NAN, 1.0], [0.0, 2.0]]);
    let found: Vec<Embedding> = rows(&vectors, 4, 2).unwrap().into_iter().map(unit).collect();
    assert_eq!(found[0], Ok(vec![0.6, 0.8]));
    assert_eq!(found[1], Err(VectorError::Zero));
    assert_eq!(found[2], Err(VectorError::NotFinite));
    assert_eq!(found[3], Ok(vec![0.0, 1.0]));
    assert!(rows(&Tensor::from_slice(&[1.0_f32; 6]), 2, 2).is_err());
}

#[test]
fn keys_that_no_embedding_needs_are_ignored_by_name_and_others_refused() {
    let mut tiny = TinyModel::new();
    for name in ["embeddings.position_ids", "pooler.dense.weight", "cls.predictions.bias"] {
        tiny.text.insert(name.to_owned(), (vec![1], vec![0.0]));
    }
    tiny.image
        .insert("_bn0.num_batches_tracked".to_owned(), (vec![1], vec![7.0]));
    tiny.write_weights();
    load_cpu(tiny.open().unwrap()).unwrap();
    tiny.text
        .insert("encoder.layer.2.output.dense.weight".to_owned(), (vec![1], vec![0.0]));
    tiny.write_weights();
    let error = load_cpu(tiny.open().unwrap()).unwrap_err();
    assert!(matches!(error, ModelError::UnknownTensors { .. }), "{error:?}");
    assert!(
        error.to_string().contains("encoder.layer.2.output.dense.weight"),
        "{error}"
    );
}

#[test]
fn a_bert_saved_under_any_prefix_or_with_the_old_names_of_norms_is_the_same_bert() {
    let texts = ["a red apple".to_owned()];
    let embed = |tiny: &TinyModel| {
        let model = load_cpu(tiny.open().unwrap()).unwrap();
        model.encode_texts(&texts, TextRole::Document).unwrap()
    };
    let plain = embed(&TinyModel::new());
    let old = |name: &str| {
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
    };
    let names: [fn(&str) -> String; 4] = [
        |name| format!("bert.{name}"),
        |name| format!("model.{name}"),
        |name| format!("encoder.text.{name}"),
        old,
    ];
    for renamed in names {
        let mut tiny = TinyModel::new();
        tiny.text = tiny
            .text
            .iter()
            .map(|(name, tensor)| (renamed(name), tensor.clone()))
            .collect();
        tiny.write_weights();
        assert_eq!(embed(&tiny), plain);
    }
}

#[test]
fn every_tensor_that_is_missing_is_named() {
    let whole = TinyModel::new();
    let names = |tensors: &crate::testing::Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    for (image, name) in names(&whole.image)
        .into_iter()
        .map(|n| (true, n))
        .chain(names(&whole.text).into_iter().map(|n| (false, n)))
    {
        let mut tiny = TinyModel::new();
        if image {
            tiny.image.remove(&name)
        } else {
            tiny.text.remove(&name)
        };
        tiny.write_weights();
        let error = load_cpu(tiny.open().unwrap()).expect_err(&name);
        assert!(matches!(error, ModelError::MissingTensor { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn a_tensor_with_nan_infinity_or_another_shape_is_named() {
    for (value, name) in [
        (f32::NAN, "_fc.bias"),
        (f32::INFINITY, "_bn1.running_var"),
        (f32::NEG_INFINITY, "_conv_stem.weight"),
    ] {
        let mut tiny = TinyModel::new();
        let last = tiny.image.get_mut(name).unwrap();
        *last.1.last_mut().unwrap() = value;
        tiny.write_weights();
        let error = load_cpu(tiny.open().unwrap()).unwrap_err();
        assert!(matches!(error, ModelError::NotFinite { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let mut tiny = TinyModel::new();
    tiny.text.get_mut("embeddings.word_embeddings.weight").unwrap().0 = vec![8, 12];
    tiny.write_weights();
    let error = load_cpu(tiny.open().unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("embeddings.word_embeddings.weight") && error.contains("[8, 12]"),
        "{error}"
    );
}

#[test]
fn weights_cut_short_are_refused_wherever_the_cut_is() {
    for file in [
        "image/model.safetensors",
        "text/model.safetensors",
        "image/projection.safetensors",
    ] {
        let tiny = TinyModel::new();
        let bytes = fs::read(tiny.path(file)).unwrap();
        for keep in [0, 4, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            fs::write(tiny.path(file), &bytes[..keep]).unwrap();
            let error = load_cpu(tiny.open().unwrap()).expect_err(file);
            assert!(
                matches!(error, ModelError::Damaged { .. }),
                "{file} of {keep} bytes: {error:?}"
            );
            assert!(error.to_string().contains(file), "{error}");
        }
    }
}

#[test]
fn a_tokenizer_that_is_damaged_or_of_another_model_is_refused() {
    let tiny = TinyModel::new();
    let path = tiny.path("text/tokenizer.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = load_cpu(tiny.open().unwrap()).unwrap_err();
    assert!(matches!(error, ModelError::Tokenizer { .. }), "{error:?}");
    fs::write(&path, whole.replace("\"tree\":7", "\"tree\":70")).unwrap();
    let error = load_cpu(tiny.open().unwrap()).unwrap_err().to_string();
    assert!(error.contains("70") && error.contains("12"), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(tiny.open().unwrap_err().to_string().contains("tokenizer.json"));
}

#[test]
fn a_model_of_one_side_says_what_it_does_not_embed() {
    let tiny = TinyModel::new();
    let mut opened = tiny.open().unwrap();
    opened.image = None;
    let model = load_cpu(opened).unwrap();
    let error = model.encode_images(&[]).unwrap_err().to_string();
    assert!(error.contains("tiny") && error.contains("pictures"), "{error}");
    assert!(model.preprocessor().is_none());
}

#[test]
fn truncated_vectors_are_the_first_values_brought_to_length_1() {
    let texts = ["a red apple", "tree"].map(String::from);
    let tiny = TinyModel::new();
    let whole = load(tiny.open().unwrap(), &LoadOptions::default()).unwrap();
    let folder = tiny.open().unwrap().truncated(Some(3)).unwrap();
    let short = load(folder, &LoadOptions::default()).unwrap();
    let raw = whole.raw_texts(&texts, TextRole::Document).unwrap();
    for (raw, found) in raw.iter().zip(short.encode_texts(&texts, TextRole::Document).unwrap()) {
        let mut expected = raw[..3].to_vec();
        sightline_core::vector::normalize(&mut expected).unwrap();
        assert_eq!(found.unwrap(), expected);
    }
}
