//! From a text to the network's token ids.

use crate::encoder::TextRole;
use crate::error::ModelError;
use sightline_model_folder::TextSide;
use std::fs;
use std::path::PathBuf;
use tokenizers::{Tokenizer, TruncationParams};

/// A model's tokenizer, with its limit.
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    prefix: String,
    query_prefix: String,
    lowercase: bool,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextTokenizer(prefix {:?})", self.prefix)
    }
}

impl TextTokenizer {
    /// Reads the folder's tokenizer and proves that it fits `vocab_size`.
    pub(crate) fn open(side: &TextSide, vocab_size: u32) -> Result<Self, ModelError> {
        let path: &PathBuf = &side.tokenizer;
        let wrong = |detail: String| ModelError::Tokenizer {
            path: path.clone(),
            detail,
        };
        let bytes = fs::read(path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| wrong(error.to_string()))?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest >= vocab_size {
            return Err(wrong(format!(
                "it makes tokens up to {largest}, and config.json's vocab_size is {vocab_size}"
            )));
        }
        // The file's own limit and padding are those of the day it was written; the model's are in its configuration.
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            max_length: side.max_tokens as usize,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            tokenizer,
            prefix: side.prefix.clone(),
            query_prefix: side.query_prefix.clone(),
            lowercase: side.lowercase,
        })
    }

    /// The id of a token, by its text.
    pub(crate) fn id(&self, token: &str) -> Option<i64> {
        self.tokenizer.token_to_id(token).map(i64::from)
    }

    /// The ids of a text, special tokens included, cut to the model's limit.
    pub(crate) fn ids(&self, text: &str, role: TextRole) -> Result<Vec<i64>, ModelError> {
        let prefix = match role {
            TextRole::Document => &self.prefix,
            TextRole::Query => &self.query_prefix,
        };
        let mut text = format!("{prefix}{text}");
        if self.lowercase {
            text = text.to_lowercase();
        }
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| ModelError::Tokenize(error.to_string()))?;
        Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TinyModel, demo_fixture, demo_model};

    #[test]
    fn the_demos_texts_become_the_ids_of_the_original_program() {
        let tokenizer = TextTokenizer::open(&demo_model().text.unwrap(), 30_522).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&demo_fixture("texts.json")).unwrap();
        assert!(entries.len() > 20);
        for entry in entries {
            let text = entry["text"].as_str().unwrap();
            assert_eq!(
                serde_json::json!(tokenizer.ids(text, TextRole::Document).unwrap()),
                entry["token_ids"],
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_prefix_comes_first_and_lower_case_is_applied_before_the_tokenizer() {
        let tiny = TinyModel::new();
        let mut side = tiny.open().unwrap().text.unwrap();
        let ids = |side: &TextSide, text: &str| {
            TextTokenizer::open(side, 12)
                .unwrap()
                .ids(text, TextRole::Document)
                .unwrap()
        };
        // [CLS] a red apple [SEP]
        assert_eq!(ids(&side, "a red apple"), [2, 4, 5, 6, 3]);
        side.prefix = "A RED ".to_owned();
        side.lowercase = true;
        assert_eq!(ids(&side, "Apple"), [2, 4, 5, 6, 3]);
        side.query_prefix = "tree ".to_owned();
        let queries = TextTokenizer::open(&side, 12).unwrap();
        assert_eq!(queries.ids("apple", TextRole::Query).unwrap(), [2, 7, 6, 3]);
        side.max_tokens = 4;
        assert_eq!(ids(&side, "apple"), [2, 4, 5, 3]);
    }
}
