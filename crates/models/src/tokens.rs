//! From a text to the network's token ids.

use crate::error::ModelError;
use sightline_model_folder::TextSide;
use std::fs;
use std::path::PathBuf;
use tokenizers::{Tokenizer, TruncationParams};

/// A model's tokenizer, with its limit.
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    prefix: String,
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
            lowercase: side.lowercase,
        })
    }

    /// The ids of a text, special tokens included, cut to the model's limit.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<i64>, ModelError> {
        let mut text = format!("{}{text}", self.prefix);
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
