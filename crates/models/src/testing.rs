//! Tiny models made on the spot, and the demo's model with what the original programs say of it.

use serde_json::{Value, json};
use sightline_core::ModelName;
use sightline_model_folder::{DigestCache, FolderError, ModelFolder};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The folder that `make setup` fills.
pub(crate) fn demo_model() -> ModelFolder {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.local/models/sightline-demo");
    assert!(
        path.join("config.json").is_file(),
        "the demo's model is not there: run `make setup`"
    );
    ModelFolder::open(&path, &DigestCache::new()).unwrap()
}

pub(crate) fn demo_fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/demo_pair")
        .join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of a two-dimensional `.npy` file of f32.
pub(crate) fn npy_rows(bytes: &[u8]) -> Vec<Vec<f32>> {
    let header_bytes = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).unwrap();
    assert!(
        header.contains("'<f4'") && header.contains("'fortran_order': False"),
        "{header}"
    );
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let columns: usize = shape.split(',').nth(1).unwrap().trim().parse().unwrap();
    let (values, rest) = bytes[10 + header_bytes..].as_chunks::<4>();
    assert!(rest.is_empty());
    let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    values.chunks_exact(columns).map(<[f32]>::to_vec).collect()
}

/// The largest absolute difference of two vectors.
pub(crate) fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A whole model folder with a few kilobytes of weights. It is deleted at the end.
pub(crate) struct TinyModel {
    path: PathBuf,
    pub(crate) image: Tensors,
    pub(crate) text: Tensors,
}

