//! `sentence_bert_config.json`: what sentence-transformers says of the network of a text model.

use crate::error::FolderError;
use crate::path;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Its names: the first one that is there counts. All but the first are of old models.
const FILES: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];
const KEEP: &str = "use a model that is run as sentence-transformers runs text encoders by default";

/// What it says.
#[derive(Deserialize, Default)]
pub(crate) struct Sentence {
    pub(crate) max_seq_length: Option<u32>,
    #[serde(default)]
    pub(crate) do_lower_case: bool,
    transformer_task: Option<String>,
    modality_config: Option<Value>,
    processing_kwargs: Option<Value>,
    query_length: Option<Value>,
    document_length: Option<Value>,
    query_expansion: Option<Value>,
}

impl Sentence {
    /// Reads the file, where there is one.
    pub(crate) fn read(folder: &Path) -> Result<Self, FolderError> {
        for name in FILES {
            let file = folder.join(name);
            if let Some(read) = path::read_json_if_there::<Self>(&file)? {
                read.check(&file)?;
                return Ok(read);
            }
        }
        Ok(Self::default())
    }

    /// Refuses what would change vectors and is not implemented.
    fn check(&self, file: &Path) -> Result<(), FolderError> {
        let wrong = |key: &str, value: &dyn std::fmt::Display| {
            let problem = format!("is {value}, which is not implemented");
            Err(FolderError::setting(file, key, problem, KEEP))
        };
        if let Some(task) = self
            .transformer_task
            .as_deref()
            .filter(|task| *task != "feature-extraction")
        {
            return wrong("transformer_task", &task);
        }
        let set = |value: &&Value| match value {
            Value::Object(values) => !values.is_empty(),
            value => !value.is_null(),
        };
        for (key, value) in [
            ("processing_kwargs", &self.processing_kwargs),
            ("query_length", &self.query_length),
            ("document_length", &self.document_length),
            ("query_expansion", &self.query_expansion),
        ] {
            if let Some(value) = value.as_ref().filter(set) {
                return wrong(key, value);
            }
        }
        let Some(text) = self.modality_config.as_ref().and_then(|kinds| kinds.get("text")) else {
            return Ok(());
        };
        let of = |key: &str| text.get(key).and_then(Value::as_str);
        match (of("method"), of("method_output_name")) {
            (None, _)
            | (Some("forward"), None | Some("last_hidden_state" | "pooler_output"))
            | (Some("get_text_features"), _) => Ok(()),
            _ => wrong("modality_config.text", text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;
    use serde_json::json;

    #[test]
    fn an_old_name_of_the_file_is_read_and_what_changes_vectors_is_refused_by_its_key() {
        let folder = TestFolder::new();
        folder.write_json("sentence_roberta_config.json", &json!({"max_seq_length": 75}));
        assert_eq!(Sentence::read(folder.path()).unwrap().max_seq_length, Some(75));
        for (config, key) in [
            (json!({"transformer_task": "text-generation"}), "transformer_task"),
            (
                json!({"processing_kwargs": {"text": {"add_special_tokens": false}}}),
                "processing_kwargs",
            ),
            (json!({"query_length": 32}), "query_length"),
            (
                json!({"modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}),
                "modality_config.text",
            ),
        ] {
            folder.write_json("sentence_bert_config.json", &config);
            let error = Sentence::read(folder.path()).err().unwrap().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        let written = json!({
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
        });
        folder.write_json("sentence_bert_config.json", &written);
        assert!(Sentence::read(folder.path()).is_ok());
    }
}
