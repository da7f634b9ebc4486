//! A small model folder on disk for tests; it is deleted at the end.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct TestFolder(PathBuf);

impl TestFolder {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sightline-model-folder-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn write_json(&self, name: &str, value: &Value) {
        self.write(name, value.to_string().as_bytes());
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    /// Changes one key of a JSON file; null removes it.
    pub(crate) fn set(&self, name: &str, pointer: &str, value: Value) {
        let mut config: Value = serde_json::from_slice(&fs::read(self.0.join(name)).unwrap()).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let object = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        object.insert(key.to_owned(), value);
        self.write_json(name, &config);
    }

    /// A pair whose weights are a few bytes: enough for what reads no tensors.
    pub(crate) fn pair() -> Self {
        let folder = Self::new();
        folder.write_json(
            "config.json",
            &json!({"model_type": "sightline_pair", "image": "image", "text": "text", "embedding_dim": 8}),
        );
        folder.write_json(
            "image/config.json",
            &json!({
                "model_type": "efficientnet_lite", "image_size": 32, "num_channels": 3, "stem_channels": 4,
                "stages": [{"repeats": 1, "kernel_size": 3, "stride": 2, "expand_ratio": 1, "in_channels": 4, "out_channels": 4}],
                "head_channels": 16, "num_classes": 10, "hidden_act": "relu6", "padding": "same", "batch_norm_eps": 0.001,
                "projection": {"type": "class_mixture", "file": "projection.safetensors", "tensor": "class_embeddings",
                               "dim": 8, "top_classes": 3, "temperature": 2.0}
            }),
        );
        folder.write_json(
            "image/preprocessor_config.json",
            &json!({"size": {"shortest_edge": 36}, "resample": 3, "do_center_crop": true, "crop_size": 32,
                    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}),
        );
        folder.write("image/model.safetensors", b"image weights");
        folder.write("image/projection.safetensors", b"class embeddings");
        folder.write_json(
            "text/config.json",
            &json!({"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 16,
                    "layer_norm_eps": 1e-12, "max_position_embeddings": 64, "num_attention_heads": 2,
                    "num_hidden_layers": 1, "type_vocab_size": 2, "vocab_size": 100}),
        );
        folder.write_json(
            "text/modules.json",
            &json!([{"type": "sentence_transformers.models.Transformer", "path": ""},
                    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
                    {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}]),
        );
        folder.write_json(
            "text/1_Pooling/config.json",
            &json!({"word_embedding_dimension": 8, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}),
        );
        folder.write_json(
            "text/sentence_bert_config.json",
            &json!({"max_seq_length": 32, "do_lower_case": false}),
        );
        folder.write("text/tokenizer.json", b"{}");
        folder.write("text/model.safetensors", b"text weights");
        folder
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}