impl TinyModel {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sightline-models-{}-{number}", std::process::id()));
        for folder in ["image", "text"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let model = Self {
            path,
            image: filled(&image_shapes()),
            text: filled(&text_shapes()),
        };
        model.write_configs();
        model.write_weights();
        model
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn write_weights(&self) {
        write_safetensors(&self.path("image/model.safetensors"), &self.image);
        write_safetensors(&self.path("text/model.safetensors"), &self.text);
        let classes = filled(&[("class_embeddings".to_owned(), vec![10, 8])]);
        write_safetensors(&self.path("image/projection.safetensors"), &classes);
    }

    pub(crate) fn open(&self) -> Result<ModelFolder, FolderError> {
        ModelFolder::open_as(&self.path, ModelName::new("tiny").unwrap(), &DigestCache::new())
    }

    fn write_configs(&self) {
        let write = |name: &str, value: &Value| fs::write(self.path(name), value.to_string()).unwrap();
        write(
            "config.json",
            &json!({"model_type": "sightline_pair", "image": "image", "text": "text", "embedding_dim": 8}),
        );
        let stage = |repeats, stride, expand, inputs, outputs| {
            json!({"repeats": repeats, "kernel_size": 3, "stride": stride, "expand_ratio": expand,
                   "in_channels": inputs, "out_channels": outputs})
        };
        write(
            "image/config.json",
            &json!({
                "model_type": "efficientnet_lite", "image_size": 32, "stem_channels": 4,
                "stages": [stage(1, 1, 1, 4, 4), stage(2, 2, 2, 4, 6)],
                "head_channels": 16, "num_classes": 10, "batch_norm_eps": 0.001,
                "projection": {"type": "class_mixture", "file": "projection.safetensors", "tensor": "class_embeddings",
                               "dim": 8, "top_classes": 3, "temperature": 2.0}
            }),
        );
        write(
            "image/preprocessor_config.json",
            &json!({"size": {"shortest_edge": 36}, "resample": 3, "do_center_crop": true, "crop_size": 32,
                    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}),
        );
        write(
            "text/config.json",
            &json!({"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 16,
                    "layer_norm_eps": 1e-12, "max_position_embeddings": 16, "num_attention_heads": 2,
                    "num_hidden_layers": 2, "type_vocab_size": 2, "vocab_size": 12}),
        );
        let words = [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "apple", "tree", "house", "##s", ".",
        ];
        let vocab: BTreeMap<&str, usize> = words.into_iter().enumerate().map(|(id, word)| (word, id)).collect();
        let special = |id, content| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        let piece = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
        write(
            "text/tokenizer.json",
            &json!({
                "version": "1.0", "truncation": null, "padding": {"strategy": {"Fixed": 8}, "direction": "Right",
                    "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
                "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
                "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                               "strip_accents": null, "lowercase": true},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": {"type": "TemplateProcessing",
                    "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
                    "pair": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]"),
                             {"Sequence": {"id": "B", "type_id": 1}}, piece("[SEP]")],
                    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                                       "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
                "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
                "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                          "max_input_chars_per_word": 100, "vocab": vocab}
            }),
        );
    }
}

impl Drop for TinyModel {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn norm(shapes: &mut Vec<(String, Vec<usize>)>, name: &str, channels: usize) {
    for part in ["weight", "bias", "running_mean", "running_var"] {
        shapes.push((format!("{name}.{part}"), vec![channels]));
    }
}

fn image_shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![("_conv_stem.weight".to_owned(), vec![4, 3, 3, 3])];
    norm(&mut shapes, "_bn0", 4);
    // Inputs, widening, outputs.
    for (number, (inputs, expand, outputs)) in [(4, 1, 4), (4, 2, 6), (6, 2, 6)].into_iter().enumerate() {
        let block = format!("_blocks.{number}");
        let wide = inputs * expand;
        if expand > 1 {
            shapes.push((format!("{block}._expand_conv.weight"), vec![wide, inputs, 1, 1]));
            norm(&mut shapes, &format!("{block}._bn0"), wide);
        }
        shapes.push((format!("{block}._depthwise_conv.weight"), vec![wide, 1, 3, 3]));
        norm(&mut shapes, &format!("{block}._bn1"), wide);
        shapes.push((format!("{block}._project_conv.weight"), vec![outputs, wide, 1, 1]));
        norm(&mut shapes, &format!("{block}._bn2"), outputs);
    }
    shapes.push(("_conv_head.weight".to_owned(), vec![16, 6, 1, 1]));
    norm(&mut shapes, "_bn1", 16);
    shapes.push(("_fc.weight".to_owned(), vec![10, 16]));
    shapes.push(("_fc.bias".to_owned(), vec![10]));
    shapes
}

fn text_shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    for (table, rows) in [("word", 12), ("position", 16), ("token_type", 2)] {
        shapes.push((format!("embeddings.{table}_embeddings.weight"), vec![rows, 8]));
    }
    let mut affine = |name: String, outputs: usize, inputs: Option<usize>| {
        let weight = inputs.map_or(vec![outputs], |inputs| vec![outputs, inputs]);
        shapes.push((format!("{name}.weight"), weight));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    };
    affine("embeddings.LayerNorm".to_owned(), 8, None);
    for number in 0..2 {
        let layer = format!("encoder.layer.{number}");
        for part in ["query", "key", "value"] {
            affine(format!("{layer}.attention.self.{part}"), 8, Some(8));
        }
        affine(format!("{layer}.attention.output.dense"), 8, Some(8));
        affine(format!("{layer}.attention.output.LayerNorm"), 8, None);
        affine(format!("{layer}.intermediate.dense"), 16, Some(8));
        affine(format!("{layer}.output.dense"), 8, Some(16));
        affine(format!("{layer}.output.LayerNorm"), 8, None);
    }
    shapes
}

/// Values by formula, different for every tensor; variances are above 0.
fn filled(shapes: &[(String, Vec<usize>)]) -> Tensors {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16).to_le_bytes()[0]) / 255.0
    };
    let tensor = |(name, shape): &(String, Vec<usize>)| {
        let (low, span) = if name.ends_with("running_var") {
            (0.5, 1.0)
        } else {
            (-0.5, 1.0)
        };
        let values = (0..shape.iter().product()).map(|_| low + span * next()).collect();
        (name.clone(), (shape.clone(), values))
    };
    shapes.iter().map(tensor).collect()
}

pub(crate) fn write_safetensors(path: &Path, tensors: &Tensors) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, (shape, values)) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}
